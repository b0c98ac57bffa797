package decide

import (
	"time"

	"github.com/handover-controller/handover/peer"
)

// world is one look at a snapshot. Every question that it answers and whose
// answer depends on the time notes when that answer changes next, so that no
// decision can forget to be made again.
type world struct {
	*Snapshot
	memory Memory          // what the next decision will be told
	wake   time.Time       // the earliest such moment; zero: none
	about  peer.InstanceID // whom the conditions are about; zero: nobody
}

// at notes that something changes at t.
func (w *world) at(t time.Time) {
	if t.After(w.Now) && (w.wake.IsZero() || t.Before(w.wake)) {
		w.wake = t
	}
}

// reached reports whether t has come.
func (w *world) reached(t time.Time) bool {
	w.at(t)
	return !w.Now.Before(t)
}

// within reports whether less than d has passed since t.
func (w *world) within(t time.Time, d time.Duration) bool {
	return !t.IsZero() && !w.reached(t.Add(d))
}

// silence is when a silence since a time has lasted for so long. If this process
// did not run for a while, what was measured meanwhile counts for nothing: it is
// measured anew, briefly.
func (w *world) silence(since time.Time, limit time.Duration) time.Time {
	over := since.Add(limit)
	if s := w.Stall; !s.To.IsZero() && over.After(s.From) {
		over = later(over, s.To.Add(min(limit, remeasure)))
	}
	return over
}

// fresh reports whether the last usable answer still tells about the present: it
// was asked for at most two poll intervals ago, or the next one, which is asked
// for a poll interval after it came, may take twice as long as it did.
func (w *world) fresh() bool {
	s := &w.Supervisor
	took := min(max(0, s.ReceivedAt.Sub(s.RequestedAt)), tookAtMost)
	return !s.RequestedAt.IsZero() && !w.reached(later(
		s.RequestedAt.Add(2*w.Policy.PollInterval),
		s.ReceivedAt.Add(w.Policy.PollInterval+2*took)))
}

// find returns the listed container of that id.
func (w *world) find(id peer.ContainerID) *Listed { return w.Supervisor.Find(id) }

// own returns this instance's container as it is listed, or nil.
func (w *world) own() *Listed { return w.find(w.Self.Container) }

// listedAlone reports whether the last answer lists this instance's container and no
// other one of the service.
func (w *world) listedAlone() bool {
	return len(w.Supervisor.Containers) == 1 && w.own() != nil
}

// announcing reports whether the peer said last that it serves, or that it is
// able to as soon as the resource is free.
func announcing(p *peer.Peer) bool {
	return !p.Told && !p.Ended() && (p.Phase == peer.PhaseServing || p.Phase == peer.PhasePrepared)
}

// announced reports whether the peer says, now, that it serves. That it said
// so once and is not forgotten yet is not enough: a crash loop lives in such
// gaps.
func (w *world) announced(p *peer.Peer) bool {
	return announcing(p) && w.heard(p, announcedWithin)
}

// live reports whether the peer was heard so recently that it speaks for itself,
// or a way knows that its process lives.
func (w *world) live(p *peer.Peer) bool {
	if p.Legacy {
		return w.heard(p, liveWithin)
	}
	return w.vouched(p) || !p.LastHeard.IsZero() && !w.reached(w.silence(p.LastHeard, liveWithin))
}

// uneasy reports whether the peer, which is asked all the time, was not heard for
// too long to be relied upon. One of handover-lib cannot be asked.
func (w *world) uneasy(p *peer.Peer) bool {
	if p.Legacy {
		return !w.heard(p, liveWithin)
	}
	return p.LastHeard.IsZero() || w.reached(w.silence(p.LastHeard, uneasyAfter))
}

// heard reports whether the peer was heard within that time. A handover-lib
// peer gets longer.
func (w *world) heard(p *peer.Peer, within time.Duration) bool {
	if p.Legacy {
		within = legacyAnnouncedWithin
	}
	return w.within(p.LastHeard, within)
}

