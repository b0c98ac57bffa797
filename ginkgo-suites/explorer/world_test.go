package explorer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
	"github.com/handover-controller/handover/supervisor/simulator"

	"github.com/handover-controller/handover/controller/decide"
)

const (
	appID   = 1234
	app     = "1234"
	service = "main"
	// bootTakes is how long the device had been up when the story began.
	bootTakes = 20 * time.Second
)

// world is a device: a Supervisor with containers of one service, a network, a
// shared folder, and all that is true of them whatever anybody says.
type world struct {
	plan    *plan
	version simulator.Version
	began   time.Time
	sim     *simulator.Simulator
	net     *peertest.Network
	folder  *peertest.Folder
	rng     *rand.Rand // for the nodes
	lines   *timeline  // nil unless the story is told
	delay   time.Duration
	life    context.Context
	die     context.CancelFunc
	asking  sync.WaitGroup // of workloads that ask for time

	mu        sync.Mutex
	boot      string
	boots     int
	bootAt    time.Time
	clock     time.Duration
	boxes     []*box
	processes []*process
	legacies  []*peertest.LegacyPeer
	target    int
	wrong     []violation
	armed     []action
	undo      []func()
	serving   int // workloads that serve
	ending    bool
	over      bool // all that follows is tidying up

	marker   bool
	readOnly int // faults that keep the marker from being written
	partial  int
	empty    int
	lying    int       // faults that make the Supervisor say what is not true
	lied     time.Time // when the last one of them ended
	deaf     int       // faults that keep answers from coming, or make them useless
	deafEnd  time.Time
	spells   []*spell
	downs    int  // reasons for the Supervisor not to run
	locked   bool // it may have locked itself out
	dark     *dark
	lock     lock
	changes  int    // serving instances, drains and starts: what must not go on for ever
	mark     uint64 // what happened, and when
}

// box is one container.
type box struct {
	w       *world
	n       int
	id      string
	release int
	created time.Time
	runs    int
	last    *process
	gone    time.Time // when it was removed

	recorded   bool
	start      peer.FirstStart
	startMilli int64
}

func newWorld(p *plan, lines *timeline) (*world, error) {
	version, err := simulator.ByName(p.Version)
	if err != nil {
		return nil, err
	}
	w := &world{
		plan: p, version: version, began: time.Now(), lines: lines,
		net:    peertest.NewNetwork(peertest.Options{Seed: p.Seed, Delay: time.Millisecond, Jitter: time.Millisecond}),
		folder: peertest.NewFolder(peertest.FolderOptions{Delay: 300 * time.Microsecond}),
		rng:    rand.New(rand.NewPCG(p.Seed, 3)), target: -1,
	}
	w.delay = w.longestDelay()
	w.life, w.die = context.WithCancel(context.Background())
	w.reset()
	w.sim, err = simulator.New(simulator.Options{
		Version: version, Runtime: w, Marker: (*worldMarker)(w), AppID: appID, Service: service,
		Address: "http://127.0.0.1:48484", Seed: p.Seed, OnEvent: w.observe, Clock: w.wall, BeforeStop: time.Duration(p.BeforeStop),
		NeverFails: true, // a story ends with every target applied
	})
	return w, err
}

// longestDelay is the longest that a datagram can take in this plan.
func (w *world) longestDelay() time.Duration {
	d := 2 * time.Millisecond
	for _, a := range w.plan.Actions {
		if a.Do == doNetwork {
			d = max(d, time.Millisecond+time.Duration(a.Jitter)+reorderBy)
		}
	}
	return d
}

const reorderBy = 120 * time.Millisecond

// reset begins another boot of the device.
func (w *world) reset() {
	w.boots++
	w.boot = fmt.Sprintf("%08d-1111-1111-1111-111111111111", w.boots)
	w.bootAt = time.Now().Add(-bootTakes)
}

func (w *world) now() time.Duration { return time.Since(w.began) }

// wall is the device's wall clock.
func (w *world) wall() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wallLocked()
}

func (w *world) wallLocked() time.Time { return time.Now().Add(w.clock) }

// say adds a line to the timeline.
func (w *world) say(format string, args ...any) {
	if w.lines != nil {
		w.lines.add(w.now(), fmt.Sprintf(format, args...))
	}
}

