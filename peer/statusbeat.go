package peer

import "time"

const (
	statusUpEvery   = 10 * time.Second
	statusDownEvery = 100 * time.Millisecond
	// statusDownFor is how long a released instance goes on saying DOWN. A
	// proxy has long looked away then, and the instance becomes idle.
	statusDownFor = 10 * time.Second
)

// statusBeat decides when to send handover-lib's status messages: UP while
// serving or holding, DOWN from the start of draining, nothing otherwise.
type statusBeat struct {
	interval time.Duration // of announcements
	phase    Phase
	due      time.Time // zero: nothing to say
	end      time.Time // of saying DOWN; zero: not yet
}

// up and down classify a phase.
func statusUpPhase(p Phase) bool   { return p == PhaseServing || p == PhaseHolding }
func statusDownPhase(p Phase) bool { return p >= PhaseDraining && p <= PhaseGone }

// say takes over a new phase.
func (b *statusBeat) say(phase Phase, now time.Time) {
	if phase == b.phase {
		return
	}
	was := b.phase
	b.phase = phase
	switch {
	case statusUpPhase(phase):
		if !statusUpPhase(was) {
			b.due = now
		}
		b.end = time.Time{}
	case statusDownPhase(phase):
		if !statusDownPhase(was) {
			b.due = now
		}
		b.end = time.Time{}
		if phase == PhaseReleased {
			b.end = now.Add(statusDownFor)
		}
	default:
		b.due, b.end = time.Time{}, time.Time{}
	}
}

// next is when the next message is due; zero if none is.
func (b *statusBeat) next() time.Time { return b.due }

// take reports whether to send a message now, and which. With a regular
// announcement going out, an UP that is not due yet goes along if there would
// be no other occasion before it is due: it needs no wake-up of its own then.
func (b *statusBeat) take(now time.Time, announcing bool) (send, down bool) {
	if b.due.IsZero() {
		return false, false
	}
	along := announcing && statusUpPhase(b.phase) && now.Add(b.interval).After(b.due)
	if now.Before(b.due) && !along {
		return false, false
	}
	if statusUpPhase(b.phase) {
		b.due = now.Add(statusUpEvery)
		return true, false
	}
	b.due = now.Add(statusDownEvery)
	if !b.end.IsZero() && b.due.After(b.end) {
		b.due = time.Time{}
	}
	return true, true
}
