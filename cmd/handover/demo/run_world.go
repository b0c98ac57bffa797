package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/handover-controller/handover/supervisor/simulator"
	"github.com/handover-controller/handover/supervisor/simulator/scenario"
)

// proxyTime is policy.settle and policy.drain_delay of the instances: a little
// more than the front takes to see that a backend has changed.
const proxyTime = 750 * time.Millisecond

// requestAtMost bounds a request; a long one takes 1.5 s.
const requestAtMost = 8 * time.Second

// world is where the demo plays: the containers' processes, the front, the
// load, and what is known of them.
type world struct {
	o         Options
	dir       string
	began     time.Time
	ended     time.Duration
	stage     *scenario.Stage
	processes *simulator.Processes
	front     *Front
	timeline  Timeline
	summary   Summary
	watchers  sync.WaitGroup
	load      sync.WaitGroup // of loads that are being stopped
	life      context.Context
	end       context.CancelFunc

	mu        sync.Mutex
	quiet     bool // nothing is shown any more
	pending   []Event
	addresses map[string]string
	phases    map[string]string // by name; of processes that run
	names     []string
	logs      map[string]*tail
	watching  map[string]context.CancelFunc
	started   map[string]time.Duration
	told      map[string]time.Duration // the first SIGTERM
	loads     []*Load
	running   *Load
	late      time.Duration // at most so long this process waited for the processor
}

func newWorld(o Options, dir string) (*world, error) {
	w := &world{
		o: o, dir: dir, began: time.Now(), processes: &simulator.Processes{Dir: dir},
		addresses: map[string]string{}, phases: map[string]string{}, logs: map[string]*tail{},
		watching: map[string]context.CancelFunc{}, started: map[string]time.Duration{}, told: map[string]time.Duration{},
	}
	w.life, w.end = context.WithCancel(context.Background())
	w.processes.Command, w.processes.Env, w.processes.Output, w.processes.Prepare = w.command, w.environ, w.output, w.prepare
	var err error
	if w.front, err = NewFront(FrontOptions{OnReady: w.onReady, Timeout: requestAtMost}); err != nil {
		return nil, err
	}
	w.stage, err = scenario.Open(scenario.Options{
		Scenario: o.Scenario, Version: o.Version, World: w, Runtime: w.processes, Marker: w.processes.Marker(), OnEvent: w.onEvent,
		Seed: rand.Uint64(),
		// An app of its own: other demos on this machine are none of its peers.
		AppID: 1_000_000 + rand.Int64N(1_000_000),
	})
	if err == nil {
		if _, err = w.stage.Sim.Listen("127.0.0.1:0"); err == nil {
			return w, nil
		}
		w.stage.Sim.Close()
	}
	return nil, errors.Join(fmt.Errorf("demo: start the simulated Supervisor: %w", err), w.front.Close())
}

// close ends the watchers.
func (w *world) close() {
	w.end()
	w.watchers.Wait()
}

// command is what a container runs.
func (w *world) command(simulator.Container) []string {
	if w.o.Scenario.Plain {
		return []string{w.o.Program, ServiceCommand}
	}
	return guarded(w.o.Program)
}

// guarded is the service with handover around it.
func guarded(program string) []string {
	return []string{program, "run", "--", program, ServiceCommand}
}

// ServiceCommand is the subcommand that is the bundled service.
const ServiceCommand = "demo-service"

// environ is what a container gets besides what the Supervisor gives.
func (w *world) environ(c simulator.Container) []string {
	does := w.stage.Behaviour(c.Release)
	ready := does.ReadyAfter.String()
	if does.NeverReady {
		ready = Never
	}
	env := environOf(w.dir, w.name(c), w.address(c.ID), ready, c.Release)
	if does.CrashAfter > 0 {
		env = append(env, VariableCrashAfter+"="+does.CrashAfter.String())
	}
	return env
}

// environOf is the environment of handover and of the service in a container.
func environOf(dir, name, address, ready string, r simulator.Release) []string {
	return []string{
		VariableName + "=" + name,
		VariableAddress + "=" + address,
		VariableReadyAfter + "=" + ready,
		"HANDOVER_CONFIG=" + settings(dir),
		"HANDOVER_NETWORK_MODE=host", // on loopback only, never on the user's network
		"HANDOVER_NETWORK_INTERFACE=lo",
		"HANDOVER_SERVICE_STOP_GRACE_PERIOD=" + r.StopGracePeriod.String(),
		"HANDOVER_READINESS_HTTP=http://" + address + "/ready",
		"HANDOVER_READINESS_PERIOD=100ms",
		"HANDOVER_POLICY_SETTLE=" + proxyTime.String(),
		"HANDOVER_POLICY_DRAIN_DELAY=" + proxyTime.String(),
	}
}

