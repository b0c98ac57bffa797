// Package decide says what an instance should do, from what it knows.
//
// It guarantees that it is pure: it does no input or output, starts nothing, reads
// no clock and keeps nothing. The same Snapshot always gives the same Decision.
// What it guarantees of hand-overs stands at Decide; what it does not know is
// whether peers and Supervisor tell the truth.
package decide

import (
	"strings"
	"time"

	"github.com/handover-controller/handover/peer"
)

// Decide says what should be, from a snapshot alone. It does no input or
// output, reads no clock and keeps nothing: the same snapshot always gives the
// same decision. What it wants to remember is in Decision.Memory; when it
// wants to be asked again although nothing happened, in RequeueAfter.
//
// It guarantees, for instances that see the same world: never do two of them
// step down for each other; none that has not been told to stop steps down
// without both signals (announced, and reported running) of a younger
// instance, unless the Supervisor is switched off by configuration.
//
// It does not know whether what peers and Supervisor say is true: a peer that
// announces itself ready and is not ends its predecessor.
func Decide(s Snapshot) Decision {
	w := &world{Snapshot: &s, memory: s.Memory}
	d := w.decide()
	d.Memory, d.Focus, d.Settle = w.memory, w.about, w.settle()
	if !w.wake.IsZero() && !d.Exit {
		d.RequeueAfter = w.wake.Sub(s.Now)
	}
	return d
}

func (w *world) decide() Decision {
	if w.memory.Drain != nil && w.memory.Drain.ReleasedAt.IsZero() {
		if !w.Workload.Ended {
			return w.draining()
		}
		drain := *w.memory.Drain
		drain.ReleasedAt = w.Now
		w.memory.Drain = &drain
	}
	if !w.Workload.Ended {
		w.memory.EndedAt = time.Time{}
	}
	switch {
	case w.memory.Drain != nil:
		return w.released()
	case w.Workload.Ended:
		return w.ended()
	case w.Self.Told():
		return w.told()
	case !w.Workload.Started:
		return w.start()
	}
	return w.serve()
}

// stepAside is a release without a workload: a younger instance serves already.
func (w *world) stepAside(b *candidate) Decision {
	w.memory.Drain = &Drain{Since: w.Now, ReleasedAt: w.Now, Reason: ReasonSteppedAside, For: b.Instance, HandOver: true, Aside: true}
	return w.released()
}

// drain begins to end the workload.
func (w *world) drain(d Drain) Decision {
	d.Since = w.Now
	d.Delayed = w.Policy.DrainDelay > 0 && !w.Policy.Exclusive && (d.HandOver || w.anotherServes())
	w.memory.Drain = &d
	return w.draining()
}

// anotherServes reports whether any other instance says now that it serves.
func (w *world) anotherServes() bool {
	for i := range w.Peers {
		if p := &w.Peers[i]; p.Phase == peer.PhaseServing && w.announced(p) {
			return true
		}
	}
	return false
}

// draining goes on with a drain that has begun. Until its first step it is taken
// back if nobody serves any more; after that nothing takes it back. Being told
// meanwhile only limits its time.
func (w *world) draining() Decision {
	drain := w.memory.Drain
	signalAt := w.signalAt(drain)
	waits := !w.Workload.Stopping && !w.reached(signalAt)
	if waits && drain.HandOver && drain.Since.Before(w.Now) && !w.stillServed() {
		return w.takeBack()
	}
	d := w.base(peer.PhaseDraining, WorkloadDrain)
	d.SignalAt = signalAt
	if w.Self.Told() {
		d.KillAt = w.killAt()
	}
	if waits && drain.HandOver {
		d.Ask, d.Poll = true, !w.Policy.SupervisorOff
	}
	d.Reason = drain.Reason
	d.Message, d.Warning = drain.why()
	d.Conditions = w.conditions(w.focus())
	return d
}

// signalAt is when the drain's first step is due.
func (w *world) signalAt(drain *Drain) time.Time {
	if !drain.Delayed {
		return drain.Since
	}
	at := drain.Since.Add(w.Policy.DrainDelay)
	if s := w.Stall; !w.Workload.Stopping && s.To.After(drain.Since) && at.After(s.From) {
		at = s.To.Add(w.Policy.DrainDelay) // nobody who asked was answered meanwhile
	}
	if w.Self.Told() {
		at = later(drain.Since, earlier(at, w.holdEnds()))
	}
	return at
}

// stillServed reports whether an instance still says that it serves for which
// this one could drain: nothing speaks against it. It is asked all the time, so
// what counts is what was heard. That its process lives does not: it may be frozen.
func (w *world) stillServed() bool {
	serves := func(c *candidate) bool {
		return announcing(c.Peer) && !w.uneasy(c.Peer) && c.running != False
	}
	if w.Self.Told() {
		all := w.successors()
		for i := range all {
			if s := &all[i]; !s.listedOnly && serves(&s.candidate) {
				return true
			}
		}
		return false
	}
	all := w.candidates()
	for i := range all {
		if serves(&all[i]) {
			return true
		}
	}
	return false
}

