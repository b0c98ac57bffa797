package simulator

import (
	"context"
	"slices"
	"time"
)

// startLoop starts the Supervisor's own loop, which works towards the target. A
// Supervisor that starts tidies up first.
func (s *Simulator) startLoop(starts bool) {
	ctx, stop := context.WithCancel(s.life)
	done := make(chan struct{})
	s.mu.Lock()
	before := s.loopDone
	s.running, s.stopLoop, s.loopDone = ctx, stop, done
	s.mu.Unlock()
	s.work.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		if starts {
			s.tidy(ctx)
		}
		s.apply(ctx)
	})
}

// forgetLocked is what becomes of the Supervisor's own notes when it ends; the
// caller holds the lock.
func (s *Simulator) forgetLocked() {
	s.installing = nil
	s.failures = 0
	for _, c := range s.containers {
		c.status, c.known = "", false
	}
}

// tidy is what a Supervisor does first when it starts: a service has one
// container, the newest. The others are stopped without any wait, also those
// that the engine is stopping already.
func (s *Simulator) tidy(ctx context.Context) {
	s.mu.Lock()
	var others []*container
	if n := len(s.containers); n > 0 && !s.lockedOut {
		others = slices.Clone(s.containers[:n-1])
		s.applying = s.applying || n > 1 || s.containers[0].state == stateCreated
	}
	s.mu.Unlock()
	if len(others) == 0 || !s.sleep(ctx, s.pick(s.o.Version.times.bootStop)) {
		return
	}
	for _, c := range others {
		s.stop(ctx, c)
	}
}

// rightLocked tells whether a container is as the target wants it.
func (s *Simulator) rightLocked(c *container) bool {
	return s.target != nil && c.keys == s.keys && c.release.ID == s.target.ID && c.release.sameContainer(s.target)
}

// apply takes step after step towards the target, and waits when there is
// nothing to do.
func (s *Simulator) apply(ctx context.Context) {
	t := &s.o.Version.times
	began := time.Duration(0) // pause before the next step
	for ctx.Err() == nil {
		s.mu.Lock()
		changed, idle, target := s.changed, !s.applying || s.restarting, s.target
		s.mu.Unlock()
		if idle {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			began = s.pick(t.apply)
			continue
		}
		if target != nil && s.download(ctx, *target) {
			began = max(began, s.pick(t.settle))
		}
		if !s.sleep(ctx, began) {
			return
		}
		var err error
		if began, err = s.step(ctx); err != nil && ctx.Err() == nil {
			s.failed(ctx, err)
		}
	}
}

// failed waits after a failed step: 1, 2, 4, … s, at most a quarter of an hour,
// or until there is another target.
func (s *Simulator) failed(ctx context.Context, err error) {
	const first, longest = time.Second, 15 * time.Minute
	s.mu.Lock()
	pause := min(first<<min(s.failures, 10), longest)
	s.failures++
	target, keys := s.target, s.keys
	s.mu.Unlock()
	s.tell(Event{Kind: EventFailed, Reason: err.Error()})
	ctx, cancel := context.WithTimeout(ctx, pause+s.pick(s.o.Version.times.again))
	defer cancel()
	_ = s.Wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.target != target || s.keys != keys
	})
}

// step does the next thing that the target wants, and returns the pause after
// it.
func (s *Simulator) step(ctx context.Context) (time.Duration, error) {
	t := &s.o.Version.times
	s.mu.Lock()
	target := s.target
	var current *container // the newest that is not being stopped
	var extra, stopping []*container
	for _, c := range s.containers {
		if c.status == statusStopping {
			stopping = append(stopping, c)
			continue
		}
		if current != nil {
			extra = append(extra, current)
		}
		current = c
	}
	right := current != nil && s.rightLocked(current)
	created := current != nil && current.state == stateCreated
	// What this Supervisor itself has started, and has ended since, is left alone
	// (somebody stopped it by hand). Else it is started again; here in a new
	// container, as an ended one of the simulator's cannot be.
	forgotten := right && current.state == stateExited && !current.known
	same := current != nil && target != nil && current.keys == s.keys && current.release.sameContainer(target)
	s.mu.Unlock()

	switch {
	case forgotten:
		s.stop(ctx, current)
	case target == nil && current == nil, right && !created && len(extra) == 0:
		return s.finish(ctx, stopping), nil
	case target == nil:
		s.stop(ctx, current)
	case len(extra) > 0:
		if s.lockHeld(ctx) && s.sleep(ctx, s.pick(t.settle)) {
			s.stop(ctx, extra[0])
		}
	case right && len(stopping) > 0: // it was created, but could not be started
		s.waitGone(ctx, stopping)
		return s.pick(t.look), nil
	case right:
		return 0, s.startFirst(ctx, current, time.Now())
	case current == nil && len(stopping) > 0 && s.o.Version.oneAtATime, current == nil && len(stopping) > 0 && target.KillFirst:
		s.waitGone(ctx, stopping)
	case current == nil:
		return 0, s.install(ctx, *target)
	case same:
		return 0, s.rename(current, target.containerName(s.o.Service), target)
	case target.KillFirst:
		s.stop(ctx, current)
	case len(stopping) > 0 && s.o.Version.oneAtATime:
		s.waitGone(ctx, stopping)
		return s.pick(t.next), nil
	default:
		var err error
		if s.lockHeld(ctx) {
			err = s.handOver(ctx, current, *target)
		}
		if s.targetChanged(target) {
			return s.pick(t.stillStopping), err
		}
		return 0, err
	}
	return 0, nil
}

func (s *Simulator) targetChanged(from *Release) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.target != from
}

// lockHeld takes the update lock, where the version looks at it. While the
// service holds it, it tries again after 1, 2, 4, … 32 s. It tells whether it
// has it.
func (s *Simulator) lockHeld(ctx context.Context) bool {
	for pause := time.Second; s.o.Version.locks; pause = min(2*pause, 32*time.Second) {
		s.mu.Lock()
		held := s.locked || s.lockedOut
		s.mu.Unlock()
		if !held {
			break
		}
		if !s.sleep(ctx, pause) {
			return false
		}
	}
	return true
}

// statusStopping is what the Supervisor says of a container that it is stopping.
const statusStopping = "Stopping"

// On a busy device.
const (
	slowestStart = 3200 * time.Millisecond // created → started
	slowestStop  = 490 * time.Millisecond  // started → the old one is being stopped
)

// besideImage is the image id of the other service.
const besideImage = 601
