package folder_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
)

// device is what the containers of one spec share.
type device struct {
	app        string
	dir        string
	folder     string
	supervisor *fakeSupervisor
	created    time.Time
	settings   []string // of all containers
}

func newDevice(settings ...string) *device {
	GinkgoHelper()
	dir := newDir("handover-device")
	d := &device{
		app: fmt.Sprint(time.Now().UnixNano()), dir: dir, folder: filepath.Join(dir, "shared"),
		created: time.Now().Add(-time.Hour), settings: settings,
	}
	Expect(os.Mkdir(d.folder, 0o755)).To(Succeed())
	d.supervisor = newSupervisor(d.app)
	return d
}

func (d *device) marker() string { return filepath.Join(d.folder, "handover-complete") }

// files lists what instances have in the folder.
func (d *device) files() []string {
	GinkgoHelper()
	all, err := filepath.Glob(filepath.Join(d.folder, ".handover-*"))
	Expect(err).NotTo(HaveOccurred())
	for i := range all {
		all[i] = filepath.Base(all[i])
	}
	return all
}

// container is a process of the program with an identity.
type container struct {
	device *device
	letter string
	home   string
	user   uint32 // 0: as the test
	argv   []string
	cmd    *exec.Cmd
	log    *lockedBuffer
	done   chan struct{}
	ended  time.Time
}

// container returns one that is created but not started.
func (d *device) container(letter string) *container {
	GinkgoHelper()
	c := &container{device: d, letter: letter, home: filepath.Join(d.dir, letter), argv: []string{service}}
	Expect(os.MkdirAll(c.home, 0o777)).To(Succeed())
	Expect(os.Chmod(c.home, 0o777)).To(Succeed())
	return c
}

func (c *container) id() string { return strings.Repeat(c.letter, 64) }

func (c *container) readyFile() string { return filepath.Join(c.home, "ready") }

// as makes the container run as another user.
func (c *container) as(user uint32) *container {
	if os.Geteuid() != 0 {
		Skip("starting a process of another user takes root")
	}
	c.user = user
	return c
}

// run has the Supervisor list the container, and starts it.
func (c *container) run(readyAfter time.Duration, settings ...string) *container {
	GinkgoHelper()
	c.device.supervisor.list(c.id(), "Running", c.device.created)
	c.device.created = c.device.created.Add(time.Minute)
	return c.start(readyAfter, settings...)
}

// start starts it, a second time perhaps.
func (c *container) start(readyAfter time.Duration, settings ...string) *container {
	GinkgoHelper()
	c.log, c.done = &lockedBuffer{}, make(chan struct{})
	c.cmd = exec.Command(binary, append([]string{"run", "--"}, c.argv...)...)
	c.cmd.Env = append(append([]string{
		"GORACE=atexit_sleep_ms=0 halt_on_error=1", // else every end takes a second
		"BALENA_APP_ID=" + c.device.app,
		"BALENA_SERVICE_NAME=main",
		"BALENA_SUPERVISOR_ADDRESS=" + c.device.supervisor.server.URL,
		"BALENA_SUPERVISOR_API_KEY=" + apiKey,
		"HANDOVER_POLICY_COMPLETE_PATH=" + c.device.marker(),
		"HANDOVER_SERVICE_CONTAINER_ID=" + c.id(),
		"HANDOVER_SERVICE_STATE_DIR=" + filepath.Join(c.home, "state"),
		"HANDOVER_NETWORK_MODE=host",
		"HANDOVER_NETWORK_INTERFACE=none0", // there is no such interface: nothing goes by network
		"HANDOVER_ANNOUNCE_FOLDER=" + c.device.folder,
		"HANDOVER_STATUS_SOCKET=" + filepath.Join(c.home, "sock"),
		"HANDOVER_READINESS_FILE=" + c.readyFile(),
		"FOLDER_SUITE_ROLE=serve",
		"RESOURCE_NAME=" + c.letter,
		"SERVICE_READY_AFTER=" + readyAfter.String(),
	}, c.device.settings...), settings...)
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Dir = c.log, c.log, c.home
	c.cmd.WaitDelay = 2 * time.Second
	if c.user != 0 {
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.user, Gid: c.user}}
	}
	Expect(c.cmd.Start()).To(Succeed())
	cmd, done, log := c.cmd, c.done, c.log
	go func() {
		_ = cmd.Wait()
		c.ended = time.Now()
		close(done)
	}()
	DeferCleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if CurrentSpecReport().Failed() {
			fmt.Fprintf(GinkgoWriter, "--- container %s\n%s", c.letter, log)
		}
	})
	return c
}

