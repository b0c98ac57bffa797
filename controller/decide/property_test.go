package decide_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// randomSnapshots is how many random worlds each property is tried on; with
// -short, as the race detector's run uses it, a fiftieth.
func randomSnapshots() int {
	if testing.Short() {
		return 2_000
	}
	return 100_000
}

// actor is one of two instances in a world that both see as it is.
type actor struct {
	letter  string
	start   peer.FirstStart
	told    time.Duration // how long ago; negative: not told
	ready   bool
	hurry   bool
	acks    bool // acknowledges the other
	knows   bool // its own container id
	heard   time.Duration
	status  supervisor.Status
	created time.Time
}

func (a *actor) id() peer.InstanceID { return id(a.letter[0]) }

// phase is what the actor says: both run their workloads.
func (a *actor) phase() peer.Phase {
	switch {
	case a.told >= 0:
		return peer.PhaseHolding
	case a.ready:
		return peer.PhaseServing
	}
	return peer.PhaseStarting
}

// sees is the snapshot that the actor takes of the world with the other one.
func (a *actor) sees(b *actor, view time.Duration, policy Policy) Snapshot {
	p := peer.Peer{
		Instance: b.id(), FirstStart: b.start, Phase: b.phase(), Told: b.told >= 0,
		FirstHeard: ago(b.heard + time.Second), PhaseSince: ago(b.heard + time.Second/2), LastHeard: ago(b.heard),
	}
	if b.knows {
		p.Container = short(b.letter)
	}
	if b.acks {
		p.Acks = []peer.InstanceID{a.id()}
	}
	s := Snapshot{
		Now: now, Policy: policy, Peers: []peer.Peer{p},
		Self:       Self{Instance: a.id(), Boot: thisBoot, FirstStart: a.start, Hurry: a.hurry, ListeningSince: ago(time.Hour)},
		Workload:   WorkloadFacts{Started: true, Ready: a.ready},
		Supervisor: Answers{Introduced: true},
	}
	if a.knows {
		s.Self.Container = short(a.letter)
	}
	if a.told >= 0 {
		s.Self.ToldAt = ago(a.told)
	}
	if view >= 0 {
		s.Supervisor.RequestedAt, s.Supervisor.ReceivedAt = ago(view), ago(view)
		for _, c := range []*actor{a, b} {
			if c.status != "" {
				s.Supervisor.Containers = append(s.Supervisor.Containers, listed(c.letter, c.status, c.created))
			}
		}
	}
	return s
}

// stepsDownFor reports whether the decision ends the workload in favour of
// another instance: not because of a plain stop, of the hold's end, or because
// it was told twice.
func stepsDownFor(d Decision) bool {
	return steppedDown(d) && d.Memory.Drain != nil && d.Memory.Drain.HandOver
}

