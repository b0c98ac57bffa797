package decide

import (
	"slices"
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
	w.rememberSuccessors(all)
	if d, ok := w.stepDown(all); ok {
		return d
	}
	d := w.base(peer.PhaseHolding, WorkloadRun)
	d.Ask, d.Poll, d.HoldEnds = true, !w.Policy.SupervisorOff, w.holdEnds()
	d.AskSince = later(w.Self.ToldAt, w.memory.SuccessorLostAt)
	d.Reason, d.Message = ReasonSearching, "told to stop: look for a successor"
	switch {
	case len(all) > 0:
		d.Reason, d.Message = ReasonHolding, "told to stop: serve on until the successor is ready"
	case w.successorDied():
		d.Reason, d.Message = ReasonSuccessorLost, "told to stop, and the successor has ended without having been told to: serve on until it is back, or another one is ready"
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
	hurried := w.Self.Hurry || !w.Self.PressedAt.IsZero() && !w.memory.HadSuccessor && !w.successorDied()
	if w.deferred() && !hurried && !w.reached(w.holdEnds()) {
		return Decision{}, false
	}
	unmet := UnmetAnybody
	if w.memory.EverSuccessor {
		unmet = UnmetLost
	}
	for i := range all {
		s := &all[i]
		// A proxy that checks its backends needs time to find the successor, also
		// when the Supervisor is in a hurry. The hold's end leaves no more.
		settled := w.reached(s.PhaseSince.Add(w.Policy.Settle))
		missing, why := w.missing(s)
		if missing == UnmetNothing && !settled {
			missing = UnmetSettle
		}
		if missing == UnmetNothing || missing == UnmetSettle && w.reached(w.holdEnds()) {
			if missing == UnmetSettle {
				why = ReasonHoldEnded
			}
			return w.drain(Drain{Reason: why, For: s.Instance, HandOver: true, Unmet: missing, Shortened: w.shortened()}), true
		}
		if i == 0 || missing < unmet {
			unmet = missing
		}
	}
	switch {
	case hurried:
		return w.drain(Drain{Reason: ReasonHurried}), true
	case len(all) == 0 && w.noSuccessor():
		return w.drain(Drain{Reason: ReasonNoSuccessor}), true
	case w.reached(w.holdEnds()):
		return w.drain(Drain{Reason: ReasonHoldEnded, Unmet: unmet, Shortened: w.shortened()}), true
	}
	return Decision{}, false
}

// missing returns what is missing for this instance to step down for that
// successor, but for policy.settle; if nothing is, why it does.
func (w *world) missing(s *successor) (Unmet, Reason) {
	switch {
	case s.listedOnly || !announcing(s.Peer):
		return UnmetReady, ""
	case !s.announced:
		return UnmetSilent, ""
	case !s.acked || !w.trusts(s):
		return UnmetAcknowledged, ""
	case s.running == True:
		return UnmetNothing, ReasonSuccessorServes
	case s.running == Unknown && w.reached(w.trustAt(s)):
		return UnmetNothing, ReasonSuccessorTrusted
	}
	return UnmetRunning, ""
}

// Unmet is what a successor, that for which most speaks, still lacked when the
// hold ended.
type Unmet uint8

// From what is least to what is most.
const (
	UnmetNothing      Unmet = iota
	UnmetSettle             // policy.settle was not over
	UnmetRunning            // the Supervisor did not report it running
	UnmetAcknowledged       // it has not acknowledged this instance
	UnmetSilent             // it was not heard at last
	UnmetReady              // it was not ready
	UnmetLost               // there was one, and it has ended
	UnmetAnybody            // nobody was known, and nobody said that there is none
)

// text says it in words, and advises for its cause alone. A longer grace period is
// no cure for a hold that a second SIGTERM has shortened.
func (u Unmet) text(shortened bool) string {
	switch {
	case shortened && u == UnmetSettle:
		return "told to stop twice, and the hold is over, which the second signal has shortened: the successor serves, but not yet for policy.settle"
	case shortened && (u == UnmetReady || u == UnmetNothing):
		return "told to stop twice, and the hold is over, which the second signal has shortened: no successor was ready by then"
	}
	switch u {
	case UnmetSettle:
		return "told to stop, and the hold is over: the successor serves, but not yet for policy.settle; raise stop_grace_period in the compose file and service.stop_grace_period alike, or lower policy.settle"
	case UnmetRunning:
		return "told to stop, and the hold is over: the successor says that it serves, but the Supervisor did not report it running"
	case UnmetAcknowledged:
		return "told to stop, and the hold is over: the successor says that it serves, but has not acknowledged this instance; it may not hear it"
	case UnmetSilent:
		return "told to stop, and the hold is over: the successor said that it serves, and is silent now"
	case UnmetLost:
		return "told to stop, and the hold is over: the successor has ended, and no other one came; why is in the log of its container"
	case UnmetAnybody:
		return "told to stop, and the hold is over: no successor was heard or listed, and nobody could say that there is none"
	}
	return "told to stop, and no successor was ready in time: the workload must end before SIGKILL; raise stop_grace_period in the compose file and service.stop_grace_period alike"
}

// HoldAtMost is for how long an instance that is told can serve on: until the
// drain must begin so that it ends in order before SIGKILL. While nobody else
// serves, there is nobody to look away to, so policy.drain_delay is no part of it.
func (p *Policy) HoldAtMost() time.Duration {
	return p.StopGracePeriod - p.DrainReserve - ExitReserve
}

// HoldEnds is when the hold of an instance that is told must end.
func (s *Snapshot) HoldEnds() time.Time {
	w := &world{Snapshot: s}
	return w.holdEnds()
}

// holdEnds is when the hold must end.
func (w *world) holdEnds() time.Time { return w.killAt().Add(-w.Policy.DrainReserve) }

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
	return w.silence(since, min(w.Policy.UnknownAfter, third))
}

