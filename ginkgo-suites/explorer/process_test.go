package explorer_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/handover-controller/handover/controller/decide"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
	"github.com/handover-controller/handover/supervisor"
)

// process is the process of a container: a real controller and node with a
// workload that is only timers, or a handover-lib.
type process struct {
	w       *world
	box     *box
	run     int
	release *release
	began   time.Time
	done    chan struct{}
	code    int
	self    peer.Identity
	key     string // of the Supervisor's API

	node     *peer.Node
	ctl      *controller.Controller
	endpoint *peertest.Endpoint
	member   *peertest.Member
	cancel   context.CancelFunc
	work     *work
	legacy   *peertest.LegacyPeer
	owner    *owner // nil without a lock for exclusive workloads
	ends     sync.Once
	gone     chan struct{} // closed when it is killed

	// What is true of it, guarded by the world's lock.
	launched bool // handover runs, it no longer starts
	dead     bool // killed
	exited   bool // ended in order
	endedAt  time.Time
	signals  int       // SIGTERMs that were sent
	ordered  time.Time // when the Supervisor sent the first one
	pending  string    // who sent a SIGTERM that it has not got yet
	toldAt   time.Time // when it got the first one
	tolds    []telling
	keyLost  time.Time     // when its key was rotated
	asked    time.Time     // when its latest request was sent that is over
	answered time.Time     // when the newest request was sent that was answered
	failed   bool          // the newest one that is over failed
	stalls   []span        // when it did not run, or its loop hung
	stopped  chan struct{} // closed when it goes on; nil while it runs
	pauses   int
	halted   bool     // its workload is stopped, too
	due      []func() // what it does when it goes on
	phase    peer.Phase
	reason   decide.Reason // of its last decision
	forWhom  peer.InstanceID
	lib      *process          // the last of handover-lib that it decided for
	acked    []peer.InstanceID // those that it has ever acknowledged
	frozen   time.Time         // until then its loop hangs
	serves   bool
	since    time.Time // since when it serves
	served   time.Time // when it last served, unless it does
	why      cause     // why it does not any more
	drain    *drain
	backAt   time.Time // when it last took a drain back
	view     view      // the last usable answer of the Supervisor
	prepared time.Time // when it last said that it is prepared
	released time.Time // when its drained workload had ended
	deferred time.Time // until then its workload asked not to be drained
	tookBack bool      // it started its workload again after a release
	refused  bool      // the Supervisor refused its key after it had accepted it, and has not answered since
}

// cause is why a workload does not serve any more.
type cause struct {
	outside bool // killed, crashed, not ready, or handover-lib's own decision
	drain   *drain
}

// drain is a decision to end the workload.
type drain struct {
	at     time.Time
	reason decide.Reason
	whom   *process   // nil unless it is for somebody
	others []*process // who could have served after it, and lived
	knew   string     // how it could know of one of them; empty: it could not
	// stranger: for a handover-lib of another service.
	stranger bool
}

// view is an answer of the Supervisor as an instance got it.
type view struct {
	requested time.Time
	received  time.Time
	truthful  bool
	listed    []supervisor.Container
}

func (v *view) find(b *box) *supervisor.Container {
	for i := range v.listed {
		if v.listed[i].ID == b.id {
			return &v.listed[i]
		}
	}
	return nil
}

// other returns a running container other than that one.
func (v *view) other(b *box) *supervisor.Container {
	for i := range v.listed {
		if v.listed[i].ID != b.id && v.listed[i].Status.Running() {
			return &v.listed[i]
		}
	}
	return nil
}

func (p *process) name() string { return fmt.Sprintf("%s.%d", p.box.name(), p.run) }

func (p *process) say(format string, args ...any) {
	if p.w.lines != nil {
		p.w.say("%-6s %s", p.name(), fmt.Sprintf(format, args...))
	}
}

