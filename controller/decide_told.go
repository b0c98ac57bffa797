package controller

import (
	"strings"
	"time"

	"github.com/handover-controller/handover/peer"
)

// successor is an instance that could serve after this one, which is told to
// stop.
type successor struct {
	candidate
	// listedOnly: the Supervisor lists it, and it was not heard.
	listedOnly bool
	acked      bool
}

// told decides for an instance that has been told to stop and runs its
// workload. It no longer asks who is younger: any other instance that may
// serve is a successor, and it serves on until one does.
func (w *world) told() Decision {
	if !w.Workload.Started {
		return w.exit(0, ReasonToldEarly, "told to stop before the workload was started")
	}
	all := w.successors()
	w.rememberSuccessors(len(all) > 0)
	if d, ok := w.stepDown(all); ok {
		return d
	}
	d := w.base(peer.PhaseHolding, WorkloadRun)
	d.Ask, d.Poll, d.HoldEnds = true, !w.Policy.SupervisorOff, w.holdEnds()
	d.AskSince = later(w.Self.ToldAt, w.memory.SuccessorLostAt)
	d.Reason, d.Message = ReasonSearching, "told to stop: look for a successor"
	if len(all) > 0 {
		d.Reason, d.Message = ReasonHolding, "told to stop: serve on until the successor is ready"
	}
	if w.deferred() {
		d.Reason, d.Message = ReasonDeferred, "told to stop: the workload asked for time, which lasts at most until the hold must end"
	}
	for i := range all {
		if !all[i].listedOnly {
			d.AskSince = later(d.AskSince, all[i].PhaseSince)
		}
	}
	d.Conditions = w.conditions(w.focus())
	return d
}

// stepDown begins to drain if it is time to.
func (w *world) stepDown(all []successor) (Decision, bool) {
	if w.deferred() && !w.reached(w.holdEnds()) {
		return Decision{}, false
	}
	for i := range all {
		s := &all[i]
		// A proxy that checks its backends needs time to find the successor, also
		// when the Supervisor is in a hurry. The hold's end leaves no more.
		settled := w.reached(earlier(s.PhaseSince.Add(w.Policy.Settle), w.holdEnds()))
		if !s.announced || !s.acked || !settled || !w.trusts(s) {
			continue
		}
		if s.running == True {
			return w.drain(Drain{Reason: ReasonSuccessorServes, For: s.Instance, HandOver: true}), true
		}
		if s.running == Unknown && w.reached(w.trustAt(s)) {
			return w.drain(Drain{Reason: ReasonSuccessorTrusted, For: s.Instance, HandOver: true}), true
		}
	}
	switch {
	case w.Self.Hurry:
		return w.drain(Drain{Reason: ReasonHurried}), true
	case len(all) == 0 && w.noSuccessor():
		return w.drain(Drain{Reason: ReasonNoSuccessor}), true
	case w.reached(w.holdEnds()):
		return w.drain(Drain{Reason: ReasonHoldEnded}), true
	}
	return Decision{}, false
}

// holdEnds is when the drain must begin so that it ends in order before
// SIGKILL.
func (w *world) holdEnds() time.Time {
	p := w.Policy
	return w.Self.ToldAt.Add(p.StopGracePeriod - p.DrainDelay - p.DrainReserve - exitReserve)
}

// trusts reports whether a successor may be stepped down for. One of handover-lib,
// which may be another service's, is not while an instance of this program is
// heard that may succeed, whatever the list says of that one, nor after the key
// was rotated: there is one then.
func (w *world) trusts(s *successor) bool {
	if !s.Legacy {
		return true
	}
	for i := range w.Peers {
		if p := &w.Peers[i]; !p.Legacy && !p.Told && !p.Ended() && w.live(p) {
			return false
		}
	}
	return !w.Supervisor.Rotated
}

// trustAt is when a successor's acknowledgement is enough although the
// Supervisor does not say that it runs.
func (w *world) trustAt(s *successor) time.Time {
	since := later(w.Self.ToldAt, w.memory.AgainAt) // nobody was asked in between
	if w.Self.Container != "" && (s.Legacy || s.Container != "") {
		since = later(since, w.Supervisor.ReceivedAt)
	}
	third := w.holdEnds().Sub(w.Self.ToldAt) / 3
	return since.Add(min(w.Policy.UnknownAfter, third))
}

// noSuccessor reports whether it is certain enough that nobody takes over.
func (w *world) noSuccessor() bool {
	lost := later(w.Self.ToldAt, w.memory.SuccessorLostAt)
	if !w.Policy.SupervisorOff && !w.Supervisor.RequestedAt.Before(lost) &&
		(w.Self.Container == "" || w.own() != nil) {
		return true
	}
	if !w.Policy.SupervisorOff && (w.Supervisor.Rotated || !w.Supervisor.RequestedAt.Before(lost)) {
		return false // a rotated key is a hand-over; a list without the own container tells nothing
	}
	// Nobody answers: what was not heard by now is not there. After a loss the
	// Supervisor gets a moment to answer.
	until := later(w.Self.ToldAt.Add(w.Policy.Discovery), w.memory.SuccessorLostAt.Add(min(time.Second, w.Policy.Discovery)))
	return w.reached(until)
}

