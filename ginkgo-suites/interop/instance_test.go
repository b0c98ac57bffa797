package interop_test

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

// stopSignal is in the log line about the workload's stop signal.
const stopSignal = `msg="stop signal sent"`

// instance is a container with the program under test in it.
type instance struct {
	device  *device
	network namespace
	letter  string
	cmd     *exec.Cmd
	log     *lockedBuffer
	done    chan struct{}
}

// containerID is the id of the container of that letter.
func containerID(letter string) string { return strings.Repeat(letter, 64) }

// run starts a container in a network, and has the Supervisor list it as
// running. Its workload is ready when the spec says so.
func (d *device) run(n namespace, letter string, extra ...string) *instance {
	GinkgoHelper()
	d.list(containerID(letter), "Running")
	return d.start(n, letter, extra...)
}

// start starts a container and leaves the Supervisor alone.
func (d *device) start(n namespace, letter string, extra ...string) *instance {
	GinkgoHelper()
	i := &instance{device: d, network: n, letter: letter, log: &lockedBuffer{}, done: make(chan struct{})}
	i.cmd = n.exec(kit.Binary, "run", "--", "sleep", "1000")
	i.cmd.Dir = d.dir
	i.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"GORACE=atexit_sleep_ms=0 halt_on_error=1", // else every end takes a second
		"BALENA_APP_ID=" + appID,
		"BALENA_SERVICE_NAME=" + serviceName,
		"BALENA_SUPERVISOR_ADDRESS=http://" + supervisorAddress,
		"BALENA_SUPERVISOR_API_KEY=" + apiKey,
		"BALENA_SERVICE_HANDOVER_COMPLETE_PATH=" + d.marker(),
		"HANDOVER_SERVICE_CONTAINER_ID=" + containerID(letter),
		"HANDOVER_SERVICE_STATE_DIR=" + filepath.Join(d.dir, "state-"+letter),
		"HANDOVER_ANNOUNCE_FOLDER=off",
		"HANDOVER_ANNOUNCE_INTERVAL=1m", // so that nothing is owed to an announcement that was due anyway
		"HANDOVER_STATUS_SOCKET=" + i.socket(),
		"HANDOVER_READINESS_FILE=" + i.readyFile(),
		"HANDOVER_READINESS_PERIOD=50ms",
	}, extra...)
	i.cmd.Stdout, i.cmd.Stderr = i.log, i.log
	i.cmd.WaitDelay = 2 * time.Second
	Expect(i.cmd.Start()).To(Succeed())
	go func() {
		_ = i.cmd.Wait()
		close(i.done)
	}()
	DeferCleanup(func() {
		_ = i.cmd.Process.Kill()
		<-i.done
		if CurrentSpecReport().Failed() {
			fmt.Fprintf(GinkgoWriter, "--- container %s\n%s", i.letter, i.log)
		}
	})
	return i
}

func (i *instance) socket() string { return filepath.Join(i.device.dir, i.letter+".sock") }

func (i *instance) readyFile() string { return filepath.Join(i.device.dir, i.letter+".ready") }

// ready makes the workload ready, waits until the instance says that it serves,
// and returns when the workload became ready.
func (i *instance) ready() time.Time {
	GinkgoHelper()
	at := i.becomeReady()
	i.until("serving")
	return at
}

// becomeReady makes the workload ready and returns when.
func (i *instance) becomeReady() time.Time {
	GinkgoHelper()
	Eventually(func() bool { return i.status().Workload.Running }, patience, 10*time.Millisecond).Should(BeTrue(), "%s", i.log)
	at := time.Now()
	Expect(os.WriteFile(i.readyFile(), nil, 0o644)).To(Succeed())
	return at
}

// status asks for the status; the zero Status if it has ended. One that runs
// answers sooner or later: that it does not at once tells nothing, so it is asked
// again.
func (i *instance) status() controller.Status {
	for asked := time.Now(); ; {
		st, err := i.tryStatus()
		if err == nil {
			return st
		}
		select {
		case <-i.done:
			return controller.Status{}
		case <-time.After(10 * time.Millisecond):
			if time.Since(asked) > patience {
				return controller.Status{}
			}
		}
	}
}

func (i *instance) tryStatus() (st controller.Status, err error) {
	client := &http.Client{Timeout: soon, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", i.socket())
		},
	}}
	answer, err := client.Get("http://handover/status")
	if err != nil {
		return st, err
	}
	defer answer.Body.Close()
	return st, json.NewDecoder(answer.Body).Decode(&st)
}

func (i *instance) phase() string { return i.status().Phase }

// until waits for a phase.
func (i *instance) until(phase string) {
	GinkgoHelper()
	Eventually(i.phase, patience, 10*time.Millisecond).Should(Equal(phase), "container %s\n%s", i.letter, i.log)
}

// knows returns the container ids of all peers, "" for those of handover-lib.
func (i *instance) knows() []string {
	ids := []string{}
	for _, p := range i.status().Peers {
		ids = append(ids, p.Container)
	}
	return ids
}

// term sends SIGTERM, as docker stop does; the Supervisor says Stopping.
func (i *instance) term() {
	GinkgoHelper()
	i.device.supervisor.set(containerID(i.letter), "Stopping")
	Expect(i.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
}

// exit waits for the end and returns the exit status.
func (i *instance) exit() int {
	GinkgoHelper()
	Eventually(i.done, patience).Should(BeClosed(), "container %s must end\n%s", i.letter, i.log)
	return i.cmd.ProcessState.ExitCode()
}

// stopped waits until the instance has stopped its workload and returns when.
func (i *instance) stopped() time.Time {
	GinkgoHelper()
	Eventually(i.log.String, patience, 10*time.Millisecond).Should(ContainSubstring(stopSignal), "container %s", i.letter)
	return i.logged(stopSignal)
}

// logged returns the time of the first log line that has the text.
func (i *instance) logged(text string) time.Time {
	GinkgoHelper()
	for line := range strings.Lines(i.log.String()) {
		if strings.Contains(line, text) {
			stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
			t, err := time.Parse(time.RFC3339Nano, stamp)
			Expect(err).NotTo(HaveOccurred(), line)
			return t
		}
	}
	Fail("no log line has " + text + ":\n" + i.log.String())
	return time.Time{}
}

// took reports how long something took, and that it was not too long.
func took(what string, from, to time.Time) {
	GinkgoHelper()
	AddReportEntry(what, to.Sub(from).Round(time.Millisecond).String())
	Expect(to.Sub(from)).To(BeNumerically("<", soon), what)
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
