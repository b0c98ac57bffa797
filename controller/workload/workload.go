package workload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Errors of Workload's methods, besides *StartError.
var (
	// ErrRunning: Start was called while the workload runs.
	ErrRunning = errors.New("workload: it is running already")
	// ErrNotRunning: there is no main process to send a signal to.
	ErrNotRunning = errors.New("workload: it is not running")
	// ErrClosed: Start was called after Close.
	ErrClosed = errors.New("workload: it is closed")
)

// Command is a command with its arguments, executed as it is, without a shell.
// Its environment and working directory are the workload's. It is unset if
// Argv is empty.
type Command struct {
	Argv []string
}

// Options are what New needs; only Argv must be set.
type Options struct {
	// Argv is the command. Without a slash in it, Argv[0] is searched in the
	// PATH of Env, as execvp(3) does.
	Argv []string
	// Env is the environment, used as it is. Nil is our own: byte for byte
	// what this process was given, if it has not changed it.
	Env []string
	// Dir is the working directory; empty is our own.
	Dir string
	// StopSignal asks the workload to stop; 0 is SIGTERM.
	StopSignal syscall.Signal
	// PreStop runs before the stop signal, with the workload's standard output
	// and error. Its failure is logged and changes nothing.
	PreStop Command
	// Preflight is what Preflight runs.
	Preflight Command
	// Exclusive: a run is over only when all its processes are, also if it ended
	// by itself: they may have what only one workload can have.
	Exclusive bool
	// Readiness is how to know that the workload is ready.
	Readiness Readiness
	// Reaper starts the processes and waits for them. Nil is one that adopts
	// nothing, closed by Close. One that adopts serves one workload: it takes
	// every orphan for that workload's.
	Reaper *Reaper
	// Logger is told of every change; nil discards.
	Logger *slog.Logger
	// Stdin, Stdout and Stderr are the workload's streams; nil is our own.
	Stdin, Stdout, Stderr *os.File
}

// Workload is a command that is started, watched and ended, and started again
// when wanted. Its methods are safe for concurrent use.
type Workload struct {
	options   Options
	readiness Readiness // with defaults
	log       *slog.Logger
	reaper    *Reaper
	ownReaper bool
	changed   chan struct{}
	noNull    sync.Once // it was said that /dev/null is missing

	starting sync.Mutex // held by Start and Close

	expects atomic.Bool // the workload is expected to listen

	mu     sync.Mutex
	state  State
	run    *run // the present or last one
	closed bool
}

// New checks the options; nothing is started yet. The error names the option
// that is wrong.
func New(o Options) (*Workload, error) {
	if len(o.Argv) == 0 {
		return nil, errors.New("workload: no command given")
	}
	for _, list := range [][]string{o.Argv, o.Env, o.PreStop.Argv, o.Preflight.Argv, o.Readiness.Command.Argv, {o.Dir}} {
		if slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "\x00") }) {
			return nil, errors.New("workload: a command, directory or environment contains a zero byte")
		}
	}
	if o.StopSignal < 0 || o.StopSignal > 64 {
		return nil, fmt.Errorf("workload: stop signal %d is not one: name one of 1 to 64", int(o.StopSignal))
	}
	readiness, err := o.Readiness.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.StopSignal == 0 {
		o.StopSignal = syscall.SIGTERM
	}
	if o.Env == nil {
		o.Env = environ()
	}
	for _, stream := range []struct{ file, own **os.File }{
		{&o.Stdin, &os.Stdin}, {&o.Stdout, &os.Stdout}, {&o.Stderr, &os.Stderr},
	} {
		if *stream.file == nil {
			*stream.file = *stream.own
		}
	}
	w := &Workload{
		options: o, readiness: readiness, log: o.Logger, reaper: o.Reaper,
		changed: make(chan struct{}, 1),
		state:   State{NotReadyReason: reasonNotStarted},
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.reaper == nil {
		w.reaper, w.ownReaper = NewReaper(), true
	}
	return w, nil
}

