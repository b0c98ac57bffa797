// Package folder_test runs the real program with a folder that its containers
// share: real processes, files, locks and signals, and a Supervisor's HTTP API.
// Unless a spec says otherwise, there is no network at all between them.
package folder_test

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
const patience = 20 * time.Second

// binary is the program under test, service the workload; any user may run them.
var binary, service string

func TestMain(m *testing.M) {
	if os.Getenv("FOLDER_SUITE_ROLE") == "serve" {
		os.Exit(serve())
	}
	os.Exit(m.Run())
}

func TestFolder(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "the shared folder")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	dir := newDir("handover-folder-suite")
	args := []string{"build", "-o", filepath.Join(dir, "handover")}
	if raceEnabled {
		args = append(args, "-race")
	}
	dependOnSources()
	out, err := exec.Command("go", append(args, "github.com/handover-controller/handover/cmd/handover")...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	self, err := os.ReadFile(os.Args[0])
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(filepath.Join(dir, "service"), self, 0o755)).To(Succeed())
	return []byte(dir)
}, func(dir []byte) {
	binary, service = filepath.Join(string(dir), "handover"), filepath.Join(string(dir), "service")
})

// newDir makes a folder that every user can enter, until the end of the spec or
// suite.
func newDir(name string) string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", name)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	Expect(os.Chmod(dir, 0o755)).To(Succeed())
	return dir
}

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
