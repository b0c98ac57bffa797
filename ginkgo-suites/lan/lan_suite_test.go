// Package lan_test puts many devices on one network, as in a fleet with host
// networking: each in a network namespace with a boot id of its own, all with
// their announcements on the shared interface on purpose.
package lan_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// inside says that this process runs in namespaces of its own.
const inside = "LAN_SUITE_INSIDE"

// TestMain moves the whole suite into a network and a mount namespace of its
// own, so that whatever it makes is gone with it.
func TestMain(m *testing.M) {
	if os.Getenv(inside) == "" && os.Geteuid() == 0 {
		if code, ok := moveIn(); ok {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

// moveIn runs this binary again in new namespaces.
func moveIn() (code int, ok bool) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "no namespaces:", err)
		return 0, false
	}
	return cmd.ProcessState.ExitCode(), true
}

func TestLAN(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "A LAN of many devices")
}

// binary is the program under test.
var binary string

var _ = BeforeSuite(func() {
	if why := missing(); why != "" {
		Skip(why)
	}
	dir, err := os.MkdirTemp("", "handover-lan-suite")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	binary, err = built.Handover(dir)
	Expect(err).NotTo(HaveOccurred())
})

// missing says why the suite cannot run here, if it cannot.
func missing() string {
	if os.Geteuid() != 0 {
		return "needs root, to make network namespaces"
	}
	if os.Getenv(inside) == "" {
		return "this machine gives no network and mount namespaces"
	}
	for _, tool := range []string{"ip", "mount", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "needs " + tool + "; install iproute2, mount and util-linux"
		}
	}
	for _, command := range [][]string{
		{"mount", "--make-rprivate", "/"},
		{"mount", "-t", "tmpfs", "tmpfs", "/run"}, // where ip keeps its namespaces
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "add", "lan", "type", "bridge", "mcast_snooping", "0"},
		{"ip", "address", "add", lanAddress + "/16", "dev", "lan"},
		{"ip", "link", "set", "lan", "up"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Sprintf("needs a network bridge and mounts: %v: %v: %s", command, err, out)
		}
	}
	return ""
}

const lanAddress = "10.98.0.1"