var _ = Describe("Decide, for every pair of instances that look at the same world", func() {
	starts := []peer.FirstStart{
		{}, {Boot: thisBoot, Since: time.Second}, {Boot: thisBoot, Since: 2 * time.Second},
		{Boot: lastBoot, Since: 3 * time.Second}, {Boot: anyBoot, Since: time.Second},
	}

	It("never lets both step down, in all combinations of the discrete facts", func() {
		if testing.Short() {
			Skip("three quarters of a million combinations are for the run without -short")
		}
		bools := []bool{false, true}
		tried, down := 0, 0
		for _, off := range bools {
			policy := defaults()
			policy.SupervisorOff = off
			for _, sa := range starts {
				for _, sb := range starts {
					for _, statusB := range []supervisor.Status{"Running", "Awaiting handover", "Stopping", "Installed", ""} {
						for _, view := range []time.Duration{-1, 0, 3 * time.Second} {
							for facts := range 1 << 10 {
								bit := func(n int) bool { return facts>>n&1 == 1 }
								toldAgo := func(n int) time.Duration {
									if bit(n) {
										return time.Second
									}
									return -1
								}
								a := &actor{letter: "a", start: sa, told: toldAgo(0), ready: bit(1), acks: bit(2), knows: bit(3), status: "Running", created: created}
								b := &actor{letter: "b", start: sb, told: toldAgo(4), ready: bit(5), acks: bit(6), knows: bit(7), status: statusB, created: created.Add(time.Second)}
								if bit(8) {
									a.heard = 2 * time.Second
								}
								if bit(9) {
									b.heard = 2 * time.Second
								}
								// An instance acknowledges only one that is told, and only while it is not.
								a.acks = a.acks && b.told >= 0 && a.told < 0
								b.acks = b.acks && a.told >= 0 && b.told < 0
								da, db := Decide(a.sees(b, view, policy)), Decide(b.sees(a, view, policy))
								tried++
								if stepsDownFor(da) || stepsDownFor(db) {
									down++
								}
								if stepsDownFor(da) && stepsDownFor(db) {
									Fail(fmt.Sprintf("both step down: %+v (%s) and %+v (%s), view %v, off %v", a, da.Reason, b, db.Reason, view, off))
								}
							}
						}
					}
				}
			}
		}
		Expect(tried).To(BeNumerically(">", 700_000))
		Expect(down).To(BeNumerically(">", 10_000), "the worlds must be such that somebody steps down")
	})

	It("never lets both step down, in random worlds", func() {
		r := rand.New(rand.NewPCG(1, uint64(GinkgoRandomSeed())))
		down := 0
		for range randomSnapshots() {
			pick := func(ds ...time.Duration) time.Duration { return ds[r.IntN(len(ds))] }
			random := func(letter string) *actor {
				return &actor{
					letter: letter, start: starts[r.IntN(len(starts))], ready: r.IntN(4) > 0, knows: r.IntN(5) > 0,
					told: pick(-1, -1, 0, time.Duration(r.Int64N(int64(12*time.Second)))), acks: r.IntN(2) == 0, hurry: r.IntN(20) == 0,
					heard:   pick(0, time.Duration(r.Int64N(int64(2*time.Second))), time.Duration(r.Int64N(int64(20*time.Second)))),
					status:  []supervisor.Status{"Running", "Running", "Awaiting handover", "Handing over", "Stopping", "Starting", "Installed", "exited", "odd", ""}[r.IntN(10)],
					created: created.Add(time.Duration(r.IntN(3)) * time.Second),
				}
			}
			a, b := random("a"), random("b")
			a.acks = a.acks && b.told >= 0 && a.told < 0
			b.acks = b.acks && a.told >= 0 && b.told < 0
			policy := defaults()
			policy.SupervisorOff = r.IntN(8) == 0
			view := pick(-1, 0, time.Duration(r.Int64N(int64(3*time.Second))))
			da, db := Decide(a.sees(b, view, policy)), Decide(b.sees(a, view, policy))
			if stepsDownFor(da) || stepsDownFor(db) {
				down++
			}
			if stepsDownFor(da) && stepsDownFor(db) {
				Fail(fmt.Sprintf("both step down: %+v (%s) and %+v (%s)", a, da.Reason, b, db.Reason))
			}
		}
		Expect(down).To(BeNumerically(">", randomSnapshots()/100))
	})
})