// start starts the process. Until handover itself has started, nothing is done.
func (p *process) start(key string) error {
	w, b, r := p.w, p.box, p.release
	p.key = key
	rotated := w.sim.APIKey() != key
	w.mu.Lock()
	boot := peer.BootHash(w.boot)
	since := time.Since(w.bootAt)
	if rotated {
		p.keyLost = p.began // the container has the key from before
	}
	p.self = peer.Identity{
		Container: peer.ContainerID(b.id[:12]), FirstStart: peer.FirstStart{Boot: boot, Since: since},
		StartMilli: w.wallLocked().UnixMilli(), FirstSequence: uint64(since),
	}
	binary.BigEndian.PutUint64(p.self.Instance[:], w.rng.Uint64())
	p.self.Instance[15] = byte(b.n)
	restarted := b.recorded
	switch {
	case r.Anonymous:
		p.self.Container, p.self.FirstStart, restarted = "", peer.FirstStart{}, false
	case r.NoRecord:
		p.self.FirstStart, restarted = peer.FirstStart{}, false
	case b.recorded:
		p.self.FirstStart, p.self.StartMilli = b.start, b.startMilli
	default:
		b.recorded, b.start, b.startMilli = true, p.self.FirstStart, p.self.StartMilli
	}
	domain := peer.NewDomain(w.boot, app, service)
	seed := w.rng.Uint64()
	w.mu.Unlock()
	if r.Boot <= 0 {
		return p.launch(boot, domain, seed, restarted)
	}
	boots := span{p.began, p.began.Add(time.Duration(r.Boot))}
	p.say("is started, handover is there in %v", time.Duration(r.Boot))
	w.mu.Lock()
	p.stalls = append(p.stalls, boots)
	w.mu.Unlock()
	time.AfterFunc(time.Duration(r.Boot), func() {
		if err := p.launch(boot, domain, seed, restarted); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.violate("plan", "%s does not start: %v", p.name(), err)
		}
	})
	return nil
}

