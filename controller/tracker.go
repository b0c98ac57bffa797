package controller

import (
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// tracker keeps what a single answer or a single look at the peers cannot
// tell: since when a container is reported running, from which containers this
// program was ever heard, and when a peer was lost.
type tracker struct {
	app, service string
	runningSince map[string]time.Time
	stopped      map[string]struct{} // being stopped, and not reported running since
	extended     map[peer.ContainerID]struct{}
	alive        map[peer.InstanceID]struct{}
	lostAt       time.Time
}

// extendedAtMost bounds the memory of containers heard; a device has few, and
// who can forge them can do so without end.
const extendedAtMost = 256

func newTracker(app, service string) *tracker {
	return &tracker{
		app: app, service: service,
		runningSince: map[string]time.Time{},
		extended:     map[peer.ContainerID]struct{}{},
		alive:        map[peer.InstanceID]struct{}{},
	}
}

// peers notes who is there and returns when somebody was last lost.
func (t *tracker) peers(now time.Time, all []peer.Peer) time.Time {
	alive := make(map[peer.InstanceID]struct{}, len(all))
	for i := range all {
		p := &all[i]
		if !p.Ended() {
			alive[p.Instance] = struct{}{}
		}
		if p.Container != "" && !p.Legacy && len(t.extended) < extendedAtMost {
			t.extended[p.Container] = struct{}{}
		}
	}
	for id := range t.alive {
		if _, still := alive[id]; !still {
			t.lostAt = now
		}
	}
	t.alive = alive
	return t.lostAt
}

// listed reduces an answer to the containers of this service.
func (t *tracker) listed(v *supervisor.View) []decide.Listed {
	var all []decide.Listed
	running, stopped := map[string]time.Time{}, map[string]struct{}{}
	for _, c := range v.Of(t.app, t.service) {
		l := decide.Listed{Container: c, Unnamed: c.AppID == "" || c.Service == ""}
		if c.Status.Running() {
			l.RunningSince = v.RequestedAt
			if since, ok := t.runningSince[c.ID]; ok {
				l.RunningSince = since
			}
			running[c.ID] = l.RunningSince
		} else if _, before := t.stopped[c.ID]; before || c.Status.Stopping() {
			l.Stopped = true
			stopped[c.ID] = struct{}{}
		}
		all = append(all, l)
	}
	t.runningSince, t.stopped = running, stopped
	return all
}

// mark completes listed containers with what was heard by now.
func (t *tracker) mark(all []decide.Listed) []decide.Listed {
	marked := make([]decide.Listed, len(all))
	copy(marked, all)
	for i := range marked {
		_, marked[i].Extended = t.extended[marked[i].Short()]
	}
	return marked
}
