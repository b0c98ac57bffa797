package decide

import (
	"time"

	"github.com/handover-controller/handover/peer"
)

// candidate is a younger peer that is not told, and what speaks for it.
type candidate struct {
	*peer.Peer
	announced bool
	running   ConditionStatus
	reason    Reason
	message   string
	settled   bool
	settlesAt time.Time
}

func (c *candidate) both() bool { return c.announced && c.running == True }

// rank orders candidates by how much speaks for them.
func (c *candidate) rank() int {
	switch {
	case c.both() && c.settled:
		return 4
	case c.both():
		return 3
	case c.announced:
		return 2
	case announcing(c.Peer):
		return 1
	}
	return 0
}

// candidates returns the younger peers that are neither told nor gone, and
// keeps the time for which both their signals have held.
func (w *world) candidates() []candidate {
	var all []candidate
	var settling []Settling
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Told || p.Ended() || w.relate(p) != Younger {
			continue
		}
		c := candidate{Peer: p, announced: w.announced(p)}
		c.running, c.reason, c.message = w.running(p)
		if since, ok := w.settling(&c); ok {
			settling = append(settling, Settling{p.Instance, since})
			c.settlesAt = since.Add(w.settle())
			c.settled = w.reached(c.settlesAt)
		}
		all = append(all, c)
	}
	w.memory.Settling = settling
	return all
}

// settling tells since when both signals of the candidate have held. It takes
// both to begin; then only evidence ends it: another phase, not running, or
// silence. That the Supervisor does not answer for a moment is none.
func (w *world) settling(c *candidate) (time.Time, bool) {
	for _, s := range w.memory.Settling {
		if s.Instance == c.Instance && announcing(c.Peer) && !c.PhaseSince.After(s.Since) && c.running != False && w.live(c.Peer) {
			return s.Since, true
		}
	}
	return w.Now, c.both()
}

// settle is how long both signals must hold. It grows each time a release
// turned out to be too early.
func (w *world) settle() time.Duration {
	if w.memory.Restarts == 0 {
		return w.Policy.Settle
	}
	grown := settleAfterRestart
	for range w.memory.Restarts - 1 {
		if grown *= 2; grown >= settleAtMost {
			break
		}
	}
	return max(w.Policy.Settle, min(grown, settleAtMost))
}

// best returns the candidate for which most speaks, or nil.
func best(all []candidate) *candidate {
	var b *candidate
	for i := range all {
		if c := &all[i]; b == nil || c.rank() > b.rank() {
			b = c
		}
	}
	return b
}

// serve decides for an instance that runs its workload and is not told.
func (w *world) serve() Decision {
	all := w.candidates()
	b := best(all)
	if b != nil && b.both() && b.settled {
		if !w.Workload.Started {
			return w.stepAside(b)
		}
		if !w.deferred() {
			return w.drain(Drain{Reason: ReasonBothSignals, For: b.Instance, HandOver: true})
		}
	}
	d := w.base(peer.PhaseStarting, WorkloadRun)
	switch {
	case w.Workload.Ready:
		d.Phase = peer.PhaseServing
	case w.Policy.Exclusive && w.Preflight && !w.Workload.EverReady:
		d.Phase = peer.PhasePrepared
	}
	d.Acks = w.acknowledged()
	w.watch(&d, all)
	d.Reason, d.Message = w.explain(b)
	if d.Phase != peer.PhaseServing {
		d.Message = "the workload is not ready; " + d.Message
	}
	w.alone(&d)
	d.Conditions = w.conditions(b)
	return d
}

// deferred reports whether the workload has asked for time that is not over.
// Being told twice ends it.
func (w *world) deferred() bool {
	return !w.DeferredUntil.IsZero() && !w.Self.Hurry && !w.reached(w.DeferredUntil)
}