// launch starts handover.
func (p *process) launch(boot [4]byte, domain peer.Domain, seed uint64, restarted bool) error {
	w, b, r := p.w, p.box, p.release
	w.mu.Lock()
	p.launched = !p.dead
	w.mu.Unlock()
	if !p.launched {
		return nil
	}
	log := slog.New(&ear{p: p})
	p.endpoint = w.net.Attach(boxName(b.n))
	var ways []peer.Way
	if !r.NoNetwork {
		ways = append(ways, gate{p.endpoint, p})
	}
	if !r.NoFolder {
		p.member = w.folder.Open(p.self.Instance)
		ways = append(ways, folderGate{gate{p.member, p}})
	}
	if len(ways) == 0 {
		ways = append(ways, gate{p.endpoint, p})
	}
	var err error
	booted := w.bootAt
	p.node, err = peer.Start(peer.Config{
		Self: p.self, Domain: domain, Legacy: !r.NoLegacy, Ways: ways, Rand: rand.New(rand.NewPCG(seed, 1)),
		Uptime: func() time.Duration { return time.Since(booted) },
	})
	if err != nil {
		return err
	}
	p.work = &work{p: p, changed: make(chan struct{}, 1)}
	var asks controller.Supervisor
	if !r.Off {
		client, err := supervisor.NewClient(supervisor.Options{
			Address: "http://127.0.0.1:48484", APIKey: p.key, Transport: slowly{w.sim.Transport(), w},
		})
		if err != nil {
			return err
		}
		asks = &asker{p: p, client: client}
	}
	var right controller.Owner
	if r.Exclusive && !r.NoFolder {
		p.owner = &owner{p: p, changed: make(chan struct{}, 1)}
		right = p.owner
	}
	p.ctl, err = controller.New(controller.Options{
		Owner:  right,
		Policy: r.policy(), AppID: app, Service: service, Peers: peers{p.node, p}, Supervisor: asks,
		Workload: p.work, Marker: markerOf{p}, Logger: log,
		Self: decide.Self{
			Instance: p.self.Instance, Container: p.self.Container, FirstStart: p.self.FirstStart,
			StartMilli: p.self.StartMilli, Boot: boot, Restarted: restarted,
		},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.say("starts, instance %.8s, restarted %v", p.self.Instance, restarted)
	go p.runs(ctx)
	p.goesOn()
	return nil
}

func (p *process) runs(ctx context.Context) {
	defer close(p.done)
	code, err := p.ctl.Run(ctx)
	p.code = code
	w := p.w
	w.mu.Lock()
	killed := p.dead
	if !killed {
		p.exited, p.endedAt = true, time.Now()
		p.say("its controller ends: status %d, error %v", code, err)
		w.checkExit(p, err)
	}
	p.work.kill(!killed)
	w.lock.leave(p.owner)
	w.mu.Unlock()
	if killed {
		_ = p.node.Close(canceled())
		return
	}
	_ = p.node.Close(context.Background())
	p.endpoint.Close()
}

// end ends the process without a word.
func (p *process) end(how string) {
	w := p.w
	w.mu.Lock()
	if p.dead || p.exited && how == "" {
		w.mu.Unlock()
		return
	}
	if !p.exited && how != "" {
		p.say("%s", how)
	}
	p.dead = true
	if p.endedAt.IsZero() {
		p.endedAt = time.Now()
	}
	if p.work != nil {
		p.work.kill(false)
	}
	w.lock.leave(p.owner)
	close(p.gone)
	launched := p.launched
	w.mu.Unlock()
	if p.legacy != nil {
		p.endLegacy(137)
		return
	}
	p.code = 137
	if !launched {
		close(p.done)
		return
	}
	if p.cancel == nil {
		return
	}
	_ = p.endpoint.Close()
	if p.member != nil {
		p.member.Die()
	}
	p.cancel()
}

// Who sends SIGTERM.
const (
	bySupervisor = "from the Supervisor"
	byPerson     = "from outside"
)

// telling is a SIGTERM.
type telling struct {
	at time.Time
	by string
}

// tell is SIGTERM.
func (p *process) tell(by string) {
	w := p.w
	w.mu.Lock()
	if p.dead || p.exited {
		w.mu.Unlock()
		return
	}
	p.signals++
	if p.ordered.IsZero() && by == bySupervisor {
		p.ordered = time.Now()
	}
	p.say("SIGTERM %s", by)
	w.happensLocked(p, "told")
	if p.legacy == nil && (p.stopped != nil || !p.launched) {
		p.pending = by // several are one
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	p.hears(by)
}

// hears is SIGTERM when the process gets it.
func (p *process) hears(by string) {
	w := p.w
	w.mu.Lock()
	if p.dead || p.exited {
		w.mu.Unlock()
		return
	}
	first := p.toldAt.IsZero()
	if first {
		p.toldAt = time.Now()
	}
	p.tolds = append(p.tolds, telling{time.Now(), by})
	w.mu.Unlock()
	if p.legacy != nil {
		p.endLegacy(0)
		return
	}
	if first {
		w.watchStop(p, by == bySupervisor)
	}
	p.ctl.Tell()
}

// freeze holds the loop up for a while, as a machine does that swaps.
func (p *process) freeze(d time.Duration) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.frozen = time.Now().Add(d)
	p.stalls = append(p.stalls, span{time.Now(), p.frozen})
}

// defers asks for time in the name of the workload.
func (p *process) defers(d time.Duration) {
	if p.ctl == nil {
		return
	}
	p.w.asking.Go(func() {
		ctx, cancel := context.WithTimeout(p.w.life, 2*time.Second)
		defer cancel()
		_, err := p.ctl.Defer(ctx, d)
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		p.say("its workload asks for %v: %v", d, err)
		if err == nil && p.work.state.Running {
			p.deferred = time.Now().Add(d)
		}
	})
}

// thaw waits while the loop is held up.
func (p *process) thaw() {
	p.w.mu.Lock()
	until := p.frozen
	p.w.mu.Unlock()
	if d := time.Until(until); d > 0 {
		time.Sleep(d)
	}
}

// exits ends the workload by itself.
func (p *process) exits() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.work != nil && p.work.state.Running {
		p.say("its workload ends by itself")
		p.work.ends(1)
	}
}

// loses makes the workload lose its readiness, or find it again.
func (p *process) loses(yes bool) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if k := p.work; k != nil && k.state.Running && k.state.EverReady && k.state.SignalledAt.IsZero() {
		if yes {
			p.w.serve(p, false, cause{outside: true})
		}
		run := k.state.Run
		p.whenAwake(func() {
			if k.state.Running && k.state.Run == run && k.state.SignalledAt.IsZero() {
				k.update(func(s *workload.State) { s.Ready = !yes }, cause{outside: true})
			}
		})
	}
}

