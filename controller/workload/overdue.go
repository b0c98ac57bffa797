package workload

import (
	"sync"
	"time"
)

// overdue says a reason once it has lasted, and again when it is another one,
// but less and less often: a service that needs some seconds to start says
// nothing, one that never becomes ready does not fill the log. It is safe for
// concurrent use. Nil says nothing.
type overdue struct {
	say func(reason string)

	mu      sync.Mutex
	timer   *time.Timer // nil: nothing is about to be said
	reason  string      // now; empty: none
	said    string
	next    time.Time // nothing is said before
	pause   time.Duration
	stopped bool
}

const (
	overdueAfter = 5 * time.Second
	firstRepeat  = 30 * time.Second
	lastRepeat   = 10 * time.Minute
)

func newOverdue(say func(reason string)) *overdue { return &overdue{say: say} }

// because is the present reason.
func (o *overdue) because(reason string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reason = reason
	if reason == o.said || o.timer != nil || o.stopped {
		return
	}
	o.timer = time.AfterFunc(max(overdueAfter, time.Until(o.next)), o.due)
}

func (o *overdue) due() {
	o.mu.Lock()
	reason := o.reason
	o.timer = nil
	if o.stopped || reason == "" || reason == o.said {
		o.mu.Unlock()
		return
	}
	o.said = reason
	o.pause = min(max(2*o.pause, firstRepeat), lastRepeat)
	o.next = time.Now().Add(o.pause)
	o.mu.Unlock()
	o.say(reason)
}

// lost is a reason that was said just now, by others.
func (o *overdue) lost(reason string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reason, o.said = reason, reason
}

// over: there is no reason any more.
func (o *overdue) over() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reason, o.said = "", ""
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
}

// stop ends it for good.
func (o *overdue) stop() {
	if o == nil {
		return
	}
	o.over()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
}
