package workload

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reaper starts child processes and waits for them. It is the only one in a
// process that does: what it started must not be waited for elsewhere, and
// while an adopting reaper lives nothing else in the process may wait for
// children (os/exec would lose its exit statuses).
//
// One goroutine, on a thread of its own, forks and waits; it sleeps until
// SIGCHLD. All methods are safe for concurrent use.
type Reaper struct {
	adopts    bool
	subreaper bool // we made the process one
	children  chan os.Signal
	requests  chan func()
	stop      chan struct{}
	stopOnce  sync.Once
	done      chan struct{}

	// mu is held while a process is forked and registered, while it is
	// signalled, and while it is reaped: a registered process is unreaped, so
	// its number is its own.
	mu         sync.Mutex
	registered map[int]*process
	// ttou is set when SIGTTOU is ignored by us, which no child may inherit.
	ttou bool
}

// NewReaper returns a reaper that waits for the processes that it started, and
// touches no others.
func NewReaper() *Reaper {
	return newReaper(false)
}

// NewAdoptingReaper returns a reaper that waits for every child of this
// process: also for those that it did not start, and for orphans, which the
// kernel hands to process 1. Any other process is made a child subreaper
// (prctl(2), PR_SET_CHILD_SUBREAPER) until Close, so that its descendants'
// orphans are handed to it. An error is one of that call.
func NewAdoptingReaper() (*Reaper, error) {
	subreaper := os.Getpid() != 1
	if subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("workload: become a child subreaper: %w", err)
		}
	}
	r := newReaper(true)
	r.subreaper = subreaper
	return r, nil
}

func newReaper(adopts bool) *Reaper {
	r := &Reaper{
		adopts:     adopts,
		children:   make(chan os.Signal, 1),
		requests:   make(chan func()),
		stop:       make(chan struct{}),
		done:       make(chan struct{}),
		registered: map[int]*process{},
	}
	// Before anything is started, so that no end is missed.
	signal.Notify(r.children, syscall.SIGCHLD)
	go r.loop()
	return r
}

// Close ends the reaper. Close every Workload that uses it first: processes
// that still run are waited for by nobody.
func (r *Reaper) Close() {
	r.stopOnce.Do(func() { close(r.stop) })
	<-r.done
}

// loop is locked to its thread: PR_SET_PDEATHSIG fires when the thread that
// forked ends, not when the process does.
func (r *Reaper) loop() {
	defer close(r.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer signal.Stop(r.children)
	if r.adopts {
		r.reap() // children from before an exec of this program
	}
	for {
		select {
		case <-r.children:
			r.reap()
		case request := <-r.requests:
			request()
		case <-r.stop:
			if r.subreaper {
				_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
			}
			return
		}
	}
}

// reap takes all reports that there are: one SIGCHLD can stand for many.
func (r *Reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.registered {
		p.check()
	}
	for r.adopts {
		pid := anyExited()
		if pid == 0 {
			return
		}
		if p := r.registered[pid]; p != nil {
			p.check()
		} else {
			collect(pid)
		}
	}
}

// start forks and executes the command on the reaper's thread.
func (r *Reaper) start(c command) (*process, error) {
	var (
		p   *process
		err error
	)
	started := make(chan struct{})
	request := func() {
		defer close(started)
		r.mu.Lock()
		defer r.mu.Unlock()
		if p, err = c.fork(r); err == nil {
			r.registered[p.pid] = p
			if c.started != nil {
				c.started(p.pid)
			}
		}
	}
	select {
	case r.requests <- request:
		<-started
		return p, err
	case <-r.done:
		return nil, errReaperClosed
	}
}

var errReaperClosed = errors.New("workload: start a process: the reaper is closed")

// forkExec is syscall.ForkExec; if SIGTTOU is ignored, it is caught meanwhile:
// the child gets its default then, and a write of ours to a terminal that
// stops background output just waits.
func (r *Reaper) forkExec(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	if r.ttou {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTTOU)
		defer signal.Ignore(syscall.SIGTTOU) // also forgets the channel
	}
	return syscall.ForkExec(path, argv, attr)
}

// ignoreTTOU makes this process ignore SIGTTOU, so that it may write to the
// terminal and move it between groups although it stands in the background.
// It stays so: there is no way back to the default, and nothing more to stop
// for. If it was ignored from the start, it is also the child's to inherit.
func (r *Reaper) ignoreTTOU() {
	if !r.ttou && !ignoredSignals()[syscall.SIGTTOU] {
		signal.Ignore(syscall.SIGTTOU)
		r.ttou = true
	}
}
