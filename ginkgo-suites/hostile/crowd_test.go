package hostile_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// pace is for how long a connection of a crowd stays away, or is not looked at.
// The whole crowd makes some thousand connections a second: more than that is not
// about connections, but takes all processors.
const pace = 3 * time.Second

// The kinds of connections that a crowd makes.
const (
	neverReads = "never reads" // asks for /events and reads nothing
	neverEnds  = "never ends"  // sends a header without an end
)

// nobody is a user that has nothing to do with the instance.
const nobody = 65534

// crowd is this test binary executed as an attacker: so many connections, each of
// which comes back after it was closed. It says on standard output once all of
// them have connected or tried to.
func crowd() int {
	network, address, kind := os.Getenv("CROWD_NETWORK"), os.Getenv("CROWD_ADDRESS"), os.Getenv("CROWD_KIND")
	size, _ := strconv.Atoi(os.Getenv("CROWD_SIZE"))
	becomeUser()
	text := map[string]string{
		neverReads: "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
		neverEnds:  "GET /status HTTP/1.1\r\nHost: localhost\r\nX-A: ",
	}[kind]
	var tried atomic.Int64
	for range size {
		go func() {
			first := true
			for {
				stay(network, address, text)
				if first {
					first = false
					if tried.Add(1) == int64(size) {
						fmt.Println("here")
					}
				}
			}
		}()
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // its end is ours
	return 0
}

// becomeUser makes this process that of the user that it is to be. It cannot be
// started as one: the test binary's folder is closed to others.
func becomeUser() {
	if uid, _ := strconv.Atoi(os.Getenv("AS_USER")); uid != 0 {
		if err := errors.Join(syscall.Setgid(uid), syscall.Setuid(uid)); err != nil {
			panic(err)
		}
	}
}

// stay makes a connection and keeps it for as long as the other side does. It
// never reads.
func stay(network, address, text string) {
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		time.Sleep(pace) // that of the attack
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte(text))
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	for closed := false; !closed; {
		time.Sleep(pace) // the pause between two looks
		_ = raw.Control(func(fd uintptr) {
			polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
			n, err := unix.Poll(polled, 0)
			closed = err == nil && n > 0
		})
	}
}

// attackBy starts a crowd, as another user if that is wanted, and waits until it
// is there.
func attackBy(kind, network, address string, size, uid int) {
	GinkgoHelper()
	said := play("crowd", uid, "CROWD_NETWORK="+network, "CROWD_ADDRESS="+address, "CROWD_KIND="+kind, fmt.Sprint("CROWD_SIZE=", size))
	Eventually(said.String, 3*patience, "50ms").Should(ContainSubstring("here"))
}

// play starts this test binary in another role, possibly as another user. It
// returns what it says.
func play(role string, uid int, settings ...string) *lockedBuffer {
	GinkgoHelper()
	cmd := exec.Command(os.Args[0])
	cmd.Dir = "/"
	cmd.Env = append(settings, "HOSTILE_SUITE_ROLE="+role, fmt.Sprint("AS_USER=", uid), "GOMAXPROCS=1")
	said := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = said, GinkgoWriter
	in, err := cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return said
}

// confine makes the instance start with 256 descriptors and, where this machine
// lets us, in 64 MiB.
func (i *instance) confine() {
	GinkgoHelper()
	script := `ulimit -n 256 && exec "$@"`
	if group, err := memoryGroup(64 << 20); err != nil {
		AddReportEntry("no memory group", "the instance has no limit of memory: "+err.Error())
	} else {
		script = `echo $$ > ` + group + `/cgroup.procs && ` + script
	}
	i.limits = []string{"sh", "-c", script, "confine"}
}

// memoryGroup makes a control group with that much memory.
func memoryGroup(bytes int) (string, error) {
	var errs []error
	for _, kind := range []struct{ root, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"},
	} {
		group, err := os.MkdirTemp(kind.root, "handover-hostile-")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		DeferCleanup(func() {
			Eventually(func() error { return os.Remove(group) }, patience).Should(Succeed())
		})
		if err := os.WriteFile(filepath.Join(group, kind.limit), []byte(strconv.Itoa(bytes)), 0o600); err != nil {
			errs = append(errs, err)
			continue
		}
		return group, nil
	}
	return "", errors.Join(errs...)
}

