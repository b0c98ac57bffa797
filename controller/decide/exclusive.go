package decide

import (
	"strings"

	"github.com/handover-controller/handover/peer"
)

// prepare holds back the start of an exclusive workload until the resource is
// free. Meanwhile the instance says that it is able to serve, so that an older
// one steps down for it.
func (w *world) prepare(d *Decision) {
	if !w.Preflight {
		d.Workload, d.Phase, d.Preflight = WorkloadWait, peer.PhaseStarting, true
		d.Reason, d.Message = ReasonPreflight, "the preflight command must succeed before this instance can take over"
		return
	}
	d.Phase, d.Own = peer.PhasePrepared, true
	if why := w.occupied(); why != "" {
		d.Workload, d.Ask = WorkloadWait, true
		w.watchResource(d)
		d.Reason, d.Message = ReasonOccupied, "prepared; the workload is started as soon as the resource is free: "+why
	}
}

// watchResource asks the Supervisor again and again where only its list can tell
// that the resource is free.
func (w *world) watchResource(d *Decision) {
	if (!w.Owner.Lockable || w.Owner.Held) && !w.Policy.SupervisorOff {
		d.Poll, d.AskSince = true, later(d.AskSince, w.PeerLostAt)
	}
}

// occupied says why an exclusive workload must not be started now; it is empty
// if the resource is free.
func (w *world) occupied() string {
	if w.Owner.Lockable {
		return w.locked()
	}
	return w.claimed()
}

// locked is occupied where a lock tells. That this instance has it is not all:
// somebody may not know of it, or may have died so recently that the workload
// is still dying.
func (w *world) locked() string {
	if !w.Owner.Held {
		return "another instance has the right to it"
	}
	if !w.reached(w.Self.ListeningSince.Add(listenFor)) {
		return "it is listened for instances without the right first"
	}
	for i := range w.Peers {
		switch p := &w.Peers[i]; {
		case p.Gone || p.Phase == peer.PhaseReleased || w.stranger(p):
		case p.Dead || !w.live(p):
			if !w.reached(w.Owner.Since.Add(dyingFor)) {
				return "an instance that had it has just died"
			}
		case runs(p) && p.Phase != peer.PhaseStarting && !w.absent(p):
			return "another instance, without the right to it, is " + p.Phase.String()
		}
	}
	return ""
}

// claimed is occupied where there is no lock, from what is heard and listed.
// Silence frees nothing.
func (w *world) claimed() string {
	if !w.reached(w.Self.ListeningSince.Add(listenForOwner)) {
		return "it is listened for other instances first"
	}
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Ended() || w.absent(p) || w.stranger(p) {
			continue
		}
		age := w.relate(p)
		if runs(p) || age == AgeUnknown || age == Younger && p.Phase == peer.PhasePrepared {
			return "another instance said that it is " + p.Phase.String()
		}
	}
	if w.Policy.SupervisorOff {
		if d := w.memory.Drain; d != nil && !w.remembers(d.For) {
			return "the instance that took it over fell silent, and without the Supervisor nobody can tell whether it has ended"
		}
		return ""
	}
	if w.Supervisor.RequestedAt.Before(w.Self.ListeningSince) {
		if !w.reached(w.Self.ListeningSince.Add(w.Policy.Discovery)) {
			return "the Supervisor has not answered yet"
		}
		return ""
	}
	own := w.own()
	for i := range w.Supervisor.Containers {
		c := &w.Supervisor.Containers[i]
		if c == own || w.spoke(c.Short()) {
			continue
		}
		if w.memory.Drain == nil && own != nil && c.CreatedAt.After(own.CreatedAt) {
			continue // the younger ones wait for this one
		}
		if own == nil && len(w.Supervisor.Containers) == 1 {
			continue // it is this one
		}
		if c.Status.MayServe() || strings.EqualFold(string(c.Status), "Stopping") {
			return "container " + string(c.Short()) + ", which is not heard, may have it"
		}
	}
	return ""
}

// stranger reports whether a handover-lib peer is taken for another service's: no
// container is listed that may be its. Where nobody can tell, one is not, but it
// must not keep an instance for ever that has the right or whose Supervisor does
// not answer.
func (w *world) stranger(p *peer.Peer) bool {
	switch {
	case !p.Legacy:
		return false
	case w.Policy.SupervisorOff:
		return w.Owner.Lockable
	case w.Supervisor.RequestedAt.Before(w.Self.ListeningSince) && !w.reached(w.Self.ListeningSince.Add(w.Policy.Discovery)):
		return false
	}
	for i := range w.Supervisor.Containers {
		c := &w.Supervisor.Containers[i]
		if c.Short() != w.Self.Container && !c.Extended && (c.Status.MayServe() || strings.EqualFold(string(c.Status), "Stopping")) {
			return w.Self.Container == "" && len(w.Supervisor.Containers) == 1 // it is this instance's
		}
	}
	return true
}

// runs reports whether the peer said last that it runs a workload, or may.
func runs(p *peer.Peer) bool {
	switch p.Phase {
	case peer.PhaseStarting, peer.PhaseServing, peer.PhaseHolding, peer.PhaseDraining:
		return true
	}
	return false
}

// remembers reports whether the instance is known still, alive or not.
func (w *world) remembers(id peer.InstanceID) bool {
	for i := range w.Peers {
		if w.Peers[i].Instance == id {
			return true
		}
	}
	return false
}
