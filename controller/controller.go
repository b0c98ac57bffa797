package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
)

// Peers is how the controller hears of other instances and speaks to them.
// *peer.Node is one.
type Peers interface {
	// Say replaces what is said of this instance. It never blocks.
	Say(peer.Statement)
	// Peers returns copies of all that is known of other instances.
	Peers() []peer.Peer
	// Changed is woken when that changed.
	Changed() <-chan struct{}
	// Vouch names containers that the Supervisor lists.
	Vouch([]peer.ContainerID)
	// Stats returns counters.
	Stats() peer.Stats
}

// Workload is the command that this instance runs. *workload.Workload is one.
type Workload interface {
	// Start starts it, also again after it has ended.
	Start() error
	// Drain ends it in order. Called again, it replaces the plan.
	Drain(workload.Plan)
	// State returns a copy of its state.
	State() workload.State
	// Changed is woken when that changed.
	Changed() <-chan struct{}
}

// Resumer is a Workload whose drain can be taken back: *workload.Workload is one.
// Without it, a drain that has begun goes on to its end, although it only waits
// for policy.drain_delay and the other instance does not serve any more.
type Resumer interface {
	// Resume takes back a drain of which nothing was done yet, and reports whether
	// the workload runs on as before.
	Resume() bool
}

// Marker is the file handover-complete. *supervisor.Marker is one.
type Marker interface {
	Write() error
	Remove() (removed bool, err error)
}

// Owner is the right to run an exclusive workload. *peer.Owner is one.
type Owner interface {
	// Want asks for the right, or gives it up at once. It never blocks.
	Want(bool)
	// State tells whether there is such a right and whether it is held, since when.
	// The error says why there is none.
	State() (lockable, held bool, since time.Time, err error)
	// Changed is woken when that changed.
	Changed() <-chan struct{}
}

// Options are the parts of a controller. Supervisor, Owner and Preflight may be
// missing; without the first, Policy.SupervisorOff must be set.
type Options struct {
	Policy decide.Policy
	// Self is the identity; ListeningSince, ToldAt and Hurry are filled in.
	Self           decide.Self
	AppID, Service string
	Peers          Peers
	Supervisor     Supervisor
	Workload       Workload
	Marker         Marker
	// Owner and Preflight are for Policy.Exclusive. Without an Owner there is no
	// lock. Preflight must succeed before this instance says that it is prepared.
	Owner     Owner
	Preflight func(context.Context) error
	Logger    *slog.Logger
	// Version is shown in the status.
	Version string
	// DeferLimit is the longest time that one deferral may ask for: 0 is an hour,
	// a negative one allows none.
	DeferLimit time.Duration
}

// Controller keeps one instance in the state that Decide wants. One goroutine,
// that of Run, owns everything in it but the published state.
type Controller struct {
	o       Options
	tracker *tracker
	poller  *poller
	journal *journal
	flight  *preflight
	history *history

	self       decide.Self
	memory     decide.Memory
	supervisor decide.Answers
	listed     []decide.Listed
	explained  explanation
	conditions []decide.Condition
	plan       workload.Plan
	started    bool
	unwritable bool // the marker could not be written
	deferred   time.Time
	ownerError string // why there is no lock
	waitsSince time.Time
	waitSaid   bool   // that somebody has the lock who is not heard
	failure    string // the panic that ended reconciling

	orders    orders
	obeyed    obeyed
	listens   bool      // the workload is ready because it listens on a TCP port
	looked    time.Time // when the loop last looked at the world
	expected  time.Time // when it was to look again; zero: when something happens
	stall     decide.Stall
	wake      chan struct{}
	over      chan struct{} // closed when Run has returned
	pings     chan chan struct{}
	deferrals chan deferral
	published atomic.Pointer[published]
	counters  *counters
	stopwatch *stopwatch
	began     time.Time
}

// New returns a controller that does nothing before Run.
func New(o Options) (*Controller, error) {
	switch {
	case o.Peers == nil || o.Workload == nil || o.Marker == nil || o.Logger == nil:
		return nil, errors.New("controller: new: Peers, Workload, Marker and Logger are all needed")
	case o.Supervisor == nil && !o.Policy.SupervisorOff:
		return nil, errors.New("controller: new: without a Supervisor, Policy.SupervisorOff must be set")
	case o.Policy.PollInterval <= 0:
		return nil, fmt.Errorf("controller: new: Policy.PollInterval is %v; it must be positive", o.Policy.PollInterval)
	case o.Policy.DrainDelay+o.Policy.DrainReserve+decide.ExitReserve >= o.Policy.StopGracePeriod:
		return nil, fmt.Errorf("controller: new: DrainDelay (%v) + DrainReserve (%v) + %v must be less than StopGracePeriod (%v)",
			o.Policy.DrainDelay, o.Policy.DrainReserve, decide.ExitReserve, o.Policy.StopGracePeriod)
	}
	if o.Policy.SupervisorOff {
		o.Supervisor = nil
	}
	if o.DeferLimit == 0 {
		o.DeferLimit = defaultDeferLimit
	}
	if o.Owner == nil || !o.Policy.Exclusive {
		o.Owner = noOwner{}
	}
	c := &Controller{
		o: o, self: o.Self,
		tracker: newTracker(o.AppID, o.Service), counters: newCounters(), began: time.Now(),
		poller:  newPoller(o.Supervisor, o.AppID, o.Service, o.Policy.PollInterval),
		journal: newJournal(o.Logger),
		flight:  newPreflight(o.Preflight),
		history: newHistory(),
		wake:    make(chan struct{}, 1), over: make(chan struct{}),
		pings: make(chan chan struct{}), deferrals: make(chan deferral),
	}
	c.stopwatch = newStopwatch(c.counters)
	c.journal.times = c.stopwatch
	c.published.Store(&published{next: make(chan struct{}), rendering: new(rendering)})
	return c, nil
}

