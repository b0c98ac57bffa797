package workload_test

import (
	"io"
	"os"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal; master is the user's side.
type terminal struct {
	master, slave *os.File

	mu   sync.Mutex
	seen strings.Builder
}

func newTerminal() *terminal {
	GinkgoHelper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		Skip("needs pseudo-terminals: " + err.Error())
	}
	Expect(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)).To(Succeed())
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	Expect(errno).To(BeZero())
	t := &terminal{master: os.NewFile(uintptr(fd), "master"), slave: os.NewFile(peer, "slave")}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(t, t.master)
	}()
	DeferCleanup(func() {
		_ = t.slave.Close()
		_ = t.master.Close()
		<-done
		GinkgoWriter.Printf("terminal:\n%s\n", t.text())
	})
	return t
}

// Write takes what the terminal shows.
func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.Write(b)
}

// text is what the terminal has shown.
func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.String()
}

func (t *terminal) enter(text string) {
	GinkgoHelper()
	_, err := t.master.WriteString(text)
	Expect(err).NotTo(HaveOccurred())
}

func (t *terminal) resize(rows, columns uint16) {
	GinkgoHelper()
	size := &unix.Winsize{Row: rows, Col: columns}
	raw, err := t.master.SyscallConn()
	Expect(err).NotTo(HaveOccurred())
	Expect(raw.Control(func(fd uintptr) {
		Expect(unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size)).To(Succeed())
	})).To(Succeed())
}
