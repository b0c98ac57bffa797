package hostile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// rig is a device for one spec: its own app, folder and Supervisor, so that
// specs do not hear each other.
type rig struct {
	app        string
	dir        string
	group      net.UDPAddr
	supervisor *fakeSupervisor
	created    time.Time
}

func newRig() *rig {
	dir, err := os.MkdirTemp("", "handover-rig")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	r := &rig{app: fmt.Sprint(time.Now().UnixNano()), dir: dir, created: time.Now().Add(-time.Hour)}
	r.group = net.UDPAddr{IP: net.IPv4(239, 192, byte(rand.IntN(256)), byte(rand.IntN(256))), Port: 10000 + 2*rand.IntN(10000)}
	r.supervisor = newSupervisor(r.app)
	return r
}

func (r *rig) marker() string { return filepath.Join(r.dir, "handover-complete") }

// instance is one container: a process of the program with an identity.
type instance struct {
	rig     *rig
	letter  string
	cmd     *exec.Cmd
	address string
	limits  []string // a command that starts the program with limits
	at      string   // where the socket is configured; empty: at a path of its own
	out     *lockedBuffer
	err     *lockedBuffer
	done    chan struct{}
}

// container returns a container that is created but not started.
func (r *rig) container(letter string) *instance {
	return &instance{rig: r, letter: letter, out: &lockedBuffer{}, err: &lockedBuffer{}, done: make(chan struct{})}
}

func (i *instance) id() string { return strings.Repeat(i.letter, 64) }

func (i *instance) socket() string {
	if i.at != "" {
		return i.at
	}
	return filepath.Join(i.rig.dir, i.letter+".sock")
}

func (i *instance) readyFile() string { return filepath.Join(i.rig.dir, i.letter+".ready") }

// ready makes the workload ready.
func (i *instance) ready() {
	GinkgoHelper()
	Expect(os.WriteFile(i.readyFile(), nil, 0o600)).To(Succeed())
}

// environ is what a container gets, and what replaces what a container has.
func (i *instance) environ(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"),
		"GORACE=atexit_sleep_ms=0 halt_on_error=1", // else every end takes a second
		"BALENA_APP_ID=" + i.rig.app,
		"BALENA_SERVICE_NAME=main",
		"BALENA_SUPERVISOR_ADDRESS=" + i.rig.supervisor.url(),
		"BALENA_SUPERVISOR_API_KEY=" + apiKey,
		"BALENA_SERVICE_HANDOVER_COMPLETE_PATH=" + i.rig.marker(),
		"HANDOVER_SERVICE_CONTAINER_ID=" + i.id(),
		"HANDOVER_SERVICE_STATE_DIR=" + filepath.Join(i.rig.dir, "state-"+i.letter),
		"HANDOVER_NETWORK_MODE=host",
		"HANDOVER_NETWORK_INTERFACE=lo",
		"HANDOVER_NETWORK_GROUP=" + i.rig.group.IP.String(),
		fmt.Sprint("HANDOVER_NETWORK_PORT=", i.rig.group.Port),
		fmt.Sprint("HANDOVER_ANNOUNCE_STATUS_PORT=", i.rig.group.Port+1),
		"HANDOVER_ANNOUNCE_FOLDER=off",
		"HANDOVER_STATUS_SOCKET=" + i.socket(),
	}, extra...)
}

// serve starts the container around the service of this suite, and has the
// Supervisor list it. The service is not ready yet.
func (i *instance) serve(extra ...string) *instance {
	GinkgoHelper()
	i.rig.supervisor.list(i.id(), "Running", i.rig.created)
	i.rig.created = i.rig.created.Add(time.Minute)
	i.address = simulator.FreeAddress()
	command := append(i.limits, program, "run", "--", os.Args[0])
	i.cmd = exec.Command(command[0], command[1:]...)
	i.cmd.Env = i.environ(append([]string{
		"HOSTILE_SUITE_ROLE=serve",
		"SERVICE_NAME=" + i.letter,
		"SERVICE_ADDRESS=" + i.address,
		"SERVICE_READY_FILE=" + i.readyFile(),
		"HANDOVER_READINESS_HTTP=http://" + i.address + "/ready",
		"HANDOVER_READINESS_PERIOD=50ms",
	}, extra...)...)
	i.cmd.Stdout, i.cmd.Stderr = i.out, i.err
	i.cmd.Dir = i.rig.dir
	i.cmd.WaitDelay = 2 * time.Second
	Expect(i.cmd.Start()).To(Succeed())
	go func() {
		_ = i.cmd.Wait()
		close(i.done)
	}()
	DeferCleanup(func() {
		i.kill()
		if CurrentSpecReport().Failed() {
			fmt.Fprintf(GinkgoWriter, "--- container %s\n%s%s\n", i.letter, i.out, i.err)
		}
	})
	return i
}

// kill ends the process that this instance started, if it still runs.
func (i *instance) kill() {
	_ = i.cmd.Process.Kill()
	<-i.done
}

func (i *instance) client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", i.socket())
		},
	}}
}

// get asks the status API on the socket. One that runs answers sooner or later:
// that it does not at once, as in the middle of a flood, tells nothing, so it is
// asked again.
func (i *instance) get(path string) (int, string) {
	for asked := time.Now(); ; {
		code, text, err := i.tryToGet(path)
		if err == nil {
			return code, text
		}
		select {
		case <-i.done:
			return 0, err.Error()
		case <-time.After(10 * time.Millisecond):
			if time.Since(asked) > patience {
				return 0, err.Error()
			}
		}
	}
}

func (i *instance) tryToGet(path string) (int, string, error) {
	answer, err := i.client().Get("http://handover" + path)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// status asks for the status; the zero Status if it has ended.
func (i *instance) status() controller.Status {
	var st controller.Status
	if code, text := i.get("/status"); code == http.StatusOK {
		_ = json.Unmarshal([]byte(text), &st)
	}
	return st
}

func (i *instance) phase() string { return i.status().Phase }

// until waits for a phase.
func (i *instance) until(phase string, within time.Duration) {
	GinkgoHelper()
	Eventually(i.phase, within, 10*time.Millisecond).Should(Equal(phase), "container %s\n%s", i.letter, i.err)
}

// logged returns the time of the first log line that has the text, in whole
// milliseconds.
func (i *instance) logged(text string) time.Time {
	GinkgoHelper()
	for line := range strings.Lines(i.err.String()) {
		if strings.Contains(line, text) {
			stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
			t, err := time.Parse(time.RFC3339Nano, stamp)
			Expect(err).NotTo(HaveOccurred(), line)
			return t
		}
	}
	Fail("no log line has " + text + ":\n" + i.err.String())
	return time.Time{}
}

// metric reads one series; -1 if there is none.
func (i *instance) metric(series string) int {
	_, text := i.get("/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		return -1
	}
	n, _ := strconv.ParseFloat(m[1], 64)
	return int(n)
}

// memory returns the most that the process ever had in memory, in KiB.
func (i *instance) memory() int {
	GinkgoHelper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.cmd.Process.Pid))
	Expect(err).NotTo(HaveOccurred(), "it must run")
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var n int
	_, err = fmt.Sscan(rest, &n)
	Expect(err).NotTo(HaveOccurred())
	return n
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

// answer asks the service itself.
func (i *instance) answer() error {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + i.address)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && strings.TrimSpace(string(text)) != i.letter {
		err = fmt.Errorf("answered %q", text)
	}
	return err
}