// peers is the node, and sees what is said.
type peers struct {
	*peer.Node
	p *process
}

func (n peers) Say(s peer.Statement) {
	if n.p.w.said(n.p, &s) {
		n.Node.Say(s)
	}
}

func (n peers) Peers() []peer.Peer {
	n.p.thaw()
	n.p.waits(n.p.loopWakes())
	return n.Node.Peers()
}

// ear hears what the controller logs: each decision with its reason.
type ear struct{ p *process }

func (e *ear) Enabled(context.Context, slog.Level) bool { return true }
func (e *ear) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e *ear) WithGroup(string) slog.Handler            { return e }

func (e *ear) Handle(_ context.Context, r slog.Record) error {
	p := e.p
	var reason, whom string
	decided := false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "reason":
			reason = a.Value.String()
		case "phase":
			decided = true
		case "for":
			whom = a.Value.String()
		}
		return true
	})
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.dead {
		return nil
	}
	if r.Level >= slog.LevelError {
		p.w.violate("panic", "%s logs an error: %s", p.name(), r.Message)
	}
	if decided {
		p.reason, p.forWhom = decide.Reason(reason), peer.InstanceID{}
		if whom != "" {
			_ = p.forWhom.UnmarshalText([]byte(whom))
		}
		if q, _ := p.w.findLegacy(p.forWhom, p); q != nil {
			p.lib = q
		}
	}
	if p.w.lines != nil {
		text := ""
		r.Attrs(func(a slog.Attr) bool {
			text += " " + a.String()
			return true
		})
		p.say("  log %s: %s%s", r.Level, r.Message, text)
	}
	return nil
}

// asker asks the Supervisor.
type asker struct {
	p      *process
	client *supervisor.Client
}

func (a *asker) View(ctx context.Context) (supervisor.View, error) {
	p, w := a.p, a.p.w
	p.waits(othersWake)
	sent := time.Now()
	v, err := a.client.View(ctx)
	p.waits(othersWake)
	w.mu.Lock()
	defer w.mu.Unlock()
	// A later request was answered already; after one that failed, an answer counts.
	late := sent.Before(p.answered) || sent.Before(p.asked) && !p.failed
	if !sent.Before(p.asked) {
		p.asked, p.failed = sent, err != nil
	}
	var refusal *supervisor.Error
	switch {
	case err == nil:
		p.refused = false
	case errors.As(err, &refusal) && refusal.Kind == supervisor.KindUnauthorized && !p.view.requested.IsZero():
		p.refused = true
	}
	if err != nil {
		if w.lines != nil && !errors.Is(err, context.Canceled) {
			p.say("  asked the Supervisor: %v", err)
		}
		return v, err
	}
	switch {
	case w.empty > 0:
		v.Containers = nil
	case w.partial > 0:
		v.Containers = slices.DeleteFunc(v.Containers, func(c supervisor.Container) bool { return c.ID == p.box.id })
	}
	v.Containers = w.dated(v.Containers)
	if late {
		return v, nil
	}
	p.answered, p.failed = sent, false
	p.view = view{
		requested: v.RequestedAt, received: v.ReceivedAt, listed: v.Containers,
		truthful: w.lying == 0 && w.lied.Before(v.RequestedAt) && w.empty == 0 && w.partial == 0,
	}
	if w.lines != nil {
		text := ""
		for _, c := range v.Containers {
			text += fmt.Sprintf(" %.12s %s", c.ID, c.Status)
		}
		p.say("  asked the Supervisor, %v ago:%s", time.Since(v.RequestedAt), text)
	}
	return v, nil
}

