package live

import (
	"strconv"
	"time"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/peer"
)

// judgeHistory says what the instance has seen of hand-overs.
func (f *facts) judgeHistory(r *report, st *controller.Status, m *metrics) {
	if n := int(m.takeovers); n > 0 {
		r.warn(processHandovers, "this instance was not ready when an older one had to end (%s)", strconv.Itoa(n)).because(
			"nobody served in between",
			"see what is said about the grace period below")
	}
	if len(st.Handovers) == 0 {
		r.ok(processHandovers, "this instance has not seen a hand-over yet")
		return
	}
	for i := range st.Handovers {
		h := &st.Handovers[i]
		if h.Ended == nil {
			r.note(processHandovers, "a hand-over between %s is under way since %s", containers(len(h.Lanes)), h.Began.Format(time.RFC3339))
			continue
		}
		r.ok(processHandovers, "the last hand-over that this instance has seen, between %s, began at %s and took %s", containers(len(h.Lanes)), h.Began.Format(time.RFC3339), short(h.Ended.Sub(h.Began)))
	}
}

// seen is a time that something took, and of whom that is known.
type seen struct {
	whose string
	took  time.Duration
	// atLeast: it is not over.
	atLeast bool
}

func (s seen) String() string {
	if s.atLeast {
		return s.whose + " has not been ready for " + short(s.took)
	}
	return short(s.took) + " (" + s.whose + ")"
}

// longestReadiness is the longest time that an instance was seen to take until
// an older one may stop: until it serves, or, with policy.exclusive, is prepared.
func (i *instance) longestReadiness(exclusive bool) (longest seen, known bool) {
	if i.status == nil {
		return seen{}, false
	}
	note := func(s seen) {
		if !known || s.took > longest.took {
			longest, known = s, true
		}
	}
	for _, h := range i.status.Handovers {
		for l := range h.Lanes {
			lane := &h.Lanes[l]
			for s := 0; s+1 < len(lane.Spans); s++ {
				span, next := &lane.Spans[s], &lane.Spans[s+1]
				// A process that was not ready any more says starting, too.
				began := s == 0 || lane.Spans[s-1].To != nil && lane.Spans[s-1].To.Before(span.From)
				if began && span.Phase == peer.PhaseStarting.String() && span.To != nil && span.To.Equal(next.From) && canTakeOver(next.Phase) {
					note(seen{whose: laneName(lane), took: span.To.Sub(span.From)})
				}
			}
		}
	}
	if exclusive { // its start has waited for the resource
		return longest, known
	}
	switch m := &i.metrics; {
	case m.starts == 1:
		note(seen{whose: "this container", took: m.starting})
	case m.starts > 1:
		note(seen{whose: "the average of " + strconv.Itoa(int(m.starts)) + " starts of this container", took: time.Duration(float64(m.starting) / m.starts)})
	}
	wl := &i.status.Workload
	if i.metrics.starts == 0 && wl.Running && !wl.Ready && wl.Started != nil {
		note(seen{whose: "this container", took: i.status.Time.Sub(*wl.Started), atLeast: true})
	}
	return longest, known
}

func canTakeOver(phase string) bool {
	return phase == peer.PhaseServing.String() || phase == peer.PhasePrepared.String() || phase == peer.PhaseHolding.String()
}

// longestDrain is the longest drain that was seen.
func (i *instance) longestDrain() (longest seen, known bool) {
	if i.status == nil {
		return seen{}, false
	}
	for _, h := range i.status.Handovers {
		for l := range h.Lanes {
			lane := &h.Lanes[l]
			for _, span := range lane.Spans {
				if span.Phase != peer.PhaseDraining.String() || span.To == nil {
					continue
				}
				if took := span.To.Sub(span.From); !known || took > longest.took {
					longest, known = seen{whose: laneName(lane), took: took}, true
				}
			}
		}
	}
	return longest, known
}

func laneName(l *controller.Lane) string {
	switch {
	case l.Own:
		return "this container"
	case l.Legacy:
		return "an instance of handover-lib"
	case l.Container == "":
		return "another instance"
	}
	return "container " + l.Container
}