// Tell tells the instance to stop: on SIGTERM. A second time shortens a hold, unless
// the Supervisor was restarted meanwhile, which then repeats itself; a third time
// ends it. It never blocks and may be called from any goroutine.
func (c *Controller) Tell() { c.tell(false) }

// Interrupt tells the instance to stop: on SIGINT. If it was told before, it ends
// the hold. It never blocks and may be called from any goroutine.
func (c *Controller) Interrupt() { c.tell(true) }

func (c *Controller) tell(interrupt bool) {
	c.orders.add(time.Now(), interrupt)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run reconciles until the instance is over, and returns the exit status of
// the process: the workload's own, or 0 after a hand-over. The error is not nil
// if the workload could not be started (it is a *workload.StartError), or ctx
// has ended; then the workload is left as it is. Run may be called once.
//
// It is level-triggered: whatever happens only wakes it, and it then looks at
// everything anew.
func (c *Controller) Run(ctx context.Context) (int, error) {
	asking, cancel := context.WithCancelCause(ctx)
	defer close(c.over)
	defer c.poller.asking.Wait()
	defer c.flight.running.Wait()
	defer c.disown()
	defer cancel(errors.New("controller: the instance is over"))

	c.self.ListeningSince = time.Now()
	c.journal.begin(&c.o, &c.self)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for c.failure == "" {
		if code, done, err := c.round(ctx, asking, timer); done {
			return code, err
		}
	}
	return c.unguarded(ctx)
}

// round waits until something happens, and reconciles. A panic in it becomes
// c.failure.
func (c *Controller) round(ctx, asking context.Context, timer *time.Timer) (code int, done bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.failed(r)
		}
	}()
	select {
	case <-ctx.Done():
		return 1, true, context.Cause(ctx)
	case <-c.wake:
	case <-timer.C:
	case <-c.o.Peers.Changed():
	case <-c.o.Workload.Changed():
	case <-c.o.Owner.Changed():
	case err := <-c.flight.result:
		c.flew(err)
	case r := <-c.deferrals:
		a := c.deferDrain(r.by)
		defer func() { r.answer <- a }() // when the status tells of it
	case a := <-c.poller.answers:
		c.answered(asking, a)
	case e := <-c.poller.explanations:
		c.explained, c.poller.explaining = e, false
		c.journal.explained(c.release(), &e.target)
	case pong := <-c.pings:
		close(pong)
		return 0, false, nil
	}
	c.counters.reconciles.Add(1)
	next, done, err := c.reconcile(asking)
	if done || err != nil {
		return next.ExitCode, true, err
	}
	timer.Stop()
	if next.RequeueAfter > 0 {
		timer.Reset(next.RequeueAfter)
	}
	return 0, false, nil
}

// reconcile looks, decides and acts until there is nothing left to do at once.
func (c *Controller) reconcile(ctx context.Context) (decide.Decision, bool, error) {
	for {
		s := c.look()
		d := decide.Decide(s)
		if c.plan != (workload.Plan{}) && d.Workload == decide.WorkloadRun && s.Memory.Drain != nil && !s.Workload.Ended {
			// The drain is to be taken back. The workload knows whether that can be done.
			if r, can := c.o.Workload.(Resumer); can && r.Resume() {
				c.plan = workload.Plan{}
			} else {
				s.Workload.Stopping = true
				d = decide.Decide(s)
			}
		}
		c.memory = d.Memory
		d.Conditions = decide.Transition(c.conditions, d.Conditions, s.Now)
		c.conditions = d.Conditions
		c.stopwatch.decided(&s, &d)
		c.journal.decided(&s, &d)
		acted, err := c.act(&s, &d)
		if err != nil {
			d.ExitCode = 1
			var failed *workload.StartError
			if errors.As(err, &failed) {
				d.ExitCode = failed.ExitCode
			}
			return d, true, err
		}
		c.publish(&s, &d)
		if d.Exit {
			return d, true, nil
		}
		if acted {
			c.expected = s.Now
			continue
		}
		if s.Self.Told() {
			c.poller.watch(ctx)
		}
		for _, due := range []time.Time{
			c.poller.step(ctx, s.Now, d.Poll, d.AskSince, s.Self.Told()),
			c.flight.step(ctx, s.Now, d.Preflight),
			c.waited(d.Own && s.Owner.Lockable && !s.Owner.Held, s.Peers, s.Now),
		} {
			if wait := due.Sub(s.Now); !due.IsZero() && (d.RequeueAfter == 0 || wait < d.RequeueAfter) {
				d.RequeueAfter = max(wait, time.Millisecond)
			}
		}
		if every := lookAgain(&d); every > 0 && (d.RequeueAfter == 0 || d.RequeueAfter > every) {
			d.RequeueAfter = every
		}
		c.expected = time.Time{}
		if d.RequeueAfter > 0 {
			c.expected = s.Now.Add(d.RequeueAfter)
		}
		return d, false, nil
	}
}

