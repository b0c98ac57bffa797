package simulator

import (
	"errors"
	"slices"
	"syscall"
	"time"
)

// A container's state in the engine. The Supervisor reports "Installed" of a
// created one, and "Running" of a running one, also while the engine waits
// before it starts its process again.
const (
	stateCreated = iota
	stateRunning
	stateExited
)

// The engine doubles its pause before each restart, and forgets that when the
// process has run for ten seconds (Docker's documentation of restart policies).
const (
	firstPause  = 100 * time.Millisecond
	longestWait = time.Minute
	provenAfter = 10 * time.Second
)

// container is a container of the engine. Its fields are guarded by the
// simulator's lock.
type container struct {
	s         *Simulator
	id        string
	name      string
	release   Release
	key       string // in its environment
	keys      int    // which of the keys that is
	createdAt time.Time

	state    int
	status   string // what this Supervisor says of it: Starting, Stopping
	known    bool   // this Supervisor has seen it start, since it was started itself
	busy     int    // engine's operations that keep it from being looked at
	stopping bool   // by the engine, or killed by hand: no restart
	removed  bool
	starts   int
	process  Process
	pause    time.Duration
	ended    chan struct{} // closed when its process has ended for good
	force    chan struct{} // closed when everything ends
}

// create creates a container and tells of it.
func (s *Simulator) create(r Release) *container {
	now := s.o.Clock()
	s.mu.Lock()
	c := &container{
		s: s, id: s.hex(64), name: r.containerName(s.o.Service), release: r, key: s.key, keys: s.keys, createdAt: now,
		pause: firstPause, ended: make(chan struct{}), force: make(chan struct{}),
	}
	s.containers = append(s.containers, c)
	s.mu.Unlock()
	c.tell(Event{Kind: EventCreate})
	return c
}

func (c *container) tell(e Event) {
	c.s.mu.Lock()
	e.Container, e.Name, e.Release = c.id, c.name, c.release
	e.Starts = c.starts
	c.s.mu.Unlock()
	c.s.tell(e)
}

// public is a copy for outside; the caller holds the lock.
func (c *container) public(s *Simulator) Container {
	return Container{
		ID: c.id, Name: c.name, Release: c.release, CreatedAt: c.createdAt, Starts: c.starts, Env: s.environ(c),
	}
}

// occupied runs an operation during which the API's requests wait.
func (c *container) occupied(operation func()) {
	c.s.update(func() { c.busy++ })
	defer c.s.update(func() { c.busy-- })
	operation()
}

// start starts a container's first process, which takes so long. Once asked, the
// engine does it whatever becomes of the Supervisor.
func (c *container) start(takes time.Duration) error {
	var err error
	c.occupied(func() {
		if c.s.sleep(c.s.life, takes) {
			err = c.launch()
		}
	})
	return err
}

// launch starts a process and watches it.
func (c *container) launch() error {
	s := c.s
	if s.portsTaken(c) {
		return errPorts
	}
	s.mu.Lock()
	if s.stopped || c.stopping {
		s.mu.Unlock()
		return nil
	}
	c.starts++
	c.known = true
	public := c.public(s)
	s.mu.Unlock()
	p, err := s.o.Runtime.Start(public)
	if err != nil {
		s.update(func() { c.starts-- }) // it never ran
		return err
	}
	s.update(func() { c.process, c.state = p, stateRunning })
	c.tell(Event{Kind: EventStart})
	s.work.Go(func() { c.watch(p) })
	return nil
}

// watch waits for a process's end, and restarts it as the policy "always" says.
func (c *container) watch(p Process) {
	s, t := c.s, &c.s.o.Version.times
	began := time.Now()
	select {
	case <-p.Done():
	case <-c.force:
		p.Signal(syscall.SIGKILL)
		<-p.Done()
		s.update(func() { c.state, c.process = stateExited, nil })
		close(c.ended)
		return
	}
	s.sleep(s.life, s.pick(t.exited))
	died := time.Now()
	c.tell(Event{Kind: EventDie, Code: p.Code()})
	cleanup := t.cleanup
	if c.release.HostNetwork {
		cleanup = t.cleanupHost
	}
	c.occupied(func() { s.sleep(s.life, s.pick(cleanup)) })

	s.mu.Lock()
	c.process = nil
	again := !c.stopping && !s.stopped && !c.release.NoRestart
	if time.Since(began) >= provenAfter {
		c.pause = firstPause
	}
	pause := c.pause
	c.pause = min(2*c.pause, longestWait)
	if !again {
		c.state = stateExited
		s.applying = s.applying || !c.known && s.down == 0 // it is to run
	}
	s.wakeLocked()
	s.mu.Unlock()
	if again && c.restart(time.Until(died.Add(pause+s.pick(t.restart)))) {
		return
	}
	s.update(func() { c.state = stateExited })
	close(c.ended)
}

