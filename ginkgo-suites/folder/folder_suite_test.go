// Package folder_test runs the real program with a folder that its containers
// share: real processes, files, locks and signals, and a Supervisor's HTTP API.
// Unless a spec says otherwise, there is no network at all between them.
package folder_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// patience is how long a loaded machine may take for what takes milliseconds.
const patience = time.Minute

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
	_, err := built.Handover(dir)
	Expect(err).NotTo(HaveOccurred())
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
