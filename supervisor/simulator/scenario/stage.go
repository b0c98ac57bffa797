package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// World is where a scenario plays.
type World interface {
	// Serving are the instances that requests are sent to, sorted by name.
	Serving() []string
	// Phase is what an instance says of itself, empty if it does not run.
	Phase(name string) string
	// Load begins or ends to send requests; those in flight go on.
	Load(on bool)
	// Note says what somebody outside does.
	Note(text string)
}

// Options are what a stage needs.
type Options struct {
	Scenario Scenario
	Version  simulator.Version
	World    World
	// The others are passed on to the simulator.
	Runtime simulator.Runtime
	Marker  simulator.Marker
	AppID   int64
	Seed    uint64
	OnEvent func(simulator.Event)
}

// Stage is a scenario being played.
type Stage struct {
	// Sim is its Supervisor, Cast the names of its containers.
	Sim  *simulator.Simulator
	Cast *Cast

	o   Options
	ctx context.Context
	err error

	mu        sync.Mutex
	ahead     time.Duration
	behaviour map[int64]Behaviour // by release id
	stops     map[string]*stopping
	order     []string
}

// stopping is the stop of a container so far.
type stopping struct {
	Stop
	told  time.Time
	times int // so often it was told
	ended bool
}

// Open makes a stage with a Supervisor that has no target yet.
func Open(o Options) (*Stage, error) {
	s := &Stage{
		o: o, Cast: NewCast(), ahead: o.Scenario.clockAhead,
		behaviour: map[int64]Behaviour{}, stops: map[string]*stopping{},
	}
	var err error
	s.Sim, err = simulator.New(simulator.Options{
		Version: o.Version, Runtime: o.Runtime, Marker: o.Marker, AppID: o.AppID, Seed: o.Seed,
		BeforeStop: o.Scenario.beforeStop, Clock: s.Clock,
		OnEvent: func(e simulator.Event) {
			s.observe(e)
			if o.OnEvent != nil {
				o.OnEvent(e)
			}
		},
	})
	return s, err
}

// Clock is the device's wall clock.
func (s *Stage) Clock() time.Time { return time.Now().Add(s.ClockAhead()) }

// ClockAhead is by how much it is wrong.
func (s *Stage) ClockAhead() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ahead
}

// Behaviour is what the service of a release does.
func (s *Stage) Behaviour(r simulator.Release) Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behaviour[r.ID]
}

// Play plays the scenario until its end, or until ctx ends, and leaves
// everything as it is then. The outcome has everything but the requests.
func (s *Stage) Play(ctx context.Context) Outcome {
	s.ctx = ctx
	s.o.Scenario.play(s)
	o := Outcome{Serving: s.o.World.Serving(), Err: s.err}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		if s.stops[id].ended {
			o.Stops = append(o.Stops, s.stops[id].Stop)
		}
	}
	return o
}

// observe takes down what was stopped.
func (s *Stage) observe(e simulator.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch known := s.stops[e.Container]; {
	case e.Kind == simulator.EventKill && e.Signal == syscall.SIGTERM && known == nil:
		s.stops[e.Container] = &stopping{Stop: Stop{Name: s.Cast.Name(e.Container, e.Release)}, told: e.At, times: 1}
		s.order = append(s.order, e.Container)
	case e.Kind == simulator.EventKill && e.Signal == syscall.SIGTERM:
		known.times++
	case e.Kind == simulator.EventKill && e.Signal == syscall.SIGKILL && known != nil:
		known.Killed = true
	case e.Kind == simulator.EventDie && known != nil:
		known.Took, known.Code, known.ended = e.At.Sub(known.told), e.Code, true
	}
}

// What follows are the steps that scenarios are made of. After an error they do
// nothing.

// begin installs the first release and waits until it serves under load.
func (s *Stage) begin(r release) {
	s.target(r)
	s.untilServing(s.letter(r))
	s.load(true)
	s.pause(time.Second)
}

