package simulator

// The single steps that the loop in apply.go takes towards the target.

import (
	"context"
	"time"
)

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
