package decide

import (
	"github.com/handover-controller/handover/peer"
)

// markerFor says whether the marker is to be written for that peer: only if
// both containers were first started in the present boot, because after a
// reboot no Supervisor waits for it and it would end the next hand-over.
func (w *world) markerFor(p *peer.Peer, drain *Drain) MarkerWish {
	switch {
	case drain.Aside:
		drain.Unmarked = "the workload was never started here"
	case !w.Self.FirstStart.Known():
		drain.Unmarked = "this instance's first start is unknown"
	case w.Self.FirstStart.Boot != w.Self.Boot:
		drain.Unmarked = "this container is from before the last reboot"
	case p.FirstStart.Known() && p.FirstStart.Boot != w.Self.Boot:
		drain.Unmarked = "the younger container is from before the last reboot"
	case !p.FirstStart.Known() && !p.Legacy && w.find(p.Container) == nil:
		drain.Unmarked = "the younger instance's first start is unknown"
	default:
		w.memory.MarkerWritten = true
		return MarkerWrite
	}
	return MarkerKeep
}

// alone asks the Supervisor after a peer was lost, until it answers once, and
// removes a marker that nobody waits for any more.
func (w *world) alone(d *Decision) {
	if w.Policy.SupervisorOff || w.PeerLostAt.IsZero() || !w.PeerLostAt.After(w.memory.AloneChecked) {
		return
	}
	if w.Supervisor.RequestedAt.Before(w.PeerLostAt) {
		d.Poll, d.AskSince = true, later(d.AskSince, w.PeerLostAt)
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
		if p.Ended() || w.relate(p) != Older {
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
