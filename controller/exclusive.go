package controller

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/handover-controller/handover/controller/decide"
)

// noOwner is the right to run an exclusive workload where there is no lock.
type noOwner struct{}

func (noOwner) Want(bool) {}

func (noOwner) State() (lockable, held bool, since time.Time, err error) {
	return false, false, time.Time{}, nil
}

func (noOwner) Changed() <-chan struct{} { return nil }

// disown gives up the right at the end, unless the workload is left running.
func (c *Controller) disown() {
	if !c.o.Workload.State().Running {
		c.o.Owner.Want(false)
	}
}

// ownership returns the state of the right, and says once why there is none.
func (c *Controller) ownership() decide.Ownership {
	var o decide.Ownership
	var err error
	o.Lockable, o.Held, o.Since, err = c.o.Owner.State()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != c.ownerError {
		c.ownerError = text
		if text != "" {
			c.journal.noteError(slog.LevelWarn, "OwnerLockUnavailable",
				"policy.exclusive has no lock to rely on, only what is heard and listed, and that is weaker: make announce.folder a folder that all containers of the service share and can write to", err)
		} else {
			c.journal.note(slog.LevelInfo, "OwnerLockAvailable", "policy.exclusive has its lock now")
		}
	}
	return o
}

// Pauses between two tries of the preflight command: doubled each time.
const (
	preflightPause       = time.Second
	preflightPauseAtMost = 30 * time.Second
)

// preflight runs the preflight command until it has succeeded once. Its methods
// belong to the loop; only the command runs beside it.
type preflight struct {
	run     func(context.Context) error
	result  chan error
	running sync.WaitGroup

	passed, inFlight bool
	pause            time.Duration
	again            time.Time
}

func newPreflight(run func(context.Context) error) *preflight {
	return &preflight{run: run, passed: run == nil, result: make(chan error, 1)}
}

// step runs the command if it is wanted and due, and returns when to step again
// if nothing happens; zero: not before the next decision.
func (p *preflight) step(ctx context.Context, now time.Time, wanted bool) time.Time {
	if !wanted || p.passed || p.inFlight {
		return time.Time{}
	}
	if now.Before(p.again) {
		return p.again
	}
	p.inFlight = true
	p.running.Go(func() { p.result <- p.run(ctx) })
	return time.Time{}
}

// flew takes in how a try ended.
func (c *Controller) flew(err error) {
	p := c.flight
	p.inFlight, p.passed = false, err == nil
	if err == nil {
		c.journal.note(slog.LevelInfo, "PreflightPassed", "the preflight command has succeeded")
		return
	}
	p.pause = min(max(preflightPause, 2*p.pause), preflightPauseAtMost)
	p.again = time.Now().Add(p.pause)
	c.journal.noteAs(slog.LevelWarn, "PreflightFailed", "the preflight command failed; it is tried again",
		"the preflight command failed; it is tried again in "+p.pause.String()+": "+err.Error(), slog.Duration("in", p.pause), slog.Any("error", err))
}