// rememberSuccessors notes when the last successor was lost.
func (w *world) rememberSuccessors(any bool) {
	if w.memory.HadSuccessor && !any {
		w.memory.SuccessorLostAt = w.Now
	}
	w.memory.HadSuccessor = any
}

// successors returns every other instance that may serve: those heard, and
// those that the Supervisor lists.
func (w *world) successors() []successor {
	var all []successor
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Told || p.Ended() || !w.maySucceed(p) {
			continue
		}
		s := successor{candidate: candidate{Peer: p, announced: w.announced(p)}}
		s.acked = p.Legacy || p.Acknowledges(w.Self.Instance)
		s.running, s.reason, s.message = w.running(p)
		all = append(all, s)
	}
	if w.listCounts() {
		all = append(all, w.listedSuccessors(all)...)
	}
	return all
}

// listCounts reports whether the last answer tells about the time since this
// instance was told. One from just before does: the Supervisor that sends the
// signal listed those containers.
func (w *world) listCounts() bool {
	return !w.Policy.SupervisorOff && !w.Supervisor.RequestedAt.IsZero() &&
		!w.Supervisor.RequestedAt.Before(w.Self.ToldAt.Add(-2*w.Policy.PollInterval))
}

// maySucceed reports whether a peer that is neither told nor gone may serve
// after this instance. What a live peer says of itself beats the list.
func (w *world) maySucceed(p *peer.Peer) bool {
	if !w.listCounts() {
		if p.Legacy { // it cannot be asked, and may be anybody's
			return !p.LastHeard.Before(w.Self.ToldAt)
		}
		// Nobody but the peer itself can tell. What it said before the signal
		// counts for as long as it may still answer.
		// A way that vouches for it answers in its place.
		return !p.LastHeard.Before(w.Self.ToldAt) || w.vouched(p) || !w.reached(w.Self.ToldAt.Add(w.Policy.Discovery))
	}
	if p.Legacy {
		return w.match(p, 0) != nil || w.own() == nil && !p.LastHeard.Before(w.Self.ToldAt) && !w.listsOnlyOwn()
	}
	if w.live(p) {
		return !w.absent(p)
	}
	c := w.find(p.Container)
	return c != nil && c.Status.MayServe()
}

// listsOnlyOwn reports whether an answer since the signal tells that no container
// but the own one may serve, although nobody knows which one is the own. One that
// is empty tells nothing.
func (w *world) listsOnlyOwn() bool {
	return w.Self.Container == "" && len(w.Supervisor.Containers) > 0 &&
		!w.Supervisor.RequestedAt.Before(w.Self.ToldAt) && len(w.listedSuccessors(nil)) == 0
}

// listedSuccessors returns the containers that are listed, may serve, and were
// not heard, or not just now.
func (w *world) listedSuccessors(heard []successor) []successor {
	counted := func(id peer.ContainerID) bool {
		for i := range heard {
			if heard[i].Container == id {
				return true
			}
		}
		for i := range w.Peers {
			if p := &w.Peers[i]; p.Container == id && p.Told {
				return true // it was told: none until another process speaks from there
			}
		}
		return false
	}
	ownSeen := w.Self.Container != ""
	var all []successor
	for i := range w.Supervisor.Containers {
		c := &w.Supervisor.Containers[i]
		id := c.Short()
		if id != "" && id == w.Self.Container {
			continue
		}
		if !ownSeen && strings.EqualFold(string(c.Status), "Stopping") && !w.spoke(id) {
			ownSeen = true // the one that is being stopped is this one
		}
		if !c.Status.MayServe() || id != "" && counted(id) {
			continue
		}
		all = append(all, successor{listedOnly: true, candidate: candidate{Peer: &peer.Peer{Container: id}}})
	}
	if !ownSeen {
		all = w.withoutOwn(all)
	}
	return all
}

// withoutOwn takes one running container that no peer announces for the own
// one, whose id is unknown.
func (w *world) withoutOwn(all []successor) []successor {
	for i := range all {
		c := w.find(all[i].Container)
		if c == nil || !c.Status.Running() || w.spoke(all[i].Container) {
			continue
		}
		return append(all[:i:i], all[i+1:]...)
	}
	return all
}

// spoke reports whether any peer was heard from that container.
func (w *world) spoke(id peer.ContainerID) bool {
	for i := range w.Peers {
		if w.Peers[i].Container == id {
			return true
		}
	}
	return false
}

// bestSuccessor returns the successor for which most speaks, or nil.
func bestSuccessor(all []successor) *successor {
	var b *successor
	for i := range all {
		if s := &all[i]; b == nil || b.listedOnly && !s.listedOnly || !s.listedOnly && s.rank() > b.rank() {
			b = s
		}
	}
	return b
}