// world makes a random snapshot of an instance with up to three peers.
func world(r *rand.Rand) Snapshot {
	pick := func(ds ...time.Duration) time.Duration { return ds[r.IntN(len(ds))] }
	upTo := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }
	boots := [][4]byte{{}, thisBoot, thisBoot, thisBoot, lastBoot, anyBoot}
	start := func() peer.FirstStart {
		return peer.FirstStart{Boot: boots[r.IntN(len(boots))], Since: time.Duration(r.IntN(4)) * time.Second}
	}
	s := serving()
	s.Self.FirstStart = start()
	s.Policy.SupervisorOff = r.IntN(8) == 0
	s.Policy.Settle = pick(0, 0, upTo(5*time.Second))
	s.Policy.DrainDelay = pick(0, upTo(3*time.Second))
	if r.IntN(6) == 0 {
		s.Self.Container = ""
	}
	if r.IntN(2) == 0 {
		s.Self.ToldAt = ago(upTo(12 * time.Second))
		s.Self.Hurry = r.IntN(12) == 0
		s.Memory.HadSuccessor = r.IntN(2) == 0
	}
	switch r.IntN(8) {
	case 0:
		s.Workload, s.Self.ListeningSince, s.Self.Restarted = WorkloadFacts{}, ago(upTo(time.Second)), r.IntN(2) == 0
	case 1:
		releasedFor(upTo(30*time.Second), r.IntN(2) == 0)(&s)
	case 2:
		s.Workload = WorkloadFacts{Started: true, Ended: true, EverReady: r.IntN(2) == 0, ExitCode: r.IntN(3)}
		s.Self.ListeningSince, s.Self.Restarted = ago(upTo(20*time.Second)), r.IntN(2) == 0
		s.Memory.EndedAt, s.Memory.Tries = ago(upTo(time.Second)), r.IntN(4)
		s.Memory.Lingers, s.Memory.Forsaken = r.IntN(2) == 0, r.IntN(2) == 0
	default:
		s.Workload.Ready = r.IntN(4) > 0
	}
	phases := []peer.Phase{
		peer.PhaseServing, peer.PhaseServing, peer.PhaseServing, peer.PhaseStarting, peer.PhasePrepared,
		peer.PhaseHolding, peer.PhaseDraining, peer.PhaseReleased, peer.PhaseGone,
	}
	for n := range r.IntN(4) {
		p := youngerPeer()
		if r.IntN(4) == 0 {
			p = legacyPeer()
			p.StartMilli = created.Add(time.Duration(r.IntN(120)-30) * time.Second).UnixMilli()
		} else {
			p.FirstStart, p.Container = start(), short(string(rune('b'+n)))
			p.Phase = phases[r.IntN(len(phases))]
			p.Told = p.Phase == peer.PhaseHolding || r.IntN(8) == 0
			p.Gone = p.Phase == peer.PhaseGone
			if r.IntN(8) == 0 {
				p.Container = ""
			}
			if r.IntN(2) == 0 {
				p.Acks = []peer.InstanceID{s.Self.Instance}
			}
		}
		p.Instance = id(byte(10 + n))
		p.LastHeard = ago(pick(0, upTo(time.Second), upTo(2*time.Second), upTo(40*time.Second)))
		p.PhaseSince = p.LastHeard.Add(-pick(0, upTo(3*time.Second)))
		p.FirstHeard = p.PhaseSince.Add(-pick(0, upTo(3*time.Second)))
		if !p.Legacy && r.IntN(8) == 0 {
			p.FreshUntil = ago(upTo(2*time.Second) - time.Second)
			p.Dead = r.IntN(4) == 0
		}
		if r.IntN(3) == 0 {
			s.Memory.Settling = append(s.Memory.Settling, Settling{Instance: p.Instance, Since: ago(upTo(12 * time.Second))})
		}
		s.Peers = append(s.Peers, p)
	}
	s.Memory.Restarts = []int{0, 0, 0, 1, 2}[r.IntN(5)]
	if r.IntN(5) > 0 {
		statuses := []supervisor.Status{"Running", "Running", "Awaiting handover", "Handing over", "Stopping", "Starting", "Installed", "exited", "odd"}
		all := []Listed{}
		for n := range 4 {
			if r.IntN(3) == 0 {
				continue
			}
			l := listed(string(rune('a'+n)), statuses[r.IntN(len(statuses))], created.Add(time.Duration(n)*time.Second))
			l.RunningSince = time.Time{}
			if l.Status.Running() {
				l.RunningSince = ago(upTo(8 * time.Second))
			}
			l.Extended = r.IntN(2) == 0
			all = append(all, l)
		}
		answers(all...)(&s)
		asked(pick(0, upTo(time.Second), upTo(5*time.Second)))(&s)
	}
	s.Supervisor.Failed = r.IntN(4) == 0
	s.Supervisor.Rotated = s.Supervisor.Failed && r.IntN(4) == 0
	if r.IntN(5) == 0 {
		s.PeerLostAt = ago(upTo(2 * time.Second))
	}
	if r.IntN(2) == 0 {
		s.Policy.Standby = upTo(40 * time.Second)
	}
	if r.IntN(3) == 0 {
		s.DeferredUntil = now.Add(upTo(20*time.Second) - 5*time.Second)
	}
	if r.IntN(2) == 0 {
		s.Policy.Exclusive, s.Preflight = true, r.IntN(5) > 0
		s.Owner.Lockable = r.IntN(3) > 0
		if s.Owner.Lockable && r.IntN(3) > 0 {
			s.Owner.Held, s.Owner.Since = true, ago(upTo(600*time.Millisecond))
		}
	}
	if s.Memory.Drain != nil && r.IntN(2) == 0 {
		s.Memory.Drain.For = id(10)
		if r.IntN(2) == 0 {
			s.Memory.Drain.UnservedSince = ago(upTo(3 * time.Second))
		}
		s.Memory.Drain.Aside = r.IntN(6) == 0
	}
	if r.IntN(4) == 0 {
		s.Memory.AgainAt = ago(upTo(10 * time.Second))
	}
	return s
}

