package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/controller"

	"github.com/handover-controller/handover/controller/decide"
)

// watch shows what an instance says of itself until its process has ended.
func (w *world) watch(ctx context.Context, name string, i *instance) {
	v := &viewer{w: w, name: name}
	i.follow(ctx, v.see)
}

// follow follows an instance by its /events until its process has ended.
func (i *instance) follow(ctx context.Context, see func(*controller.Status)) {
	const retry = 10 * time.Millisecond
	for seen := false; ctx.Err() == nil && !seen; {
		answer, err := i.get(ctx, "/events")
		if err != nil {
			select { // it has not opened its socket yet
			case <-time.After(retry):
			case <-ctx.Done():
			}
			continue
		}
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
			var s controller.Status
			if ok && json.Unmarshal(data, &s) == nil && ctx.Err() == nil {
				see(&s)
				seen = true // by the last process that there is
			}
		}
		_ = answer.Body.Close()
	}
}

// viewer turns the status of one instance into lines for people.
type viewer struct {
	w       *world
	name    string
	last    string // phase
	signals map[decide.ConditionType]decide.ConditionStatus
}

func (v *viewer) see(s *controller.Status) {
	v.conditions(s)
	phase, at := s.Phase, phaseSince(s).Sub(v.w.began)
	if phase == v.last {
		return
	}
	before := v.last
	v.last = phase
	v.w.phase(at, v.name, phase)
	if text, mark := v.says(s, before); text != "" {
		v.w.show(Event{At: at, Lane: v.name, Mark: mark, Text: text})
	}
}

// phaseSince is when an instance came into its phase, by its events: what others
// do because of it is later, however late the status is seen.
func phaseSince(s *controller.Status) time.Time {
	since := s.Time
	for i := len(s.Events) - 1; i >= 0 && s.Events[i].Phase == s.Phase; i-- {
		since = s.Events[i].Time
	}
	return since
}

// says explains a phase.
func (v *viewer) says(s *controller.Status, before string) (string, Mark) {
	switch s.Phase {
	case PhaseServing:
		return "serving: its service is ready", MarkPhase
	case PhaseHolding:
		return "holding: told to stop, it serves on until a successor is ready", MarkPhase
	case PhaseDraining:
		return "draining: " + whyDrain(s.Reason), MarkPhase
	case PhaseReleased:
		if s.Reason == decide.ReasonSteppedAside {
			return "released: a younger instance serves, so it does not start its service", MarkPhase
		}
		return "released: its service has ended, everything is answered", MarkDrained
	case PhaseGone:
		if before == PhaseDraining {
			return "its service has ended, everything is answered", MarkDrained
		}
	}
	return "", MarkNote
}

// whyDrain says why an instance begins to drain.
func whyDrain(r decide.Reason) string {
	switch r {
	case decide.ReasonBothSignals:
		return "both signals are there"
	case decide.ReasonSuccessorServes:
		return "both signals are there, and the successor has acknowledged"
	case decide.ReasonSuccessorTrusted:
		return "the successor has acknowledged, and the Supervisor does not answer"
	case decide.ReasonNoSuccessor:
		return "there is no successor to wait for"
	case decide.ReasonHoldEnded:
		return "SIGKILL is near, and the successor is not ready"
	}
	return string(r)
}

// conditions shows the two signals when they come.
func (v *viewer) conditions(s *controller.Status) {
	if v.signals == nil {
		v.signals = map[decide.ConditionType]decide.ConditionStatus{}
	}
	for _, c := range s.Conditions {
		before := v.signals[c.Type]
		v.signals[c.Type] = c.Status
		if c.Status == before {
			continue
		}
		if s.Phase != PhaseServing && s.Phase != PhaseHolding {
			continue // after its decision it only looks once more
		}
		e := Event{At: c.LastTransitionTime.Sub(v.w.began), Lane: v.name}
		switch {
		case c.Type == decide.YoungerAnnounced && c.Status == decide.True:
			e.Mark, e.Text = MarkSignalAnnounced, "signal: a younger instance announces that it serves"
		case c.Type == decide.YoungerRunning && c.Status == decide.True:
			e.Mark, e.Text = MarkSignalRunning, "signal: the Supervisor reports that a younger container is running"
		default:
			continue
		}
		v.w.show(e)
	}
}

// tail keeps the end of a text.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 8 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if len(t.data) > most {
		t.data = append([]byte(nil), t.data[len(t.data)-most:]...)
	}
	return len(p), nil
}

// text is the end in whole lines, without anything that a terminal obeys.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for line := range strings.Lines(string(t.data)) {
		b.WriteString("  " + printable(strings.TrimRight(line, "\n"), true) + "\n")
	}
	return b.String()
}

// sinceBoot is the kernel's time since boot, with the time asleep.
func sinceBoot() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}
