package decide

import (
	"time"

	"github.com/handover-controller/handover/peer"
)

// released decides for an instance whose workload has ended in order. It stays,
// idle, until it is told, because Docker restarts whoever exits; and it serves
// again if the instance that it stepped down for turns out not to.
func (w *world) released() Decision {
	drain := *w.memory.Drain
	standby := w.standby(&drain)
	if w.Self.Told() && !standby {
		return w.end(&drain)
	}
	all := w.candidates()
	b := best(all)
	switch served := w.served(); {
	case served:
		drain.UnservedSince = time.Time{}
	case drain.UnservedSince.IsZero():
		drain.UnservedSince = w.Now
	}
	lost := !drain.UnservedSince.IsZero() && w.lost(drain.UnservedSince, standby)
	occupied := ""
	if lost {
		if w.Policy.Exclusive {
			if occupied = w.occupied(); !w.Preflight {
				occupied = "the preflight command must succeed first"
			}
		}
		if occupied == "" {
			return w.serveAgain(&drain)
		}
	} else if drain.UnservedSince.IsZero() {
		w.settleOutcome(&drain)
	}
	d := w.base(peer.PhaseReleased, WorkloadStay)
	d.Own = lost
	d.Ask, d.AskEvery = true, askEveryReleased
	d.Reason, d.Message = ReasonReleased, "a younger instance serves; stay until told to stop"
	switch {
	case lost:
		d.Reason, d.Message = ReasonOccupied, "the younger instance does not serve any more; start the workload again as soon as the resource is free: "+occupied
	case drain.Aside:
		d.Reason = ReasonSteppedAside
	case standby:
		d.Reason, d.Message = ReasonStandby, "a younger instance serves; take the service back at once if it does not any more"
	}
	if !drain.Completed && !standby && b != nil && b.both() && b.Phase == peer.PhaseServing {
		drain.Completed = true
		d.Marker = w.markerFor(b.Peer, &drain)
	}
	if !drain.Completed {
		d.AskSince = drain.ReleasedAt
	}
	switch {
	case !drain.Completed || b == nil || !w.heard(b.Peer, uneasyAfter):
		d.AskEvery, d.Poll = askEvery, !w.Policy.SupervisorOff
	case b.Legacy:
		// Only the list tells that it is of this service. Its container may go while
		// another service's handover-lib, which nobody can tell from it, speaks on.
		d.Poll = !w.Policy.SupervisorOff
	}
	if lost {
		w.watchResource(&d)
		switch {
		case !w.Preflight:
			d.Preflight, d.Own = true, false
		case !w.Self.Told():
			d.Phase, d.Acks = peer.PhasePrepared, w.acknowledged()
		}
	}
	w.memory.Drain = &drain
	d.Conditions = w.conditions(b)
	return d
}

// standby reports whether the instance takes the service back at once if the
// one that it stepped down for does not keep it. Under SIGTERM that ends with
// the hold, and when that one is told, too: somebody else follows then, or the
// device stops.
func (w *world) standby(drain *Drain) bool {
	if w.Policy.Standby <= 0 || !drain.HandOver || drain.Aside || w.reached(drain.ReleasedAt.Add(w.Policy.Standby)) {
		return false
	}
	if !w.Self.Told() {
		return true
	}
	for i := range w.Peers {
		if p := &w.Peers[i]; p.Instance == drain.For && p.Told {
			return false
		}
	}
	return !w.Self.Hurry && w.Self.PressedAt.IsZero() && !w.reached(w.holdEnds())
}

// serveAgain starts the workload once more. An instance that is told does so
// only if it would hold.
func (w *world) serveAgain(drain *Drain) Decision {
	w.memory.Drain, w.memory.Settling = nil, nil
	w.memory.Restarts++
	w.memory.AgainAt = w.Now
	var d Decision
	if w.Self.Told() {
		if d = w.told(); d.Phase != peer.PhaseHolding {
			w.memory.Drain = drain
			return w.end(drain)
		}
	} else {
		d = w.serve()
		d.Phase, d.Marker = peer.PhaseStarting, w.markerAtStart()
		if w.Policy.Exclusive {
			d.Phase = peer.PhasePrepared
		}
	}
	w.memory.MarkerWritten = false
	d.Own = w.Policy.Exclusive
	d.Reason, d.Message, d.Warning = ReasonYoungerLost, "the younger instance does not serve any more: start the workload again", true
	return d
}

// end is the last decision of an instance that is told and has nothing to do
// any more.
func (w *world) end(drain *Drain) Decision {
	switch {
	case drain.HandOver && (w.served() || w.anotherHolds()):
		if w.Policy.Exclusive && !w.anotherServes() {
			return w.exit(0, ReasonHandedOver, "the workload has ended and another instance takes over")
		}
		return w.exit(0, ReasonHandedOver, "the workload has ended and another instance serves")
	case drain.HandOver:
		d := w.exit(0, ReasonNobodyFollows, "the workload has ended, and the instance for which it did does not serve any more; why is in the log of its container")
		d.Warning = true
		return d
	}
	return w.exit(w.Workload.ExitCode, drain.Reason, "the workload has ended")
}

// anotherHolds reports whether an instance that is told, too, still serves.
func (w *world) anotherHolds() bool {
	for i := range w.Peers {
		if p := &w.Peers[i]; p.Phase == peer.PhaseHolding && w.live(p) {
			return true
		}
	}
	return false
}

// follows reports whether the peer is one that this instance, which has
// released, relies on: a younger one; under SIGTERM, any. Of a handover-lib peer
// an answer that does not list this instance's container tells nothing.
func (w *world) follows(p *peer.Peer) bool {
	return !p.Told && !p.Ended() && !w.absent(p) && (w.Self.Told() || w.relate(p) == Younger ||
		p.Legacy && p.Instance == w.memory.Drain.For && w.own() == nil)
}

// served reports whether an instance that follows says that it serves, or said
// so recently enough. During the drain nobody was asked: silence counts from its
// end.
func (w *world) served() bool {
	for i := range w.Peers {
		p := &w.Peers[i]
		if !announcing(p) || !w.follows(p) {
			continue
		}
		limit := silentAfter
		if p.Legacy {
			limit = w.Policy.LegacyExpireAfter
		}
		if !w.reached(w.silence(later(p.LastHeard, w.memory.Drain.ReleasedAt), limit)) {
			return true
		}
	}
	return false
}

// lost reports whether no younger instance can be waited for any longer: each
// is told, gone or absent, lives without serving for too long, or is silent. A
// crash loop is one life that does not serve, however often it begins anew. In
// standby, nobody who does not serve is waited for.
func (w *world) lost(unserved time.Time, standby bool) bool {
	for i := range w.Peers {
		p := &w.Peers[i]
		if standby || announcing(p) || !w.follows(p) {
			continue
		}
		if !w.reached(w.silence(earlier(p.PhaseSince, unserved), w.Policy.NotReadyAfter)) {
			return false
		}
	}
	return true
}

// settleOutcome forgets earlier failures once the younger instance has served
// for as long as it was mistrusted.
func (w *world) settleOutcome(drain *Drain) {
	if w.memory.Restarts > 0 && drain.Completed && w.reached(drain.ReleasedAt.Add(w.settle())) {
		w.memory.Restarts = 0
	}
}

// outcome says how a hand-over ended.
func (w *world) outcome(d *Drain) string {
	switch {
	case d.Unmarked != "":
		return "the hand-over is over; no marker was written, because " + d.Unmarked
	case w.MarkerFailed:
		return "the hand-over is over; the marker could not be written"
	}
	return "the hand-over is over; the marker tells the Supervisor"
}