// start decides for an instance that has not started its workload yet. The
// first start of a container waits for nothing. A later one listens for a
// moment: if a younger instance serves already, there is nothing to do.
func (w *world) start() Decision {
	run := func() Decision {
		d := w.serve()
		if d.Workload == WorkloadRun && w.Policy.Exclusive {
			w.prepare(&d)
		}
		if d.Workload == WorkloadRun {
			d.Marker = w.markerAtStart()
		}
		return d
	}
	if !w.Self.Restarted {
		return run()
	}
	all := w.candidates()
	b := best(all)
	if b != nil && b.both() {
		return w.stepAside(b)
	}
	heard := false
	for i := range w.Peers {
		heard = heard || !w.Peers[i].Ended() && w.relate(&w.Peers[i]) != Older
	}
	until := w.Self.ListeningSince.Add(listenFor)
	answered := w.Policy.SupervisorOff || !w.Supervisor.RequestedAt.Before(w.Self.ListeningSince)
	if heard && !answered {
		until = until.Add(answerWithin)
	}
	if w.reached(until) {
		return run()
	}
	d := w.base(peer.PhaseStarting, WorkloadWait)
	d.Ask = true
	w.watch(&d, all)
	d.Reason = ReasonListening
	d.Message = "the container was restarted: listen for a younger instance before the workload is started"
	d.Conditions = w.conditions(b)
	return d
}

// watch says what to ask of peers and Supervisor while not told.
func (w *world) watch(d *Decision, all []candidate) {
	if !w.Supervisor.Introduced {
		d.Poll, d.AskSince = true, w.Self.ListeningSince
	}
	for i := range all {
		c := &all[i]
		d.Poll = true
		d.AskSince = later(d.AskSince, c.PhaseSince)
		if announcing(c.Peer) && (c.running == True || !c.settlesAt.IsZero()) {
			d.Ask = true
		}
	}
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Ended() || p.Told || w.relate(p) != AgeUnknown {
			continue
		}
		// Nobody knows who is younger: the list may tell. One answer is enough,
		// unless a container is listed that could yet turn out to be the peer's,
		// or the peer's own is not listed yet.
		d.AskSince = later(d.AskSince, p.FirstHeard)
		switch {
		case w.Supervisor.RequestedAt.Before(p.FirstHeard),
			p.Legacy && w.listsStranger(),
			p.Container != "" && w.find(p.Container) == nil && w.live(p):
			d.Poll = true
		}
	}
	d.Poll = d.Poll && !w.Policy.SupervisorOff
}

// listsStranger reports whether the last answer lists a container of the
// service, younger than this instance's, from which this program was never heard.
func (w *world) listsStranger() bool {
	own := w.own()
	for i := range w.Supervisor.Containers {
		if c := &w.Supervisor.Containers[i]; own != nil && c != own && !c.Extended && c.CreatedAt.After(own.CreatedAt) {
			return true
		}
	}
	return false
}

// ageUnknown reports whether another instance lives of which nobody can tell
// whether it is younger or older.
func (w *world) ageUnknown() bool {
	for i := range w.Peers {
		p := &w.Peers[i]
		if !p.Legacy && !p.Told && !p.Ended() && w.live(p) && w.relate(p) == AgeUnknown {
			return true
		}
	}
	return false
}

// explain says why this instance serves on.
func (w *world) explain(b *candidate) (Reason, string) {
	switch {
	case b == nil && w.ageUnknown():
		return ReasonAgeUnknown, "another instance runs, and nothing tells which of the two is younger: no hand-over happens, and both serve until one is told to stop; set service.container_id, or see to it that service.state_dir can be written"
	case b == nil:
		return ReasonAlone, "no younger instance is known"
	case b.both() && b.settled:
		return ReasonDeferred, "a younger instance serves and runs; the workload asked for time"
	case b.both():
		return ReasonSettling, "a younger instance serves and runs; it must do so for policy.settle first"
	case !announcing(b.Peer):
		return ReasonYoungerNotReady, "a younger instance is not ready yet"
	case b.running == False:
		return ReasonYoungerNotListed, b.message
	case b.running == Unknown:
		return ReasonYoungerUnknown, b.message
	}
	return ReasonYoungerSilent, "a younger instance said that it serves, but not just now; it is asked"
}
