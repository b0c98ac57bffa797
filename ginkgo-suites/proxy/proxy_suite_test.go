// Package proxy_test puts a real HAProxy in front of a service that hands over,
// both as the proxy example of manifests configures them, on loopback.
//
// What differs from a device is names and ports alone: HAProxy asks a name
// server of this suite instead of Docker's, which answers with the loopback
// addresses of the containers that run.
package proxy_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// patience is how long a loaded machine may take for what takes milliseconds.
const patience = 40 * time.Second

// binary is the program under test, built once.
var binary string

func TestProxy(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Behind a proxy")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	if _, err := exec.LookPath("haproxy"); err != nil {
		Skip("haproxy is not installed (Debian package haproxy)")
	}
	dir, err := os.MkdirTemp("", "handover-proxy-suite")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	path, err := built.Handover(dir)
	Expect(err).NotTo(HaveOccurred())
	return []byte(path)
}, func(path []byte) {
	binary = string(path)
})
