package interop_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// way is how the service in testdata/beside.js is run.
type way int

const (
	bare      way = iota // by itself
	withLib              // with handover-lib in its process
	underOurs            // under `handover run`
	everyWay  = 3
)

// contender is a container with that service.
type contender struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	out     *lockedBuffer
	done    chan struct{}
	started time.Duration // on CLOCK_MONOTONIC, as all that it says

	announced string // what is logged then
}

// release is the program as releases are built. Containers see it as well: all
// that they see of /tmp is the folder that has handover-lib.
func release() string { return filepath.Join(kit.Library, "handover") }

func buildRelease() error {
	return command("env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-ldflags=-s -w",
		"-o", release(), "github.com/handover-controller/handover/cmd/handover")
}

// contend starts a container in a network. The Supervisor lists it. It is ready
// when the spec says so, at once; handover waits for a file for that.
func (d *device) contend(n namespace, w way, id string, extra ...string) *contender {
	GinkgoHelper()
	c := &contender{out: &lockedBuffer{}, done: make(chan struct{})}
	argv := []string{"node", "beside.js"}
	environ := []string{"PATH=" + os.Getenv("PATH"), "SHARED=" + d.shared(), "LIBRARY=" + kit.Library}
	switch w {
	case withLib:
		c.announced = "heartbeat sent"
		environ = append(environ, "WITH_HANDOVER_LIB=1")
	case underOurs:
		c.announced = "phase=serving"
		argv = append([]string{"./handover", "run", "--"}, argv...)
		d.list(id, "Running")
		file := "/tmp/balena/" + id + ".ready"
		environ = append(environ, "READY_FILE="+file, "HANDOVER_READINESS_FILE="+file,
			"BALENA_APP_ID="+appID, "BALENA_SERVICE_NAME="+serviceName,
			"BALENA_SUPERVISOR_ADDRESS=http://"+supervisorAddress, "BALENA_SUPERVISOR_API_KEY="+apiKey,
			"HANDOVER_SERVICE_CONTAINER_ID="+id, "HANDOVER_SERVICE_STATE_DIR=/tmp/balena/state-"+id,
			"HANDOVER_SERVICE_STOP_GRACE_PERIOD=5m", "HANDOVER_STATUS_SOCKET=/tmp/balena/"+id[:12]+".sock")
	}
	c.cmd = n.exec(append([]string{"sh", "-c",
		`mount --bind "$SHARED" "$LIBRARY/balena" && mount --rbind "$LIBRARY" /tmp && cd /tmp && exec "$@"`, "sh"}, argv...)...)
	c.cmd.Env = append(environ, extra...)
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	c.cmd.WaitDelay = 2 * time.Second
	var err error
	c.stdin, err = c.cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	c.started = monotonic()
	Expect(c.cmd.Start()).To(Succeed())
	go func() {
		_ = c.cmd.Wait()
		close(c.done)
	}()
	DeferCleanup(func() {
		c.end()
		if CurrentSpecReport().Failed() {
			fmt.Fprintf(GinkgoWriter, "--- %v\n%s", c.cmd.Args, c.out)
		}
	})
	return c
}

// end ends both the service, whose input ends, and what it runs under.
func (c *contender) end() {
	_ = c.stdin.Close()
	_ = c.cmd.Process.Kill()
	<-c.done
}

func (c *contender) pid() int { return c.cmd.Process.Pid }

// lives reports whether the process runs.
func (c *contender) lives() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// ready makes the service ready.
func (c *contender) ready() {
	GinkgoHelper()
	_, err := io.WriteString(c.stdin, "ready\n")
	Expect(err).NotTo(HaveOccurred())
}

// serves makes the service ready and waits until that is announced, if it is.
func (c *contender) serves() {
	GinkgoHelper()
	c.said("up")
	c.ready()
	c.said("ready")
	if c.announced != "" {
		Eventually(c.out.String, patience, time.Millisecond).Should(ContainSubstring(c.announced))
	}
}

// said waits until the service says that word, and returns when it did.
func (c *contender) said(word string) time.Duration {
	GinkgoHelper()
	var at time.Duration
	Eventually(func() bool { at = c.heard(word); return at > 0 }, 3*patience, time.Millisecond).
		Should(BeTrue(), "%s\n%s", word, c.out)
	return at
}

// heard returns when the service said that word, 0 if it did not.
func (c *contender) heard(word string) time.Duration {
	for line := range strings.Lines(c.out.String()) {
		var at int64
		if n, _ := fmt.Sscanf(line, "@ "+word+" %d\n", &at); n == 1 {
			return time.Duration(at)
		}
	}
	return 0
}

func monotonic() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano())
}

// processor returns how long the threads of the process have run.
func (c *contender) processor() time.Duration {
	GinkgoHelper()
	var sum int64
	for _, task := range c.tasks("schedstat") {
		var ran int64
		_, _ = fmt.Sscan(task, &ran)
		sum += ran
	}
	return time.Duration(sum)
}

// sleeps returns how often a thread of the process went to sleep.
func (c *contender) sleeps() int {
	GinkgoHelper()
	sum := 0
	for _, task := range c.tasks("status") {
		sum += number(task, "voluntary_ctxt_switches:")
	}
	return sum
}

// memory returns a number of /proc/PID/status, in KiB.
func (c *contender) memory(name string) int {
	GinkgoHelper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid()))
	Expect(err).NotTo(HaveOccurred(), "it must run\n%s", c.out)
	return number(string(text), name)
}

// tasks returns a file of /proc for each thread.
func (c *contender) tasks(name string) []string {
	GinkgoHelper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/%s", c.pid(), name))
	Expect(err).NotTo(HaveOccurred())
	Expect(paths).NotTo(BeEmpty(), "it must run\n%s", c.out)
	var all []string
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil { // else the thread has ended
			all = append(all, string(text))
		}
	}
	return all
}

// number returns the number behind a name at the beginning of a line.
func number(text, name string) int {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			var n int
			_, _ = fmt.Sscan(rest, &n)
			return n
		}
	}
	return -1
}
