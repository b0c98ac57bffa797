package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/handover-controller/handover/supervisor/simulator"
	"github.com/handover-controller/handover/supervisor/simulator/scenario"
)

// playAtMost bounds a scenario, so that with the time before and after it the
// demo ends within 20 s.
const playAtMost = 17500 * time.Millisecond

// Options are what a run of the demo needs.
type Options struct {
	Scenario scenario.Scenario
	Version  simulator.Version
	// Program is the path of this program, which the containers run: as
	// `run -- PROGRAM demo-service`.
	Program string
	Printer Printer
	Out     io.Writer
}

// ErrUnexpected says that the scenario was played, and did not go as it says.
var ErrUnexpected = errors.New("not as expected")

// Run plays a scenario: real processes and requests, multicast on loopback. It
// prints what happens while it happens, then the timeline, the counts and
// whether all went as the scenario says. The error says what did not; nil if
// all did. Nothing is left behind, unless this process is killed with SIGKILL.
func Run(ctx context.Context, o Options) (err error) {
	if err := needLoopback(); err != nil {
		return err
	}
	dir, err := makeFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	defer o.Printer.Close()
	w, err := newWorld(o, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, playAtMost, fmt.Errorf("not at its end after %v", playAtMost))
	defer cancel()
	w.watchers.Go(func() { watchMachine(w.life, w.wokenLate) })
	outcome := w.play(ctx)
	w.finish(&outcome)
	o.Printer.Close()
	wrong := o.Scenario.Check(outcome)
	if len(wrong) > 0 && w.late >= busy {
		wrong = append(wrong, fmt.Errorf("the machine let this process, and so the front, wait for %s: one that busy proves little, try again", exact(w.late)))
	}
	w.report(wrong)
	if len(wrong) > 0 {
		return fmt.Errorf("%w:\n%w", ErrUnexpected, errors.Join(wrong...))
	}
	return nil
}

// wokenLate notes how late this process was woken.
func (w *world) wokenLate(late time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = max(w.late, late)
}

func needLoopback() error {
	if lo, err := net.InterfaceByName("lo"); err != nil || lo.Flags&net.FlagUp == 0 {
		return errors.New("demo: the loopback interface lo is not up; try: ip link set lo up")
	}
	return nil
}

// makeFolder makes the folder for everything, with a path that is short enough
// for the sockets in it.
func makeFolder() (string, error) {
	const pattern, long = "handover-demo-", 60
	parent := os.TempDir()
	if len(parent) > long {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, pattern)
	if err != nil {
		return "", fmt.Errorf("demo: make a folder for the containers: %w; set TMPDIR to a folder that can be written", err)
	}
	// The containers' own settings, and no others that lie around.
	if err := os.WriteFile(settings(dir), nil, 0o600); err != nil {
		return "", errors.Join(fmt.Errorf("demo: write the containers' settings: %w", err), os.RemoveAll(dir))
	}
	return dir, nil
}

func settings(dir string) string { return filepath.Join(dir, "handover.yaml") }

// play plays the scenario to its end, or to that of ctx.
func (w *world) play(ctx context.Context) scenario.Outcome {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.progress(stop)
	}()
	defer func() {
		close(stop)
		<-done
	}()
	outcome := w.stage.Play(ctx)
	// What is in flight belongs to the result. The front gives up on a request
	// that takes too long.
	w.Load(false)
	w.load.Wait()
	return outcome
}

// progress keeps the display going.
func (w *world) progress(stop <-chan struct{}) {
	const late = 250 * time.Millisecond // an event can be told so late on a busy machine
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		w.flush(time.Since(w.began) - late)
		w.o.Printer.Progress(time.Since(w.began), w.o.Scenario.Takes, w.front.Log().Counters(time.Now()))
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// finish ends everything, and completes the outcome.
func (w *world) finish(o *scenario.Outcome) {
	w.ended = time.Since(w.began)
	w.silence()
	w.flush(w.ended + time.Second)
	w.stage.Sim.Close()
	w.close()
	if err := w.front.Close(); err != nil {
		o.Err = errors.Join(o.Err, err)
	}
	w.summary = w.front.Log().Summary()
	o.Requests, o.Failed = w.summary.Total, w.summary.Failed
	if sent := w.sent(); sent != o.Requests {
		o.Err = errors.Join(o.Err, fmt.Errorf("demo: %d requests were sent, but the front's log has %d", sent, o.Requests))
	}
}

// report prints what came out.
func (w *world) report(wrong []error) {
	out, style := w.o.Out, w.o.Printer.Style()
	_, _ = fmt.Fprintln(out)
	DrawTimeline(out, &w.timeline, w.ended, w.o.Printer.Width(), style)
	_, _ = fmt.Fprintln(out)
	DrawSummary(out, &w.summary, w.began, style)
	if len(wrong) == 0 {
		_, _ = fmt.Fprintf(out, "\n%s\n", w.o.Scenario.Lesson)
		return
	}
	for _, name := range w.names {
		_, _ = fmt.Fprintf(out, "\nlog of container %s:\n%s", name, w.logs[name].text())
	}
}
