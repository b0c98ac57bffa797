package stories_test

import (
	"slices"
	"sync"
	"time"
)

// lock is the lock of a device's exclusive workloads, which goes to who has
// waited longest.
type lock struct {
	mu      sync.Mutex
	held    *owner
	waiting []*owner
}

// owner is one process's side of it. A nil one wants nothing.
type owner struct {
	lock    *lock
	since   time.Time
	changed chan struct{}
}

func (l *lock) owner() *owner { return &owner{lock: l, changed: make(chan struct{}, 1)} }

func (o *owner) Changed() <-chan struct{} { return o.changed }

func (o *owner) State() (lockable, held bool, since time.Time, err error) {
	o.lock.mu.Lock()
	defer o.lock.mu.Unlock()
	return true, o.lock.held == o, o.since, nil
}

func (o *owner) Want(yes bool) {
	if o == nil {
		return
	}
	l := o.lock
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case yes && l.held != o && !slices.Contains(l.waiting, o):
		l.waiting = append(l.waiting, o)
	case !yes:
		l.waiting = slices.DeleteFunc(l.waiting, func(w *owner) bool { return w == o })
		if l.held == o {
			l.held = nil
		}
	}
	if l.held == nil && len(l.waiting) > 0 {
		l.held, l.waiting = l.waiting[0], l.waiting[1:]
		l.held.since = time.Now()
		select {
		case l.held.changed <- struct{}{}:
		default:
		}
	}
}
