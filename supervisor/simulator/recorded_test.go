package simulator_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// actions are what was done in a recording from outside of the Supervisor: by
// the person who recorded it, and by the containers. Times are in ms since its
// beginning unless they are named otherwise.
type actions struct {
	name    string
	present int // how many releases' images are on the device: A, A and B, …
	target  int // when B becomes the target
	same    bool
	rename  bool // B has the image and configuration of A
	third   int  // when C does
	timeout int  // the hand-over time-out in s
	grace   int  // the stop grace period in s
	stops   int  // A needs so long after SIGTERM, in s
	ends    int  // … in ms
	again   int  // … after a second one, in ms
	ignores bool // A ignores SIGTERM
	crashes bool // B crashes always, at once
	lives   int  // … or after so long
	ports   bool // both have published ports
	beside  string
	exits   int // A ends by itself so long after B's start
	host    bool
	clean   bool
	marker  int // A writes the marker so long after B's start; -1: it was there before
	unlock  int // A holds the update lock until then
	down    int // the Supervisor ends so long after B's start …
	up      int // … and is started again then
	// killed are Supervisors that are killed, and when they are started again.
	killed []restarted
	// killedAt is the engine's event at which it is killed; up is when it is
	// started again.
	killedAt string
	byHand   int // docker stop
	restart  int // the API is asked to restart the service
}

// restarted is a Supervisor that is killed, and when it is started again.
type restarted struct{ down, up int }

var recordings = []actions{
	{name: "14.13.9/grace-20s", present: 2, target: 1245, timeout: 2, grace: 20, stops: 15},
	{name: "14.13.9/hand-over", present: 1, target: 1605, timeout: 6, stops: 3, clean: true},
	{name: "14.13.9/host-network", present: 1, target: 1255, timeout: 4, stops: 3, host: true},
	{name: "14.13.9/marker-by-old", present: 2, target: 1260, timeout: 60, stops: 2, marker: 3000},
	{name: "14.13.9/new-crash-loops", present: 3, target: 1255, timeout: 8, crashes: true},
	{name: "14.13.9/old-exits-by-itself", present: 3, target: 1290, timeout: 12, exits: 2105},
	{name: "14.13.9/same-release", present: 1, target: 1305, same: true, timeout: 5, stops: 3},
	{name: "14.13.9/stale-marker", present: 3, target: 2265, timeout: 60, marker: -1},
	{name: "14.13.9/supervisor-restarts", present: 3, target: 1255, timeout: 60, stops: 4, down: 5000, up: 9650},
	{name: "14.13.9/three-instances", present: 2, target: 1250, timeout: 2, ignores: true, third: 6650},
	{name: "14.13.9/timeout", present: 1, target: 1360, timeout: 6, stops: 3},
	{name: "14.13.9/update-lock", present: 3, target: 1250, timeout: 4, unlock: 12000},
	{name: "19.0.5-wait-repaired/marker-by-old", present: 2, target: 1255, timeout: 60, stops: 2, marker: 3085},
	{name: "19.0.5-wait-repaired/old-exits-by-itself", present: 2, target: 1255, timeout: 12, exits: 2105},
	{name: "19.0.5-wait-repaired/timeout", present: 1, target: 1255, timeout: 6, stops: 3},
	{name: "19.0.5/api-restart-service", present: 1, restart: 1508, ends: 3035},
	{name: "19.0.5/container-stopped-by-hand", present: 1, byHand: 1560, ends: 3020},
	// B lived for 0.7 s. A bit less here, so that no try hits it by chance.
	{name: "19.0.5/crash-loop-blocks-the-fix", present: 1, target: 1508, third: 7546, grace: 30, ends: 26510, crashes: true, lives: 600},
	{name: "19.0.5/crash-loop-then-fix", present: 1, target: 1510, third: 8534, grace: 30, ends: 26540, crashes: true, lives: 4200},
	{name: "19.0.5/grace-20s", present: 2, target: 1250, grace: 20, stops: 15},
	{name: "19.0.5/hand-over", present: 1, target: 1605, stops: 3, clean: true},
	{name: "19.0.5/host-network", present: 2, target: 1255, stops: 3, host: true},
	{name: "19.0.5/new-crash-loops", present: 3, target: 1265, crashes: true},
	{name: "19.0.5/new-never-healthy", present: 3, target: 1250},
	{name: "19.0.5/no-hand-over-rename-only", present: 1, target: 1250, rename: true},
	{name: "19.0.5/old-ignores-sigterm", present: 2, target: 1255, ignores: true, third: 4690},
	{name: "19.0.5/published-ports", present: 1, target: 1505, ports: true, ends: 3010},
	{name: "19.0.5/same-release", present: 1, target: 1255, same: true, stops: 3},
	{name: "19.0.5/supervisor-killed", present: 3, target: 1755, stops: 2, down: 5, up: 7085},
	{name: "19.0.5/supervisor-killed-after-create", present: 1, target: 1505, ends: 3035, killedAt: simulator.EventCreate, up: 4945},
	{name: "19.0.5/supervisor-killed-after-rename", present: 1, target: 1506, killedAt: simulator.EventRename, up: 4906},
	// When it was killed and started was not taken down, only that it answered
	// again at about 4750 and 11450.
	{
		name: "19.0.5/supervisor-restarts-twice-old-ignores-sigterm", present: 1, target: 1507, grace: 25, ignores: true,
		killed: []restarted{{3900, 4020}, {10600, 10730}},
	},
	{
		name: "19.0.5/supervisor-restarts-while-old-holds", present: 1, target: 1507, grace: 60, ends: 50000, again: 3035,
		killed: []restarted{{4119, 4233}, {11091, 11205}},
	},
	{name: "19.0.5/two-services", present: 1, target: 1504, grace: 30, ends: 8170, beside: "proxy"},
	{name: "19.0.5/update-lock", present: 3, target: 1755, stops: 3, unlock: 12000},
}

