// Package scenario tells what can happen to a service at an update, as stories
// that a simulated Supervisor plays, and what must come of each. The demo plays
// them with real processes and requests, tests play them on virtual time: one
// definition for both, so that they cannot drift apart.
//
// It does not know handover: a [World] says what the instances do.
package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// Scenario is a story and its expected end.
type Scenario struct {
	// Name is what users choose it by.
	Name string
	// Summary says in a line what happens, Lesson what there is to see.
	Summary, Lesson string
	// Plain: the service runs without handover.
	Plain bool
	// Takes is about how long it takes on real time.
	Takes time.Duration

	// clockAhead: the device's clock is so far ahead when it begins, and set right
	// before the update.
	clockAhead time.Duration
	// beforeStop: the device is slow to stop the old container, by that much.
	beforeStop time.Duration
	play       func(*Stage)
	expect     expectation
}

// expectation is how a scenario must end.
type expectation struct {
	// serving are the instances that serve in the end.
	serving []string
	// fails: requests fail, as this is what the scenario shows.
	fails bool
	// stopsWithin: every instance that is stopped ends so soon after SIGTERM.
	stopsWithin time.Duration
}

// Outcome is what came of a scenario.
type Outcome struct {
	// Serving are the names of the instances that served in the end.
	Serving []string
	// Requests is how many there were, Failed how many of them failed.
	Requests, Failed int
	// Stops are the containers that were stopped.
	Stops []Stop
	// Err is why it could not be played to its end; nil if it was.
	Err error
}

// Stop is the stop of a container.
type Stop struct {
	Name string
	// Took is the time from SIGTERM to the end.
	Took time.Duration
	// Killed: it needed a SIGKILL.
	Killed bool
	Code   int
}

// Check returns what is not as it must be; nothing is well.
func (s *Scenario) Check(o Outcome) []error {
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if o.Err != nil {
		add("the scenario was not played to its end: %w", o.Err)
	}
	if !slices.Equal(o.Serving, s.expect.serving) {
		add("in the end %s served, expected was %s", list(o.Serving), list(s.expect.serving))
	}
	switch {
	case o.Requests == 0:
		add("there were no requests")
	case o.Failed > 0 && !s.expect.fails:
		add("%d of %d requests failed, expected was none", o.Failed, o.Requests)
	case o.Failed == 0 && s.expect.fails:
		add("no request failed, expected was an outage")
	}
	for _, stop := range o.Stops {
		switch {
		case s.Plain:
		case stop.Killed:
			add("%s had to be killed", stop.Name)
		case stop.Code != 0:
			add("%s ended with exit status %d, expected was 0", stop.Name, stop.Code)
		case s.expect.stopsWithin > 0 && stop.Took > s.expect.stopsWithin:
			add("%s took %v to stop, expected was at most %v", stop.Name, stop.Took.Round(time.Millisecond), s.expect.stopsWithin)
		}
	}
	return wrong
}

// Expected says the expected end in a few words.
func (s *Scenario) Expected() string {
	text := list(s.expect.serving) + " serves"
	if s.expect.fails {
		return text + ", after an outage"
	}
	return text + ", 0 failed"
}

func list(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, " and ")
}

// ByName finds a scenario.
func ByName(name string) (Scenario, error) {
	var names []string
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("scenario: there is no scenario %q; use one of %s", name, strings.Join(names, ", "))
}

// Behaviour is what the service of a release does.
type Behaviour struct {
	// ReadyAfter is how long after its start it is ready.
	ReadyAfter time.Duration
	// NeverReady: it never is.
	NeverReady bool
	// CrashAfter is how long after its start it crashes; 0 is never.
	CrashAfter time.Duration
}

// release is a release of the demo's service.
type release struct {
	simulator.Release
	Behaviour
}

// readyAfter is how long the service takes to become ready.
const readyAfter = 2 * time.Second

// newRelease makes the release with that letter: A, B or C.
func newRelease(letter string) release {
	n := int64(letter[0] - 'A')
	return release{
		Release: simulator.Release{
			ID: 1001 + n, ImageID: 501 + n, Commit: strings.Repeat(strings.ToLower(letter), 32), Image: "service:" + strings.ToLower(letter),
			StopGracePeriod: 10 * time.Second,
		},
		Behaviour: Behaviour{ReadyAfter: readyAfter},
	}
}

// quick is a release for a scenario with two hand-overs.
func quick(letter string) release {
	r := newRelease(letter)
	r.ReadyAfter = time.Second
	return r
}

// patient is a release with a long time for a hand-over, as the README advises.
func patient(letter string) release {
	r := newRelease(letter)
	r.StopGracePeriod, r.HandoverTimeout = time.Minute, time.Minute
	return r
}
