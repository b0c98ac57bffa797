// Package run_test runs the real program: real processes, real multicast on
// loopback, a Supervisor's HTTP API, signals and files.
package run_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
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
	Expect(built.DependOnSources()).To(Succeed())
	return []byte(build(dir))
}, func(path []byte) {
	binary = string(path)
})

// build builds the program in that folder, for this machine or for the device
// that is asked for, and returns what runs it.
func build(dir string) string {
	path := filepath.Join(dir, "handover")
	arguments := []string{"build", "-o", path}
	var environ, emulator []string
	if name := os.Getenv(deviceVariable); name != "" {
		device, ok := devices[name]
		Expect(ok).To(BeTrue(), "%s is %q, not one of the devices that this suite knows", deviceVariable, name)
		arguments = append(arguments, "-trimpath", "-tags", "nethttpomithttp2", "-ldflags", "-s -w")
		environ, emulator = append(device.environ, "CGO_ENABLED=0"), device.emulator
	} else if built.Race {
		arguments = append(arguments, "-race")
	}
	cmd := exec.Command("go", append(arguments, built.Package)...)
	cmd.Env = append(os.Environ(), environ...)
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	if len(emulator) == 0 {
		return path
	}
	// One file that runs it, as the kernel cannot.
	script := filepath.Join(dir, "emulated")
	text := "#!/bin/sh\nexec " + strings.Join(emulator, " ") + " " + path + " \"$@\"\n"
	Expect(os.WriteFile(script, []byte(text), 0o755)).To(Succeed())
	return script
}