// restart starts the process once more, after a pause. It tells whether it did.
func (c *container) restart(pause time.Duration) bool {
	const networking = 100 * time.Millisecond // of it; meanwhile the container cannot be looked at
	s := c.s
	wake := time.NewTimer(pause - networking)
	defer wake.Stop()
	for waiting := true; waiting; {
		s.mu.Lock()
		changed, given := s.changed, c.stopping || s.stopped
		s.mu.Unlock()
		if given {
			return false
		}
		select {
		case <-changed:
		case <-wake.C:
			waiting = false
		}
	}
	started := false
	c.occupied(func() {
		if s.sleep(s.life, networking) {
			before := c.starts
			started = c.launch() == nil && c.starts > before
		}
	})
	return started
}

// kill sends SIGKILL to the process without a word to the engine.
func (c *container) kill() {
	c.s.mu.Lock()
	p := c.process
	c.s.mu.Unlock()
	if p != nil {
		p.Signal(syscall.SIGKILL)
	}
}

// signal is docker kill.
func (c *container) signal(sig syscall.Signal) {
	c.s.mu.Lock()
	p := c.process
	c.s.mu.Unlock()
	if p == nil {
		return
	}
	c.tell(Event{Kind: EventKill, Signal: sig})
	p.Signal(sig)
}

// destroyed ends a container because everything ends.
func (c *container) destroyed() {
	c.s.mu.Lock()
	select {
	case <-c.force:
	default:
		close(c.force)
	}
	c.s.wakeLocked()
	c.s.mu.Unlock()
}

// errPorts is the engine's error for a container whose published ports another
// one has.
var errPorts = errors.New("driver failed programming external connectivity: port is already allocated")

// portsTaken tells whether another container has the ports that this one
// publishes.
func (s *Simulator) portsTaken(c *container) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.release.PublishedPorts && slices.ContainsFunc(s.containers, func(o *container) bool {
		return o != c && o.release.PublishedPorts && o.process != nil
	})
}

// engineRename is docker rename.
func (s *Simulator) engineRename(c *container, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.o.NeverFails:
	case c.name == name:
		return errors.New("renaming a container with the same name as its current name")
	case c.state == stateRunning && c.process == nil: // the engine is about to restart it
		return errors.New("no such container - sandbox " + c.id + " not found")
	}
	c.name = name
	return nil
}

// engineStop is docker stop of a container: SIGTERM, the grace period, SIGKILL.
// It returns when the process has ended, and does nothing if none runs. Each of
// several at once sends its SIGTERM; the first one whose time is over ends it.
func (s *Simulator) engineStop(c *container, grace time.Duration) {
	s.mu.Lock()
	runs := c.state == stateRunning
	c.stopping = c.stopping || runs
	s.wakeLocked()
	s.mu.Unlock()
	if !runs {
		return
	}
	c.signal(syscall.SIGTERM)
	over := time.NewTimer(grace)
	defer over.Stop()
	select {
	case <-c.ended:
	case <-c.force:
	case <-over.C:
		s.sleep(s.life, s.pick(s.o.Version.times.sigkill))
		c.signal(syscall.SIGKILL)
		select {
		case <-c.ended:
		case <-c.force:
		}
	}
	c.tell(Event{Kind: EventStop})
}

// remove is docker rm.
func (s *Simulator) remove(c *container) {
	s.sleep(s.life, s.pick(s.o.Version.times.remove))
	s.update(func() {
		c.removed = true
		s.containers = slices.DeleteFunc(s.containers, func(o *container) bool { return o == c })
	})
	c.tell(Event{Kind: EventDestroy})
}
