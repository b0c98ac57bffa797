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

// handOver is the update strategy hand-over.
func (s *Simulator) handOver(ctx context.Context, old *container, target Release) error {
	t := &s.o.Version.times
	s.update(func() { s.handing = true })
	defer s.update(func() { s.handing = false })
	// The engine accepts this, and the policy stays as it is.
	old.tell(Event{Kind: EventUpdate})
	if !s.sleep(ctx, s.pick(t.rename)) {
		return nil
	}
	if err := s.rename(old, "old_"+old.release.containerName(s.o.Service), nil); err != nil {
		return err
	}
	if err := s.install(ctx, target); err != nil {
		return err
	}
	if s.waitToStop(ctx, target) {
		s.stop(ctx, old)
	}
	return nil
}

// rename gives a container another name, and another release if its image and
// configuration fit that one too.
func (s *Simulator) rename(c *container, name string, release *Release) error {
	if err := s.engineRename(c, name); err != nil {
		return err
	}
	if release != nil {
		s.update(func() { c.release, s.renamed = *release, true })
	}
	c.tell(Event{Kind: EventRename})
	return nil
}

// install creates and starts a container. It does neither, or not both, if the
// Supervisor ends meanwhile.
func (s *Simulator) install(ctx context.Context, r Release) error {
	t := &s.o.Version.times
	s.update(func() { s.installing = &r })
	defer s.update(func() { s.installing = nil })
	if !s.sleep(ctx, s.pick(t.create)) {
		return nil
	}
	c := s.create(r)
	began := time.Now()
	// For some milliseconds the Supervisor knows of it in two ways, which is
	// when /v2/applications/:id/state says "Handing over".
	if !s.sleep(ctx, s.pick(ms(1, 8))) {
		return nil
	}
	s.update(func() { s.installing = nil })
	return s.startFirst(ctx, c, began)
}

// startFirst starts a container that was created; began is when the Supervisor
// began with it. Once asked, the engine starts it whatever becomes of the
// Supervisor.
func (s *Simulator) startFirst(ctx context.Context, c *container, began time.Time) error {
	t := &s.o.Version.times
	takes := t.start
	switch {
	case c.release.HostNetwork:
		takes = t.startHost
	case s.o.Busy:
		takes = between{takes.least, slowestStart}
	}
	started := began.Add(s.pick(takes))
	if !s.sleep(ctx, s.pick(ms(0, 4))) {
		return nil
	}
	if s.portsTaken(c) {
		s.sleep(ctx, s.pick(t.failedStart))
		return errPorts
	}
	s.update(func() { c.status = "Starting" })
	s.sleep(s.life, s.pick(ms(0, 12)))
	err := c.start(time.Until(started))
	s.update(func() {
		if c.status == "Starting" {
			c.status = ""
		}
	})
	return err
}

// statusStopping is what the Supervisor says of a container that it is stopping.
const statusStopping = "Stopping"

// On a busy device.
const (
	slowestStart = 3200 * time.Millisecond // created → started
	slowestStop  = 490 * time.Millisecond  // started → the old one is being stopped
)

// waitToStop is the time between the start of the new container and the stop
// of the old one. It returns false if the Supervisor ended.
func (s *Simulator) waitToStop(ctx context.Context, target Release) bool {
	t := &s.o.Version.times
	if s.o.BeforeStop > 0 && !s.sleep(ctx, s.o.BeforeStop) {
		return false
	}
	if !s.o.Version.Waits {
		now := t.stopNow
		if s.o.Busy {
			now.most = slowestStop
		}
		return s.sleep(ctx, s.pick(now))
	}
	// It looks for the marker every 100 ms, first at once.
	const look = 100 * time.Millisecond
	for end := time.Now().Add(target.timeout()); ; {
		if s.o.Marker.Take() {
			s.tell(Event{Kind: EventMarker})
			return s.sleep(ctx, s.pick(t.stopMarker))
		}
		left := time.Until(end)
		if left <= 0 {
			return s.sleep(ctx, s.pick(t.stopTimeout))
		}
		if !s.sleep(ctx, min(look, left)) {
			return false
		}
	}
}

