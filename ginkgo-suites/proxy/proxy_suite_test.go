// Package proxy_test puts a real HAProxy in front of a service that hands over,
// both as the proxy example of manifests configures them, on loopback.
//
// What differs from a device is names and ports alone: HAProxy asks a name
// server of this suite instead of Docker's, which answers with the loopback
// addresses of the containers that run.
package proxy_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
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
	path := filepath.Join(dir, "handover")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	dependOnSources()
	out, err := exec.Command("go", append(args, "github.com/handover-controller/handover/cmd/handover")...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return []byte(path)
}, func(path []byte) {
	binary = string(path)
})

// dependOnSources looks at the folders of the module, so that the go command
// sees what this suite depends on and does not take the result of an earlier
// run for that of another program.
func dependOnSources() {
	root := filepath.Join("..", "..")
	Expect(filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})).To(Succeed())
}