func worlds(try func(r *rand.Rand, s Snapshot)) {
	seed := uint64(GinkgoRandomSeed())
	for n := range uint64(randomSnapshots()) {
		r := rand.New(rand.NewPCG(seed, n))
		try(r, world(r))
	}
}

var _ = Describe("Decide, on random snapshots", func() {
	It("never steps down for a younger instance that is not announced or not reported running", func() {
		down := 0
		worlds(func(_ *rand.Rand, s Snapshot) {
			d := Decide(s)
			if s.Memory.Drain != nil || s.Self.Told() || s.Workload.Ended || !steppedDown(d) || d.Exit {
				return
			}
			down++
			Expect(justified(s, d.Memory.Drain.For)).To(Succeed())
		})
		Expect(down).To(BeNumerically(">", randomSnapshots()/200))
	})

	It("steps down under SIGTERM only for a successor that serves and acknowledges, without any, or when it must", func() {
		seen := map[Reason]int{}
		worlds(func(_ *rand.Rand, s Snapshot) {
			d := Decide(s)
			if s.Memory.Drain != nil || !s.Self.Told() || d.Workload != WorkloadDrain {
				return
			}
			seen[d.Reason]++
			holdEnds := s.Self.ToldAt.Add(s.Policy.StopGracePeriod - s.Policy.DrainDelay - s.Policy.DrainReserve - 500*time.Millisecond)
			switch d.Reason {
			case ReasonSuccessorServes, ReasonSuccessorTrusted:
				p := peerOf(s, d.Memory.Drain.For)
				Expect(p.Phase).To(BeElementOf(peer.PhaseServing, peer.PhasePrepared))
				Expect(p.Told || p.Gone).To(BeFalse())
				Expect(p.Legacy || p.Acknowledges(s.Self.Instance)).To(BeTrue())
				if d.Reason == ReasonSuccessorServes {
					Expect(reportedRunning(s, p)).To(Succeed())
				}
			case ReasonHurried:
				Expect(s.Self.Hurry).To(BeTrue())
			case ReasonHoldEnded:
				Expect(s.Now).To(BeTemporally(">=", holdEnds))
			case ReasonNoSuccessor:
				if s.Now.Before(holdEnds) {
					Expect(anybodyLeft(s)).To(Succeed())
				}
			default:
				Fail("an unexpected reason: " + string(d.Reason))
			}
		})
		Expect(seen).To(HaveLen(5), "each reason must have been tried: %v", seen)
	})

	It("gives the same decision for the same snapshot, and does not change it", func() {
		worlds(func(r *rand.Rand, s Snapshot) {
			if r.IntN(10) > 0 {
				return
			}
			before := fmt.Sprintf("%+v", s)
			a, b := Decide(s), Decide(s)
			Expect(reflect.DeepEqual(a, b)).To(BeTrue(), "%+v and %+v", a, b)
			Expect(fmt.Sprintf("%+v", s)).To(Equal(before))
			Expect(a.RequeueAfter).To(BeNumerically(">=", 0))
		})
	})

	It("asks to be asked again whenever time alone changes its mind", func() {
		changed := 0
		worlds(func(r *rand.Rand, s Snapshot) {
			d := Decide(s)
			s.Memory = d.Memory
			if d.Exit || d.Workload == WorkloadRun && (!s.Workload.Started || s.Workload.Ended) {
				return // it acts now, and the facts change by that
			}
			horizon := 60 * time.Second
			if d.RequeueAfter > 0 {
				horizon = d.RequeueAfter
			}
			s.Now = s.Now.Add(time.Duration(r.Int64N(int64(horizon))))
			later := Decide(s)
			Expect(summary(later)).To(Equal(summary(d)), "%v later, before the requeue after %v", s.Now.Sub(now), d.RequeueAfter)
			if d.RequeueAfter > 0 {
				s.Now = now.Add(d.RequeueAfter)
				if summary(Decide(s)) != summary(d) {
					changed++
				}
			}
		})
		Expect(changed).To(BeNumerically(">", randomSnapshots()/100))
	})
})

