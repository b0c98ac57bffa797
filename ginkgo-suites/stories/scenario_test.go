package stories_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor"
	"github.com/handover-controller/handover/supervisor/simulator"
	"github.com/handover-controller/handover/supervisor/simulator/scenario"

	"github.com/handover-controller/handover/controller/decide"
)

// virtualWorld plays a scenario on virtual time: real controllers and nodes,
// fake workloads, a front that sends requests as the demo's does.
type virtualWorld struct {
	d      *device
	plain  bool
	stage  *scenario.Stage
	marker *simulator.MarkerMemory
	ended  chan struct{}

	mu               sync.Mutex
	backends         []*backend
	load             bool
	requests, failed int
}

// backend is a process as the front sees it.
type backend struct {
	name    string
	listed  bool        // the last check was good
	wants   func() bool // what a check says
	accepts func() bool // whether a request sent now is answered
	lives   func() bool // whether one in flight still is
	phase   func() string
}

const (
	proxy        = 500 * time.Millisecond // policy.settle and policy.drain_delay
	checkEvery   = 100 * time.Millisecond
	shortEvery   = 4 * time.Millisecond
	longEvery    = 250 * time.Millisecond
	longTakes    = 1500 * time.Millisecond
	drainsWithin = longTakes + 50*time.Millisecond
)

// Start implements simulator.Runtime.
func (w *virtualWorld) Start(c simulator.Container) (simulator.Process, error) {
	name := w.stage.Cast.Name(c.ID, c.Release)
	does := w.stage.Behaviour(c.Release)
	if w.plain {
		return w.startPlain(name, does), nil
	}
	w.d.mu.Lock()
	w.d.clock = w.stage.ClockAhead()
	i := slices.IndexFunc(w.d.containers, func(o *container) bool { return o.longID == c.ID })
	w.d.mu.Unlock()
	var own *container
	if i < 0 {
		own = w.d.create(name)
		own.longID, own.marker, own.supervisor = c.ID, w.marker, w.client(c)
	} else {
		own = w.d.containers[i]
	}
	p := plan{readyAfter: does.ReadyAfter, drains: drainsWithin, policy: func(p *decide.Policy) {
		p.StopGracePeriod, p.DrainDelay, p.Settle = c.Release.StopGracePeriod, proxy, proxy
	}}
	if does.NeverReady {
		p.readyAfter = -1
	}
	own.run(p)
	if does.CrashAfter > 0 {
		crashes := own.workload
		time.AfterFunc(does.CrashAfter, func() { crashes.exit(1) })
	}
	work, over, ctl := own.workload, own.over, own.controller
	ended := func() bool { return isClosed(over) }
	w.add(&backend{
		name: name,
		wants: func() bool {
			phase := ctl.Status().Phase
			return !ended() && work.State().Ready && (phase == "serving" || phase == "holding")
		},
		accepts: func() bool { return !ended() && work.State().Ready },
		lives:   func() bool { return !ended() && work.State().Running },
		phase: func() string {
			if ended() {
				return ""
			}
			return ctl.Status().Phase
		},
	})
	return &virtualProcess{c: own, ctl: ctl, over: over}, nil
}

// client is the real client of the API, with the key that the container got.
func (w *virtualWorld) client(c simulator.Container) controller.Supervisor {
	key := ""
	for _, v := range c.Env {
		if k, ok := strings.CutPrefix(v, "BALENA_SUPERVISOR_API_KEY="); ok {
			key = k
		}
	}
	client, err := supervisor.NewClient(supervisor.Options{
		Address: "http://127.0.0.1:48484", APIKey: key, Transport: w.stage.Sim.Transport(),
	})
	Expect(err).NotTo(HaveOccurred())
	return client
}

// virtualProcess is a container's process: an instance.
type virtualProcess struct {
	c      *container
	ctl    *controller.Controller
	over   chan struct{}
	killed bool
}

func (p *virtualProcess) Done() <-chan struct{} { return p.over }

func (p *virtualProcess) Code() int {
	if p.killed {
		return 137
	}
	return p.c.code
}

func (p *virtualProcess) Signal(s syscall.Signal) {
	switch {
	case isClosed(p.over):
	case s == syscall.SIGTERM:
		p.ctl.Tell()
	default:
		p.killed = true
		go p.c.kill()
	}
}

