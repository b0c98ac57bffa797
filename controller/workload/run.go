package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/handover-controller/handover/peer/procfs"
)

// How long leftovers may take to die after a drain, and how long Close waits
// for a process that was killed: longer only if it hangs in the kernel.
const (
	sweepTime = time.Second
	closeTime = 5 * time.Second
)

// run is one run of the workload, from its start to its end. One goroutine,
// supervise, owns its progress.
type run struct {
	w        *Workload
	env      []string
	ctx      context.Context // ends with the run
	cancel   context.CancelFunc
	probing  context.Context // ends with the run, and with the stop signal
	unprobe  context.CancelFunc
	watch    func(context.Context) // waits for readiness
	watching sync.WaitGroup
	overdue  *overdue // says why the workload is still not ready; nil: that is by rule
	unasked  *overdue // says why it is not known whether it still is
	terminal *terminal
	main     *process
	origin   origin
	started  time.Time

	// Guarded by w.mu.
	plan    *Plan         // nil: not draining
	killNow bool          // Close was called
	begun   bool          // the first step of the drain is taken: nothing takes it back
	delay   time.Duration // the drain delay of the plan, when it was given

	poke  chan struct{} // plan or killNow changed
	ended chan struct{} // supervise has returned
}

func (r *run) wake() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// command makes a command with the workload's environment and directory.
func (w *Workload) command(argv, env []string, stdin, stdout, stderr *os.File) command {
	return command{
		argv: argv, env: env, dir: w.options.Dir,
		files: [3]uintptr{descriptor(stdin), descriptor(stdout), descriptor(stderr)},
	}
}

// descriptor is the file's number. File.Fd would make a file blocking that
// package os had made non-blocking, also for others that share it.
func descriptor(f *os.File) uintptr {
	fd := ^uintptr(0) // closed in the child
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(n uintptr) { fd = n })
	}
	return fd
}

func (r *run) start(number int) error {
	o := &r.w.options
	c := r.w.command(o.Argv, r.env, o.Stdin, o.Stdout, o.Stderr)
	r.terminal = findTerminal(r.w.reaper, c.files)
	c.started, c.stopped = r.terminal.started, r.terminal.stopped
	strangers := r.w.reaper.strangers()
	main, err := r.w.reaper.start(c)
	if err != nil {
		return err
	}
	r.main, r.started = main, time.Now()
	r.origin = origin{group: main.pid, since: ^uint64(0), strangers: strangers}
	if stat, ok := procfs.Read(main.pid); ok {
		r.origin.since = stat.Start
	}
	r.w.mu.Lock()
	r.w.run = r
	r.w.state = State{
		Run: number, Running: true, PID: main.pid, Started: r.started, NotReadyReason: reasonStarting,
	}
	r.w.mu.Unlock()
	r.w.wake()
	r.w.log.Info("workload started", "pid", main.pid, "command", o.Argv[0])
	context.AfterFunc(r.probing, func() { r.overdue.stop(); r.unasked.stop() })
	r.watching.Go(func() { r.watch(r.probing) })
	go r.supervise()
	return nil
}

// setReady notes what the readiness rule has found of this run.
func (r *run) setReady(ready bool, reason string) {
	reason = readable(reason)
	now := time.Now()
	var before, after State
	r.w.update(r, func(s *State) {
		before = *s
		if s.SignalledAt.IsZero() {
			s.setReady(ready, reason, now)
		}
		after = *s
	})
	switch {
	case after.Ready && !before.Ready:
		r.overdue.over()
		r.w.log.Info("workload ready", "after", now.Sub(r.started).Round(time.Millisecond), "because", reason)
	case before.Ready && !after.Ready:
		r.overdue.lost(reason)
		r.w.log.Warn("workload not ready any more", "because", reason)
	case after.NotReadyReason != before.NotReadyReason:
		r.overdue.because(reason)
		r.w.log.Debug("workload not ready yet", "because", reason)
	}
}

// unknown notes that the readiness rule could find out nothing.
func (r *run) unknown(err error) {
	reason := readable("not known: " + err.Error())
	if r.w.State().Ready {
		r.unasked.because(reason)
		return
	}
	r.setReady(false, reason)
}

// complain says why the workload is still not ready, in the log and in the state.
func (r *run) complain(reason string) {
	said := false
	r.w.update(r, func(s *State) {
		if !s.Ready && s.SignalledAt.IsZero() {
			s.Overdue, said = reason, true
		}
	})
	if said {
		r.w.log.Warn("workload still not ready", "after", time.Since(r.started).Round(time.Millisecond), "because", reason)
	}
}

// supervise takes the steps of a drain when they are due, until the workload
// has ended.
func (r *run) supervise() {
	defer close(r.ended)
	defer r.cancel()
	var (
		at          = progress{hasPreStop: len(r.w.options.PreStop.Argv) > 0}
		preStop     *process
		preStopDone <-chan struct{}
	)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, until := r.next(at)
		switch next {
		case stepPreStop:
			at.preStopStarted = time.Now()
			if preStop = r.startPreStop(); preStop == nil {
				at.preStopEnded = at.preStopStarted
			} else {
				preStopDone = preStop.done
			}
			continue
		case stepAbortPreStop:
			r.w.log.Warn("pre-stop command killed, it took too long", "after", time.Since(at.preStopStarted))
			_ = preStop.kill()
			at.preStopEnded, preStopDone = time.Now(), nil
			continue
		case stepSignal:
			at.signalled = time.Now()
			r.terminate(at.signalled)
			continue
		case stepKill:
			at.killed = true
			r.kill()
			continue
		case stepWait:
		}
		timer.Stop()
		if !until.IsZero() {
			timer.Reset(time.Until(until))
		}
		select {
		case <-r.main.done:
			r.finish(preStop)
			return
		case <-preStopDone:
			at.preStopEnded, preStopDone = time.Now(), nil
			if code, _ := exitCode(preStop.status); code != 0 {
				r.w.log.Warn("pre-stop command failed", "exitCode", code)
			}
		case <-r.poke:
		case <-timer.C:
		}
	}
}

