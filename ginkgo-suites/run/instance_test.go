package run_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor/simulator"

	"github.com/handover-controller/handover/controller/decide"
)

// rig is a device for one spec: its own app, folder and Supervisor, so that
// specs do not hear each other.
type rig struct {
	app        string
	dir        string
	folder     string // announce.folder
	supervisor *fakeSupervisor
	created    time.Time
}

func newRig() *rig {
	dir, err := os.MkdirTemp("", "handover-rig")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	r := &rig{app: fmt.Sprint(time.Now().UnixNano()), dir: dir, folder: "off", created: time.Now().Add(-time.Hour)}
	if emulated() { // joining a multicast group is what qemu-user cannot do
		r.folder = dir
	}
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
	out     *lockedBuffer
	err     *lockedBuffer
	done    chan struct{}
	ended   time.Time
}

// container returns a container that is created but not started.
func (r *rig) container(letter string) *instance {
	return &instance{rig: r, letter: letter, out: &lockedBuffer{}, err: &lockedBuffer{}, done: make(chan struct{})}
}

func (i *instance) id() string { return strings.Repeat(i.letter, 64) }

func (i *instance) socket() string { return filepath.Join(i.rig.dir, i.letter+".sock") }

func (i *instance) endedFile() string { return filepath.Join(i.rig.dir, i.letter+".ended") }

func (i *instance) readyFile() string { return filepath.Join(i.rig.dir, i.letter+".ready") }

// ready makes the service of this suite ready before its time.
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
		"HANDOVER_ANNOUNCE_FOLDER=" + i.rig.folder,
		"HANDOVER_STATUS_SOCKET=" + i.socket(),
	}, extra...)
}

// serve starts the container around the service of this suite.
func (i *instance) serve(readyAfter time.Duration, extra ...string) *instance {
	i.address = simulator.FreeAddress()
	return i.run(append([]string{
		"RUN_SUITE_ROLE=serve",
		"SERVICE_NAME=" + i.letter,
		"SERVICE_ADDRESS=" + i.address,
		"SERVICE_READY_AFTER=" + readyAfter.String(),
		"SERVICE_READY_FILE=" + i.readyFile(),
		"SERVICE_ENDED_FILE=" + i.endedFile(),
		"HANDOVER_READINESS_HTTP=http://" + i.address + "/ready",
		"HANDOVER_READINESS_PERIOD=50ms",
	}, extra...), os.Args[0])
}

// run starts the container around a command, and has the Supervisor list it.
func (i *instance) run(environ []string, argv ...string) *instance {
	i.rig.supervisor.list(i.id(), "Running", i.rig.created)
	i.rig.created = i.rig.created.Add(time.Minute)
	return i.start(environ, argv...)
}

// start starts the process without telling the Supervisor.
func (i *instance) start(environ []string, argv ...string) *instance {
	GinkgoHelper()
	return i.startAs([]string{binary}, environ, argv...)
}

// startAs starts the process by another command, such as unshare.
func (i *instance) startAs(program, environ []string, argv ...string) *instance {
	GinkgoHelper()
	i.cmd = exec.Command(program[0], append(append(program[1:len(program):len(program)], "run", "--"), argv...)...)
	i.cmd.Env = i.environ(environ...)
	i.cmd.Stdout, i.cmd.Stderr = i.out, i.err
	i.cmd.Dir = i.rig.dir
	i.cmd.WaitDelay = 2 * time.Second // a workload may leave children that hold the pipes
	Expect(i.cmd.Start()).To(Succeed())
	go func() {
		_ = i.cmd.Wait()
		i.ended = time.Now()
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

// term sends SIGTERM, as docker stop does; the Supervisor says Stopping.
func (i *instance) term() {
	i.rig.supervisor.set(i.id(), "Stopping")
	i.signal(syscall.SIGTERM)
}

func (i *instance) signal(s os.Signal) {
	GinkgoHelper()
	Expect(i.cmd.Process.Signal(s)).To(Succeed())
}

// exit waits for the end and returns the exit status.
func (i *instance) exit(within time.Duration) int {
	GinkgoHelper()
	Eventually(i.done, within).Should(BeClosed(), "container %s must end\n%s", i.letter, i.err)
	return i.cmd.ProcessState.ExitCode()
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
// that it does not at once tells nothing, so it is asked again.
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

// event waits for the first event with that reason, and message if given, and
// returns when it happened.
func (i *instance) event(reason decide.Reason, message string) time.Time {
	GinkgoHelper()
	var at time.Time
	Eventually(func(g Gomega) {
		events := i.status().Events
		n := slices.IndexFunc(events, func(e controller.Event) bool {
			return e.Reason == reason && strings.Contains(e.Message, message)
		})
		g.Expect(n).NotTo(BeNumerically("<", 0), "no event %s (%q) in %+v", reason, message, events)
		at = events[n].Time
	}, patience).Should(Succeed())
	return at
}

// handover runs another command of the program for this container.
func (i *instance) handover(args ...string) (int, string) {
	cmd := exec.Command(binary, args...)
	cmd.Env = i.environ()
	cmd.Dir = i.rig.dir
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		return -1, err.Error()
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// answer asks the service itself.
func (i *instance) answer(takes time.Duration) error {
	answered, err := i.ask(takes)
	if err != nil {
		return err
	}
	return answered()
}

// ask asks the service for what takes so long. When it returns, the service has
// begun with it; what it returns waits for the answer.
func (i *instance) ask(takes time.Duration) (answered func() error, err error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + i.address + "/?takes=" + takes.String())
	if err != nil {
		return nil, err
	}
	return func() error {
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err == nil && strings.TrimSpace(string(text)) != i.letter {
			err = fmt.Errorf("answered %q", text)
		}
		return err
	}, nil
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