// stop stops and removes a container. It does not wait for either. If the
// Supervisor ends, the engine goes on, but nobody removes the container.
func (s *Simulator) stop(ctx context.Context, c *container) {
	s.mu.Lock()
	already := c.status == statusStopping
	c.status = statusStopping
	s.wakeLocked()
	s.mu.Unlock()
	if already {
		return
	}
	s.work.Go(func() {
		if !s.sleep(ctx, s.pick(s.o.Version.times.signal)) {
			return
		}
		s.engineStop(c, c.release.grace())
		if ctx.Err() == nil {
			s.remove(c)
		}
	})
}

// waitGone waits until containers are removed, or the target changes.
func (s *Simulator) waitGone(ctx context.Context, cs []*container) {
	s.mu.Lock()
	target, keys := s.target, s.keys
	s.mu.Unlock()
	_ = s.Wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.target != target || s.keys != keys {
			return true
		}
		for _, c := range cs {
			if !c.removed {
				return false
			}
		}
		return true
	})
}

// download downloads an image that is not there. It tells whether it was not.
func (s *Simulator) download(ctx context.Context, r Release) bool {
	s.mu.Lock()
	for _, i := range s.images {
		if i.release.ImageID == r.ImageID {
			s.mu.Unlock()
			return false
		}
	}
	s.mu.Unlock()
	// The target is known a moment before the download is.
	if !s.sleep(ctx, s.pick(ms(0, 60))) {
		return false
	}
	i := &image{release: r, status: "Downloading"}
	s.update(func() { s.images = append(s.images, i) })
	done := s.sleep(ctx, s.pick(s.o.Version.times.download))
	s.update(func() { i.status = "Downloaded" })
	return done
}

// settleBeside gives the container of the other service the name of the target,
// after its first start. That is all it needs.
func (s *Simulator) settleBeside(ctx context.Context, target *Release) {
	if s.o.Beside == "" || target == nil {
		return
	}
	r := Release{ID: target.ID, ImageID: besideImage, Commit: target.Commit, Image: s.o.Beside}
	s.mu.Lock()
	c := s.beside
	settled := c != nil && c.release.ID == r.ID
	if c == nil {
		c = &container{s: s, id: s.hex(64), name: r.containerName(s.o.Beside), release: r, createdAt: s.o.Clock(), state: stateRunning}
		s.beside, settled = c, true
	}
	s.mu.Unlock()
	if settled || !s.sleep(ctx, s.pick(s.o.Version.times.besides)) {
		return
	}
	s.update(func() { c.name, c.release = r.containerName(s.o.Beside), r })
	c.tell(Event{Kind: EventRename})
}

// besideImage is the image id of the other service.
const besideImage = 601

// finish waits until what is being stopped is gone, deletes images, makes the
// release the current one, and is done.
func (s *Simulator) finish(ctx context.Context, stopping []*container) time.Duration {
	t := &s.o.Version.times
	s.mu.Lock()
	target, keys, commit, renamed := s.target, s.keys, s.commit, s.renamed
	s.renamed = false
	s.mu.Unlock()
	s.settleBeside(ctx, target)
	changed := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.target != target || s.keys != keys
	}
	if s.waitGone(ctx, stopping); ctx.Err() != nil || changed() {
		return s.pick(t.stillStopping)
	}
	switch {
	case target == nil || commit == target.Commit || commit == "":
		s.update(func() {
			if target != nil {
				s.commit = target.Commit
			}
		})
		s.sleep(ctx, s.pick(t.appliedSame))
	default:
		commit, applied := t.commit, t.applied
		if renamed {
			commit, applied = t.commitRenamed, t.appliedRenamed
		}
		if s.o.CleanImages {
			s.clean(ctx, *target)
			commit = t.commitCleaned
		}
		if !s.sleep(ctx, s.pick(commit)) || changed() {
			return 0
		}
		s.update(func() { s.commit = target.Commit })
		s.sleep(ctx, s.pick(applied))
	}
	s.update(func() {
		if s.target == target && s.keys == keys && ctx.Err() == nil {
			s.applying, s.failures = false, 0
		}
	})
	return 0
}

// clean deletes the images of other releases.
func (s *Simulator) clean(ctx context.Context, target Release) {
	t := &s.o.Version.times
	s.sleep(ctx, s.pick(t.deleting))
	s.update(func() {
		for _, i := range s.images {
			if i.release.ImageID != target.ImageID {
				i.status = "Deleting"
			}
		}
	})
	s.sleep(ctx, s.pick(t.deleted))
	s.update(func() {
		kept := s.images[:0:0]
		for _, i := range s.images {
			if i.status != "Deleting" {
				kept = append(kept, i)
			}
		}
		s.images = kept
	})
}