// kill ends it as power cuts and the kernel's memory shortage do.
func (c *container) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// freeze stops it as a cgroup's freezer does; thaw lets it go on.
func (c *container) freeze() {
	GinkgoHelper()
	Expect(c.cmd.Process.Signal(syscall.SIGSTOP)).To(Succeed())
}

func (c *container) thaw() {
	GinkgoHelper()
	Expect(c.cmd.Process.Signal(syscall.SIGCONT)).To(Succeed())
}

// term sends SIGTERM, as docker stop does; the Supervisor says Stopping.
func (c *container) term() {
	GinkgoHelper()
	c.device.supervisor.set(c.id(), "Stopping")
	Expect(c.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
}

// exit waits for the end and returns the exit status.
func (c *container) exit() int {
	GinkgoHelper()
	Eventually(c.done, patience).Should(BeClosed(), "container %s must end\n%s", c.letter, c.log)
	return c.cmd.ProcessState.ExitCode()
}

// status asks for the status; the zero Status if it has ended. One that runs
// answers sooner or later: that it does not at once tells nothing, so it is asked
// again.
func (c *container) status() controller.Status {
	for asked := time.Now(); ; {
		st, err := c.tryStatus()
		if err == nil {
			return st
		}
		select {
		case <-c.done:
			return controller.Status{}
		case <-time.After(10 * time.Millisecond):
			if time.Since(asked) > patience {
				return controller.Status{}
			}
		}
	}
}

func (c *container) tryStatus() (st controller.Status, err error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(c.home, "sock"))
		},
	}}
	answer, err := client.Get("http://handover/status")
	if err != nil {
		return st, err
	}
	defer func() { _ = answer.Body.Close() }()
	return st, json.NewDecoder(answer.Body).Decode(&st)
}

func (c *container) phase() string { return c.status().Phase }

// until waits for a phase.
func (c *container) until(phase string) *container {
	GinkgoHelper()
	Eventually(c.phase, patience, 10*time.Millisecond).Should(Equal(phase), "container %s\n%s", c.letter, c.log)
	return c
}

// ways tells by which ways another one was heard.
func (c *container) ways(other *container) []string {
	for _, p := range c.status().Peers {
		if p.Container == other.id()[:12] {
			return p.Ways
		}
	}
	return nil
}

// hears returns how long ago it heard another one.
func (c *container) hears(other *container) time.Duration {
	for _, p := range c.status().Peers {
		if p.Container == other.id()[:12] {
			return time.Since(p.LastHeard)
		}
	}
	return 0
}

// logged returns the time of the first line of the log that has the text.
func (c *container) logged(text string) time.Time {
	GinkgoHelper()
	Eventually(c.log.String, patience).Should(ContainSubstring(text), "container %s", c.letter)
	for line := range strings.Lines(c.log.String()) {
		if strings.Contains(line, text) {
			stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
			t, err := time.Parse(time.RFC3339Nano, stamp)
			Expect(err).NotTo(HaveOccurred(), line)
			return t
		}
	}
	return time.Time{}
}

// warnings counts the warnings that are about the folder.
func (c *container) warnings() int {
	n := 0
	for line := range strings.Lines(c.log.String()) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "shared folder") {
			n++
		}
	}
	return n
}

// readySince is when the workload said that it is ready.
func (c *container) readySince() time.Time {
	GinkgoHelper()
	info, err := os.Stat(c.readyFile())
	Expect(err).NotTo(HaveOccurred())
	return info.ModTime()
}

// lockedBuffer is a buffer that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
