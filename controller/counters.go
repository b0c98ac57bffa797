package controller

import (
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// decisionReasons are all reasons of decisions.
var decisionReasons = [...]decide.Reason{
	decide.ReasonListening, decide.ReasonAlone, decide.ReasonYoungerNotReady, decide.ReasonYoungerSilent, decide.ReasonYoungerUnknown,
	decide.ReasonYoungerNotListed, decide.ReasonSettling, decide.ReasonBothSignals, decide.ReasonHolding, decide.ReasonSearching,
	decide.ReasonSuccessorServes, decide.ReasonSuccessorTrusted, decide.ReasonNoSuccessor, decide.ReasonHoldEnded, decide.ReasonHurried,
	decide.ReasonToldEarly, decide.ReasonDraining, decide.ReasonDeferred, decide.ReasonReleased, decide.ReasonStandby, decide.ReasonSteppedAside,
	decide.ReasonYoungerLost, decide.ReasonPreflight, decide.ReasonOccupied, decide.ReasonWorkloadEnded, decide.ReasonHandedOver,
	decide.ReasonSuccessorLost, decide.ReasonAgeUnknown, decide.ReasonEndedEarly, decide.ReasonWorkloadCrashed,
	decide.ReasonNobodyFollows,
}

// outcomes are how requests to the Supervisor end. answered is this file's own
// word, the others are the client's.
var outcomes = [...]supervisor.Kind{
	answered, supervisor.KindUnauthorized, supervisor.KindUnreachable, supervisor.KindTimeout,
	supervisor.KindServer, supervisor.KindMalformed, supervisor.KindNotFound, supervisor.KindUnexpected,
}

const answered supervisor.Kind = "answered"

// stage is a part of a hand-over that is timed.
type stage int

// The stages. All but the first and the last are those of the old instance.
const (
	stageStarting  stage = iota // new: start of the workload → ready
	stageAnnounced              // YoungerAnnounced → YoungerRunning
	stageRunning                // both → begin of the drain
	stageDraining               // begin of the drain → the workload has ended
	stageReleased               // the workload has ended → told to stop
	stageTakeover               // new: ready → the old one has released or ended
	stages
)

var stageNames = [stages]string{"starting", "announced", "running", "draining", "released", "takeover"}

// counters are what the loop counts. It alone writes them; anybody may read.
type counters struct {
	reconciles, starts    atomic.Uint64
	peerRestarts, unready atomic.Uint64
	decisions             [len(decisionReasons)]atomic.Uint64
	asked                 [len(outcomes)]atomic.Uint64
	took                  *histogram
	stages                [stages]*histogram
}

func newCounters() *counters {
	c := &counters{took: newHistogram(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)}
	for i := range c.stages {
		c.stages[i] = newHistogram(.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300)
	}
	return c
}

// answer counts one request to the Supervisor. One that was given up, because
// the instance ends or for another one, is none.
func (c *counters) answer(err error, took time.Duration) {
	if errors.Is(err, errGivenUp) {
		return
	}
	kind := answered
	if err != nil {
		kind = supervisor.KindUnexpected
		if e := (*supervisor.Error)(nil); errors.As(err, &e) {
			kind = e.Kind
		}
	}
	for i, k := range outcomes {
		if k == kind {
			c.asked[i].Add(1)
			c.took.observe(took)
		}
	}
}

// decided counts a decision for another reason than that of the one before.
func (c *counters) decided(reason decide.Reason) {
	for i, r := range decisionReasons {
		if r == reason {
			c.decisions[i].Add(1)
		}
	}
}

// stopwatch times the stages of hand-overs, and of the life around them. It
// belongs to the loop.
type stopwatch struct {
	counters *counters

	reason     decide.Reason
	readySince time.Time // of this run of the workload; zero: not ready, or no more
	readyRun   int       // the run whose stageStarting is counted
	servedFor  time.Duration

	drain time.Time             // Since of the drain that is timed; zero: none
	took  [stages]time.Duration // of this hand-over; only what known says
	known [stages]bool          // which of them are over

	others    map[peer.InstanceID]bool // those heard: whether they have released or ended
	processes map[peer.ContainerID]process
	tookOver  *peer.Peer // from whom, in this round
	left      *peer.Peer // who, told to stop, has ended in this round although nobody was ready
}

// process is the last one that was heard from a container.
type process struct {
	instance peer.InstanceID
	restarts int // how many came after the first one
}

func newStopwatch(c *counters) *stopwatch {
	return &stopwatch{counters: c, processes: map[peer.ContainerID]process{}}
}

// look times what can be seen of workload and peers.
func (t *stopwatch) look(s *decide.Snapshot, state *workload.State) {
	switch {
	case state.Ready && t.readySince.IsZero():
		t.readySince = state.ReadySince
		if t.readyRun != state.Run {
			t.readyRun = state.Run
			t.counters.stages[stageStarting].observe(state.ReadySince.Sub(state.Started))
		}
	case !state.Ready && !t.readySince.IsZero():
		t.servedFor = s.Now.Sub(t.readySince)
		t.readySince = time.Time{}
	}
	t.tookOver, t.left = nil, nil
	if len(s.Peers) > 0 || len(t.others) > 0 {
		t.lookAtPeers(s)
	}
}

func (t *stopwatch) lookAtPeers(s *decide.Snapshot) {
	others := make(map[peer.InstanceID]bool, len(s.Peers))
	for i := range s.Peers {
		p := &s.Peers[i]
		over := p.Ended() || p.Phase == peer.PhaseReleased
		others[p.Instance] = over
		was, known := t.others[p.Instance]
		if !known {
			t.process(p)
		}
		if !known || was || !over || s.Self.Told() || s.Age(p) != decide.Older {
			continue
		}
		switch {
		case !t.readySince.IsZero():
			t.tookOver = p
			t.counters.stages[stageTakeover].observe(s.Now.Sub(t.readySince))
		case p.Told && !s.Policy.Exclusive && !anyServes(s.Peers):
			t.left = p
			if p.Drained {
				t.counters.unready.Add(1)
			}
		}
	}
	t.others = others
}

// anyServes reports whether somebody else was heard to serve.
func anyServes(all []peer.Peer) bool {
	return slices.ContainsFunc(all, func(p peer.Peer) bool {
		return !p.Ended() && (p.Phase == peer.PhaseServing || p.Phase == peer.PhaseHolding)
	})
}

// process counts a process that takes the place of another one in its container.
func (t *stopwatch) process(p *peer.Peer) {
	if p.Container == "" || p.Legacy {
		return
	}
	last, known := t.processes[p.Container]
	switch {
	case known && last.instance != p.Instance:
		last.restarts++
		t.counters.peerRestarts.Add(1)
	case !known && len(t.processes) >= extendedAtMost:
		return
	}
	last.instance = p.Instance
	t.processes[p.Container] = last
}

// served is for how long the workload has been ready, or was when it ended.
func (t *stopwatch) served(now time.Time) time.Duration {
	if t.readySince.IsZero() {
		return t.servedFor
	}
	return now.Sub(t.readySince)
}

// over notes the end of a stage.
func (t *stopwatch) over(at stage, took time.Duration) {
	if t.known[at] {
		return
	}
	took = max(0, took)
	t.known[at], t.took[at] = true, took
	t.counters.stages[at].observe(took)
}

// attributes are how long each stage of this hand-over took.
func (t *stopwatch) attributes() []slog.Attr {
	var attrs []slog.Attr
	for i, known := range t.known {
		if known {
			attrs = append(attrs, lasted(stageNames[i], t.took[i]))
		}
	}
	return attrs
}

// decided times a decision.
func (t *stopwatch) decided(s *decide.Snapshot, d *decide.Decision) {
	if d.Reason != t.reason {
		t.reason = d.Reason
		t.counters.decided(d.Reason)
	}
	drain := d.Memory.Drain
	if drain == nil || !drain.HandOver || drain.Aside {
		t.drain = time.Time{}
		return
	}
	if t.drain != drain.Since {
		t.drain, t.known = drain.Since, [stages]bool{}
		announced, running := since(d.Conditions, decide.YoungerAnnounced), since(d.Conditions, decide.YoungerRunning)
		if !announced.IsZero() && !running.IsZero() {
			t.over(stageAnnounced, running.Sub(announced))
		}
		both := announced
		if running.After(both) {
			both = running
		}
		if !both.IsZero() {
			t.over(stageRunning, drain.Since.Sub(both))
		}
	}
	if drain.ReleasedAt.IsZero() {
		return
	}
	t.over(stageDraining, drain.ReleasedAt.Sub(drain.Since))
	if s.Self.Told() {
		t.over(stageReleased, s.Self.ToldAt.Sub(drain.ReleasedAt))
	}
}

// since is when a condition became true; zero while it is not.
func since(all []decide.Condition, t decide.ConditionType) time.Time {
	for i := range all {
		if all[i].Type == t && all[i].Status == decide.True {
			return all[i].LastTransitionTime
		}
	}
	return time.Time{}
}
