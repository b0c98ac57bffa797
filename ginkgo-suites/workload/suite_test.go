// Package workload_test runs the real thing: this test binary, executed again
// as a small handover, as process 1 of a PID namespace or as a subreaper, with
// real child processes, signals and terminals.
package workload_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		// Not os.Exit: with the race detector that takes a second.
		switch os.Args[1] {
		case "host":
			syscall.Exit(host(os.Args[2]))
		case "child":
			syscall.Exit(child(os.Args[2:]))
		case "odd": // execute the rest with names that repeat, and entries that are none
			path, _ := exec.LookPath(os.Args[2])
			env := []string{"PATH=" + os.Getenv("PATH"), "A=1", "A=2", "", "odd", "=x", "E=", "B=\xff", "A=3"}
			fmt.Println(syscall.Exec(path, os.Args[2:], env))
			syscall.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func TestWorkloadProcesses(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(10 * time.Millisecond)
	RunSpecs(t, "Workload processes")
}

var _ = BeforeEach(func() {
	before := gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before)) })
})

// skipWithoutNamespaces skips a test where no PID namespace can be made.
func skipWithoutNamespaces() {
	GinkgoHelper()
	if os.Geteuid() != 0 {
		Skip("needs root, to make PID namespaces")
	}
	cmd := exec.Command("true")
	cmd.SysProcAttr = namespace()
	if err := cmd.Run(); err != nil {
		Skip("needs PID namespaces, which this system refuses: " + err.Error())
	}
}

func namespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
}