func (a *asker) Releases(context.Context, string) (supervisor.Releases, error) {
	return supervisor.Releases{}, nil
}

func (a *asker) Target(context.Context, string, string) (supervisor.Target, error) {
	return supervisor.Target{}, nil
}

var errUnwritable = errors.New("explorer: the folder of the marker cannot be written")

// markerOf is the marker as one instance sees it.
type markerOf struct{ p *process }

func (m markerOf) Write() error {
	w := m.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.p.dead {
		return errUnwritable
	}
	w.checkMarker(m.p)
	if w.readOnly > 0 {
		return errUnwritable
	}
	w.marker = true
	return nil
}

func (m markerOf) Remove() (bool, error) {
	w := m.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.p.dead || w.readOnly > 0 && w.marker {
		return false, errUnwritable
	}
	was := w.marker
	w.marker = false
	return was, nil
}

// work is a workload that is only timers. The world's lock guards it.
type work struct {
	p       *process
	changed chan struct{}
	state   workload.State
	drained int // the run that was drained
	signal  time.Time
	signals *time.Timer
	kills   *time.Timer
}

func (k *work) Changed() <-chan struct{} { return k.changed }

func (k *work) State() workload.State {
	k.p.w.mu.Lock()
	defer k.p.w.mu.Unlock()
	return k.state
}