// address is where a container's service listens.
func (w *world) address(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.addresses[id] == "" {
		w.addresses[id] = simulator.FreeAddress()
	}
	return w.addresses[id]
}

func (w *world) name(c simulator.Container) string { return w.stage.Cast.Name(c.ID, c.Release) }

// output keeps the end of a container's log.
func (w *world) output(c simulator.Container) io.Writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := w.name(c)
	if w.logs[name] == nil {
		w.logs[name] = &tail{}
		w.names = append(w.names, name)
	}
	return w.logs[name]
}

// prepare sets a container's clock: one that was wrong when the container was
// first started is what the record of that start remembers.
func (w *world) prepare(c simulator.Container, _ string) error {
	ahead := w.stage.ClockAhead()
	if ahead == 0 || c.Starts > 1 {
		return nil
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	since, err := sinceBoot()
	if err != nil {
		return err
	}
	record, err := json.Marshal(map[string]any{
		"container": c.ID[:12],
		"boot":      strings.TrimSpace(string(boot)),
		"startNs":   (since - 100*time.Millisecond).Nanoseconds(), // not after the process's own start
		"startMs":   time.Now().Add(ahead).UnixMilli(),
	})
	if err != nil {
		return err
	}
	dir := w.processes.StateDir(c.ID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, c.ID[:12]+".json"), record, 0o600)
}

// Serving implements scenario.World: those that the front sends requests to.
func (w *world) Serving() []string {
	all := w.front.Ready()
	slices.Sort(all)
	return all
}

// Phase implements scenario.World.
func (w *world) Phase(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.phases[name]
}

// Load implements scenario.World.
func (w *world) Load(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case on && w.running == nil:
		w.running = StartLoad(w.life, LoadOptions{URL: w.front.URL()})
		w.loads = append(w.loads, w.running)
	case !on && w.running != nil:
		l := w.running
		w.running = nil
		w.load.Go(l.Stop)
	}
}

func (w *world) sent() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := 0
	for _, l := range w.loads {
		sent += l.Sent()
	}
	return sent
}

// Note implements scenario.World.
func (w *world) Note(text string) { w.show(Event{Mark: MarkNote, Text: text}) }

// silence ends what is shown: the rest is taking apart.
func (w *world) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet = true
}

// show shows an event that happens now, unless it has a time.
func (w *world) show(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quiet {
		return
	}
	if e.At == 0 {
		e.At = time.Since(w.began)
	}
	w.pending = append(w.pending, e)
}

// flush prints what happened before a time, in the order in which it happened:
// the instances tell by themselves, one a little later than the other.
func (w *world) flush(before time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sort.SliceStable(w.pending, func(i, j int) bool { return w.pending[i].At < w.pending[j].At })
	for len(w.pending) > 0 && w.pending[0].At < before {
		w.timeline.Event(w.pending[0])
		w.o.Printer.Event(w.pending[0])
		w.pending = w.pending[1:]
	}
}

// phase notes that an instance is in another phase.
func (w *world) phase(at time.Duration, name, phase string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phases[name] == phase {
		return
	}
	w.phases[name] = phase
	drawn := phase
	if phase == "" {
		drawn = PhaseEnded
	}
	if !w.quiet {
		w.timeline.Phase(at, name, drawn)
		w.o.Printer.Phase(at, name, drawn)
	}
}

