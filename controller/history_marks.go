package controller

import (
	"slices"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
)

// mark adds a mark. If there are too many, the first of those goes that can be
// caused again and again.
func (h *history) mark(m Mark) {
	h.changed = true
	if len(h.current.Marks) == marksAtMost {
		i := slices.IndexFunc(h.current.Marks, func(m Mark) bool {
			return m.Lane > 0 || m.Kind == MarkAnnounced || m.Kind == MarkRunning || m.Kind == MarkDeferred
		})
		i = max(0, i)
		h.current.Marks = slices.Delete(h.current.Marks, i, i+1)
	}
	h.current.Marks = append(h.current.Marks, m)
}

// plan marks a moment that is to come, in place of the one that was planned
// before. The zero time only takes that away.
func (h *history) plan(now time.Time, kind MarkKind, at time.Time, text string) {
	for i := range h.current.Marks {
		m := &h.current.Marks[i]
		if m.Kind != kind || !m.Time.After(now) {
			continue
		}
		if m.Time.Equal(at) {
			return
		}
		h.current.Marks = slices.Delete(h.current.Marks, i, i+1)
		h.changed = true
		break
	}
	if at.After(now) {
		h.mark(Mark{Time: at, Kind: kind, Text: text})
	}
}

// observeSignals marks the two signals until a drain begins: it needs both, and
// what comes after it shows in the bars.
func (h *history) observeSignals(s *decide.Snapshot, d *decide.Decision) {
	drains := s.Memory.Drain != nil
	for i := range d.Conditions {
		c := &d.Conditions[i]
		was, kind := &h.announced, MarkAnnounced
		switch c.Type {
		case decide.YoungerAnnounced:
		case decide.YoungerRunning:
			was, kind = &h.running, MarkRunning
		default:
			continue
		}
		if now := c.Status == decide.True; now != *was {
			*was = now
			if !drains {
				h.mark(Mark{Time: s.Now, Kind: kind, Text: c.Message, Lost: !now})
			}
		}
	}
}

// observeSteps marks what happens to this instance and what it does.
func (h *history) observeSteps(s *decide.Snapshot, d *decide.Decision, unwritable bool) {
	if s.Self.Told() && !h.told {
		h.told = true
		h.mark(Mark{Time: s.Self.ToldAt, Kind: MarkTold, Text: "this instance is told to stop"})
	}
	h.plan(s.Now, MarkHoldEnds, d.HoldEnds, "the hold must end: then it drains, whoever follows")
	h.plan(s.Now, MarkDeferred, deferredUntil(s), "no drain before this: the workload has asked for time")
	drain := d.Memory.Drain
	if d.Phase == peer.PhaseDraining && !d.SignalAt.IsZero() && !h.stopped {
		h.mark(Mark{Time: d.SignalAt, Kind: MarkStopSignal, Text: "the workload is told to finish"})
	}
	h.stopped = drain != nil
	released := drain != nil && !drain.ReleasedAt.IsZero()
	if released && !h.released && !drain.Aside {
		h.mark(Mark{Time: drain.ReleasedAt, Kind: MarkReleased, Text: "the workload has ended, everything is free"})
	}
	h.released = released
	marked := d.Memory.MarkerWritten && !unwritable
	if marked && !h.marked {
		h.mark(Mark{Time: s.Now, Kind: MarkMarker, Text: "the file handover-complete tells the Supervisor"})
	}
	h.marked = marked
}
