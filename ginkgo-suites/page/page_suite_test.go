// Package page_test looks at the status page with a browser, Debian's chromium,
// while real processes hand over on loopback, and holds the status and its
// schema together.
package page_test

import (
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// patience is how long a loaded machine may take for what takes milliseconds.
const patience = time.Minute

// binary is the program under test, built once.
var binary string

func TestPage(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond) // each look is work for the browser
	RunSpecs(t, "The status page")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "handover-page-suite")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	path, err := built.Handover(dir)
	Expect(err).NotTo(HaveOccurred())
	return []byte(path)
}, func(path []byte) {
	binary = string(path)
})
