package folder_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// resource is what only one workload can have at a time: a lock on a file, a
// port, and a terminal as serial ports are. Who takes and frees it writes that
// down.
type resource struct {
	dir      string
	terminal *os.File
	settings []string
}

// newResource returns one, and the settings of workloads that need it.
func newResource() *resource {
	GinkgoHelper()
	r := &resource{dir: newDir("handover-resource")}
	var err error
	r.terminal, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(r.terminal.Close)
	fd := int(r.terminal.Fd())
	Expect(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)).To(Succeed())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	Expect(err).NotTo(HaveOccurred())
	r.settings = []string{
		"RESOURCE_DIR=" + r.dir, "RESOURCE_ADDRESS=" + simulator.FreeAddress(), "RESOURCE_TERMINAL=/dev/pts/" + strconv.Itoa(number),
		"HANDOVER_POLICY_EXCLUSIVE=true",
	}
	return r
}

// taken are the lines that were written: "take a" or "free a", with their times.
func (r *resource) taken() (lines []string, times []time.Time) {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(r.dir, "log"))
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(text)) {
		stamp, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(stamp, 10, 64)
		Expect(err).NotTo(HaveOccurred())
		lines, times = append(lines, what), append(times, time.Unix(0, n))
	}
	return lines, times
}

// held holds what the workload has for as long as the process lives.
var held []any

// take takes the resource, in the workload. Anybody else who has a part of it is
// an error.
func take() error {
	dir := os.Getenv("RESOURCE_DIR")
	if dir == "" {
		return nil
	}
	for _, path := range []string{filepath.Join(dir, "lock"), os.Getenv("RESOURCE_TERMINAL")} {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOCTTY, 0o600)
		if err != nil {
			return err
		}
		held = append(held, f)
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	l, err := net.Listen("tcp", os.Getenv("RESOURCE_ADDRESS"))
	if err != nil {
		return err
	}
	held = append(held, l)
	return note("take")
}

// free is the orderly end: the resource is free a moment later.
func free() {
	if os.Getenv("RESOURCE_DIR") != "" {
		_ = note("free")
	}
}

func note(what string) error {
	f, err := os.OpenFile(filepath.Join(os.Getenv("RESOURCE_DIR"), "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, time.Now().UnixNano(), what, os.Getenv("RESOURCE_NAME"))
	return err
}

// failing tells the workload to fail, once it is told so by a file.
func failing() <-chan struct{} {
	if name := os.Getenv("RESOURCE_NAME"); name != "" {
		if _, err := os.Stat(filepath.Join(os.Getenv("RESOURCE_DIR"), "fail-"+name)); err == nil {
			failed := make(chan struct{})
			close(failed)
			return failed
		}
	}
	return nil
}