// observe takes down what Supervisor and engine do.
func (w *world) observe(e simulator.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == simulator.EventUp {
		w.repeats()
	}
	name := ""
	for _, b := range w.boxes {
		if b.id == e.Container {
			name = b.name()
			if e.Kind == simulator.EventDestroy {
				b.gone = time.Now()
			}
		}
	}
	if w.lines == nil {
		return
	}
	w.say("Supervisor: %s %s", e.String(), name)
}

// repeats lets a Supervisor that was restarted in the middle of a hand-over send
// SIGTERM once more to what is being stopped, as recorded. The time of SIGKILL
// stays the first one's. A Supervisor that does so by itself comes first.
func (w *world) repeats() {
	const after = 300 * time.Millisecond
	for _, b := range w.boxes {
		p := b.last
		if p.ordered.IsZero() || p.dead || p.exited {
			continue
		}
		count := p.signals
		time.AfterFunc(after, func() {
			w.mu.Lock()
			due := p.signals == count && w.downs == 0 && !w.over
			w.mu.Unlock()
			if due {
				p.tell(bySupervisor)
			}
		})
	}
}

func (b *box) name() string {
	return fmt.Sprintf("%d%c", b.n, 'A'+b.release)
}

// Start implements simulator.Runtime.
func (w *world) Start(c simulator.Container) (simulator.Process, error) {
	w.mu.Lock()
	var b *box
	for _, other := range w.boxes {
		if other.id == c.ID {
			b = other
		}
	}
	if b == nil {
		b = &box{w: w, n: len(w.boxes), id: c.ID, release: int(c.Release.ID - firstRelease), created: c.CreatedAt}
		w.boxes = append(w.boxes, b)
	}
	b.runs++
	p := &process{
		w: w, box: b, run: b.runs, release: &w.plan.Releases[b.release], began: time.Now(),
		done: make(chan struct{}), gone: make(chan struct{}),
	}
	b.last = p
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	if p.release.Legacy {
		p.startLegacy()
		w.happens(p, "start")
		return p, nil
	}
	key := ""
	for _, v := range c.Env {
		if k, ok := strings.CutPrefix(v, "BALENA_SUPERVISOR_API_KEY="); ok {
			key = k
		}
	}
	err := p.start(key)
	w.happens(p, "start")
	return p, err
}

// happens executes the actions that wait for this.
func (w *world) happens(p *process, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.happensLocked(p, what)
}

func (w *world) happensLocked(p *process, what string) {
	if len(w.armed) == 0 {
		return
	}
	event := fmt.Sprintf("%d %s", p.box.n, what)
	w.armed = slices.DeleteFunc(w.armed, func(a action) bool {
		if a.On != event {
			return false
		}
		time.AfterFunc(time.Duration(a.After)+time.Nanosecond, func() { w.do(a) })
		return true
	})
}

// worldMarker is the file handover-complete as the Supervisor sees it.
type worldMarker world

// Take implements simulator.Marker.
func (m *worldMarker) Take() bool {
	w := (*world)(m)
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.marker
	w.marker = false
	return was
}

// firstRelease is the id of release A.
const firstRelease = 1001

func (w *world) simRelease(i, env int) simulator.Release {
	r := &w.plan.Releases[i]
	s := simulator.Release{
		ID: firstRelease + int64(i), ImageID: 501 + int64(i), Commit: strings.Repeat(string(rune('a'+i)), 32),
		Image:           "service:" + string(rune('a'+i)),
		StopGracePeriod: r.grace(), HandoverTimeout: r.timeout(), KillFirst: r.KillFirst,
	}
	if env > 0 {
		s.Env = []string{fmt.Sprintf("VARIANT=%d", env)}
	}
	return s
}

func (r *release) policy() decide.Policy {
	return decide.Policy{
		SupervisorOff: r.Off, PollInterval: r.poll(), Settle: time.Duration(r.Settle),
		Discovery: 3 * time.Second, UnknownAfter: 5 * time.Second,
		StopGracePeriod: r.grace(), DrainDelay: time.Duration(r.DrainDelay), DrainTimeout: r.drainLimit(),
		Standby: time.Duration(r.Standby), Exclusive: r.Exclusive,
		DrainReserve: 3 * time.Second, NotReadyAfter: 1500 * time.Millisecond, LegacyExpireAfter: 35 * time.Second,
	}
}

// container returns the last process of the n-th container, nil if there is
// none.
func (w *world) container(n int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n >= len(w.boxes) {
		return nil
	}
	return w.boxes[n].last
}

