package demo

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// life is a container from its creation to its removal.
type life struct {
	id, name   string
	address    string
	readyAfter time.Duration
	pid        int // of its last process
	starts     int
	started    time.Time // first start
	phase      string
	ready      time.Time // its service was ready for the first time
	told       int
	signalled  time.Time // its service got the stop signal
	killed     bool
	died       time.Time
	code       int
	destroyed  bool
	stop       func() // ends who watches it
	log        tail
}

// end says what is wrong with the end of a container that was to be stopped,
// in order and by the Supervisor. In trouble a Supervisor that is restarted says
// so again.
func (l *life) end(trouble bool) string {
	switch {
	case l.starts != 1:
		return fmt.Sprintf("%s was started %d times", l.name, l.starts)
	case l.told < 1, l.told > 1 && !trouble:
		return fmt.Sprintf("%s was told to stop %d times", l.name, l.told)
	case l.died.IsZero():
		return l.name + " has not ended"
	case l.killed && l.code != 0: // else it had ended, and the kernel was not done with that yet
		return l.name + " had to be killed"
	case l.code != 0:
		return fmt.Sprintf("%s ended with exit status %d", l.name, l.code)
	}
	return ""
}

// turn is one hand-over, and the quiet time after it.
type turn struct {
	number   int
	began    time.Time
	old, new *life
	created  int
	markers  int
	marker   time.Time // the Supervisor saw the last one
	toldAt   time.Time // the old one was told to stop
	// trouble is on; restarted: the Supervisor was, in the middle.
	trouble   bool
	restarted bool
	requests  int
	failed    int
	slowest   time.Duration // of the requests, beyond their own work
	late      time.Duration // at most so long this process waited for the processor
	lines     []string      // what happened, should somebody ask
}

// says notes what happened.
func (t *turn) says(at time.Time, who, what string) {
	const most = 100
	if len(t.lines) < most {
		t.lines = append(t.lines, eventLine(Event{At: at.Sub(t.began), Lane: who, Text: what}, Style{}))
	}
}

// wrong says what was not as it must be: exactly one container took over, the
// old one stepped down for it, with the marker where the Supervisor waits for
// one and only there, and no request failed.
func (t *turn) wrong(waits bool, marker simulator.MarkerFile) []string {
	var wrong []string
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if t.failed > 0 {
		text := fmt.Sprintf("%d of %d requests failed", t.failed, t.requests)
		if t.late >= busy {
			text += fmt.Sprintf("; the machine let this process, and so the front, wait for %s", exact(t.late))
		}
		add("%s", text)
	}
	if t.created != 1 {
		add("%d containers were created", t.created)
	}
	if what := t.old.end(t.trouble); what != "" {
		add("%s", what)
	}
	switch n := t.new; {
	case n.starts != 1:
		add("%s was started %d times", n.name, n.starts)
	case n.told != 0, !n.died.IsZero():
		add("%s ended, too", n.name)
	case n.phase != PhaseServing:
		add("%s is %s", n.name, n.phase)
	}
	switch {
	case t.new.ready.IsZero():
		add("%s did not say that it was ready", t.new.name)
	case t.old.signalled.IsZero():
		add("%s did not say that it gave the stop signal to its service", t.old.name)
	case t.old.signalled.Before(t.new.ready):
		add("the service of %s got its stop signal %v before %s was ready", t.old.name, t.new.ready.Sub(t.old.signalled), t.new.name)
	}
	switch {
	case !waits && t.markers > 0:
		add("a marker was seen that nobody waits for")
	case t.restarted: // a Supervisor that waits sends SIGTERM then, and nobody writes the marker after it
	case t.trouble && !t.toldAt.IsZero() && t.old.signalled.After(t.toldAt): // it was frozen until the time-out
	case waits && t.markers == 0:
		add("the marker was not written")
	case waits && t.markers > 1:
		add("the marker was seen %d times", t.markers)
	case waits && t.marker.After(t.toldAt):
		add("the marker was seen after %s was told to stop", t.old.name)
	}
	if _, err := os.Stat(string(marker)); err == nil && !t.restarted {
		add("the marker was left behind")
	}
	return wrong
}

// event notes what the Supervisor and its engine do.
func (s *soak) event(e simulator.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, t := s.lives[e.Container], s.turn
	if l == nil && e.Kind == simulator.EventCreate {
		l = s.createdLife(e)
	}
	says := func(what string) {
		if t != nil {
			who := "Supervisor"
			if l != nil {
				who = l.name
			}
			t.says(e.At, who, what)
		}
	}
	switch {
	case e.Kind == simulator.EventTarget:
		says(fmt.Sprintf("target: release %d", e.Release.ID))
	case e.Kind == simulator.EventMarker:
		says("has seen the marker")
		if t != nil {
			t.markers++
			t.marker = e.At
		}
	case l == nil:
	case e.Kind == simulator.EventCreate:
		says("is created")
	case e.Kind == simulator.EventStart:
		says("is started")
		s.startedLife(l, e)
	case e.Kind == simulator.EventKill && e.Signal == syscall.SIGKILL:
		says("SIGKILL")
		l.killed = true
	case e.Kind == simulator.EventKill:
		says("SIGTERM")
		l.told++
		if t != nil && l == t.old {
			t.toldAt = e.At
		}
	case e.Kind == simulator.EventDie:
		says(fmt.Sprintf("has ended with exit status %d", e.Code))
		l.died, l.code = e.At, e.Code
		l.stop()
		s.front.Remove(l.name)
		if t != nil && l == t.old {
			s.window, s.closed = false, e.At
		}
	case e.Kind == simulator.EventDestroy:
		says("is removed")
		l.destroyed = true
	}
}
