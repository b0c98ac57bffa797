package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var namespaces atomic.Int64

// namespace is the name of a network namespace of this suite.
type namespace string

// newNamespace makes one with loopback up, for this spec only.
func newNamespace() namespace {
	GinkgoHelper()
	n := namespace(fmt.Sprintf("interop-%d-%d", os.Getpid(), namespaces.Add(1)))
	Expect(command("ip", "netns", "add", string(n))).To(Succeed())
	DeferCleanup(func() error { return command("ip", "netns", "delete", string(n)) })
	n.ip("link", "set", "lo", "up")
	return n
}

// ip runs the command of that name on this namespace.
func (n namespace) ip(args ...string) {
	GinkgoHelper()
	Expect(command("ip", append([]string{"-n", string(n)}, args...)...)).To(Succeed())
}

// exec is a command that runs in this namespace.
func (n namespace) exec(argv ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", string(n)}, argv...)...)
}

// do calls f in this namespace: sockets that it opens stay there.
func (n namespace) do(f func() error) {
	GinkgoHelper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		result <- func() error {
			file, err := os.Open(filepath.Join("/run/netns", string(n)))
			if err != nil {
				return err
			}
			defer file.Close()
			if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	Expect(<-result).To(Succeed())
}

// canMakeNamespaces tells why not, if not.
func canMakeNamespaces() string {
	if os.Geteuid() != 0 {
		return "needs root, to make network namespaces"
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return "needs the command ip; install iproute2"
	}
	name := fmt.Sprintf("interop-%d-probe", os.Getpid())
	if err := command("ip", "netns", "add", name); err != nil {
		return "needs network namespaces: " + err.Error()
	}
	defer func() { _ = command("ip", "netns", "delete", name) }()
	for _, kind := range []string{"veth", "bridge"} {
		if err := command("ip", "-n", name, "link", "add", "name", "a-"+kind, "type", kind); err != nil {
			return "needs virtual interfaces: " + err.Error()
		}
	}
	return ""
}