// next returns the step that is due, and else until when to wait. Once it has
// returned a step the drain cannot be taken back.
func (r *run) next(at progress) (step, time.Time) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	next, until := stepWait, time.Time{}
	switch {
	case r.killNow && !at.killed:
		next = stepKill
	case r.plan != nil:
		now := time.Now()
		if !r.begun && r.delay > 0 {
			r.plan.postpone(now, r.delay)
		}
		next, until = r.plan.next(now, at)
	}
	r.begun = r.begun || next != stepWait
	return next, until
}

func (r *run) startPreStop() *process {
	null, err := r.w.openNull("process.pre_stop")
	if err == nil {
		defer null.Close()
		o := &r.w.options
		var p *process
		if p, err = r.w.reaper.start(r.w.command(o.PreStop.Argv, o.Env, null, o.Stdout, o.Stderr)); err == nil {
			r.w.log.Info("pre-stop command started", "pid", p.pid)
			return p
		}
	}
	r.w.log.Warn("pre-stop command not started", "error", err)
	return nil
}

// terminate sends the stop signal. From then on the workload is not ready, and
// nobody asks any more.
func (r *run) terminate(now time.Time) {
	r.unprobe()
	err := r.main.terminate(r.w.options.StopSignal)
	r.w.update(r, func(s *State) {
		s.SignalledAt = now
		s.setReady(false, reasonStopping, now)
	})
	switch {
	case err == nil:
		r.w.log.Info("stop signal sent", "pid", r.main.pid, "signal", r.w.options.StopSignal.String())
	case !errors.Is(err, errProcessEnded):
		r.w.log.Error("stop signal could not be sent", "pid", r.main.pid, "error", err)
	}
}

func (r *run) kill() {
	r.main.sweepAtEnd(true)
	switch err := r.main.kill(); {
	case err == nil:
		r.w.update(r, func(s *State) { s.Killed = true })
		r.w.log.Warn("workload killed, with its process group", "pid", r.main.pid)
	case !errors.Is(err, errProcessEnded):
		r.w.log.Error("workload could not be killed", "pid", r.main.pid, "error", err)
	}
}

// finish ends the run after its main process. If that ended by itself, its
// status is reported at once. After a drain everything it held is freed first.
func (r *run) finish(preStop *process) {
	r.cancel()
	r.terminal.takeBack(r.main.pid)
	if preStop != nil {
		_ = preStop.kill()
	}
	if r.main.swept || r.w.options.Exclusive {
		r.w.update(r, func(s *State) { s.setReady(false, reasonEnded, time.Now()) })
		deadline := time.Now().Add(sweepTime)
		if preStop != nil {
			waitUntil(preStop.done, deadline)
		}
		waitUntil(r.watched(), deadline)
		if n := r.w.reaper.sweep(r.origin, deadline); n > 0 {
			r.w.log.Warn("processes of the workload do not die", "count", n)
		}
	}
	if n := r.main.outlived; n > 0 && !r.w.State().Killed {
		r.w.log.Warn("processes of the workload outlived its first one, which alone gets the stop signal, and were killed: what they had begun is lost; run the service without a shell or npm in front of it, or let that wait for it", "count", n)
	}
	code, signal := exitCode(r.main.status)
	now := time.Now()
	r.w.update(r, func(s *State) {
		s.setReady(false, reasonEnded, now)
		s.Running, s.Draining, s.Ended, s.ExitCode, s.Signal = false, false, now, code, signal
	})
	attributes := []any{"pid", r.main.pid, "exitCode", code, "ran", now.Sub(r.started).Round(time.Millisecond)}
	if at := r.w.State().SignalledAt; !at.IsZero() {
		attributes = append(attributes, "afterSignal", now.Sub(at).Round(time.Millisecond))
	}
	if signal != 0 {
		attributes = append(attributes, "signal", signal.String())
	}
	r.w.log.Info("workload ended", attributes...)
	if at := r.w.State().SignalledAt; at.IsZero() && wantsToBeInit(r.w.options.Argv[0], code, now.Sub(r.started)) {
		r.w.log.Warn("the workload is an init, and ended at once: many insist on being process 1 of the container, and that is handover; run the service itself with handover, without this init",
			"command", r.w.options.Argv[0], "exitCode", code)
	}
}

// clear kills what a run that ended by itself has left, before the next one is
// started in the same container: it may have the port. After a drain that is done.
func (r *run) clear() {
	if r.main.swept || r.w.options.Exclusive || !r.w.reaper.adopts {
		return
	}
	if n := r.w.reaper.sweep(r.origin, time.Now().Add(sweepTime)); n > 0 {
		r.w.log.Warn("processes of the workload do not die", "count", n)
	}
}

// watched is closed when the readiness watch has ended.
func (r *run) watched() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.watching.Wait()
	}()
	return done
}

// close kills the workload if it runs, and waits until nothing of it does.
func (r *run) close() error {
	r.w.mu.Lock()
	r.killNow = true
	r.w.mu.Unlock()
	r.wake()
	deadline := time.Now().Add(closeTime)
	if !waitUntil(r.ended, deadline) || !waitUntil(r.watched(), deadline) {
		return fmt.Errorf("workload: close: process %d, or its readiness command, does not die", r.main.pid)
	}
	return nil
}

func waitUntil(done <-chan struct{}, deadline time.Time) bool {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