// Start starts the workload; again, once it has ended. The error is ErrRunning,
// ErrClosed, a *StartError, or one of the readiness rule's preparation. It
// returns when the command has been executed.
func (w *Workload) Start() error {
	w.starting.Lock()
	defer w.starting.Unlock()
	w.mu.Lock()
	earlier, running, closed, number := w.run, w.state.Running, w.closed, w.state.Run+1
	w.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case running:
		return ErrRunning
	case earlier != nil:
		waitUntil(earlier.watched(), time.Now().Add(sweepTime)) // a readiness command
		earlier.clear()
	}
	r, err := w.prepare()
	if err != nil {
		return err
	}
	if err := r.start(number); err != nil {
		r.cancel()
		return err
	}
	return nil
}

// prepare makes a run ready to be started: what must be there before the
// command is executed, so that no sign of its readiness is missed.
func (w *Workload) prepare() (*run, error) {
	r := &run{w: w, env: w.options.Env, poke: make(chan struct{}, 1), ended: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.probing, r.unprobe = context.WithCancel(r.ctx)
	r.overdue, r.unasked = newOverdue(r.complain), newOverdue(func(reason string) {
		w.log.Warn("whether the workload is ready cannot be asked; what was known stays", "because", reason)
	})
	watch, err := w.readiness.prepare(r)
	if err != nil {
		r.cancel()
		return nil, err
	}
	r.watch = watch
	return r, nil
}

// Drain begins to end the workload, after the plan. It does not block: the end
// is a change of State. Called again it replaces the plan, with times earlier
// or later; no step is taken twice. While nothing runs it does nothing.
func (w *Workload) Drain(p Plan) {
	w.mu.Lock()
	r := w.run
	if r == nil || !w.state.Running {
		w.mu.Unlock()
		return
	}
	first := r.plan == nil
	r.plan, r.delay = &p, time.Until(p.SignalAt)
	w.state.Draining = true
	w.mu.Unlock()
	if first {
		r.main.sweepAtEnd(true)
		w.log.Info("workload draining", "pid", r.main.pid)
		w.wake()
	}
	r.wake()
}

// Resume takes back a drain of which nothing has been done yet: neither the
// pre-stop command was started nor the stop signal sent. It reports whether the
// workload runs on as before; if not, it is too late, or nothing runs.
func (w *Workload) Resume() bool {
	w.mu.Lock()
	r := w.run
	if r == nil || !w.state.Running || r.begun {
		w.mu.Unlock()
		return false
	}
	back := r.plan != nil
	r.plan, w.state.Draining = nil, false
	w.mu.Unlock()
	if back {
		r.main.sweepAtEnd(false)
		w.log.Info("workload drain taken back", "pid", r.main.pid)
		w.wake()
		r.wake()
	}
	return true
}

// ExpectListening says that the workload will listen on a TCP port, most likely:
// readiness auto then waits for that for [Readiness.ListensWithin] before it takes
// the workload for ready because of its age.
func (w *Workload) ExpectListening() { w.expects.Store(true) }

// Signal sends a signal to the main process. The error is ErrNotRunning, or
// the system's.
func (w *Workload) Signal(s syscall.Signal) error {
	w.mu.Lock()
	r, running := w.run, w.state.Running
	w.mu.Unlock()
	if !running {
		return ErrNotRunning
	}
	switch err := r.main.signal(s); {
	case errors.Is(err, errProcessEnded):
		return ErrNotRunning
	case err != nil:
		return fmt.Errorf("workload: send %v to the main process: %w", s, err)
	}
	return nil
}

// State returns a copy of the state.
func (w *Workload) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// Changed is woken at every change of State. Its capacity is 1: changes that
// nobody has looked at yet are one. It is for one reader, and never closed.
func (w *Workload) Changed() <-chan struct{} {
	return w.changed
}

// Close ends everything at once: a workload that still runs gets SIGKILL, with
// its process group. It returns when nothing is left; the error says what did
// not die within some seconds.
func (w *Workload) Close() error {
	w.starting.Lock()
	defer w.starting.Unlock()
	w.mu.Lock()
	w.closed = true
	r := w.run
	w.mu.Unlock()
	var err error
	if r != nil {
		err = r.close()
	}
	if w.ownReaper {
		w.reaper.Close()
	}
	return err
}

// update changes the state if it is still that of the run.
func (w *Workload) update(r *run, change func(*State)) {
	w.mu.Lock()
	before := w.state
	if w.run == r && w.state.Running {
		change(&w.state)
	}
	changed := w.state != before
	w.mu.Unlock()
	if changed {
		w.wake()
	}
}

func (w *Workload) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
