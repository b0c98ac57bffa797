// Package run_test runs the real program: real processes, real multicast on
// loopback, a Supervisor's HTTP API, signals and files.
package run_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	if role := os.Getenv("RUN_SUITE_ROLE"); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "handover run")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "handover-run-suite")
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
