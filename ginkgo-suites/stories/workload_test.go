package stories_test

import (
	"sync"
	"time"

	"github.com/handover-controller/handover/controller/workload"
)

// workloadFake is a workload that is only timers.
type workloadFake struct {
	c       *container
	plan    plan
	changed chan struct{}

	mu     sync.Mutex
	state  workload.State
	timers []*time.Timer
	drains int
	// draining are the timers of the drain under way.
	draining []*time.Timer
}

func newWorkload(c *container, p plan) *workloadFake {
	return &workloadFake{c: c, plan: p, changed: make(chan struct{}, 1)}
}

func (w *workloadFake) Changed() <-chan struct{} { return w.changed }

func (w *workloadFake) State() workload.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// update changes the state, tells the device and wakes the controller.
func (w *workloadFake) update(change func(*workload.State)) {
	w.mu.Lock()
	before := w.state.Ready
	change(&w.state)
	after, running := w.state.Ready, w.state.Running
	w.mu.Unlock()
	w.c.d.runs(w.c, running)
	if before != after {
		w.c.d.serves(w.c, after)
	}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// later does something for this run of the workload only.
func (w *workloadFake) later(d time.Duration, change func(*workload.State)) {
	run := w.state.Run
	t := time.AfterFunc(d, func() {
		w.mu.Lock()
		stale := !w.state.Running || w.state.Run != run
		w.mu.Unlock()
		if !stale {
			w.update(change)
		}
	})
	w.timers = append(w.timers, t)
	if w.state.Draining {
		w.draining = append(w.draining, t)
	}
}

func (w *workloadFake) Start() error {
	time.Sleep(w.plan.startTakes)
	w.update(func(s *workload.State) {
		*s = workload.State{Run: s.Run + 1, Running: true, PID: 100 + s.Run, Started: time.Now()}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if run := w.state.Run; run <= len(w.plan.crashes) {
		w.later(w.plan.crashes[run-1], ended(3))
	}
	if w.plan.readyAfter >= 0 {
		w.later(w.plan.readyAfter, func(s *workload.State) {
			s.Ready, s.EverReady, s.ReadySince = true, true, time.Now()
		})
	}
	return nil
}

// Resume takes back a drain before its stop signal.
func (w *workloadFake) Resume() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.state.Running || !w.state.SignalledAt.IsZero() {
		return false
	}
	if w.state.Draining {
		for _, t := range w.draining {
			t.Stop()
		}
		w.state.Draining, w.draining = false, nil
		w.drains--
	}
	return true
}

// Drain serves on until the work is done or SIGKILL: requests in flight are
// answered. The device regards it as serving until the stop signal.
func (w *workloadFake) Drain(p workload.Plan) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.state.Draining {
		if w.drains++; w.drains > w.state.Run {
			w.c.d.drainedTwice(w.c)
		}
		w.state.Draining = true
		w.later(time.Until(p.SignalAt), func(s *workload.State) {
			s.Ready, s.SignalledAt = false, time.Now()
		})
		if !w.plan.hangs {
			w.later(time.Until(p.SignalAt)+w.plan.drains, ended(0))
		}
	}
	w.later(time.Until(p.KillBy(p.SignalAt)), func(s *workload.State) {
		ended(137)(s)
		s.Killed = true
	})
}

func ended(code int) func(*workload.State) {
	return func(s *workload.State) {
		s.Running, s.Ready, s.Ended, s.ExitCode = false, false, time.Now(), code
	}
}

// lose makes the workload lose its readiness, or find it again.
func (w *workloadFake) lose(lost bool) {
	w.update(func(s *workload.State) { s.Ready = !lost && s.Running })
}

// exit ends the workload by itself.
func (w *workloadFake) exit(code int) { w.update(ended(code)) }

// kill ends the workload with its process.
func (w *workloadFake) kill() {
	w.mu.Lock()
	for _, t := range w.timers {
		t.Stop()
	}
	running := w.state.Running
	w.mu.Unlock()
	if running {
		w.update(ended(137))
	}
}
