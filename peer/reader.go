package peer

import (
	"errors"
	"math"
	"net"
	"time"
)

const (
	// A reader takes at most paceCount datagrams in paceWindow; what comes
	// faster waits in the socket and is dropped by the kernel there. A flood
	// then costs a bounded part of one processor. Real traffic is some dozens
	// of datagrams per second.
	paceCount  = 200
	paceWindow = 100 * time.Millisecond

	// After an error a reader waits, longer after each one.
	minBackoff = 10 * time.Millisecond
	maxBackoff = time.Second
)

// reader takes datagrams from one way and hands to the node those that are
// worth it: foreign and malformed ones do not wake it.
type reader struct {
	node *Node
	way  int
	from Way
	keys *Keyring // its own: a Keyring is not for several goroutines

	pacer     pacer
	lastError string
	backoff   time.Duration
}

func newReader(n *Node, way int, from Way) *reader {
	keys, _ := NewKeyring(n.cfg.Secrets...) // Start has checked them
	return &reader{node: n, way: way, from: from, keys: keys}
}

// run reads until the node ends.
func (r *reader) run() {
	buf := make([]byte, MaxDatagram+1)
	for {
		received, err := r.from.Receive(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if !r.failed(err) {
				return
			}
			continue
		}
		r.lastError, r.backoff = "", 0
		if received.Time.IsZero() {
			received.Time = time.Now()
		}
		if !r.handle(received, buf) || !r.pace(time.Now()) {
			return
		}
	}
}

// handle examines what was received. It returns false if the node ends.
func (r *reader) handle(received Received, buf []byte) bool {
	h := heard{way: r.way, received: received}
	if received.Event == EventDatagram {
		r.node.counters.ways[r.way].received.Add(1)
		if reason := r.examine(&h, buf); reason != NotDropped {
			r.node.counters.drop(r.way, reason)
			if reason == DropStale {
				r.noteAhead(&h)
			}
			return true
		}
	}
	select {
	case r.node.heard <- h:
		return true
	case <-r.node.quit:
		return false
	}
}

// examine reads a datagram, and judges all that can be judged without the table.
func (r *reader) examine(h *heard, buf []byte) DropReason {
	a, cfg := &h.announcement, &r.node.cfg
	datagram := buf[:min(max(h.received.N, 0), len(buf))]
	reason := h.received.Drop
	switch reason {
	case NotDropped:
		reason = a.decode(datagram, cfg.Domain, r.keys)
	case DropUnsigned, DropSignature: // the way has found that out by itself
		if a.decode(datagram, cfg.Domain, nil) != NotDropped {
			return reason
		}
	}
	switch {
	case reason == DropUnsigned, reason == DropSignature:
		r.refuse(h)
		return reason
	case reason != NotDropped:
		return reason
	case a.Legacy && !cfg.Legacy:
		return DropLegacyOff
	case a.Legacy:
		return NotDropped
	case r.own(a):
		return DropOwn
	}
	return r.backdate(h)
}

// noteAhead logs, once, that somebody of this service has a clock that is ahead.
func (r *reader) noteAhead(h *heard) {
	r.node.ahead.Do(func() {
		r.node.cfg.Logger.Warn("an announcement of this service is from the future, so it is not heard: its sender has another CLOCK_BOOTTIME, in a time namespace, or it is forged; this is not said again",
			"way", r.from.Name(), "from", h.received.From)
	})
}

// own reports whether a datagram with the extension is of this instance, or of
// another process of its container.
func (r *reader) own(a *Announcement) bool {
	self := &r.node.cfg.Self
	return a.Instance == self.Instance || self.Container != "" && a.Container == self.Container.Digits()
}

// refuse notes that somebody of this service is there who cannot be understood.
// Who says that it ends or was told to does not follow, nor does who was recorded
// long ago.
func (r *reader) refuse(h *heard) {
	a := &h.announcement
	if a.Legacy || a.Told || a.Phase == PhaseGone || r.own(a) || r.backdate(h) != NotDropped || h.old {
		return
	}
	if at := h.received.Time; at.After(r.node.Refused()) {
		r.node.refused.Store(&at)
	}
}

