// Package page_test looks at the status page with a browser, Debian's chromium,
// while real processes hand over on loopback, and holds the status and its
// schema together.
package page_test

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

func TestPage(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond) // each look is work for the browser
	RunSpecs(t, "The status page")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "handover-page-suite")
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