// takeBack ends a drain of which nothing has been done yet. Whoever had to be
// mistrusted once must serve for longer the next time.
func (w *world) takeBack() Decision {
	told := w.Self.Told()
	w.memory.Drain, w.memory.Settling = nil, nil
	var d Decision
	if told {
		d = w.told()
	} else {
		w.memory.Restarts++
		d = w.serve()
	}
	if d.Workload == WorkloadRun {
		d.Reason, d.Warning = ReasonYoungerLost, true
		d.Message = "the other instance does not serve any more: this one serves on, since its workload was not sent the stop signal yet"
	}
	return d
}

// why says in words why the workload is drained, and whether that asks for
// attention.
func (d *Drain) why() (message string, warning bool) {
	switch d.Reason {
	case ReasonBothSignals:
		return "a younger instance serves and runs: the workload finishes its work", false
	case ReasonSuccessorServes:
		return "told to stop, and the successor serves, runs and acknowledges: the workload finishes its work", false
	case ReasonSuccessorTrusted:
		return "told to stop, and the successor serves and acknowledges, but the Supervisor does not say that it runs: the workload finishes its work", true
	case ReasonNoSuccessor:
		return "told to stop, and there is no successor: the workload finishes its work", false
	case ReasonHoldEnded:
		return d.Unmet.text(d.Shortened), true
	case ReasonHurried:
		return "told to stop again: the workload finishes its work without waiting for a successor", true
	}
	return "the workload finishes its work", false
}

// focus is the peer that the two signals are about.
func (w *world) focus() *candidate {
	if !w.Self.Told() {
		return best(w.candidates())
	}
	if s := bestSuccessor(w.successors()); s != nil && !s.listedOnly {
		return &s.candidate
	}
	return nil
}

// KilledAt is when an instance that is told must expect SIGKILL. A repeat never
// moves it to later; whoever repeats it may have another time-out, which cannot be
// seen.
func (s *Snapshot) KilledAt() time.Time {
	at := s.Self.ToldAt.Add(s.Policy.StopGracePeriod)
	if !s.Self.PressedAt.IsZero() {
		at = earlier(at, s.Self.PressedAt.Add(pressedGrace))
	}
	return at
}

// shortened reports whether a second SIGTERM has brought SIGKILL forward.
func (w *world) shortened() bool {
	return w.KilledAt().Before(w.Self.ToldAt.Add(w.Policy.StopGracePeriod))
}

// killAt is when the workload must be gone after SIGTERM.
func (w *world) killAt() time.Time { return w.KilledAt().Add(-ExitReserve) }

// exit ends the process.
func (w *world) exit(code int, why Reason, message string) Decision {
	d := w.base(peer.PhaseGone, WorkloadStay)
	d.Exit, d.ExitCode, d.Reason, d.Message = true, code, why, message
	if w.memory.MarkerWritten && w.Self.Told() {
		d.Marker = MarkerRemove
		w.memory.MarkerWritten = false
	}
	d.Conditions = w.conditions(nil)
	return d
}

// base is a decision with what all have in common.
func (w *world) base(phase peer.Phase, wish WorkloadWish) Decision {
	return Decision{
		Phase: phase, Workload: wish, Eager: w.Self.Told() || w.olderWaits(),
		Own: w.Policy.Exclusive && w.Workload.Started && !w.Workload.Ended,
	}
}

// olderWaits reports whether an older instance may wait for this one: it has
// not begun to drain, or was not heard yet, but is listed. Whether it was heard
// just now does not matter: where datagrams get lost, it is heard seldom, and
// needs to hear all the more.
func (w *world) olderWaits() bool {
	for i := range w.Peers {
		p := &w.Peers[i]
		if !p.Ended() && p.Phase < peer.PhaseDraining && w.relate(p) == Older {
			return true
		}
	}
	own := w.own()
	for i := range w.Supervisor.Containers {
		c := &w.Supervisor.Containers[i]
		if own == nil || !c.CreatedAt.Before(own.CreatedAt) || w.spoke(c.Short()) {
			continue
		}
		if c.Status.MayServe() || strings.EqualFold(string(c.Status), "Stopping") {
			return true
		}
	}
	return false
}

// acknowledged returns the holding instances to which this one, which intends
// to serve, says so. Only then may they drain for it.
func (w *world) acknowledged() []peer.InstanceID {
	var acks []peer.InstanceID
	for i := range w.Peers {
		if p := &w.Peers[i]; !p.Ended() && p.Phase == peer.PhaseHolding && w.live(p) {
			acks = append(acks, p.Instance)
		}
	}
	return acks
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
