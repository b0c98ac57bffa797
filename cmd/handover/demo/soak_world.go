package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor/simulator"
)

func newSoak(o SoakOptions, dir string) (*soak, error) {
	// Another one each time: container ids come of it, too.
	seed := rand.Uint64()
	s := &soak{
		o: o, dir: dir, began: time.Now(), lives: map[string]*life{}, rng: rand.New(rand.NewPCG(seed, 2)),
	}
	s.processes = &simulator.Processes{
		Dir: dir, Env: s.environ, Output: s.output,
		Command: func(simulator.Container) []string { return guarded(o.Program) },
	}
	s.life, s.end = context.WithCancel(context.Background())
	var err error
	if s.front, err = NewFront(FrontOptions{OnRequest: s.request, Timeout: soakRequest}); err != nil {
		return nil, err
	}
	var present []simulator.Release
	for n := range 4 {
		present = append(present, s.release(n))
	}
	s.sim, err = simulator.New(simulator.Options{
		Version: o.Version, Runtime: s, Marker: s.processes.Marker(), OnEvent: s.event, Seed: seed, Present: present,
		AppID: 1_000_000 + rand.Int64N(1_000_000), // as in the demo
	})
	if err == nil {
		if _, err = s.sim.Listen("127.0.0.1:0"); err == nil {
			return s, nil
		}
		s.sim.Close()
	}
	return nil, errors.Join(fmt.Errorf("demo: start the simulated Supervisor: %w", err), s.front.Close())
}

// Start implements simulator.Runtime.
func (s *soak) Start(c simulator.Container) (simulator.Process, error) {
	p, err := s.processes.Start(c)
	if known, ok := p.(interface{ PID() int }); ok && err == nil {
		s.mu.Lock()
		s.lives[c.ID].pid = known.PID()
		s.mu.Unlock()
	}
	return p, err
}

func (s *soak) environ(c simulator.Container) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lives[c.ID]
	return environOf(s.dir, l.name, l.address, l.readyAfter.String(), c.Release)
}

func (s *soak) output(c simulator.Container) io.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &s.lives[c.ID].log
}

// createdLife begins a life. The caller holds the lock.
func (s *soak) createdLife(e simulator.Event) *life {
	l := &life{
		id: e.Container, name: fmt.Sprintf("%s%d", strings.ToUpper(e.Release.Commit[:1]), s.count), address: simulator.FreeAddress(),
		readyAfter: soakReadyLeast + time.Duration(s.rng.Int64N(int64(soakReadyMost-soakReadyLeast))),
		stop:       func() {},
	}
	s.lives[e.Container] = l
	s.count++
	if s.turn == nil {
		s.serving = l
	} else {
		s.turn.created++
		s.turn.new = l
	}
	return l
}

// startedLife follows a process that was started. The caller holds the lock.
func (s *soak) startedLife(l *life, e simulator.Event) {
	if l.starts = e.Starts; l.starts == 1 {
		l.started = e.At
		if s.turn != nil && l == s.turn.new {
			s.window = true
		}
	}
	ctx, cancel := context.WithCancel(s.life)
	l.stop = cancel
	i := newInstance(s.processes.Socket(l.id))
	s.watchers.Go(func() { i.follow(ctx, func(status *controller.Status) { s.see(l, status) }) })
	check := i.ready
	if s.o.Trouble {
		check = i.readyThrough(l.address)
	}
	s.front.Add(Backend{Name: l.name, Address: l.address, Check: check})
}

// see notes what an instance says of itself.
func (s *soak) see(l *life, status *controller.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.phase != status.Phase {
		l.phase = status.Phase
		if s.turn != nil {
			s.turn.says(status.Time, l.name, fmt.Sprintf("%s: %s", status.Phase, status.Reason))
		}
	}
	for _, e := range status.Events {
		switch {
		case e.Reason == "WorkloadReady" && l.ready.IsZero():
			l.ready = e.Time
		case e.Reason == "StopSignalSent" && l.signalled.IsZero():
			l.signalled = e.Time
		}
	}
}

// forget forgets a container that was removed, as the engine does: with all of
// its files. The caller holds the lock.
func (s *soak) forget(l *life) {
	delete(s.lives, l.id)
	folder := s.processes.Folder(l.id)
	if _, err := os.Lstat(filepath.Join(folder, filepath.Base(s.processes.Socket(l.id)))); err == nil {
		s.addWrong(l.name + " left its status socket behind")
	}
	if err := os.RemoveAll(folder); err != nil {
		s.addWrong(err.Error())
	}
}
