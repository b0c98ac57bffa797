package scenario

import "time"

// All are all scenarios. The first is the usual update.
func All() []Scenario {
	return []Scenario{
		{
			Name:    "update",
			Summary: "release B takes the place of release A",
			Lesson:  "A served on until B said that it was ready and the Supervisor reported it running, finished its work, and ended.",
			Takes:   9 * time.Second,
			play: func(s *Stage) {
				s.begin(newRelease("A"))
				s.deploy(newRelease("B"))
				s.untilServing("B")
				s.untilGone("A")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"B"}},
		},
		{
			Name:    "crash-loop",
			Summary: "release B crashes soon after each start",
			Lesson:  "The Supervisor called B Running all the time. A did not believe it, and served on.",
			Takes:   9 * time.Second,
			play: func(s *Stage) {
				b := patient("B")
				b.NeverReady, b.CrashAfter = true, 200*time.Millisecond
				s.begin(patient("A"))
				s.deploy(b)
				s.untilStarted("B", 2) // from then on it stays until it is 10 s old
				s.pause(3 * time.Second)
			},
			expect: expectation{serving: []string{"A"}},
		},
		{
			Name:    "never-ready",
			Summary: "release B runs, but never becomes ready",
			Lesson:  "Running is not ready. A served on, for as long as its stop grace period allows.",
			Takes:   10 * time.Second,
			play: func(s *Stage) {
				b := patient("B")
				b.NeverReady = true
				s.begin(patient("A"))
				s.deploy(b)
				s.untilStarted("B", 1)
				s.pause(6 * time.Second)
			},
			expect: expectation{serving: []string{"A"}},
		},
		{
			Name:    "same-release",
			Summary: "a variable is changed: a container of the same release takes the place of the old one",
			Lesson:  "Release, commit and image are the same: nothing is decided by them.",
			Takes:   9 * time.Second,
			play: func(s *Stage) {
				changed := newRelease("A")
				changed.Env = []string{"COLOUR=blue"}
				s.begin(newRelease("A"))
				s.deploy(changed)
				s.untilServing("A2")
				s.untilGone("A")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"A2"}},
		},
		{
			Name:    "rollback",
			Summary: "the device is pinned back from release B to the older release A",
			Lesson:  "An older release can be the successor: release ids decide nothing.",
			Takes:   9 * time.Second,
			play: func(s *Stage) {
				s.begin(newRelease("B"))
				s.deploy(newRelease("A"))
				s.untilServing("A")
				s.untilGone("B")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"A"}},
		},
		{
			Name:    "revert",
			Summary: "the target goes back to release A while B takes over",
			Lesson:  "Two hand-overs, one after the other, and always one that served.",
			Takes:   14 * time.Second,
			play: func(s *Stage) {
				s.begin(quick("A"))
				s.deploy(quick("B"))
				s.untilStarted("B", 1)
				s.pause(500 * time.Millisecond)
				s.deploy(quick("A"))
				s.untilServing("A2")
				s.untilGone("B")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"A2"}},
		},
		{
			Name:    "twice",
			Summary: "release C is deployed while B takes over from A",
			Lesson:  "Two hand-overs, one after the other, and always one that served.",
			Takes:   14 * time.Second,
			play: func(s *Stage) {
				s.begin(quick("A"))
				s.deploy(quick("B"))
				s.untilStarted("B", 1)
				s.pause(500 * time.Millisecond)
				s.deploy(quick("C"))
				s.untilServing("C")
				s.untilGone("A")
				s.untilGone("B")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"C"}},
		},
		{
			Name:    "supervisor-down",
			Summary: "the Supervisor ends when B has started, and is back five seconds later",
			Lesson:  "Not answered is not \"not running\", and not \"running\" either: A waited, and did not wait for ever.",
			Takes:   13 * time.Second,
			play: func(s *Stage) {
				s.begin(newRelease("A"))
				s.deploy(newRelease("B"))
				s.untilStarted("B", 1)
				s.note("the Supervisor is stopped")
				s.supervisor(false)
				s.pause(5 * time.Second)
				s.note("the Supervisor is started again")
				s.supervisor(true)
				s.untilServing("B")
				s.untilGone("A")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"B"}},
		},
		{
			Name:    "supervisor-restarts",
			Summary: "the Supervisor is restarted while A, told to stop, serves on until B is ready",
			Lesson:  "The Supervisor told A to stop once more. A took that for what it is, and served on until B was ready.",
			Takes:   15 * time.Second,
			play: func(s *Stage) {
				b := newRelease("B")
				b.ReadyAfter = 6 * time.Second
				b.HandoverTimeout = 500 * time.Millisecond // for Supervisors that wait
				s.begin(patient("A"))
				s.deploy(b)
				s.untilPhase("A", "holding")
				s.pause(500 * time.Millisecond)
				s.note("the Supervisor is restarted")
				s.supervisor(false)
				s.pause(500 * time.Millisecond)
				s.supervisor(true)
				s.untilServing("B")
				s.untilGone("A")
				s.untilTold("A", 2)
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"B"}},
		},
		{
			Name:    "key-rotation",
			Summary: "the service's API key is changed, which re-creates the container; the old key is refused",
			Lesson:  "A's key was refused in the middle of the hand-over that the new key caused. A took that for what it is.",
			Takes:   13 * time.Second,
			play: func(s *Stage) {
				a := newRelease("A")
				a.HandoverTimeout = 5 * time.Second
				s.begin(a)
				s.note("the service gets another API key")
				s.rotate()
				s.untilServing("A2")
				s.untilGone("A")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"A2"}},
		},
		{
			Name:       "old-restarts",
			Summary:    "A has handed over and crashes before it is stopped: the engine restarts it",
			Lesson:     "The restarted A is the youngest process in an older container. It saw B, and stayed out of its way.",
			Takes:      13 * time.Second,
			beforeStop: 7 * time.Second,
			play: func(s *Stage) {
				b := newRelease("B")
				b.HandoverTimeout = 2 * time.Second // for Supervisors that wait: a restarted A writes no marker
				s.begin(newRelease("A"))
				s.deploy(b)
				s.untilServing("B")
				s.untilPhase("A", "released")
				s.note("the process of container A is killed")
				s.crash("A")
				s.untilStarted("A", 2)
				s.untilAside("A")
				s.untilGone("A")
				s.pause(500 * time.Millisecond)
			},
			expect: expectation{serving: []string{"B"}},
		},
		{
			Name:       "clock-back",
			Summary:    "the device's clock is an hour ahead when A starts, and set right before B does",
			Lesson:     "By the wall clock, B is an hour older than A. The kernel's clock knows better.",
			Takes:      11 * time.Second,
			clockAhead: time.Hour,
			beforeStop: 4 * time.Second, // so that A, which nobody tells, must see that B is younger
			play: func(s *Stage) {
				s.begin(newRelease("A"))
				s.note("the device's clock is set back by an hour")
				b := newRelease("B")
				b.HandoverTimeout = 5 * time.Second
				s.deploy(b)
				s.untilStepsDown("A", "B")
				s.untilGone("A")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"B"}},
		},
		{
			Name:    "plain-stop",
			Summary: "the service is stopped, and nobody takes over",
			Lesson:  "The Supervisor knew of no successor, so A did not wait for one. It finished its requests and ended.",
			Takes:   6 * time.Second,
			play: func(s *Stage) {
				s.begin(newRelease("A"))
				s.note("no new requests; the service is stopped")
				s.load(false)
				s.stop()
				s.untilGone("A")
			},
			expect: expectation{stopsWithin: 4 * time.Second},
		},
		{
			Name:    "device-stop",
			Summary: "the whole device stops while B takes over from A",
			Lesson:  "Both were told to stop, so neither waited for the other. All requests in flight were answered.",
			Takes:   8 * time.Second,
			play: func(s *Stage) {
				s.begin(newRelease("A"))
				s.deploy(newRelease("B"))
				s.untilStarted("B", 1)
				s.pause(time.Second)
				s.note("no new requests; the device stops")
				s.load(false)
				s.shutdown()
				s.untilEmpty()
			},
			expect: expectation{stopsWithin: 6 * time.Second},
		},
		{
			Name:    "without",
			Summary: "the same update of the same service, without handover",
			Lesson:  "This is what every update costs without handover.",
			Plain:   true,
			Takes:   10 * time.Second,
			play: func(s *Stage) {
				b := newRelease("B")
				b.HandoverTimeout = time.Second // for Supervisors that wait
				s.begin(newRelease("A"))
				s.deploy(b)
				s.untilGone("A")
				s.untilServing("B")
				s.pause(time.Second)
			},
			expect: expectation{serving: []string{"B"}, fails: true},
		},
	}
}

// supervisor ends or starts the Supervisor.
func (s *Stage) supervisor(up bool) {
	switch {
	case s.err != nil:
	case up:
		s.Sim.Up()
	default:
		s.Sim.Down()
	}
}

func (s *Stage) rotate() {
	if s.err == nil {
		s.Sim.RotateKey()
	}
}

func (s *Stage) stop() {
	if s.err == nil {
		s.Sim.Stop()
	}
}

func (s *Stage) shutdown() {
	if s.err == nil {
		s.Sim.Shutdown()
	}
}
