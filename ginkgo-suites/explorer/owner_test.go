package explorer_test

import (
	"slices"
	"time"
)

// lock is the right to run an exclusive workload. The world's lock guards it.
type lock struct {
	held    *owner
	waiting []*owner
}

// owner is one process's side of it.
type owner struct {
	p       *process
	since   time.Time
	changed chan struct{}
}

// Want implements controller.Owner.
func (o *owner) Want(wanted bool) {
	w := o.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &w.lock
	switch {
	case o.p.dead:
	case !wanted:
		l.leave(o)
	case l.held == nil:
		l.give(o)
	case l.held != o && !slices.Contains(l.waiting, o):
		l.waiting = append(l.waiting, o)
	}
}

// State implements controller.Owner.
func (o *owner) State() (lockable, held bool, since time.Time, err error) {
	o.p.w.mu.Lock()
	defer o.p.w.mu.Unlock()
	return true, o.p.w.lock.held == o, o.since, nil
}

// Changed implements controller.Owner.
func (o *owner) Changed() <-chan struct{} { return o.changed }

func (l *lock) give(o *owner) {
	l.held, o.since = o, time.Now()
	o.p.say("has the right to run its workload")
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// leave takes the right away, or the wish for it. It goes to the next who waits.
func (l *lock) leave(o *owner) {
	if o == nil {
		return
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(other *owner) bool { return other == o })
	if l.held != o {
		return
	}
	l.held, o.since = nil, time.Time{}
	if len(l.waiting) > 0 {
		next := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.give(next)
	}
}