// Bounds on the age of a datagram that says when it was sent.
const (
	// staleAfter is the age beyond which it introduces nobody. What a peer says that
	// is known, and has said nothing since, remains true as word from the past.
	staleAfter = 30 * time.Second
	// aheadAtMost is how far in the future one may have been sent: not at all, but
	// clocks are read one after the other.
	aheadAtMost = 10 * time.Millisecond
	// justNow is the age up to which the time of receipt is taken as it is.
	justNow = 5 * time.Millisecond
)

// backdate moves the time of receipt to that of sending: the datagram may have
// waited unread, while this process did not run, or been sent again by somebody
// who recorded it.
func (r *reader) backdate(h *heard) DropReason {
	a := &h.announcement
	if a.Legacy {
		return NotDropped
	}
	uptime := r.node.cfg.Uptime()
	switch age := ageAt(uptime, a); {
	case uptime <= 0:
		return NotDropped
	case ahead(age, a):
		return DropStale
	case !a.Timed, age < justNow:
		return NotDropped
	}
	// Once more, now the other clock first: who is interrupted between the two finds
	// an age that is too great, not one that is too small.
	now := time.Now()
	age := ageAt(r.node.cfg.Uptime(), a)
	if sent := now.Add(-age); sent.Before(h.received.Time) {
		h.received.Time = sent
	}
	h.old = age > r.oldAfter(a)
	return NotDropped
}

// ageAt is the age of a datagram that is timed, at that time on CLOCK_BOOTTIME.
func ageAt(uptime time.Duration, a *Announcement) time.Duration {
	return uptime - time.Duration(min(a.Sequence, math.MaxInt64))
}

// ahead reports whether a datagram of that age is from the future. Without the flag,
// too, sequence numbers begin with that clock.
func ahead(age time.Duration, a *Announcement) bool {
	return age < -aheadAtMost && (a.Timed || a.Sequence >= clocked)
}

// oldAfter is how old a datagram may be to introduce somebody. A folder keeps the
// last word until the next one, so it may be as old as that is fresh.
func (r *reader) oldAfter(a *Announcement) time.Duration {
	if _, keeps := r.from.(Asker); keeps {
		return max(staleAfter, a.ForgetAfter/7*3)
	}
	return staleAfter
}

// pace waits if too much was read of late. It returns false if the node ends.
func (r *reader) pace(now time.Time) bool {
	pause := r.pacer.take(1, now)
	if pause <= 0 {
		return true
	}
	r.node.counters.ways[r.way].throttled.Add(1)
	return r.sleep(pause)
}

// pacer counts what is done in a window of time.
type pacer struct {
	windowStart time.Time
	inWindow    int
}

// take counts n more, and returns how long to wait for the next window if that
// is enough for this one.
func (p *pacer) take(n int, now time.Time) time.Duration {
	if now.Sub(p.windowStart) >= paceWindow {
		p.windowStart, p.inWindow = now, 0
	}
	p.inWindow += n
	if p.inWindow < paceCount {
		return 0
	}
	return paceWindow - now.Sub(p.windowStart)
}

// failed logs an error of the way once, and waits. It returns false if the
// node ends.
func (r *reader) failed(err error) bool {
	if text := err.Error(); text != r.lastError {
		r.lastError = text
		r.node.cfg.Logger.Warn("cannot receive announcements, trying again", "way", r.from.Name(), "error", err)
	}
	r.backoff = min(max(2*r.backoff, minBackoff), maxBackoff)
	return r.sleep(r.backoff)
}

func (r *reader) sleep(d time.Duration) bool { return sleep(d, r.node.quit) }

// sleep waits, and returns false if the channel was closed meanwhile.
func sleep(d time.Duration, quit <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-quit:
		return false
	}
}