// deploy makes a release the target.
func (s *Stage) deploy(r release) {
	if s.err != nil {
		return
	}
	s.mu.Lock()
	s.ahead = 0
	s.mu.Unlock()
	s.target(r)
}

func (s *Stage) target(r release) {
	if s.err != nil {
		return
	}
	s.mu.Lock()
	s.behaviour[r.ID] = r.Behaviour
	s.mu.Unlock()
	s.Sim.SetTarget(r.Release)
}

func (s *Stage) letter(r release) string { return string(rune('A' + r.ID - 1001)) }

func (s *Stage) load(on bool) {
	if s.err == nil {
		s.o.World.Load(on)
	}
}

func (s *Stage) note(text string) {
	if s.err == nil {
		s.o.World.Note(text)
	}
}

// pause lets time pass.
func (s *Stage) pause(d time.Duration) {
	if s.err != nil {
		return
	}
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
		s.err = fmt.Errorf("scenario: %w", context.Cause(s.ctx))
	}
}

// until waits until something is true; what it is called is for the error.
func (s *Stage) until(called string, done func() bool) {
	const look = 10 * time.Millisecond
	for s.err == nil && !done() {
		select {
		case <-time.After(look):
		case <-s.ctx.Done():
			s.err = fmt.Errorf("scenario: wait until %s: %w", called, context.Cause(s.ctx))
		}
	}
}

func (s *Stage) untilServing(name string) {
	s.until(name+" serves", func() bool { return slices.Contains(s.o.World.Serving(), name) })
}

func (s *Stage) untilPhase(name, phase string) {
	s.until(name+" is "+phase, func() bool { return s.o.World.Phase(name) == phase })
}

// untilAside waits until an instance is released that has not run its service.
func (s *Stage) untilAside(name string) {
	s.until(name+" is released", func() bool {
		phase := s.o.World.Phase(name)
		if phase == "serving" || phase == "holding" || phase == "draining" {
			s.err = fmt.Errorf("scenario: %s is %s, but must stay out of the way", name, phase)
		}
		return phase == "released"
	})
}

// untilStepsDown waits until an instance steps down for another one, and not the
// other way round.
func (s *Stage) untilStepsDown(name, other string) {
	down := func(phase string) bool { return phase == "draining" || phase == "released" }
	s.until(name+" steps down", func() bool {
		if phase := s.o.World.Phase(other); down(phase) {
			s.err = fmt.Errorf("scenario: %s is %s, but must take over", other, phase)
		}
		return down(s.o.World.Phase(name))
	})
}

func (s *Stage) untilGone(name string) {
	s.until("container "+name+" is removed", func() bool { return s.container(name) == nil })
}

// untilTold waits until an instance was sent so many SIGTERMs; it may have ended
// since.
func (s *Stage) untilTold(name string, times int) {
	s.until(fmt.Sprintf("%s is told to stop (%d times)", name, times), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, stop := range s.stops {
			if stop.Name == name && stop.times >= times {
				return true
			}
		}
		return false
	})
}

func (s *Stage) untilStarted(name string, times int) {
	s.until(fmt.Sprintf("container %s is started (%d times)", name, times), func() bool {
		c := s.container(name)
		return c != nil && c.Starts >= times
	})
}

func (s *Stage) untilEmpty() {
	s.until("no process runs", func() bool {
		return !slices.ContainsFunc(s.Sim.Containers(), func(c simulator.Container) bool {
			return s.o.World.Phase(s.Cast.Name(c.ID, c.Release)) != ""
		})
	})
}

func (s *Stage) container(name string) *simulator.Container {
	for _, c := range s.Sim.Containers() {
		if s.Cast.Name(c.ID, c.Release) == name {
			return &c
		}
	}
	return nil
}

// crash ends a container's process with SIGKILL.
func (s *Stage) crash(name string) {
	if s.err != nil {
		return
	}
	c := s.container(name)
	if c == nil {
		s.err = errors.New("scenario: crash: there is no container " + name)
		return
	}
	s.err = s.Sim.Kill(c.ID)
}
