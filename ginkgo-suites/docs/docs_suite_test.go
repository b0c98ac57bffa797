// Package docs_test holds the documentation to the program: every fenced block
// of every *.md is compiled, loaded, parsed or run, every link leads somewhere,
// and every key, variable, metric, command and log line that is named exists.
//
// What a block is held to depends on the language behind its fence (kinds, in
// blocks_test.go); a block of another language is a fault. The rules return
// faults, so that tables of broken snippets show that each one finds its own.
//
// What it does not do: it opens no address outside the repository, runs nothing
// that needs an engine or the network (parsedOnly, in shell_test.go), and does
// not know whether a sentence is true.
package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// root is the folder of the module, as a path from here.
const root = "../.."

// binary is the program, built once for each process of the suite; source is
// what is known of its source.
var (
	binary string
	source *sources
)

func TestDocs(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Documentation")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "handover-docs-suite")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	dependOnSources()
	path := filepath.Join(dir, "handover")
	out, err := exec.Command("go", "build", "-o", path, "github.com/handover-controller/handover/cmd/handover").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return []byte(path)
}, func(path []byte) {
	binary = string(path)
	var err error
	source, err = readSources(root)
	Expect(err).NotTo(HaveOccurred())
})

// dependOnSources looks at the files of the module, so that the go command sees
// what this suite depends on and does not take the result of an earlier run for
// that of other documents or another program.
func dependOnSources() {
	Expect(filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && skipped(entry.Name()) {
			return fs.SkipDir
		}
		return err
	})).To(Succeed())
}

// skipped are folders whose documents are nobody's here.
func skipped(name string) bool {
	return name == ".git" || name == "node_modules" || name == "vendor"
}

// pages returns every *.md of the repository, by its path in it.
func pages() map[string]*page {
	GinkgoHelper()
	all := map[string]*page{}
	Expect(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".md"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		all[filepath.ToSlash(name)] = parsePage(filepath.ToSlash(name), string(text))
		return err
	})).To(Succeed())
	return all
}

// faults are what a rule has found.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// at puts a place before each fault.
func (f faults) at(path string, line int) faults {
	var placed faults
	for _, one := range f {
		placed.add("%s:%d: %s", path, line, one)
	}
	return placed
}