// measured asks again and again, for as long as the crowd takes to come back, and
// returns the time that half of the answers took at most, and the longest.
func measured(ask func()) (median, most time.Duration) {
	var took []time.Duration
	for end := time.Now().Add(pace); time.Now().Before(end); {
		began := time.Now()
		ask()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)-1]
}

var _ = Describe("A crowd of connections", func() {
	const size = 8000
	BeforeEach(func() {
		if testing.Short() {
			Skip("with the race detector, which runs with -short, the service of this suite alone needs more than 64 MiB")
		}
		var limit unix.Rlimit
		Expect(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)).To(Succeed())
		if limit.Max < size/2+100 {
			Skip(fmt.Sprintf("an attacker needs %d descriptors, and may have %d", size/2+100, limit.Max))
		}
	})

	It("takes nothing from an instance in 64 MiB with 256 descriptors, and nothing from its hand-over", func() {
		r := newRig()
		a, b := r.container("a"), r.container("b")
		address := simulator.FreeAddress()
		folder := "HANDOVER_ANNOUNCE_FOLDER=" + filepath.Join(r.dir, "folder")
		Expect(os.MkdirAll(filepath.Join(r.dir, "folder"), 0o700)).To(Succeed())
		Expect(os.Chmod(r.dir, 0o755)).To(Succeed()) // others may reach the socket
		a.confine()
		a.ready()
		check := `HANDOVER_READINESS_COMMAND=["test", "-e", "` + a.readyFile() + `"]`
		a.serve("HANDOVER_STATUS_LISTEN="+address, folder, "HANDOVER_READINESS_HTTP=", check, "HANDOVER_READINESS_SERVING_PERIOD=100ms").until("serving", patience)
		starts := a.metric("handover_workload_starts_total")
		before := a.memory()

		attackBy(neverReads, "tcp", address, size*3/8, 0)
		attackBy(neverEnds, "tcp", address, size*3/8, 0)
		if os.Geteuid() == 0 {
			attackBy(neverEnds, "unix", a.socket(), size/4, nobody)
		} else {
			AddReportEntry("no other user", "only root can attack as another user")
		}

		By("asking for readiness and health")
		median, most := measured(func() {
			Expect(ask(address, "/readyz")).To(Succeed())
		})
		AddReportEntry("/readyz", fmt.Sprintf("%v at the median, %v at most", median, most))
		Expect(median).To(BeNumerically("<", 100*time.Millisecond))
		median, most = measured(func() {
			_, text, err := a.tryToGet("/healthz")
			Expect(err).NotTo(HaveOccurred())
			Expect(text).To(Equal("ok\n"))
		})
		AddReportEntry("/healthz on the socket", fmt.Sprintf("%v at the median, %v at most", median, most))
		Expect(median).To(BeNumerically("<", 100*time.Millisecond))
		median, most = measured(func() {
			code, text := a.command("probe")
			Expect(code).To(BeZero(), text)
		})
		AddReportEntry("probe", fmt.Sprintf("%v at the median, %v at most", median, most))

		By("handing over, in a flood of datagrams as well")
		evil := r.attacker()
		forged := evil.forge(strange())
		stop := evil.flood(func() []byte { return forged })
		b.serve(folder).until("starting", patience)
		Expect(a.phase()).To(Equal("serving"))
		ready := time.Now()
		b.ready()
		a.until("released", patience)
		took := time.Since(ready)
		AddReportEntry("hand-over", fmt.Sprintf("%v after the younger one was ready, at %d datagrams a second; %.1f MiB resident before",
			took.Round(time.Millisecond), stop(), float64(before)/1024))
		Expect(took).To(BeNumerically("<", 3*time.Second))
		b.until("serving", patience)
		Expect(b.answer()).To(Succeed())
		Eventually(r.marker(), patience).Should(BeAnExistingFile())
		Expect(a.metric("handover_workload_starts_total")).To(Equal(starts))
		served := false
		for _, e := range a.status().Events {
			served = served || e.Phase == "serving"
			Expect(served && e.Phase == "starting").To(BeFalse(), "%v: a check of its readiness has failed", e)
		}
		Expect(served).To(BeTrue())
		Expect(a.err.String()).NotTo(ContainSubstring("too many open files"))
		a.bounded()
	})
})

// ask asks for a path, as a proxy would.
func ask(address, path string) error {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\n\r\n", path); err != nil {
		return err
	}
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if text := string(answer[:n]); !strings.Contains(text, " 200 ") {
		return errors.New(text)
	}
	return nil
}
