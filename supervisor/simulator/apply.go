package simulator

import (
	"context"
	"time"
)

// startLoop starts the Supervisor's own loop, which works towards the target.
func (s *Simulator) startLoop(after time.Duration) {
	ctx, stop := context.WithCancel(s.life)
	done := make(chan struct{})
	s.mu.Lock()
	s.stopLoop, s.loopDone = stop, done
	s.mu.Unlock()
	s.work.Go(func() {
		defer close(done)
		if after > 0 && s.sleep(ctx, after) {
			s.tidy()
		}
		s.apply(ctx)
	})
}

// tidy is what a Supervisor does first when it starts: a service has one
// container, those too many are stopped, without any wait. The newest one that
// is as the target wants it stays.
func (s *Simulator) tidy() {
	s.mu.Lock()
	s.installing = nil
	if s.lockedOut {
		s.mu.Unlock()
		return
	}
	var keep *container
	var running []*container
	for _, c := range s.containers {
		if c.stopping {
			continue
		}
		running = append(running, c)
		if keep == nil || s.rightLocked(c) || !s.rightLocked(keep) {
			keep = c
		}
	}
	s.mu.Unlock()
	for _, c := range running {
		if c != keep {
			s.stop(c)
		}
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
		changed, applying, target := s.changed, s.applying, s.target
		s.mu.Unlock()
		if !applying {
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
		began = s.step(ctx)
	}
}

// step does the next thing that the target wants, and returns the pause after
// it.
func (s *Simulator) step(ctx context.Context) time.Duration {
	t := &s.o.Version.times
	s.mu.Lock()
	target := s.target
	var current *container // the newest that is not being stopped
	var extra, stopping []*container
	for _, c := range s.containers {
		if c.stopping {
			stopping = append(stopping, c)
			continue
		}
		if current != nil {
			extra = append(extra, current)
		}
		current = c
	}
	right := current != nil && s.rightLocked(current)
	same := current != nil && target != nil && current.keys == s.keys && current.release.sameContainer(target)
	s.mu.Unlock()

	switch {
	case target == nil && current == nil, right && len(extra) == 0:
		return s.finish(ctx, stopping)
	case target == nil:
		s.stop(current)
	case len(extra) > 0:
		if s.lockHeld(ctx) {
			s.stop(extra[0])
		}
	case current == nil && len(stopping) > 0 && s.o.Version.oneAtATime, current == nil && len(stopping) > 0 && target.KillFirst:
		s.waitGone(ctx, stopping)
	case current == nil:
		s.install(ctx, *target)
	case same:
		s.rename(current, target.containerName(s.o.Service), target)
	case target.KillFirst:
		s.stop(current)
	case len(stopping) > 0 && s.o.Version.oneAtATime:
		s.waitGone(ctx, stopping)
		return s.pick(t.next)
	default:
		if s.lockHeld(ctx) {
			s.handOver(ctx, current, *target)
		}
		if s.targetChanged(target) {
			return s.pick(t.stillStopping)
		}
	}
	return 0
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
func (s *Simulator) handOver(ctx context.Context, old *container, target Release) {
	t := &s.o.Version.times
	s.update(func() { s.handing = true })
	defer s.update(func() { s.handing = false })
	// The engine accepts this, and the policy stays as it is.
	old.tell(Event{Kind: EventUpdate})
	if !s.sleep(ctx, s.pick(t.rename)) {
		return
	}
	s.rename(old, "old_"+old.release.containerName(s.o.Service), nil)
	if c := s.install(ctx, target); c == nil || !s.waitToStop(ctx, target) {
		return
	}
	s.stop(old)
}

// rename gives a container another name, and another release if its image and
// configuration fit that one too.
func (s *Simulator) rename(c *container, name string, release *Release) {
	s.update(func() {
		c.name = name
		if release != nil {
			c.release = *release
		}
	})
	c.tell(Event{Kind: EventRename})
}

// install creates and starts a container; nil if it could not.
func (s *Simulator) install(ctx context.Context, r Release) *container {
	t := &s.o.Version.times
	s.update(func() { s.installing = &r })
	if !s.sleep(ctx, s.pick(t.create)) {
		s.update(func() { s.installing = nil })
		return nil
	}
	c := s.create(r)
	takes := t.start
	if r.HostNetwork {
		takes = t.startHost
	}
	started := time.Now().Add(s.pick(takes))
	// For some milliseconds the Supervisor knows of it in two ways, which is
	// when /v2/applications/:id/state says "Handing over".
	s.sleep(s.life, s.pick(ms(1, 8)))
	s.update(func() { s.installing = nil })
	s.sleep(s.life, s.pick(ms(0, 4)))
	s.update(func() { c.status = "Starting" })
	s.sleep(s.life, s.pick(ms(0, 12)))
	err := c.start(time.Until(started))
	s.update(func() {
		if c.status == "Starting" {
			c.status = ""
		}
	})
	if err != nil || ctx.Err() != nil {
		return nil
	}
	return c
}

// waitToStop is the time between the start of the new container and the stop
// of the old one. It returns false if the Supervisor ended.
func (s *Simulator) waitToStop(ctx context.Context, target Release) bool {
	t := &s.o.Version.times
	if s.o.BeforeStop > 0 && !s.sleep(ctx, s.o.BeforeStop) {
		return false
	}
	if !s.o.Version.Waits {
		return s.sleep(ctx, s.pick(t.stopNow))
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

// stop stops and removes a container. It does not wait for either.
func (s *Simulator) stop(c *container) {
	if !s.doom(c, "Stopping") {
		return
	}
	s.work.Go(func() {
		s.sleep(s.life, s.pick(s.o.Version.times.signal))
		s.engineStop(c)
		s.remove(c)
	})
}

// doom marks a container as one that is being stopped, so that it is not
// restarted. It tells whether it was not before.
func (s *Simulator) doom(c *container, status string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.stopping {
		return false
	}
	c.stopping, c.status = true, status
	s.wakeLocked()
	return true
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

// finish waits until what is being stopped is gone, deletes images, makes the
// release the current one, and is done.
func (s *Simulator) finish(ctx context.Context, stopping []*container) time.Duration {
	t := &s.o.Version.times
	s.mu.Lock()
	target, keys, commit := s.target, s.keys, s.commit
	s.mu.Unlock()
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
		if len(stopping) == 0 { // a container was only renamed
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
			s.applying = false
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
