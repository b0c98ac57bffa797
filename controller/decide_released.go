package controller

import (
	"time"

	"github.com/handover-controller/handover/peer"
)

// released decides for an instance whose workload has ended in order. It stays,
// idle, until it is told, because Docker restarts whoever exits; and it serves
// again if the instance that it stepped down for turns out not to.
func (w *world) released() Decision {
	drain := *w.memory.Drain
	if w.Self.Told() {
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
	if drain.UnservedSince.IsZero() {
		w.settleOutcome(&drain)
	} else if w.lost(drain.UnservedSince) {
		w.memory.Drain = nil
		w.memory.Restarts++
		w.memory.Settling, w.memory.MarkerWritten = nil, false
		d := w.serve()
		d.Phase, d.Marker = peer.PhaseStarting, w.markerAtStart()
		d.Reason, d.Message, d.Warning = ReasonYoungerLost, "the younger instance does not serve any more: start the workload again", true
		return d
	}
	d := w.base(peer.PhaseReleased, WorkloadStay)
	d.Ask, d.AskEvery = true, askEveryReleased
	d.Reason, d.Message = ReasonReleased, "a younger instance serves; stay until told to stop"
	if drain.Aside {
		d.Reason = ReasonSteppedAside
	}
	if b == nil || !w.heard(b.Peer, uneasyAfter) {
		d.AskEvery, d.Poll = askEvery, !w.Policy.SupervisorOff
	}
	if !drain.Completed && b != nil && b.both() {
		drain.Completed = true
		d.Marker = w.markerFor(b.Peer, &drain)
	}
	if !drain.Completed {
		d.AskEvery, d.Poll, d.AskSince = askEvery, !w.Policy.SupervisorOff, drain.ReleasedAt
	}
	w.memory.Drain = &drain
	d.Conditions = w.conditions(b)
	return d
}

// end is the last decision of an instance that is told and has nothing to do
// any more.
func (w *world) end(drain *Drain) Decision {
	if drain.HandOver {
		return w.exit(0, ReasonHandedOver, "the workload has ended and another instance serves")
	}
	return w.exit(w.Workload.ExitCode, drain.Reason, "the workload has ended")
}

// served reports whether a younger instance that is not told says that it
// serves, or said so recently enough.
func (w *world) served() bool {
	for i := range w.Peers {
		p := &w.Peers[i]
		if !announcing(p) || w.relate(p) != younger || w.absent(p) {
			continue
		}
		limit := silentAfter
		if p.Legacy {
			limit = w.Policy.LegacyExpireAfter
		}
		if w.vouched(p) || w.within(p.LastHeard, limit) {
			return true
		}
	}
	return false
}

// lost reports whether no younger instance can be waited for any longer: each
// is told, gone or absent, lives without serving for too long, or is silent. A
// crash loop is one life that does not serve, however often it begins anew.
func (w *world) lost(unserved time.Time) bool {
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Told || p.Ended() || w.relate(p) != younger || w.absent(p) {
			continue
		}
		if !announcing(p) && !w.reached(earlier(p.PhaseSince, unserved).Add(w.Policy.NotReadyAfter)) {
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
