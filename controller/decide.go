package controller

import (
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
	d.Memory = w.memory
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
	switch {
	case w.memory.Drain != nil:
		return w.released()
	case w.Workload.Ended:
		return w.exit(w.Workload.ExitCode, ReasonWorkloadEnded, "the workload ended by itself: end with its status")
	case w.Self.Told():
		return w.told()
	case !w.Workload.Started:
		return w.start()
	}
	return w.serve()
}

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
		if p.Told || p.Ended() || w.relate(p) != younger {
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
		return w.drain(Drain{Reason: ReasonBothSignals, For: b.Instance, HandOver: true})
	}
	d := w.base(peer.PhaseStarting, WorkloadRun)
	if w.Workload.Ready {
		d.Phase = peer.PhaseServing
	}
	d.Acks = w.acknowledged()
	w.watch(&d, all)
	d.Reason, d.Message = w.explain(b)
	if d.Phase == peer.PhaseStarting {
		d.Message = "the workload is not ready; " + d.Message
	}
	w.alone(&d)
	d.Conditions = w.conditions(b)
	return d
}

// start decides for an instance that has not started its workload yet. The
// first start of a container waits for nothing. A later one listens for a
// moment: if a younger instance serves already, there is nothing to do.
func (w *world) start() Decision {
	run := func() Decision {
		d := w.serve()
		d.Marker = w.markerAtStart()
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
		heard = heard || !w.Peers[i].Ended() && w.relate(&w.Peers[i]) != older
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

// stepAside is a release without a workload: a younger instance serves already.
func (w *world) stepAside(b *candidate) Decision {
	w.memory.Drain = &Drain{Since: w.Now, ReleasedAt: w.Now, Reason: ReasonSteppedAside, For: b.Instance, HandOver: true, Aside: true}
	return w.released()
}

// drain begins to end the workload.
func (w *world) drain(d Drain) Decision {
	d.Since = w.Now
	w.memory.Drain = &d
	return w.draining()
}

// draining goes on with a drain that has begun. Nothing takes it back; being
// told meanwhile only limits its time.
func (w *world) draining() Decision {
	drain := w.memory.Drain
	d := w.base(peer.PhaseDraining, WorkloadDrain)
	d.SignalAt = drain.Since.Add(w.Policy.DrainDelay)
	if w.Self.Told() {
		d.KillAt = earlier(w.killAt(), d.SignalAt.Add(w.Policy.DrainTimeout))
	}
	d.Reason, d.Message, d.Warning = ReasonDraining, "the workload finishes its work", false
	switch drain.Reason {
	case ReasonBothSignals:
		d.Message = "a younger instance serves and runs: the workload finishes its work"
	case ReasonSuccessorServes:
		d.Message = "told to stop, and the successor serves, runs and acknowledges: the workload finishes its work"
	case ReasonSuccessorTrusted:
		d.Message, d.Warning = "told to stop, and the successor serves and acknowledges, but the Supervisor does not say that it runs: the workload finishes its work", true
	case ReasonNoSuccessor:
		d.Message = "told to stop, and there is no successor: the workload finishes its work"
	case ReasonHoldEnded:
		d.Message, d.Warning = "told to stop, and the successor was not ready in time: the workload must end before SIGKILL; raise stop_grace_period in the compose file and service.stop_grace_period alike", true
	case ReasonHurried:
		d.Message, d.Warning = "told to stop twice: the workload finishes its work without waiting for a successor", true
	}
	if drain.Reason != "" {
		d.Reason = drain.Reason
	}
	d.Conditions = w.conditions(w.focus())
	return d
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

// killAt is when the workload must be gone after SIGTERM.
func (w *world) killAt() time.Time {
	return w.Self.ToldAt.Add(w.Policy.StopGracePeriod - exitReserve)
}

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
	return Decision{Phase: phase, Workload: wish, Eager: w.Self.Told() || w.olderWaits()}
}

// olderWaits reports whether an older peer has not begun to drain.
func (w *world) olderWaits() bool {
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Ended() || p.Phase >= peer.PhaseDraining || !w.live(p) || w.relate(p) != older {
			continue
		}
		return true
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

// watch says what to ask of peers and Supervisor while not told.
func (w *world) watch(d *Decision, all []candidate) {
	if !w.Supervisor.Introduced {
		d.Poll, d.AskSince = true, w.Self.ListeningSince
	}
	for i := range all {
		c := &all[i]
		d.Poll = true
		d.AskSince = later(d.AskSince, c.PhaseSince)
		if announcing(c.Peer) && c.running == True {
			d.Ask = true
		}
	}
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Ended() || p.Told || w.relate(p) != unordered {
			continue
		}
		// Nobody knows who is younger: the list may tell. One answer is enough,
		// unless a container is listed that could yet turn out to be the peer's.
		d.AskSince = later(d.AskSince, p.FirstHeard)
		if p.Legacy && w.listsStranger() {
			d.Poll = true
		}
	}
	d.Poll = d.Poll && !w.Policy.SupervisorOff
}

// listsStranger reports whether the last answer lists a container of the
// service, younger than the own one, from which this program was never heard.
func (w *world) listsStranger() bool {
	own := w.own()
	for i := range w.Supervisor.Containers {
		if c := &w.Supervisor.Containers[i]; own != nil && c != own && !c.Extended && c.CreatedAt.After(own.CreatedAt) {
			return true
		}
	}
	return false
}

// explain says why this instance serves on.
func (w *world) explain(b *candidate) (Reason, string) {
	switch {
	case b == nil:
		return ReasonAlone, "no younger instance is known"
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

// alone asks the Supervisor once after a peer was lost, and removes a marker
// that nobody waits for any more.
func (w *world) alone(d *Decision) {
	if w.Policy.SupervisorOff || w.PeerLostAt.IsZero() || !w.PeerLostAt.After(w.memory.AloneChecked) {
		return
	}
	if w.Supervisor.RequestedAt.Before(w.PeerLostAt) {
		d.AskSince = later(d.AskSince, w.PeerLostAt)
		return
	}
	w.memory.AloneChecked = w.PeerLostAt
	if w.listedAlone() {
		d.Marker = MarkerRemove
		w.memory.MarkerWritten = false
	}
}

// markerAtStart says what becomes of a marker at the start of the workload: it
// is a leftover, unless all older peers have released and may have written it
// for this instance.
func (w *world) markerAtStart() MarkerWish {
	released := false
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Ended() || w.relate(p) != older {
			continue
		}
		if p.Phase != peer.PhaseReleased {
			return MarkerRemove
		}
		released = true
	}
	if released {
		return MarkerKeep
	}
	return MarkerRemove
}

// conditions derives the conditions from the snapshot and the peer that most
// speaks for.
func (w *world) conditions(b *candidate) []Condition {
	drain := w.memory.Drain
	ready := Condition{Type: Ready, Status: truth(w.Workload.Ready), Reason: "ProbeSucceeded", Message: "the workload is ready"}
	switch {
	case w.Workload.Ready:
	case drain != nil && drain.Aside:
		ready.Reason, ready.Message = "NotStarted", "a younger instance serves; the workload was not started"
	case w.Workload.Ended:
		ready.Reason, ready.Message = "Ended", "the workload has ended"
	case !w.Workload.Started:
		ready.Reason, ready.Message = "NotStarted", "the workload has not been started"
	default:
		ready.Reason, ready.Message = "ProbeFailed", "the workload is not ready"
	}
	who := "younger instance"
	if w.Self.Told() {
		who = "successor"
	}
	announced := Condition{Type: YoungerAnnounced, Status: False, Reason: "NoPeer", Message: "no " + who + " is known"}
	running := Condition{Type: YoungerRunning, Status: Unknown, Reason: "NoPeer", Message: "no " + who + " is known"}
	if b != nil {
		running.Status, running.Reason, running.Message = b.running, b.reason, b.message
		announced.Status = truth(b.announced)
		switch {
		case b.announced:
			announced.Reason, announced.Message = "Serving", "the "+who+" says that it serves"
		case announcing(b.Peer):
			announced.Reason, announced.Message = "Silent", "the "+who+" said that it serves, but not just now"
		default:
			announced.Reason, announced.Message = "NotServing", "the "+who+" says that it is "+b.Phase.String()
		}
	}
	drained := Condition{Type: Drained, Status: False, Reason: "Running", Message: "the workload has not been drained"}
	complete := Condition{Type: Complete, Status: False, Reason: "NotReleased", Message: "the workload is still this instance's"}
	switch {
	case drain != nil && drain.ReleasedAt.IsZero():
		drained.Reason, drained.Message = ReasonDraining, "the workload finishes its work"
	case drain != nil:
		drained.Status, drained.Reason, drained.Message = True, ReasonReleased, "the workload has ended, its resources are free"
		complete.Reason, complete.Message = "Checking", "both signals are checked once more"
		if drain.Completed {
			complete.Status, complete.Reason, complete.Message = True, "HandedOver", drain.outcome()
		}
	case !w.Workload.Started:
		drained.Reason, drained.Message = "NotStarted", "the workload has not been started"
	}
	return []Condition{ready, announced, running, drained, complete}
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
