package controller

import (
	"sync"
	"time"
)

// orders are the signals that tell this instance to stop. Any goroutine may add
// one; the loop takes them in.
type orders struct {
	mu      sync.Mutex
	waiting []order
	first   time.Time // zero: not told
}

// order is one signal.
type order struct {
	at        time.Time
	interrupt bool
}

// ordersAtMost bounds how many signals wait for the loop. What more of them say
// is said already.
const ordersAtMost = 16

func (o *orders) add(at time.Time, interrupt bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first.IsZero() {
		o.first = at
	}
	if len(o.waiting) < ordersAtMost {
		o.waiting = append(o.waiting, order{at, interrupt})
	}
}

// take returns the signals that came since it was called last.
func (o *orders) take() []order {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.waiting
	o.waiting = nil
	return all
}

// told is when the first one came; zero: none did.
func (o *orders) told() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first
}

// obeyed is what the signals so far mean.
type obeyed struct {
	toldAt, pressedAt time.Time
	hurry             bool
	last              time.Time // the last SIGTERM
	presses           int       // how many did not come from a Supervisor that was restarted
}

// obey takes in one signal. away is when the Supervisor was last away: a
// Supervisor that is restarted in the middle of a hand-over sends SIGTERM to the
// old container once more (seen with 14.13.9 and 19.0.5), while the deadline of
// SIGKILL stays the first one. Whoever else sends it again is in a hurry, and may
// have a shorter time-out, which cannot be seen. An interrupt, or a third signal,
// leaves no doubt.
func (b *obeyed) obey(o order, away absence) {
	switch {
	case b.toldAt.IsZero():
		b.toldAt, b.presses = o.at, 1
	case o.interrupt:
		b.hurry = true
	case b.presses == 1 && b.last.Equal(b.toldAt) && away.until.After(b.toldAt), away.since.After(b.last):
		// A repeat: nothing changes.
	default:
		if b.presses++; b.presses > 2 {
			b.hurry = true
		} else {
			b.pressedAt = o.at
		}
	}
	b.last = o.at
}