// do does what an action says. It does not block.
func (w *world) do(a action) {
	w.mu.Lock()
	if w.ending {
		w.mu.Unlock()
		return
	}
	if w.lines != nil {
		w.say("*** %s", a)
	}
	w.mu.Unlock()
	p := (*process)(nil)
	switch a.Do {
	case doKill, doExit, doUnready, doTerm, doFreeze, doPause, doDefer:
		if p = w.container(a.Who); p == nil {
			return
		}
	}
	switch a.Do {
	case doDeploy:
		w.deploy(a.Who, a.Env)
	case doRotate:
		w.sim.RotateKey()
		w.mu.Lock()
		for _, p := range w.processes {
			if p.keyLost.IsZero() {
				p.keyLost = time.Now()
			}
		}
		w.mu.Unlock()
	case doDown, doCrash:
		w.sleepy(a)
	case doLock:
		w.sim.Lock(true)
		w.later(a.For, func() { w.sim.Lock(false) })
	case doError, doRefuse, doForbid, doStall, doStale, doHalf:
		w.failing(a)
	case doPartial:
		w.counted(a.For, &w.partial, &w.deaf)
		w.spelled(troubleLies, everybody, 0, a.For)
	case doEmpty:
		w.counted(a.For, &w.empty, &w.deaf)
		w.spelled(troubleLies, everybody, 0, a.For)
	case doSlow:
		w.spelled(troubleSlow, everybody, a.By, a.For)
		if time.Duration(a.By) > tolerable {
			w.counted(a.For+a.By, &w.deaf)
			w.spelled(troubleDeaf, everybody, 0, a.For+a.By)
		}
	case doNetwork:
		w.spelled(troubleNetwork, everybody, 0, a.For)
		w.net.Set(peertest.Options{
			Delay: time.Millisecond, Loss: a.Loss, Duplicate: a.Double, Reorder: a.Reorder, ReorderBy: reorderBy,
			Jitter: time.Millisecond + time.Duration(a.Jitter),
		})
		w.later(a.For, func() { w.net.Set(peertest.Options{Delay: time.Millisecond, Jitter: time.Millisecond}) })
	case doIsolate:
		w.spelled(troubleNetwork, a.Who, 0, a.For)
		w.cutting(a.For, func(other int) [][2]int { return [][2]int{{a.Who, other}, {other, a.Who}} })
	case doCut:
		w.spelled(troubleNetwork, a.Who, 0, a.For)
		w.cutting(a.For, func(other int) [][2]int {
			if other != a.Other {
				return nil
			}
			return [][2]int{{a.Who, other}}
		})
	case doStranger:
		l := peertest.NewLegacyPeer(w.net.Attach("stranger"), w.wall().Add(time.Duration(a.By)).UnixMilli())
		l.StartBroadcasting()
		w.mu.Lock()
		w.legacies = append(w.legacies, l)
		w.mu.Unlock()
	case doKill:
		p.end("killed")
	case doExit:
		p.exits()
	case doUnready:
		p.loses(true)
		w.later(a.For, func() { p.loses(false) })
	case doTerm:
		p.tell(byPerson)
	case doFreeze:
		p.freeze(time.Duration(a.For))
	case doPause:
		p.pause(a.For, a.All)
	case doDefer:
		w.spelled(troubleTime, a.Who, 0, a.For+dur(2*time.Second))
		p.defers(time.Duration(a.For))
	case doReboot:
		w.reboot(a)
	case doClock:
		w.mu.Lock()
		w.clock += time.Duration(a.By)
		w.mu.Unlock()
	case doReadOnly:
		w.spelled(troubleFolder, everybody, 0, a.For)
		w.folder.ReadOnly(true)
		w.counted(a.For, &w.readOnly)
		w.later(a.For, func() { w.folder.ReadOnly(false) })
	case doFull:
		w.spelled(troubleFolder, everybody, 0, a.For)
		w.folder.Full(true)
		w.counted(a.For, &w.readOnly)
		w.later(a.For, func() { w.folder.Full(false) })
	case doBlind:
		w.spelled(troubleFolder, everybody, 0, a.For)
		w.folder.Blind(true)
		w.later(a.For, func() { w.folder.Blind(false) })
	default:
		panic("explorer: no such action: " + a.Do)
	}
}