// act makes the decision so. It reports whether facts changed by that, so that
// there is more to decide at once.
func (c *Controller) act(s *decide.Snapshot, d *decide.Decision) (acted bool, err error) {
	c.o.Owner.Want(d.Own)
	c.say(d, s)
	c.mark(d.Marker)
	switch d.Workload {
	case decide.WorkloadRun:
		if s.Workload.Started && !s.Workload.Ended {
			break
		}
		c.plan, c.deferred = workload.Plan{}, time.Time{}
		c.counters.starts.Add(1)
		if err := c.o.Workload.Start(); err != nil {
			c.journal.noteError(slog.LevelError, "WorkloadNotStarted", "the workload could not be started", err)
			return false, fmt.Errorf("controller: start the workload: %w", err)
		}
		c.started = true
		return true, nil
	case decide.WorkloadDrain:
		plan := planOf(&c.o.Policy, d.SignalAt, d.KillAt)
		if plan != c.plan {
			c.plan = plan
			c.o.Workload.Drain(plan)
		}
	}
	return false, nil
}

// planOf is when a drain takes its steps. A time-out of none is one that is over
// at once.
func planOf(p *decide.Policy, signalAt, killAt time.Time) workload.Plan {
	return workload.Plan{SignalAt: signalAt, KillAt: killAt, KillAfter: max(p.DrainTimeout, 1)}
}

// say tells the peers; the node says only what is new.
func (c *Controller) say(d *decide.Decision, s *decide.Snapshot) {
	c.o.Peers.Say(peer.Statement{
		Phase: d.Phase, Told: s.Self.Told(), Ask: d.Ask, AskEvery: d.AskEvery,
		Eager: d.Eager, Acks: d.Acks, Release: c.release(), Listens: c.listens,
	})
}

// mark writes or removes the marker.
func (c *Controller) mark(wish decide.MarkerWish) {
	switch wish {
	case decide.MarkerWrite:
		err := c.o.Marker.Write()
		c.unwritable = err != nil
		if err != nil {
			c.journal.noteError(slog.LevelWarn, "MarkerNotWritten",
				"the marker could not be written, so a Supervisor before 14.13.10 waits for its own time-out", err)
			return
		}
		c.journal.note(slog.LevelInfo, "MarkerWritten", "the marker tells the Supervisor that everything is released")
	case decide.MarkerRemove:
		removed, err := c.o.Marker.Remove()
		switch {
		case err != nil:
			c.journal.noteError(slog.LevelWarn, "MarkerNotRemoved",
				"a leftover marker could not be removed; it may end the next hand-over too early", err)
		case removed:
			c.journal.note(slog.LevelInfo, "MarkerRemoved", "a marker that nobody waits for was removed")
		}
	}
}

// answered takes in what a request brought.
func (c *Controller) answered(ctx context.Context, a answer) {
	now := time.Now()
	news := c.poller.received(now, a)
	c.counters.answer(a.err, a.took)
	if !news {
		return // a later request has been answered before
	}
	c.journal.answered(a.err)
	if a.err != nil {
		return
	}
	before := c.listed
	c.listed = c.tracker.listed(&a.view)
	c.supervisor.RequestedAt, c.supervisor.ReceivedAt = a.view.RequestedAt, a.view.ReceivedAt
	if !sameContainers(before, c.listed) {
		ids := make([]peer.ContainerID, 0, len(c.listed))
		for i := range c.listed {
			ids = append(ids, c.listed[i].Short())
		}
		c.o.Peers.Vouch(ids)
		c.poller.explain(ctx)
	}
}

func sameContainers(a, b []decide.Listed) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID {
			return false
		}
	}
	return true
}

// release returns this instance's release id, 0 if unknown.
func (c *Controller) release() uint64 {
	for i := range c.listed {
		if l := &c.listed[i]; l.Short() == c.self.Container {
			return uint64(max(0, c.explained.releases.ByImage[l.ImageID].ReleaseID))
		}
	}
	return 0
}