func (a *actions) version() string { return strings.Split(a.name, "/")[0] }

func (a *actions) file() string { return a.name + ".jsonl" }

// release is A, B or C as the recordings have them.
func (a *actions) release(letter string) simulator.Release {
	n := int64(letter[0] - 'A')
	r := simulator.Release{
		ID: 1001 + n, ImageID: 501 + n, Commit: strings.Repeat(strings.ToLower(letter), 32), Image: "rig-svc:" + letter,
		StopGracePeriod: time.Duration(a.grace) * time.Second, HandoverTimeout: time.Duration(a.timeout) * time.Second,
		HostNetwork: a.host, PublishedPorts: a.ports,
	}
	if a.rename {
		r.Image = "rig-svc:A"
	}
	return r
}

// process says what the containers' processes do.
func (a *actions) process(c simulator.Container) simulator.Script {
	switch {
	case c.Release.ID == 1002 && a.crashes:
		if a.lives > 0 {
			return simulator.Script{ExitsAfter: at(a.lives), Code: 3, StopTakes: time.Minute}
		}
		return simulator.Script{ExitsAfter: 5 * time.Millisecond, Code: 1}
	case c.Release.ID == 1001 && c.Starts == 1:
		return simulator.Script{StopTakes: at(1000*a.stops + a.ends), IgnoresStop: a.ignores, AgainTakes: at(a.again)}
	}
	return simulator.Script{}
}