func (a action) String() string {
	return strings.TrimSuffix(strings.TrimPrefix(plan{Actions: []action{a}}.String(), plan{}.String()[:len(plan{}.String())-2]), "]}")
}

func (w *world) deploy(who, env int) {
	w.mu.Lock()
	w.target = who
	w.mu.Unlock()
	w.sim.SetTarget(w.simRelease(who, env))
}

// later undoes something after a while, or when all faults end.
func (w *world) later(after dur, undo func()) {
	var once sync.Once
	do := func() { once.Do(undo) }
	w.mu.Lock()
	w.undo = append(w.undo, do)
	w.mu.Unlock()
	time.AfterFunc(time.Duration(after), do)
}

// counted counts a fault in one place or several.
func (w *world) counted(after dur, counters ...*int) {
	w.mu.Lock()
	for _, c := range counters {
		*c++
	}
	w.mu.Unlock()
	w.later(after, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range counters {
			*c--
			switch c {
			case &w.deaf:
				w.deafEnd = time.Now()
			case &w.lying:
				w.lied = time.Now()
			}
		}
	})
}

// sleepy ends the Supervisor for a while.
func (w *world) sleepy(a action) {
	w.counted(a.For+dur(2*time.Second), &w.deaf)
	w.spelled(troubleDeaf, everybody, 0, a.For+dur(2*time.Second))
	w.spelled(troubleAway, everybody, 0, a.For)
	busy := !w.sim.Settled()
	w.mu.Lock()
	w.downs++
	w.locked = w.locked || a.Do == doCrash && busy && w.version.Waits
	w.mu.Unlock()
	end := w.sim.Down
	if a.Do == doCrash {
		end = w.sim.Crash
	}
	ended := make(chan struct{})
	go func() {
		end()
		close(ended)
	}()
	w.later(a.For, func() {
		go func() {
			<-ended
			w.mu.Lock()
			w.downs--
			w.mu.Unlock()
			w.sim.Up()
		}()
	})
}

func (w *world) failing(a action) {
	f := simulator.Fault{}
	counters := []*int{&w.deaf}
	switch a.Do {
	case doError:
		f.Status = 500
	case doForbid:
		f.Status = 401
	case doRefuse:
		f.Kind = simulator.FaultRefuse
	case doStall:
		f.Kind = simulator.FaultStall
	case doStale:
		f.Kind = simulator.FaultStale
		counters = append(counters, &w.lying)
	case doHalf:
		f.Kind = simulator.FaultHalf
	}
	w.later(a.For, w.sim.Fail(f))
	w.counted(a.For, counters...)
	kind := troubleDeaf
	if a.Do == doStale {
		kind = troubleLies
	}
	w.spelled(kind, everybody, 0, a.For)
}

// cutting keeps datagrams of some containers from others.
func (w *world) cutting(after dur, pairs func(other int) [][2]int) {
	const most = 8 // containers in one story
	for other := range most {
		for _, c := range pairs(other) {
			if c[0] != c[1] {
				w.net.Cut(boxName(c[0]), boxName(c[1]))
			}
		}
	}
	w.later(after, w.net.Heal)
}

func boxName(n int) string { return string(rune('0' + n)) }

// reboot is a power cut: all processes end at once, and begin again a moment
// later, in the next boot. The folder is one of memory.
func (w *world) reboot(a action) {
	w.mu.Lock()
	w.reset()
	w.marker = w.marker && a.Env > 0
	all := slices.Clone(w.processes)
	w.mu.Unlock()
	for _, p := range all {
		p.end("has lost its power")
	}
	w.sleepy(a)
}

// tidy ends everything that still runs.
func (w *world) tidy() {
	w.mu.Lock()
	w.over = true
	legacies := w.legacies
	w.mu.Unlock()
	w.die()
	w.asking.Wait()
	w.sim.Close()
	for _, l := range legacies {
		_ = l.Close()
	}
	for _, p := range w.processes {
		p.end("")
		<-p.done
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// Done implements simulator.Process.
func (p *process) Done() <-chan struct{} { return p.done }

// Code implements simulator.Process.
func (p *process) Code() int { return p.code }

// Signal implements simulator.Process.
func (p *process) Signal(s syscall.Signal) {
	if s == syscall.SIGTERM {
		p.tell(bySupervisor)
		return
	}
	p.overdue()
	p.end("killed")
}