// update changes the state, tells the world and wakes the controller.
func (k *work) update(change func(*workload.State), why cause) {
	change(&k.state)
	k.p.w.serve(k.p, k.state.Ready, why)
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// later does something for this run of the workload only. A process that is
// stopped does it when it goes on.
func (k *work) later(d time.Duration, do func()) *time.Timer {
	run := k.state.Run
	return time.AfterFunc(d, func() {
		k.p.w.mu.Lock()
		defer k.p.w.mu.Unlock()
		k.p.whenAwake(func() {
			if k.state.Running && k.state.Run == run {
				do()
			}
		})
	})
}

func (k *work) Start() error {
	r, w := k.p.release, k.p.w
	if r.Slow > 0 {
		w.mu.Lock()
		k.p.stalls = append(k.p.stalls, span{time.Now(), time.Now().Add(time.Duration(r.Slow))})
		w.mu.Unlock()
		time.Sleep(time.Duration(r.Slow))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if k.p.dead {
		return nil
	}
	w.checkStart(k.p)
	k.p.say("starts its workload")
	k.p.tookBack = k.p.tookBack || k.p.drain != nil
	k.p.drain, k.p.released, k.p.deferred = nil, time.Time{}, time.Time{}
	k.update(func(s *workload.State) {
		*s = workload.State{Run: s.Run + 1, Running: true, PID: 100 + s.Run, Started: time.Now()}
	}, cause{})
	if r.Ready >= 0 {
		k.later(time.Duration(r.Ready), func() {
			k.update(func(s *workload.State) {
				if s.SignalledAt.IsZero() {
					s.Ready, s.EverReady, s.ReadySince = true, true, time.Now()
				}
			}, cause{})
		})
	}
	if r.Crash > 0 {
		k.later(time.Duration(r.Crash), func() {
			if k.state.SignalledAt.IsZero() {
				k.p.say("its workload crashes")
				k.ends(1)
			}
		})
	}
	return nil
}

// Drain is the orderly end: the stop signal, the end, and SIGKILL. It serves
// until the stop signal.
func (k *work) Drain(plan workload.Plan) {
	p, w := k.p, k.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.dead {
		return
	}
	if d := p.drain; k.state.Draining && k.state.SignalledAt.IsZero() && !plan.SignalAt.Equal(k.signal) && d != nil && d.whom != nil && !w.servesOn(d.whom) {
		p.say("its drain is taken back for another one")
		k.state.Draining, p.drain = false, nil
		k.signals.Stop()
	}
	w.checkDrain(p, plan)
	again := k.state.Draining && k.state.SignalledAt.IsZero() && plan.SignalAt.After(k.signal)
	if again {
		k.signals.Stop()
	}
	if (!k.state.Draining || again) && k.state.Running {
		k.state.Draining = true
		k.drained, k.signal = k.state.Run, plan.SignalAt
		d := p.drain
		k.signals = k.later(time.Until(plan.SignalAt), func() {
			p.say("its workload gets the stop signal")
			k.update(func(s *workload.State) { s.Ready, s.SignalledAt = false, time.Now() }, cause{drain: d})
			if !p.release.Hangs {
				k.later(time.Duration(p.release.Drain), func() { k.ended(0, true) })
			}
		})
	}
	if k.kills != nil {
		k.kills.Stop()
	}
	k.kills = k.later(time.Until(plan.KillBy(plan.SignalAt)), func() {
		p.say("its workload is killed")
		k.state.Killed = true
		k.ended(137, true)
	})
}

// Resume implements controller.Resumer: until the stop signal, a drain is only
// words.
func (k *work) Resume() bool {
	p, w := k.p, k.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.dead || !k.state.Running || !k.state.SignalledAt.IsZero() {
		return false
	}
	if !k.state.Draining {
		return true
	}
	p.say("its drain is taken back")
	p.backAt = time.Now()
	k.state.Draining = false
	k.drained = 0
	k.signals.Stop()
	k.kills.Stop()
	p.drain = nil
	w.changes++
	return true
}

// ends is the end of the workload by itself, which is true at once. A process
// that is stopped sees it later.
func (k *work) ends(code int) {
	k.p.w.serve(k.p, false, cause{outside: true})
	run := k.state.Run
	k.p.whenAwake(func() {
		if k.state.Running && k.state.Run == run {
			k.ended(code, false)
		}
	})
}

// ended is the end of the workload; drained tells that it was asked to.
func (k *work) ended(code int, drained bool) {
	why := cause{outside: true}
	if drained {
		why = cause{drain: k.p.drain}
	}
	if k.kills != nil {
		k.kills.Stop()
	}
	k.update(func(s *workload.State) {
		s.Running, s.Ready, s.Ended, s.ExitCode = false, false, time.Now(), code
	}, why)
	k.p.released = time.Now()
}

// kill ends the workload with its process.
func (k *work) kill(ours bool) {
	if k.state.Running {
		k.state.Killed = true
		k.ended(137, ours)
	}
}

// startLegacy starts a service with handover-lib.
func (p *process) startLegacy() {
	w, r := p.w, p.release
	p.endpoint = w.net.Attach(boxName(p.box.n))
	p.legacy = peertest.NewLegacyPeer(p.endpoint, w.wall().UnixMilli())
	p.say("starts with handover-lib")
	if r.Ready < 0 {
		return
	}
	time.AfterFunc(time.Duration(r.Ready), func() {
		w.mu.Lock()
		if p.dead {
			w.mu.Unlock()
			return
		}
		w.serve(p, true, cause{})
		w.mu.Unlock()
		p.legacy.StartBroadcasting()
		p.lookYounger()
	})
}

// lookYounger ends the service of handover-lib when it has heard a younger
// one.
func (p *process) lookYounger() {
	w := p.w
	heard := p.legacy.ShuttingDown() != 0
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case p.dead || w.over:
	case heard:
		p.say("handover-lib heard a younger one, ends its service and writes the marker")
		w.serve(p, false, cause{outside: true})
		w.marker = w.marker || w.readOnly == 0
	default:
		time.AfterFunc(97*time.Millisecond, p.lookYounger)
	}
}

func (p *process) endLegacy(code int) {
	w := p.w
	w.mu.Lock()
	p.dead = true
	if p.endedAt.IsZero() {
		p.endedAt = time.Now()
	}
	w.serve(p, false, cause{outside: true})
	w.mu.Unlock()
	p.ends.Do(func() {
		p.code = code
		go func() {
			_ = p.legacy.Close()
			close(p.done)
		}()
	})
}