// noSuccessor reports whether it is certain enough that nobody takes over.
func (w *world) noSuccessor() bool {
	answered := w.answeredSinceLoss()
	switch {
	case w.successorDied():
		return false // nobody gains by an early end
	case answered && w.listsSelf():
		return true
	case !w.Policy.SupervisorOff && (w.Supervisor.Rotated || answered):
		return false // a rotated key is a hand-over; a list without this container tells nothing
	case !w.RefusedAt.IsZero() && !w.RefusedAt.Before(w.Self.ToldAt):
		return false // somebody of this service is there, who cannot be understood
	case w.aliveSinceLoss():
		return false // the Supervisor is there: its list comes
	}
	// Nobody answers: what was not heard by now is not there. After a loss the
	// Supervisor gets a moment to answer.
	until := w.silence(w.Self.ToldAt, w.Policy.Discovery)
	if lost := w.memory.SuccessorLostAt; !lost.IsZero() {
		until = later(until, w.silence(lost, min(time.Second, w.Policy.Discovery)))
	}
	return w.reached(until)
}

// answeredSinceLoss reports whether the Supervisor has answered a request that
// was sent after the signal, and after the last successor was lost.
func (w *world) answeredSinceLoss() bool {
	lost := later(w.Self.ToldAt, w.memory.SuccessorLostAt)
	return !w.Policy.SupervisorOff && !w.Supervisor.RequestedAt.Before(lost)
}

// aliveSinceLoss reports whether the Supervisor has answered a ping since the
// signal, and since the last successor was lost: it hung for a while, perhaps, and
// the list is still to come.
func (w *world) aliveSinceLoss() bool {
	alive := w.Supervisor.AliveAt
	return !w.Policy.SupervisorOff && !alive.IsZero() && !alive.Before(later(w.Self.ToldAt, w.memory.SuccessorLostAt))
}

// listsSelf reports whether the list has this instance's container or, where its
// id is unknown, one that can be it: one that is stopped or runs, and from which
// nobody else was heard.
func (w *world) listsSelf() bool {
	if w.Self.Container != "" {
		return w.own() != nil
	}
	for i := range w.Supervisor.Containers {
		c := &w.Supervisor.Containers[i]
		if (c.Status.Running() || c.Status.Stopping()) && !w.spoke(c.Short()) {
			return true
		}
	}
	return false
}

// successorDied reports whether there was a successor that has ended without
// having been told to stop: it crashed, or was killed. The engine starts it
// again, or the next release follows, or nobody; in no case does anybody gain
// if this instance, which serves, ends early. The same holds if its container was
// removed without a SIGTERM, by docker rm -f. One that was only ever listed may
// have been stopped in silence before it was removed.
func (w *world) successorDied() bool {
	if !w.memory.EverSuccessor {
		return false
	}
	if w.listCounts() {
		for i := range w.Supervisor.Containers {
			c := &w.Supervisor.Containers[i]
			if w.endedUntold(c) && slices.Contains(w.memory.Successors, c.Short()) {
				return true
			}
		}
	}
	// What was heard since the signal, and has not said that it was told, has not
	// ended on purpose. An answer tells more of a container that it lists.
	answered := w.answeredSinceLoss()
	for i := range w.Peers {
		p := &w.Peers[i]
		if !p.Legacy && !p.Told && !p.LastHeard.Before(w.Self.ToldAt) && (!answered || w.removed(p.Container)) {
			return true
		}
	}
	return false
}

// removed reports whether that container was a successor's and is no longer listed,
// although nobody in it was told.
func (w *world) removed(id peer.ContainerID) bool {
	return slices.Contains(w.memory.Successors, id) && w.listsSelf() && w.find(id) == nil && !w.wasTold(id)
}

// rememberSuccessors notes when the last successor was lost. A list without this
// instance's container, which an answer may be by mistake, loses none.
func (w *world) rememberSuccessors(all []successor) {
	for i := range all {
		id, known := all[i].Container, w.memory.Successors
		if id != "" && len(known) < successorsAtMost && !slices.Contains(known, id) {
			w.memory.Successors = append(slices.Clip(known), id)
		}
	}
	any := len(all) > 0
	if !any && w.listCounts() && !w.listsSelf() {
		return
	}
	if w.memory.HadSuccessor && !any {
		w.memory.SuccessorLostAt = w.Now
	}
	w.memory.HadSuccessor, w.memory.EverSuccessor = any, w.memory.EverSuccessor || any
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
		return !p.LastHeard.Before(w.Self.ToldAt) || w.vouched(p) || !w.reached(w.silence(w.Self.ToldAt, w.Policy.Discovery))
	}
	if p.Legacy {
		return w.match(p, 0) != nil || w.own() == nil && !p.LastHeard.Before(w.Self.ToldAt) && !w.listsOnlyOwn()
	}
	if w.live(p) {
		// The list may be old. It counts only when the peer, which is asked all the
		// time, has said nothing for a while.
		return !w.absent(p) || w.within(p.LastHeard, announcedWithin)
	}
	c := w.find(p.Container)
	return c != nil && c.Status.MayServe()
}

// listsOnlyOwn reports whether an answer since the signal tells that no container
// but this instance's may serve, although nobody knows which one that is. One that
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
		return w.wasTold(id) // none until another process speaks from there
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

// withoutOwn takes one running container that no peer announces for this instance's
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
