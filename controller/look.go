package controller

import (
	"slices"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
)

// Times of the loop.
const (
	// lookEvery is the longest pause while this instance waits for others, who may
	// be about to serve, or to look away. It makes sure that a stall is noticed.
	// One that has released, perhaps for days, looks less often.
	lookEvery         = 250 * time.Millisecond
	lookEveryReleased = time.Second
	// stalledAfter is how late a look at the world is called a stall.
	stalledAfter = 300 * time.Millisecond
)

// lookAgain is the longest pause until the next look; 0: there is none.
func lookAgain(d *decide.Decision) time.Duration {
	switch {
	case !d.Ask:
		return 0
	case d.Phase == peer.PhaseReleased:
		return lookEveryReleased
	}
	return lookEvery
}

// look takes a snapshot. What it knows is never younger than Now, and whether
// this instance is told is known last: whatever held up the loop before.
func (c *Controller) look() decide.Snapshot {
	began := time.Now()
	peers := c.o.Peers.Peers()
	state := c.o.Workload.State()
	orders := c.orders.take()
	for _, o := range orders {
		c.obeyed.obey(o, c.poller.away.get())
	}
	// The time of the signal, not now: the loop may have been busy.
	c.self.ToldAt, c.self.PressedAt, c.self.Hurry = c.obeyed.toldAt, c.obeyed.pressedAt, c.obeyed.hurry
	c.listens = state.Listens
	if w, can := c.o.Workload.(interface{ ExpectListening() }); can && slices.ContainsFunc(peers, func(p peer.Peer) bool {
		return p.Listens && !p.Ended()
	}) {
		w.ExpectListening()
	}
	now := time.Now()
	c.noteStall(began, now, orders)
	c.looked = now
	lost := c.tracker.peers(now, peers)
	answers := c.supervisor
	answers.Containers = c.tracker.mark(c.listed)
	answers.Failed, answers.Rotated = c.poller.err != nil, c.poller.rotated()
	answers.Introduced = c.poller.introduced()
	if c.self.Told() {
		answers.AliveAt = c.poller.aliveAt(c.self.ToldAt)
	}
	s := decide.Snapshot{
		Now: now, Policy: c.o.Policy, Self: c.self, Peers: peers, Supervisor: answers,
		Workload: decide.WorkloadFacts{
			Started: c.started, Ready: state.Ready, EverReady: state.EverReady, NotReady: state.NotReadyReason,
			Ended: c.started && !state.Running, ExitCode: state.ExitCode,
			Stopping: !state.SignalledAt.IsZero(),
		},
		RefusedAt: c.refusedAt(), Stall: c.stall,
		DeferredUntil: c.deferred, Preflight: c.flight.passed, Owner: c.ownership(),
		PeerLostAt: lost, MarkerFailed: c.unwritable, Memory: c.memory,
	}
	c.stopwatch.look(&s, &state)
	c.journal.observed(&s, &state)
	return s
}

// noteStall notes a time in which the loop did not run although it had something to
// do: since the last look, if it was to look again by itself, since this look began,
// or since the first signal that waited for it, whichever is earliest.
func (c *Controller) noteStall(began, now time.Time, orders []order) {
	from, timed := now, !c.expected.IsZero()
	switch {
	case now.Sub(began) > stalledAfter:
		from = began
		if timed && c.looked.Before(began) {
			from = c.looked
		}
	case timed && now.Sub(c.expected) > stalledAfter:
		from = c.looked
	}
	if len(orders) > 0 && orders[0].at.Before(from) {
		from = orders[0].at
	}
	if now.Sub(from) > stalledAfter {
		c.stall = decide.Stall{From: from, To: now}.After(c.stall)
	}
}

// refusedAt is when an announcement of this service was last dropped because of
// its signature; zero: never.
func (c *Controller) refusedAt() time.Time {
	if p, tells := c.o.Peers.(interface{ Refused() time.Time }); tells {
		return p.Refused()
	}
	return time.Time{}
}
