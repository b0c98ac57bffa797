// Package hostile_test throws everything at the real program that a hostile
// neighbour on the network can: datagrams of all kinds, forged ones, floods.
// Every spec has a multicast group and ports of its own, on loopback.
package hostile_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// program is the program under test, built once.
var program string

func TestMain(m *testing.M) {
	if os.Getenv("HOSTILE_SUITE_ROLE") == "serve" {
		os.Exit(serve())
	}
	os.Exit(m.Run())
}

func TestHostile(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "hostile input")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "handover-hostile-suite")
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
	program = string(path)
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