// onEvent shows what the Supervisor and its engine do, and follows the
// containers' processes.
func (w *world) onEvent(e simulator.Event) {
	at := e.At.Sub(w.began)
	name := ""
	if e.Container != "" {
		name = w.stage.Cast.Name(e.Container, e.Release)
	}
	supervisor := func(mark Mark, format string, args ...any) {
		w.show(Event{At: at, Lane: "Supervisor", Mark: mark, Text: fmt.Sprintf(format, args...)})
	}
	switch e.Kind {
	case simulator.EventTarget:
		supervisor(MarkNote, "target: release %d (%s)", e.Release.ID, strings.ToUpper(e.Release.Commit[:1]))
	case simulator.EventRotate:
		supervisor(MarkNote, "new API key for the service; the old one is refused")
	case simulator.EventDown:
		supervisor(MarkFault, "has ended: its API refuses connections")
	case simulator.EventUp:
		supervisor(MarkNote, "is back")
	case simulator.EventFailed:
		supervisor(MarkFault, "a step failed, and is tried again: %s", e.Reason)
	case simulator.EventMarker:
		supervisor(MarkNote, "has seen the file handover-complete")
	case simulator.EventCreate:
		supervisor(MarkNote, "creates container %s, image %d", name, e.Release.ImageID)
	case simulator.EventDestroy:
		supervisor(MarkNote, "has removed container %s", name)
	case simulator.EventStart:
		w.begins(e, at, name)
	case simulator.EventKill:
		w.signalled(e, at, name)
	case simulator.EventDie:
		w.ends(e, at, name)
	}
}

// begins follows a process that was started.
func (w *world) begins(e simulator.Event, at time.Duration, name string) {
	w.phase(at, name, PhaseStarting)
	text := fmt.Sprintf("its process is started; release %d", e.Release.ID)
	if e.Starts > 1 {
		text = fmt.Sprintf("its process is started again (%d)", e.Starts)
	}
	w.show(Event{At: at, Lane: name, Mark: MarkStart, Text: text})
	address := w.address(e.Container)
	b := Backend{Name: name, Address: address, Check: CheckURL("http://" + address + "/ready")}
	ctx, cancel := context.WithCancel(w.life)
	w.mu.Lock()
	w.watching[name] = cancel
	w.started[name] = at
	w.mu.Unlock()
	if !w.o.Scenario.Plain {
		i := newInstance(w.processes.Socket(e.Container))
		b.Check = i.ready
		w.watchers.Go(func() { w.watch(ctx, name, i) })
	}
	w.front.Add(b)
}

// signalled shows a signal that the engine sent.
func (w *world) signalled(e simulator.Event, at time.Duration, name string) {
	if e.Signal == syscall.SIGKILL {
		w.show(Event{At: at, Lane: name, Mark: MarkFault, Text: "SIGKILL: the grace period is over"})
		return
	}
	after := ""
	w.mu.Lock()
	first, again := w.told[name]
	if !again {
		w.told[name] = at
	}
	youngest, since := "", time.Duration(0)
	for other, started := range w.started {
		if other != name && started > since {
			youngest, since = other, started
		}
	}
	w.mu.Unlock()
	if again {
		left := (first + e.Release.StopGracePeriod - at).Round(100 * time.Millisecond)
		w.show(Event{At: at, Lane: name, Mark: MarkSigterm, Text: fmt.Sprintf("SIGTERM from the Supervisor once more; SIGKILL stays where it was, in %v", left)})
		return
	}
	if youngest != "" && at-since < time.Second {
		after = fmt.Sprintf(", %d ms after %s was started", (at - since).Milliseconds(), youngest)
	}
	w.show(Event{At: at, Lane: name, Mark: MarkSigterm, Text: fmt.Sprintf("SIGTERM from the Supervisor%s; SIGKILL in %v", after, e.Release.StopGracePeriod)})
	if w.o.Scenario.Plain {
		w.phase(at, name, PhaseDraining)
	}
}

// ends shows the end of a process.
func (w *world) ends(e simulator.Event, at time.Duration, name string) {
	w.mu.Lock()
	if stop := w.watching[name]; stop != nil {
		stop()
	}
	w.mu.Unlock()
	w.front.Remove(name)
	w.phase(at, name, "")
	w.show(Event{At: at, Lane: name, Mark: MarkExit, Text: fmt.Sprintf("has ended with exit status %d", e.Code)})
}

// onReady shows what the front sees.
func (w *world) onReady(name string, ready bool) {
	text := "sends no more requests to " + name
	if ready {
		text = "sends requests to " + name
	}
	if w.o.Scenario.Plain && ready {
		w.phase(time.Since(w.began), name, PhaseServing)
	}
	w.show(Event{Lane: "front", Mark: MarkNote, Text: text})
}

// instance is handover in a container, over its status socket.
type instance struct{ client http.Client }

func newInstance(socket string) *instance {
	return &instance{http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

func (i *instance) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://handover"+path, nil)
	if err != nil {
		return nil, err
	}
	return i.client.Do(req)
}

// ready asks /readyz, as a proxy's health check does.
func (i *instance) ready(ctx context.Context) bool {
	answer, err := i.get(ctx, "/readyz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
