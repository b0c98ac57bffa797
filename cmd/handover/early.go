package main

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/workload"
)

// progress is how far the start of an instance has got.
type progress struct {
	told atomic.Int32 // the first signal that tells this instance to stop
	wl   atomic.Pointer[workload.Workload]
	ctl  atomic.Pointer[controller.Controller]
}

// Signal passes a signal on to the workload. Before there is one it is dropped.
func (p *progress) Signal(s syscall.Signal) error {
	if wl := p.wl.Load(); wl != nil {
		return wl.Signal(s)
	}
	return workload.ErrNotRunning
}

// tell passes a signal on that tells this instance to stop.
func (p *progress) tell(s syscall.Signal) {
	p.told.CompareAndSwap(0, int32(s))
	switch ctl := p.ctl.Load(); {
	case ctl == nil:
	case s == syscall.SIGINT:
		ctl.Interrupt()
	default:
		ctl.Tell()
	}
}

// built notes that everything is there. It returns the signal that told this
// instance to stop before that, 0 if there was none.
func (p *progress) built(wl *workload.Workload, ctl *controller.Controller) syscall.Signal {
	p.wl.Store(wl)
	p.ctl.Store(ctl)
	return syscall.Signal(p.told.Load())
}

// untilOver calls run, and passes on the signals that tell this instance to
// stop. It returns when run does, or when one was told to stop whose start hangs:
// in a file system that does not answer, say. Then run is left as it is, and ends
// with the process.
func untilOver(signals <-chan os.Signal, at *progress, run func() error) error {
	over := make(chan error, 1)
	go func() { over <- run() }()
	var hangs chan struct{} // closed when the start is given up
	for {
		select {
		case err := <-over:
			return err
		case s := <-signals:
			at.tell(s.(syscall.Signal))
			if hangs == nil {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				hangs = make(chan struct{})
				go at.watch(ctx, hangs)
			}
		case <-hangs:
			return &exitError{128 + int(at.told.Load()), errors.New("told to stop, but the start of the service hangs: ended at once; look for a file system that does not answer")}
		}
	}
}

// startWithin is how long the start may hang after this instance was told to stop.
const startWithin = 500 * time.Millisecond

// watch closes hangs when the start hangs. A start that goes on, or is over, is
// left to the controller.
func (p *progress) watch(ctx context.Context, hangs chan<- struct{}) {
	for p.pause(ctx); ctx.Err() == nil; p.pause(ctx) {
		if wl := p.wl.Load(); wl != nil && wl.State().Run > 0 {
			return
		}
		if ctl := p.ctl.Load(); ctl == nil || !ctl.Responds(ctx, 2*startWithin) {
			close(hangs)
			return
		}
	}
}

func (p *progress) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(startWithin):
	}
}
