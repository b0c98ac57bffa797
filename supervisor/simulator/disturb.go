package simulator

// What people, the kernel and chance do to a Supervisor and to its containers.

import (
	"fmt"
	"syscall"
	"time"
)

// RotateKey gives the service another API key, as the cloud or a support agent
// does. The old one is refused from now on, and the container is re-created with
// the same release.
func (s *Simulator) RotateKey() {
	s.mu.Lock()
	s.keys++
	s.key = s.hex(32)
	s.applying = true
	s.wakeLocked()
	s.mu.Unlock()
	s.tell(Event{Kind: EventRotate})
}

// Lock takes or releases the service's update lock.
func (s *Simulator) Lock(held bool) {
	s.mu.Lock()
	s.locked = held
	s.wakeLocked()
	s.mu.Unlock()
}

// Crash is [Simulator.Down] with SIGKILL. In the middle of a hand-over a
// version with update locks leaves its own, and locks itself out: both
// containers run on.
func (s *Simulator) Crash() {
	s.update(func() { s.lockedOut = s.lockedOut || s.o.Version.locks && s.handing })
	s.Down()
}

// Down ends the Supervisor until [Simulator.Up]: nothing answers, and nothing
// is applied. What the engine does goes on.
func (s *Simulator) Down() {
	s.mu.Lock()
	done := s.endLocked()
	s.mu.Unlock()
	s.ended(done)
}

// CrashAt is [Simulator.Crash] at the next event of a kind: between two steps of
// the Supervisor, where nobody else could end it in time. Killed after
// [EventRename], it can never hand over that container again; after
// [EventCreate], the new one stays created until it starts again.
func (s *Simulator) CrashAt(kind string) { s.update(func() { s.crashAt = kind }) }

// endLocked ends the Supervisor; the channel is closed when it has. The caller
// holds the lock.
func (s *Simulator) endLocked() <-chan struct{} {
	s.down++
	s.stopLoop()
	s.wakeLocked()
	return s.loopDone
}

// ended completes the end of the Supervisor.
func (s *Simulator) ended(done <-chan struct{}) {
	<-done
	s.reopen()
	s.tell(Event{Kind: EventDown})
}

// Up starts a Supervisor that is down. Its API answers 0.6–0.8 s later. There is
// one Up for each [Simulator.Down] or [Simulator.Crash]; more do nothing. It has
// forgotten what it was doing: a container that is being stopped is Running for
// it, and is sent SIGTERM again.
func (s *Simulator) Up() {
	s.mu.Lock()
	needed := s.ups < s.down
	if needed {
		s.ups++
	}
	s.mu.Unlock()
	if !needed {
		return
	}
	boot := s.pick(s.o.Version.times.boot)
	s.work.Go(func() {
		if !s.sleep(s.life, boot) {
			return
		}
		s.mu.Lock()
		s.down--
		s.ups--
		up := s.down == 0
		if up {
			s.forgetLocked()
		}
		s.mu.Unlock()
		if !up {
			return // it has ended again meanwhile
		}
		s.reopen()
		s.tell(Event{Kind: EventUp})
		s.startLoop(true)
	})
}

// Stop stops the service, as the dashboard's button does: SIGTERM, and SIGKILL
// when the grace period is over. There is no successor. It does not wait.
func (s *Simulator) Stop() {
	s.mu.Lock()
	s.target = nil
	s.applying = true
	s.wakeLocked()
	s.mu.Unlock()
}

// Shutdown stops the whole device: the Supervisor ends, and the engine stops
// all containers at once. It does not wait for them.
func (s *Simulator) Shutdown() {
	s.Down()
	for _, c := range s.all() {
		s.work.Go(func() { s.engineStop(c, c.release.grace()) })
	}
}

// Restart stops the service and starts it again in a new container, as POST
// /v2/applications/:appId/restart-service does. It does not wait.
func (s *Simulator) Restart() {
	s.mu.Lock()
	ctx := s.running
	var c *container
	if len(s.containers) > 0 && !s.restarting {
		c = s.containers[len(s.containers)-1]
		s.restarting = true
	}
	s.mu.Unlock()
	if c == nil {
		return
	}
	s.work.Go(func() {
		defer s.update(func() { s.restarting = false })
		if !s.sleep(ctx, s.pick(ms(40, 60))) {
			return
		}
		s.stop(ctx, c)
		_ = s.Wait(ctx, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return c.removed
		})
		if s.sleep(ctx, s.pick(ms(5, 20))) {
			_ = s.install(ctx, c.release)
		}
	})
}

// StopByHand is docker stop -t, without the Supervisor: SIGTERM, and SIGKILL
// after that time; 0 is the container's own stop grace period. Nobody starts the
// container again; it stays, and is listed as exited. It does not wait. Of
// several stops of a container the earliest deadline counts.
func (s *Simulator) StopByHand(id string, grace time.Duration) error {
	c := s.find(id)
	if c == nil {
		return fmt.Errorf("simulator: stop by hand: there is no container %.12s", id)
	}
	if grace == 0 {
		grace = c.release.grace()
	}
	s.work.Go(func() { s.engineStop(c, grace) })
	return nil
}

// KillByHand is docker kill: SIGKILL, and as after [Simulator.StopByHand] nobody
// starts the container again.
func (s *Simulator) KillByHand(id string) error {
	c := s.find(id)
	if c == nil {
		return fmt.Errorf("simulator: kill by hand: there is no container %.12s", id)
	}
	s.update(func() { c.stopping = true })
	c.signal(syscall.SIGKILL)
	return nil
}

// Kill ends a container's process with SIGKILL, as the kernel does when memory
// runs out. The engine restarts it, unless it is being stopped.
func (s *Simulator) Kill(id string) error {
	c := s.find(id)
	if c == nil {
		return fmt.Errorf("simulator: kill: there is no container %.12s", id)
	}
	c.kill()
	return nil
}

// Exit ends a container's process by itself, with that status. Only processes
// of a [Scripted] runtime can be told to.
func (s *Simulator) Exit(id string, code int) error {
	c := s.find(id)
	if c == nil {
		return fmt.Errorf("simulator: exit: there is no container %.12s", id)
	}
	s.mu.Lock()
	p, ok := c.process.(*scripted)
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("simulator: exit: the process of container %.12s is not a scripted one", id)
	}
	p.end(code)
	return nil
}