// startPlain starts the service without handover.
func (w *virtualWorld) startPlain(name string, does scenario.Behaviour) simulator.Process {
	p := &plainProcess{done: make(chan struct{}), readyAt: time.Now().Add(does.ReadyAfter)}
	ready := func() bool { return !isClosed(p.done) && !p.told() && !time.Now().Before(p.readyAt) }
	w.add(&backend{
		name: name, wants: ready, accepts: ready, lives: func() bool { return !isClosed(p.done) },
		phase: func() string {
			if isClosed(p.done) {
				return ""
			}
			return "serving"
		},
	})
	return p
}

type plainProcess struct {
	readyAt time.Time
	once    sync.Once
	done    chan struct{}

	mu      sync.Mutex
	stopped bool
}

func (p *plainProcess) told() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

func (p *plainProcess) Done() <-chan struct{} { return p.done }

func (p *plainProcess) Code() int { return 0 }

func (p *plainProcess) Signal(s syscall.Signal) {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	takes := drainsWithin
	if s == syscall.SIGKILL {
		takes = 0
	}
	time.AfterFunc(takes, func() { p.once.Do(func() { close(p.done) }) })
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (w *virtualWorld) add(b *backend) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.backends = append(w.backends, b)
}

func (w *virtualWorld) all() []*backend {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.backends)
}

// Serving implements scenario.World.
func (w *virtualWorld) Serving() []string {
	var all []string
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.backends {
		if b.listed {
			all = append(all, b.name)
		}
	}
	slices.Sort(all)
	return all
}

// Phase implements scenario.World.
func (w *virtualWorld) Phase(name string) string {
	for _, b := range slices.Backward(w.all()) {
		if b.name == name {
			return b.phase()
		}
	}
	return ""
}

// Load implements scenario.World.
func (w *virtualWorld) Load(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.load = on
}

// Note implements scenario.World.
func (*virtualWorld) Note(string) {}

// every does something again and again until the scenario has ended.
func (w *virtualWorld) every(d time.Duration, do func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-w.ended:
			return
		}
	}
}

// check looks who wants requests.
func (w *virtualWorld) check() {
	for _, b := range w.all() {
		wants := b.wants()
		w.mu.Lock()
		b.listed = wants
		w.mu.Unlock()
	}
}

// send sends a request that takes so long.
func (w *virtualWorld) send(takes time.Duration) {
	w.mu.Lock()
	on := w.load
	var to *backend
	for _, b := range w.backends {
		if b.listed && (to == nil || w.requests%2 == 0) {
			to = b
		}
	}
	if on {
		w.requests++
	}
	w.mu.Unlock()
	if !on {
		return
	}
	ok := to != nil && to.accepts()
	if ok && takes > 0 {
		select {
		case <-time.After(takes):
			ok = to.lives()
		case <-w.ended:
		}
	}
	if !ok {
		w.mu.Lock()
		w.failed++
		w.mu.Unlock()
	}
}

// playVirtually plays a scenario on virtual time.
func playVirtually(s scenario.Scenario, v simulator.Version, seed uint64) scenario.Outcome {
	w := &virtualWorld{d: newDevice(), plain: s.Plain, marker: &simulator.MarkerMemory{}, ended: make(chan struct{})}
	var err error
	w.stage, err = scenario.Open(scenario.Options{
		Scenario: s, Version: v, World: w, Runtime: w, Marker: w.marker, AppID: 1234, Seed: seed,
		OnEvent: func(e simulator.Event) { fmt.Fprintln(GinkgoWriter, w.d.now(), e) },
	})
	Expect(err).NotTo(HaveOccurred())
	var running sync.WaitGroup
	running.Go(func() { w.every(checkEvery, w.check) })
	running.Go(func() { w.every(shortEvery, func() { w.send(0) }) })
	running.Go(func() { w.every(longEvery, func() { running.Go(func() { w.send(longTakes) }) }) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	o := w.stage.Play(ctx)
	cancel()
	w.Load(false)
	time.Sleep(longTakes)
	close(w.ended)
	running.Wait()
	w.stage.Sim.Close()
	w.d.end()
	synctest.Wait()
	o.Requests, o.Failed = w.requests, w.failed
	return o
}

var _ = Describe("The demo's scenarios, on virtual time", func() {
	runs := uint64(3) // of each; what has chance in it differs
	if testing.Short() {
		runs = 1
	}
	for _, v := range simulator.Versions() {
		for _, s := range scenario.All() {
			for seed := range runs {
				It(fmt.Sprintf("%s on Supervisor %s, run %d", s.Name, v.Name, seed), func() {
					virtually(s.Name, func() {
						o := playVirtually(s, v, seed)
						Expect(s.Check(o)).To(BeEmpty(), "%+v", o)
					})
				})
			}
		}
	}
})
