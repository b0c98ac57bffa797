package workload_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/handover-controller/handover/controller/workload"
)

// settings tell the host what to do.
type settings struct {
	Argv      []string
	PreStop   []string           `json:",omitempty"`
	Readiness workload.Readiness `json:",omitzero"`
	// Runs is how often the workload is started in all, 1 if 0.
	Runs int `json:",omitempty"`
	// Delay and KillAfter are the plan for SIGTERM and SIGINT.
	Delay, KillAfter time.Duration `json:",omitempty"`
	// Stay keeps the host after the end of the workload, until SIGTERM.
	Stay bool `json:",omitempty"`
	// Churn ends many threads while the workload runs.
	Churn bool `json:",omitempty"`
	// Events is the file that it writes to, a JSON object per line.
	Events string
}

// event is what the host reports: a state, or a signal that it got for itself.
type event struct {
	State  *workload.State `json:",omitempty"`
	Signal string          `json:",omitempty"`
	Error  string          `json:",omitempty"`
}

// host is handover reduced to what this package does. It ends with the
// workload's exit code.
func host(arg string) int {
	var s settings
	if err := json.Unmarshal([]byte(arg), &s); err != nil {
		return 99
	}
	stop := make(chan os.Signal, 10)
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if !signal.Ignored(sig) {
			signal.Notify(stop, sig)
		}
	}
	events, err := os.OpenFile(s.Events, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 99
	}
	report := func(e event) {
		line, _ := json.Marshal(e)
		_, _ = events.Write(append(line, '\n'))
	}
	fail := func(err error) int {
		report(event{Error: err.Error()})
		if start, ok := err.(*workload.StartError); ok {
			return start.ExitCode
		}
		return 98
	}
	reaper, err := workload.NewAdoptingReaper()
	if err != nil {
		return fail(err)
	}
	defer reaper.Close()
	w, err := workload.New(workload.Options{
		Argv: s.Argv, PreStop: workload.Command{Argv: s.PreStop}, Readiness: s.Readiness, Reaper: reaper,
		Logger: slog.New(slog.NewTextHandler(events, nil)),
	})
	if err != nil {
		return fail(err)
	}
	defer w.Close()
	forwarder := workload.NewForwarder(w)
	defer forwarder.Close()

	if err := w.Start(); err != nil {
		return fail(err)
	}
	if s.Churn {
		churn()
	}
	for {
		select {
		case sig := <-stop:
			report(event{Signal: sig.String()})
			if !w.State().Running {
				return w.State().ExitCode
			}
			w.Drain(workload.Plan{SignalAt: time.Now().Add(s.Delay), KillAfter: s.KillAfter})
		case <-w.Changed():
			state := w.State()
			report(event{State: &state})
			switch {
			case state.Ended.IsZero():
			case state.Run < s.Runs:
				if err := w.Start(); err != nil {
					return fail(err)
				}
			case !s.Stay:
				return state.ExitCode
			}
		}
	}
}

// churn ends threads: a goroutine that ends while locked to its thread takes
// that thread with it.
func churn() {
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(runtime.LockOSThread)
	}
	wg.Wait()
}