// summary is what of a decision others can see.
func summary(d Decision) string {
	conditions := ""
	for _, c := range d.Conditions {
		conditions += fmt.Sprint(c.Type, "=", c.Status, " ")
	}
	return fmt.Sprint(d.Phase, " ", d.Workload, " ", d.Reason, " ask ", d.Ask, d.AskEvery, " eager ", d.Eager, " poll ", d.Poll, " own ", d.Own, " pre ", d.Preflight, " ", conditions)
}

func peerOf(s Snapshot, id peer.InstanceID) *peer.Peer {
	for i := range s.Peers {
		if s.Peers[i].Instance == id {
			return &s.Peers[i]
		}
	}
	return nil
}

// justified checks the two signals, in words of its own.
func justified(s Snapshot, id peer.InstanceID) error {
	p := peerOf(s, id)
	if p == nil {
		return fmt.Errorf("no such peer")
	}
	within := time.Second
	if p.Legacy {
		within = 11 * time.Second
	}
	switch {
	case p.Phase != peer.PhaseServing && p.Phase != peer.PhasePrepared, p.Told, p.Gone:
		return fmt.Errorf("the peer does not say that it serves: %+v", p)
	case p.Dead:
		return fmt.Errorf("the peer is dead")
	case s.Now.Sub(p.LastHeard) >= within && !s.Now.Before(p.FreshUntil):
		return fmt.Errorf("the peer was heard %v ago", s.Now.Sub(p.LastHeard))
	case p.FirstStart.Known() && p.FirstStart.Boot == s.Self.FirstStart.Boot && p.FirstStart.Since < s.Self.FirstStart.Since:
		return fmt.Errorf("the peer is older")
	}
	return reportedRunning(s, p)
}

// reportedRunning checks the second signal, in words of its own.
func reportedRunning(s Snapshot, p *peer.Peer) error {
	if s.Policy.SupervisorOff {
		return nil
	}
	if s.Now.Sub(s.Supervisor.RequestedAt) >= 2*s.Policy.PollInterval {
		return fmt.Errorf("the answer is %v old", s.Now.Sub(s.Supervisor.RequestedAt))
	}
	for _, c := range s.Supervisor.Containers {
		running := c.Status == "Running" || c.Status == "Awaiting handover" || c.Status == "Handing over"
		switch {
		case !running:
		case !p.Legacy && p.Container != "" && c.ID[:12] == string(p.Container):
			return nil
		case p.Legacy && c.ID[:12] != string(s.Self.Container) && !c.Extended && s.Now.Sub(c.RunningSince) >= 2500*time.Millisecond:
			return nil
		}
	}
	return fmt.Errorf("not reported running: %+v in %+v", p, s.Supervisor.Containers)
}

// anybodyLeft checks that a plain stop leaves nobody behind that could have
// served: no peer that was heard just now and is neither told nor gone.
func anybodyLeft(s Snapshot) error {
	for _, p := range s.Peers {
		if p.Told || p.Ended() || p.Legacy || p.Container == "" && !s.Policy.SupervisorOff {
			continue
		}
		if !p.LastHeard.Before(s.Self.ToldAt) && s.Now.Sub(p.LastHeard) < 4*time.Second && p.LastHeard.After(s.Supervisor.RequestedAt) {
			return fmt.Errorf("peer %v may serve", p.Instance)
		}
	}
	return nil
}
