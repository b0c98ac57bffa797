// Package interop_test runs the real program in network namespaces: next to
// handover-lib as it is published, which the suite installs for itself, and on
// networks as containers have them, and as they break.
//
// It needs root and iproute2, and Node.js, npm and a registry for handover-lib;
// what is missing is skipped. All that it makes is in namespaces and a folder
// of its own.
package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// handoverLib is the published package that this suite speaks with.
const handoverLib = "handover-lib@0.0.10"

// patience is how long a loaded machine may take for what takes milliseconds.
const patience = time.Minute

// soon is a generous bound for what takes a second at most.
const soon = 15 * time.Second

// kit is what is made once for all specs.
var kit struct {
	// Binary is the program under test.
	Binary string
	// Library is a folder with handover-lib installed and the service in it.
	Library string
	// NoLibrary is why there is none.
	NoLibrary string
}

// specsRan tells that the specs ran: they can, only once in a process.
var specsRan bool

func TestInterop(t *testing.T) {
	specsRan = true
	RegisterFailHandler(Fail)
	RunSpecs(t, "handover and others")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	Expect(built.DependOnSources()).To(Succeed())
	if why := canMakeNamespaces(); why != "" {
		Skip(why)
	}
	dir, err := os.MkdirTemp("", "handover-interop-suite")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	kit.Binary, kit.Library = filepath.Join(dir, "handover"), filepath.Join(dir, "library")
	installed := make(chan error)
	go func() { installed <- installLibrary(kit.Library) }()
	built := build(kit.Binary)
	if err := <-installed; err != nil {
		kit.NoLibrary = err.Error()
	}
	Expect(built).To(Succeed())
	text, err := json.Marshal(kit)
	Expect(err).NotTo(HaveOccurred())
	return text
}, func(text []byte) {
	Expect(json.Unmarshal(text, &kit)).To(Succeed())
})

func build(path string) error {
	args := []string{"build", "-o", path}
	if built.Race {
		args = append(args, "-race")
	}
	return command("go", append(args, built.Package)...)
}

// installLibrary makes a folder with the package from npm, the services that
// use it, and a place to mount the folder that old and new share.
func installLibrary(dir string) error {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing; install Node.js 16 or later with npm", tool)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "balena"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"service.js", "beside.js"} {
		service, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), service, 0o644); err != nil {
			return err
		}
	}
	if err := command("npm", "install", "--prefix", dir, "--prefer-offline", "--no-audit", "--no-fund",
		"--ignore-scripts", "--no-update-notifier", "--fetch-retries=1", handoverLib); err != nil {
		return fmt.Errorf("cannot install %s: %w", handoverLib, err)
	}
	return nil
}

// command runs a program; what it printed is in the error.
func command(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, bytes.TrimSpace(out))
	}
	return nil
}

// needLibrary skips a spec without handover-lib.
func needLibrary() {
	if kit.NoLibrary != "" {
		Skip(kit.NoLibrary)
	}
}
