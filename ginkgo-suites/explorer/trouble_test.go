package explorer_test

import (
	"slices"
	"time"
)

// trouble is what can be out of order.
type trouble uint8

const (
	troubleNetwork trouble = iota // datagrams are lost or late
	troubleFolder                 // the shared folder is not what it should be
	troubleDeaf                   // the Supervisor gives no usable answer
	troubleLies                   // it says what is not true
	troubleSlow                   // its answers take long
	troubleAway                   // it does not run
	troubleTime                   // somebody asked for time
)

// everybody is the container of a trouble that concerns all.
const everybody = -1

// span is a time in which something was out of order. A zero end is not known
// yet.
type span struct{ from, to time.Time }

func (s *span) end() time.Time {
	if s.to.IsZero() {
		return time.Now()
	}
	return s.to
}

// overlap is how much of a span lies between two times.
func (s *span) overlap(from, to time.Time) time.Duration {
	if s.from.After(from) {
		from = s.from
	}
	if s.end().Before(to) {
		to = s.end()
	}
	return max(0, to.Sub(from))
}

// spell is a span of one kind of trouble, for one container or for everybody.
type spell struct {
	span
	kind trouble
	who  int
	by   time.Duration // of troubleSlow
}

// begin notes that a trouble begins, and returns what ends it.
func (w *world) begin(kind trouble, who int, by dur) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &spell{span: span{from: time.Now()}, kind: kind, who: who, by: time.Duration(by)}
	w.spells = append(w.spells, s)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		s.to = time.Now()
	}
}

// spelled notes a trouble of that length.
func (w *world) spelled(kind trouble, who int, by, long dur) {
	w.later(long, w.begin(kind, who, by))
}

// was reports whether there was such a trouble in that time.
func (w *world) was(kind trouble, who int, from, to time.Time) bool {
	return slices.ContainsFunc(w.spells, func(s *spell) bool {
		return s.kind == kind && (who == everybody || s.who == everybody || s.who == who) &&
			!s.from.After(to) && !s.end().Before(from)
	})
}

// slowest is how much longer an answer took at most in that time.
func (w *world) slowest(from, to time.Time) (most time.Duration) {
	for _, s := range w.spells {
		if s.kind == troubleSlow && !s.from.After(to) && !s.end().Add(s.by).Before(from) {
			most = max(most, s.by)
		}
	}
	return most
}

// calm is the longest part of that time in which none of these troubles
// concerned any of these processes, and all of them ran.
func (w *world) calm(from, to time.Time, kinds []trouble, ps ...*process) (longest time.Duration) {
	var all []span
	for _, s := range w.spells {
		if !slices.Contains(kinds, s.kind) {
			continue
		}
		if s.who == everybody || slices.ContainsFunc(ps, func(p *process) bool { return p.box.n == s.who }) {
			all = append(all, s.span)
		}
	}
	for _, p := range ps {
		all = append(all, p.stalls...)
	}
	slices.SortFunc(all, func(a, b span) int { return a.from.Compare(b.from) })
	for i := range all {
		s := &all[i]
		if !s.from.Before(to) {
			break
		}
		longest = max(longest, s.from.Sub(from))
		if s.end().After(from) {
			from = s.end()
		}
	}
	return max(longest, to.Sub(from))
}

// stalled is for how long a process did not run, or its loop hung, in that time.
func (p *process) stalled(from, to time.Time) (sum time.Duration) {
	for i := range p.stalls { // in the order in which they began
		s := &p.stalls[i]
		sum += s.overlap(from, to)
		if s.end().After(from) {
			from = s.end()
		}
	}
	return sum
}

// awake is for how long it ran in that time.
func (p *process) awake(from, to time.Time) time.Duration {
	return max(0, to.Sub(from)-p.stalled(from, to))
}

// awakeSince is since when it has run without a stall.
func (p *process) awakeSince() time.Time {
	at := p.began
	for i := range p.stalls {
		if p.stalls[i].end().After(at) {
			at = p.stalls[i].end()
		}
	}
	return at
}

// hung is for how long what it knew or said could not change in that time,
// because it did not run: a moment more, until it has looked again.
func (p *process) hung(from, to time.Time) time.Duration {
	d := p.stalled(from, to)
	if d > 0 {
		d += slack
	}
	return d
}

// awakeFrom is since when a process that is stopped has not run.
func (p *process) awakeFrom() time.Time {
	for i := range p.stalls {
		if s := &p.stalls[i]; s.to.IsZero() {
			return s.from
		}
	}
	return time.Now()
}

// looksAgain reports whether a process may take it that a silence since a time has
// lasted for so long. What is measured by silence does not count while it did not
// run: unless it was over before, it is measured anew, briefly.
func (p *process) looksAgain(since time.Time, limit time.Duration) bool {
	const long = 1600 * time.Millisecond // it looks every second, and half a second late is no stall
	least := min(900*time.Millisecond, limit-slack)
	now := time.Now()
	for i := range p.stalls {
		s := &p.stalls[i]
		if s.end().Sub(s.from) > long && s.end().After(since) && s.from.Before(since.Add(limit)) && now.Sub(s.end()) < least {
			return false
		}
	}
	return true
}