// vouched reports whether a way knows, without asking, that the peer's process
// lives. Whether it still serves only its answer tells: it may be frozen.
func (w *world) vouched(p *peer.Peer) bool {
	return !p.FreshUntil.IsZero() && !w.reached(p.FreshUntil)
}

// absent reports whether the peer's container is missing from a fresh answer
// and nothing was heard from it since that answer was requested. A peer that
// speaks after it disproves the list, whatever the list says. A list without this
// instance's container tells nothing.
func (w *world) absent(p *peer.Peer) bool {
	return p.Container != "" && w.fresh() && w.find(p.Container) == nil && (w.Self.Container == "" || w.own() != nil) &&
		p.LastHeard.Before(w.Supervisor.RequestedAt) && !w.vouched(p)
}

// endedUntold reports whether the container has run and ended, and nothing tells
// that it was told to stop.
func (w *world) endedUntold(c *Listed) bool {
	return c.Status.Ended() && !c.Stopped && !c.Unnamed && !w.wasTold(c.Short())
}

// wasTold reports whether a process in that container has said that it was told.
func (w *world) wasTold(id peer.ContainerID) bool {
	for i := range w.Peers {
		if p := &w.Peers[i]; p.Told && p.Container == id {
			return true
		}
	}
	return false
}

// running tells what the Supervisor says of that peer's container, and why it
// is not known if it is not.
func (w *world) running(p *peer.Peer) (ConditionStatus, Reason, string) {
	switch {
	case w.Policy.SupervisorOff:
		return True, "SupervisorOff", "supervisor.mode is off: announcements alone decide"
	case !w.fresh():
		switch {
		case w.Supervisor.Rotated:
			return Unknown, "KeyRotated", "the Supervisor refuses the key that it accepted before"
		case w.Supervisor.Failed:
			return Unknown, "NoAnswer", "the Supervisor gave no usable answer"
		case !w.Supervisor.RequestedAt.IsZero():
			return Unknown, "Outdated", "the Supervisor's last answer is too old to tell"
		default:
			return Unknown, "NotAsked", "the Supervisor has not answered yet"
		}
	case w.Self.Container == "":
		return Unknown, "OwnContainerUnknown", "this instance's container id is unknown: set service.container_id"
	case p.Legacy:
		if w.match(p, w.legacyRunningFor()) != nil {
			return True, "Running", "the Supervisor lists a running container that matches the handover-lib peer"
		}
		return Unknown, "NoMatch", "no listed container matches the handover-lib peer (yet)"
	case p.Container == "":
		return Unknown, "ContainerUnknown", "the younger instance does not know its container id"
	}
	c := w.find(p.Container)
	if c == nil {
		return False, "NotListed", "the Supervisor does not list container " + string(p.Container)
	}
	if !c.Status.Running() {
		return False, "NotRunning", "the Supervisor reports container " + string(p.Container) + " as " + string(c.Status)
	}
	return True, "Running", "the Supervisor reports container " + string(p.Container) + " as " + string(c.Status)
}

func (w *world) legacyRunningFor() time.Duration {
	if w.Self.Told() {
		return legacyRunningForTold
	}
	return legacyRunningFor
}

// match finds the container of a handover-lib peer, which has no container id:
// another container of the service, created later than this instance's and not
// after the peer's own start, reported running for at least that long, from
// which this program was never heard.
func (w *world) match(p *peer.Peer, atLeast time.Duration) *Listed {
	own := w.own()
	if own == nil || own.CreatedAt.IsZero() {
		return nil
	}
	for i := range w.Peers {
		// One that does not know its container may be in any of them.
		if o := &w.Peers[i]; !o.Legacy && !o.Ended() && o.Container == "" {
			return nil
		}
	}
	for i := range w.Supervisor.Containers {
		c := &w.Supervisor.Containers[i]
		switch {
		case c == own, c.Extended, c.Unnamed, c.RunningSince.IsZero():
		case !c.CreatedAt.After(own.CreatedAt), c.CreatedAt.UnixMilli() > p.StartMilli:
		case atLeast > 0 && !w.reached(c.RunningSince.Add(atLeast)):
		default:
			return c
		}
	}
	return nil
}