// simulate does what was done in a recording, and records it in the same way.
func (a *actions) simulate(seed uint64, until int) *course {
	version, err := simulator.ByName(a.version())
	Expect(err).NotTo(HaveOccurred())
	var present []simulator.Release
	for _, letter := range []string{"A", "B", "C"}[:a.present] {
		present = append(present, a.release(letter))
	}
	var mu sync.Mutex
	c := &course{says: map[string][]said{}, truth: map[string][]string{}, end: until}
	called := newNames()
	var began time.Time // of the recording
	started := make(chan struct{})
	marker := &simulator.MarkerMemory{}
	sim, err := simulator.New(simulator.Options{
		Version: version, Runtime: simulator.Scripted(a.process), Marker: marker, Seed: seed, CleanImages: a.clean, Present: present,
		Beside: a.beside,
		OnEvent: func(e simulator.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Container == "" || began.IsZero() {
				if e.Container != "" {
					called.of(e.Container, e.Name)
				}
				return
			}
			what := e.Kind + " " + called.of(e.Container, e.Name)
			switch e.Kind {
			case simulator.EventKill:
				what = fmt.Sprintf("kill %d %s", int(e.Signal), called.of(e.Container, e.Name))
			case simulator.EventDie:
				what = fmt.Sprintf("die %d %s", e.Code, called.of(e.Container, e.Name))
			case simulator.EventStart:
				if e.Starts == 1 && len(called.byID) == 2 {
					close(started)
				}
			}
			c.engine = append(c.engine, happening{int(e.At.Sub(began).Milliseconds()), what})
		},
	})
	Expect(err).NotTo(HaveOccurred())
	defer sim.Close()
	sim.SetTarget(a.release("A"))
	time.Sleep(time.Minute)
	Expect(sim.Settled()).To(BeTrue())
	mu.Lock()
	began = time.Now()
	mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), at(until))
	defer cancel()
	var all sync.WaitGroup
	for i, endpoint := range endpoints {
		all.Go(func() {
			time.Sleep(at(i*7 + int(seed%50)))
			for ctx.Err() == nil {
				client, err := supervisor.NewClient(supervisor.Options{
					Address: "http://127.0.0.1", APIKey: sim.APIKey(), Transport: sim.Transport(), Timeout: time.Minute,
				})
				Expect(err).NotTo(HaveOccurred())
				asked := time.Now()
				line, err := ask(ctx, client, endpoint)
				if err != nil {
					line = unanswered
				}
				mu.Lock()
				c.say(endpoint, int(time.Since(began).Milliseconds()), int(time.Since(asked).Milliseconds()), line)
				mu.Unlock()
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	all.Go(func() {
		bodies := map[string]string{}
		_ = sim.Wait(ctx, func() bool {
			for _, endpoint := range endpoints {
				if body := sim.Truth(endpoint); string(body) != bodies[endpoint] {
					bodies[endpoint] = string(body)
					c.truth[endpoint] = append(c.truth[endpoint], read(endpoint, body))
				}
			}
			return false
		})
	})
	all.Go(func() { a.perform(ctx, sim, marker, started, began) })
	all.Wait()
	return c
}

// perform does what was done from outside.
func (a *actions) perform(ctx context.Context, sim *simulator.Simulator, marker *simulator.MarkerMemory, started <-chan struct{}, began time.Time) {
	until := func(ms int) { time.Sleep(at(ms) - time.Since(began)) }
	if a.marker < 0 {
		_ = marker.Write()
	}
	sim.Lock(a.unlock > 0)
	old := sim.Containers()[0].ID
	switch {
	case a.byHand > 0:
		until(a.byHand)
		Expect(sim.StopByHand(old, 0)).To(Succeed())
		return
	case a.restart > 0:
		until(a.restart)
		sim.Restart()
		return
	}
	sim.CrashAt(a.killedAt)
	until(a.target)
	next := a.release("B")
	if a.same {
		next = a.release("A")
		next.Env = []string{"CHANGED=1"}
	}
	sim.SetTarget(next)
	if a.rename {
		return
	}
	for _, r := range a.killed {
		until(r.down)
		sim.Crash()
		until(r.up)
		sim.Up()
	}
	if a.killedAt != "" {
		until(a.up)
		sim.Up()
	}
	if a.third > 0 {
		until(a.third)
		sim.SetTarget(a.release("C"))
		return
	}
	if a.unlock > 0 {
		until(a.unlock)
		sim.Lock(false)
	}
	select {
	case <-started:
	case <-ctx.Done():
		return
	}
	switch {
	case a.marker > 0:
		time.Sleep(at(a.marker))
		_ = marker.Write()
	case a.exits > 0:
		time.Sleep(at(a.exits))
		Expect(sim.Exit(old, 0)).To(Succeed())
	case a.down > 0:
		time.Sleep(at(a.down))
		if a.version() == "19.0.5" {
			sim.Crash()
		} else {
			sim.Down()
		}
		until(a.up)
		sim.Up()
	}
}

// events are the engine's, without those of a crash loop after its beginning.
func (c *course) events(a *actions) []happening {
	starts := 0
	return slices.DeleteFunc(slices.Clone(c.engine), func(h happening) bool {
		if !a.crashes || h.what != "start B" && (!strings.HasPrefix(h.what, "die") || !strings.HasSuffix(h.what, " B")) {
			return false
		}
		if h.what == "start B" {
			starts++
		}
		return starts > 0 && (h.what != "start B" || starts > 1)
	})
}

func what(all []happening) []string {
	var of []string
	for _, h := range all {
		of = append(of, h.what)
	}
	return of
}

var _ = Describe("The simulated Supervisor and the recorded one", func() {
	// Whether a recorder sees a state of some milliseconds is chance. So all that
	// was recorded must really be in the simulation, in the same order; and all
	// that lasts in the simulation must have been recorded.
	for _, a := range recordings {
		It("agree about "+a.name, func() {
			expected := recorded(a.file())
			brief := map[string]map[string]bool{} // by endpoint, of all recordings of this version
			for _, endpoint := range endpoints {
				brief[endpoint] = map[string]bool{}
				for _, other := range recordings {
					if other.version() == a.version() {
						recorded(other.file()).brief(endpoint, brief[endpoint])
					}
				}
			}
			for seed := range seeds() {
				var got *course
				virtually(fmt.Sprint(seed), func() { got = a.simulate(seed, expected.end+2000) })
				Expect(what(got.events(&a))).To(Equal(what(expected.events(&a))), "seed %d", seed)
				for _, endpoint := range endpoints {
					lines := expected.lines(endpoint)
					Expect(among(lines, got.truth[endpoint])).To(BeTrue(),
						"seed %d, %s: recorded %q, but simulated only %q", seed, endpoint, lines, got.truth[endpoint])
					ignore := maps.Clone(brief[endpoint])
					got.brief(endpoint, ignore)
					Expect(among(got.lasting(endpoint, ignore), lines)).To(BeTrue(),
						"seed %d, %s: recorded %q, but simulated also %q", seed, endpoint, lines, got.lasting(endpoint, ignore))
				}
			}
		})
	}
})
