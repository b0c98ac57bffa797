package decide_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
)

// stalled says that this process did not run, from and to so long ago.
func stalled(from, to time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Stall = Stall{From: ago(from), To: ago(to)} }
}

func pressed(before time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Self.PressedAt = ago(before) }
}

func grace(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Policy.StopGracePeriod = d }
}

func refused(before time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.RefusedAt = ago(before) }
}

// alive: the Supervisor has answered a ping so long ago.
func alive(before time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Supervisor.AliveAt = ago(before) }
}

// hadSuccessor: there was one since the signal, and it was lost so long ago.
func hadSuccessor(lost time.Duration) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Memory.EverSuccessor, s.Memory.SuccessorLostAt = true, ago(lost)
		s.Memory.Successors = []peer.ContainerID{short("b")}
	}
}

// took sets how long the last answer took, which came just now.
func took(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Supervisor.RequestedAt, s.Supervisor.ReceivedAt = ago(d), now }
}

func anonymousSelf(s *Snapshot) { s.Self.Container = "" }

var _ = DescribeTable("After a stall, silence is measured anew", decides,
	Entry("told, nobody has answered during it: search",
		with(serving(), told(3500*time.Millisecond), unreachable, stalled(3470*time.Millisecond, 0)),
		WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, nobody has answered for a second since: a plain stop",
		with(serving(), told(4500*time.Millisecond), unreachable, stalled(4470*time.Millisecond, time.Second)),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, policy.discovery was over before it: a plain stop",
		with(serving(), told(6*time.Second), unreachable, stalled(3*time.Second, 0)),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, heard before it only: hold",
		with(serving(), told(4*time.Second), unreachable, hears(youngerPeer(), phase(peer.PhaseStarting), heard(4500*time.Millisecond)), stalled(3900*time.Millisecond, 0)),
		WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, the Supervisor was not asked during it: do not trust the successor alone",
		with(serving(), told(6*time.Second), grace(time.Minute), unreachable, hears(youngerPeer(), acking), stalled(5*time.Second, 0)),
		WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, the hold must end all the same",
		with(serving(), told(6500*time.Millisecond), unreachable, hears(youngerPeer(), phase(peer.PhaseStarting)), stalled(5*time.Second, 0)),
		WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
	Entry("released, the younger one was not asked during it: stay",
		with(serving(), hears(youngerPeer(), heard(12*time.Second)), releasedFor(time.Hour, true), stalled(11*time.Second, 0)),
		WorkloadStay, peer.PhaseReleased, ReasonReleased),
)

var _ = DescribeTable("SIGTERM once more", decides,
	Entry("with a successor: hold for 10 s less the drain",
		with(serving(), told(10*time.Second), grace(time.Minute), pressed(6499*time.Millisecond), answers(otherListed("Running"), ownListed("Stopping"))),
		WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("and that is over",
		with(serving(), told(10*time.Second), grace(time.Minute), pressed(6500*time.Millisecond), answers(otherListed("Running"), ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
	Entry("late: the first deadline stays",
		with(serving(), told(6500*time.Millisecond), pressed(time.Second), answers(otherListed("Running"), ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
	Entry("with a successor that a list without this container does not have: hold",
		with(serving(), told(4*time.Second), grace(time.Minute), pressed(time.Second), answers(), func(s *Snapshot) {
			s.Memory.HadSuccessor, s.Memory.EverSuccessor = true, true
		}),
		WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("and the successor crashes then: hold all the same",
		with(serving(), told(10*time.Second), grace(time.Minute), pressed(5*time.Second), hadSuccessor(time.Second), answers(otherListed("exited"), ownListed("Stopping"))),
		WorkloadRun, peer.PhaseHolding, ReasonSuccessorLost),
	Entry("and the successor crashes while nobody can be asked: hold all the same",
		with(serving(), told(10*time.Second), grace(time.Minute), pressed(5*time.Second), hadSuccessor(time.Second), unreachable, hears(youngerPeer(), isDead)),
		WorkloadRun, peer.PhaseHolding, ReasonSuccessorLost),
	Entry("and the successor crashes, until that hold is over",
		with(serving(), told(10*time.Second), grace(time.Minute), pressed(6500*time.Millisecond), hadSuccessor(time.Second), answers(otherListed("exited"), ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
	Entry("and the successor was told, too: at once",
		with(serving(), told(10*time.Second), grace(time.Minute), pressed(5*time.Second), hadSuccessor(time.Second), unreachable, hears(youngerPeer(), isTold, isGone)),
		WorkloadDrain, peer.PhaseDraining, ReasonHurried),
	Entry("while nobody is known: at once",
		with(serving(), told(time.Second), grace(time.Minute), pressed(0), unreachable),
		WorkloadDrain, peer.PhaseDraining, ReasonHurried),
)

var _ = DescribeTable("A list and a peer that disagree", decides,
	Entry("told, an old list, the peer spoke 300 ms ago: hold",
		with(serving(), told(time.Second), hears(youngerPeer(), phase(peer.PhaseStarting), heard(300*time.Millisecond)), answers(ownListed("Running"))),
		WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, an empty list, and silence after one that listed a successor: hold",
		with(serving(), told(10*time.Second), grace(time.Minute), unreachable, answers(), asked(3*time.Second), func(s *Snapshot) {
			s.Memory.HadSuccessor, s.Memory.EverSuccessor = true, true
		}),
		WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, an empty list, this container unknown: it tells nothing",
		with(serving(), told(time.Second), anonymousSelf, answers()),
		WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, unreachable, an announcement with another secret was heard since: hold",
		with(serving(), told(5*time.Second), grace(time.Minute), unreachable, refused(4*time.Second)),
		WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, unreachable, one was heard before only: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), unreachable, refused(6*time.Second)),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, no answer for policy.discovery, but a ping was answered since: hold",
		with(serving(), told(5*time.Second), grace(time.Minute), alive(4*time.Second)),
		WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, no answer for policy.discovery, a ping was answered before only: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), alive(6*time.Second)),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, a ping was answered before the successor was lost only: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), alive(3*time.Second), hadSuccessor(2*time.Second)),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, pings are answered until the hold must end",
		with(serving(), told(6500*time.Millisecond), alive(0)),
		WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
	Entry("told, mode off, whatever is pinged: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), off, alive(0)),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("announced, an answer that takes 2.2 s: step down",
		with(serving(), hears(youngerPeer()), answers(otherListed("Running"), ownListed("Running")), took(2200*time.Millisecond)),
		WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
)

var _ = DescribeTable("A successor that ended without having been told", decides,
	Entry("is listed as exited: hold",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), answers(otherListed("exited"), ownListed("Stopping"))),
		WorkloadRun, peer.PhaseHolding, ReasonSuccessorLost),
	Entry("is listed as exited, and as created earlier: hold",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), answers(ownListed("Stopping"), listed("b", "exited", created.Add(-time.Hour)))),
		WorkloadRun, peer.PhaseHolding, ReasonSuccessorLost),
	Entry("is listed as exited in the answer by which it was lost: hold",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(0), answers(otherListed("exited"), ownListed("Stopping"))),
		WorkloadRun, peer.PhaseHolding, ReasonSuccessorLost),
	Entry("another container is listed as exited, which never was one: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), answers(listed("c", "exited", created.Add(time.Hour)), ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("was seen to die, and nobody can be asked: hold",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(2*time.Second), unreachable, hears(youngerPeer(), isDead, heard(2*time.Second))),
		WorkloadRun, peer.PhaseHolding, ReasonSuccessorLost),
	Entry("is silent, and nobody can be asked: hold",
		with(serving(), told(9*time.Second), grace(time.Minute), hadSuccessor(3*time.Second), unreachable, hears(youngerPeer(), heard(7*time.Second))),
		WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("was removed by force, as docker rm -f does: hold",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), hears(youngerPeer(), isDead, heard(2*time.Second)), answers(ownListed("Stopping"))),
		WorkloadRun, peer.PhaseHolding, ReasonSuccessorLost),
	Entry("was removed by force, and fell silent: hold",
		with(serving(), told(9*time.Second), grace(time.Minute), hadSuccessor(time.Second), hears(youngerPeer(), heard(7*time.Second)), answers(ownListed("Stopping"))),
		WorkloadRun, peer.PhaseHolding, ReasonSuccessorLost),
	Entry("was removed, and had said that it was told: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), hears(youngerPeer(), isTold, isGone), answers(ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("was removed, and a later process from there had been told: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), hears(youngerPeer(), isDead), hears(youngerPeer(), isTold, isGone, func(p *peer.Peer) { p.Instance = id(3) }), answers(ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("was removed, and heard before the signal only: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), hears(youngerPeer(), isDead, heard(6*time.Second)), answers(ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("was removed, and never heard: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), answers(ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("was being stopped when it was listed last: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), answers(otherListed("exited"), ownListed("Stopping")), func(s *Snapshot) { s.Supervisor.Containers[0].Stopped = true }),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("said that it was told: a plain stop",
		with(serving(), told(5*time.Second), grace(time.Minute), hadSuccessor(time.Second), hears(youngerPeer(), isTold, isGone), answers(otherListed("exited"), ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("is a leftover from before the signal: a plain stop",
		with(serving(), told(time.Second), grace(time.Minute), answers(otherListed("exited"), ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("at the end of the hold: drain",
		with(serving(), told(6500*time.Millisecond), hadSuccessor(time.Second), answers(otherListed("exited"), ownListed("Stopping"))),
		WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
)

// delayed is a drain that waits for policy.drain_delay, begun so long ago.
func delayed(before time.Duration) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Policy.DrainDelay = 3 * time.Second
		s.Memory.Drain = &Drain{Since: ago(before), Reason: ReasonBothSignals, For: id(2), HandOver: true, Delayed: true}
	}
}

var _ = DescribeTable("A drain before its first step", decides,
	Entry("goes on while the younger one serves",
		with(serving(), both, delayed(time.Second)), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("is taken back when the younger one is dead",
		with(serving(), hears(youngerPeer(), isDead), answers(otherListed("exited"), ownListed("Running")), delayed(time.Second)),
		WorkloadRun, peer.PhaseServing, ReasonYoungerLost),
	Entry("is taken back when the younger one is not ready any more",
		with(serving(), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Running")), delayed(time.Second)),
		WorkloadRun, peer.PhaseServing, ReasonYoungerLost),
	Entry("goes on while the younger one is silent for less than 2 s",
		with(serving(), hears(youngerPeer(), heard(1999*time.Millisecond)), answers(otherListed("Running"), ownListed("Running")), delayed(time.Second)),
		WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("is taken back when the younger one is silent for 2 s",
		with(serving(), hears(youngerPeer(), heard(2*time.Second)), answers(otherListed("Running"), ownListed("Running")), delayed(time.Second)),
		WorkloadRun, peer.PhaseServing, ReasonYoungerLost),
	Entry("is taken back when the younger one is silent, although its process lives: it may be frozen",
		with(serving(), hears(youngerPeer(), heard(2*time.Second), vouchedFor(time.Minute)), answers(otherListed("Running"), ownListed("Running")), delayed(time.Second)),
		WorkloadRun, peer.PhaseServing, ReasonYoungerLost),
	Entry("told, is taken back when the successor is frozen, although its process lives",
		with(serving(), hears(youngerPeer(), acking, heard(2*time.Second), vouchedFor(time.Minute)), answers(otherListed("Running"), ownListed("Stopping")), delayed(time.Second), told(2*time.Second), grace(time.Minute)),
		WorkloadRun, peer.PhaseHolding, ReasonYoungerLost),
	Entry("goes on when this process did not run itself meanwhile, and could hear nobody",
		with(serving(), hears(youngerPeer(), heard(2500*time.Millisecond)), answers(otherListed("Running"), ownListed("Running")), delayed(time.Second), stalled(2400*time.Millisecond, 100*time.Millisecond)),
		WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("goes on while a handover-lib, which cannot be asked, is silent",
		with(serving(), hears(legacyPeer(), heard(9*time.Second)), answers(otherListed("Running"), ownListed("Running")), delayed(time.Second)),
		WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("told, is taken back to holding",
		with(serving(), hears(youngerPeer(), isGone), answers(otherListed("Running"), ownListed("Stopping")), delayed(time.Second), told(2*time.Second), grace(time.Minute)),
		WorkloadRun, peer.PhaseHolding, ReasonYoungerLost),
	Entry("is not taken back after it",
		with(serving(), hears(youngerPeer(), isDead), delayed(time.Second), func(s *Snapshot) { s.Workload.Stopping = true }),
		WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("is not taken back when the delay is over",
		with(serving(), hears(youngerPeer(), isDead), delayed(3*time.Second)),
		WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
)

// delays sets policy.drain_delay.
func delays(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Policy.DrainDelay = d }
}

var _ = DescribeTable("The stop signal", func(s Snapshot, after time.Duration) {
	d := Decide(s)
	Expect(d.Workload).To(Equal(WorkloadDrain), d.Message)
	Expect(d.SignalAt.Sub(s.Now)).To(Equal(after))
},
	Entry("waits for policy.drain_delay where another instance serves",
		with(serving(), both, delays(3*time.Second)), 3*time.Second),
	Entry("does not where nobody follows",
		with(serving(), told(time.Second), answers(ownListed("Stopping")), delays(3*time.Second)), time.Duration(0)),
	Entry("does not at the end of a hold that policy.drain_delay has not shortened",
		with(serving(), told(6500*time.Millisecond), answers(otherListed("Running"), ownListed("Stopping")), delays(3*time.Second)), time.Duration(0)),
	Entry("does not where only one may run",
		with(serving(), both, delays(3*time.Second), func(s *Snapshot) { s.Policy.Exclusive = true }), time.Duration(0)),
	Entry("waits anew after a stall, in which nobody could see that this one drains",
		with(serving(), both, delayed(4*time.Second), stalled(3900*time.Millisecond, 100*time.Millisecond)), 2900*time.Millisecond),
	Entry("does not, if the delay was over before it",
		with(serving(), both, delayed(9*time.Second), stalled(5*time.Second, 100*time.Millisecond)), -6*time.Second),
	Entry("waits for what is left of the hold",
		with(serving(), told(6*time.Second), bothAcking, delays(3*time.Second)), 500*time.Millisecond),
)

// crashed is an instance whose workload has ended by itself soon after its start.
func crashed(age time.Duration) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Self.Restarted, s.Self.ListeningSince = true, ago(age)
		s.Workload = WorkloadFacts{Started: true, Ended: true, ExitCode: 3}
	}
}

// lingered says how often the workload was started again in this container, and how
// long ago it has ended.
func lingered(tries int, before time.Duration) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Memory.Lingers, s.Memory.Tries, s.Memory.EndedAt = true, tries, ago(before)
	}
}

func forsaken(s *Snapshot) { s.Memory.Forsaken = true }

func endedWith(code int) func(*Snapshot) {
	return func(s *Snapshot) { s.Workload.ExitCode = code }
}

// holdingOlder holds, and was heard just now.
func holdingOlder(steps ...func(*peer.Peer)) func(*Snapshot) {
	return hears(youngerPeer(), append([]func(*peer.Peer){firstStart(thisBoot, time.Second), phase(peer.PhaseHolding), isTold}, steps...)...)
}

var _ = DescribeTable("A workload that ended early", decides,
	Entry("in a crash loop, an older instance holds: stay until 10 s old",
		with(serving(), crashed(9999*time.Millisecond), holdingOlder()), WorkloadStay, peer.PhaseStarting, ReasonEndedEarly),
	Entry("the older one was not heard for a while, since nobody has asked it: stay",
		with(serving(), crashed(9*time.Second), holdingOlder(heard(9*time.Second))), WorkloadStay, peer.PhaseStarting, ReasonEndedEarly),
	Entry("10 s old: end with its status",
		with(serving(), crashed(10*time.Second), holdingOlder()), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("for the first time: end",
		with(serving(), crashed(time.Second), holdingOlder(), func(s *Snapshot) { s.Self.Restarted = false }), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("nobody older: end",
		with(serving(), crashed(time.Second)), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("for 100 ms: start it again",
		with(serving(), crashed(time.Second), holdingOlder(), lingered(0, 100*time.Millisecond)), WorkloadRun, peer.PhaseStarting, ReasonEndedEarly),
	Entry("for the third time, for less than 400 ms: stay",
		with(serving(), crashed(time.Second), holdingOlder(), lingered(2, 399*time.Millisecond)), WorkloadStay, peer.PhaseStarting, ReasonEndedEarly),
	Entry("for the third time, for 400 ms: start it again",
		with(serving(), crashed(time.Second), holdingOlder(), lingered(2, 400*time.Millisecond)), WorkloadRun, peer.PhaseStarting, ReasonEndedEarly),
	Entry("for the hundredth time: there is a longest pause",
		with(serving(), crashed(9*time.Second), holdingOlder(), lingered(99, 8*time.Second)), WorkloadStay, peer.PhaseStarting, ReasonEndedEarly),
	Entry("the older one has ended since: start it again at once",
		with(serving(), crashed(time.Second), holdingOlder(isGone), lingered(5, 0)), WorkloadRun, peer.PhaseStarting, ReasonEndedEarly),
	Entry("the older one was killed: start it again at once",
		with(serving(), crashed(time.Second), holdingOlder(isDead), lingered(5, 0)), WorkloadRun, peer.PhaseStarting, ReasonEndedEarly),
	Entry("the older one drains: start it again at once",
		with(serving(), crashed(time.Second), holdingOlder(phase(peer.PhaseDraining)), lingered(5, 0)), WorkloadRun, peer.PhaseStarting, ReasonEndedEarly),
	Entry("and ends again after that: stay",
		with(serving(), crashed(time.Second), holdingOlder(isGone), lingered(1, 199*time.Millisecond), forsaken), WorkloadStay, peer.PhaseStarting, ReasonEndedEarly),
	Entry("and ends again after that, for 200 ms: start it again",
		with(serving(), crashed(time.Second), holdingOlder(isGone), lingered(1, 200*time.Millisecond), forsaken), WorkloadRun, peer.PhaseStarting, ReasonEndedEarly),
	Entry("with status 0: stay, it may be done",
		with(serving(), crashed(time.Second), endedWith(0), holdingOlder(), lingered(0, time.Second)), WorkloadStay, peer.PhaseStarting, ReasonEndedEarly),
	Entry("with status 0, and the older one has ended since: end",
		with(serving(), crashed(time.Second), endedWith(0), holdingOlder(isGone), lingered(0, time.Second)), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("a younger one serves and runs: end, the next start steps aside",
		with(serving(), crashed(time.Second), holdingOlder(), lingered(0, time.Second), hears(youngerPeer(), inContainer("c"), func(p *peer.Peer) { p.Instance = id(3) }), answers(listed("c", "Running", created.Add(2*time.Minute)), ownListed("Running"))),
		WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("told, after some tries: end",
		with(serving(), crashed(time.Second), holdingOlder(), lingered(3, time.Second), told(0)), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("the older one has ended: end",
		with(serving(), crashed(time.Second), holdingOlder(isGone)), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("told: end",
		with(serving(), crashed(time.Second), holdingOlder(), told(0)), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
)

// crashedInHold is an instance that is told, and whose workload was ready and ended by
// itself so long ago.
func crashedInHold(before time.Duration, tries int) func(*Snapshot) {
	return func(s *Snapshot) {
		told(5 * time.Second)(s)
		grace(time.Minute)(s)
		s.Workload = WorkloadFacts{Started: true, EverReady: true, Ended: true, ExitCode: 7}
		s.Memory.EndedAt, s.Memory.Tries = ago(before), tries
	}
}

// comes is a successor that is not ready yet.
func comes(s *Snapshot) {
	hears(youngerPeer(), phase(peer.PhaseStarting))(s)
	answers(otherListed("Running"), ownListed("Stopping"))(s)
}

var _ = DescribeTable("A workload that crashed during the hold", decides,
	Entry("a successor is not ready: stay for 100 ms",
		with(serving(), crashedInHold(99*time.Millisecond, 0), comes), WorkloadStay, peer.PhaseHolding, ReasonWorkloadCrashed),
	Entry("a successor is not ready: start it again",
		with(serving(), crashedInHold(100*time.Millisecond, 0), comes), WorkloadRun, peer.PhaseHolding, ReasonWorkloadCrashed),
	Entry("again, before it was ready: with a longer pause",
		with(serving(), crashedInHold(199*time.Millisecond, 1), comes, neverReady), WorkloadStay, peer.PhaseHolding, ReasonWorkloadCrashed),
	Entry("again, before it was ready, for long enough: start it again",
		with(serving(), crashedInHold(200*time.Millisecond, 1), comes, neverReady), WorkloadRun, peer.PhaseHolding, ReasonWorkloadCrashed),
	Entry("the successor has crashed as well: start it again",
		with(serving(), crashedInHold(time.Second, 0), hadSuccessor(time.Second), answers(otherListed("exited"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonWorkloadCrashed),
	Entry("the successor serves: end with its status",
		with(serving(), crashedInHold(time.Second, 0), bothAcking), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("nobody follows: end with its status",
		with(serving(), crashedInHold(time.Second, 0), answers(ownListed("Stopping"))), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("the hold is over: end with its status",
		with(serving(), crashedInHold(time.Second, 0), comes, grace(8*time.Second)), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("it was never ready: end with its status",
		with(serving(), crashedInHold(time.Second, 0), comes, neverReady), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("it ended with status 0: end",
		with(serving(), crashedInHold(time.Second, 0), comes, endedWith(0)), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("somebody sent SIGTERM to it, too: end with its status",
		with(serving(), crashedInHold(time.Second, 0), comes, endedWith(143)), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("only one may run: end, the successor starts then",
		with(serving(), crashedInHold(time.Second, 0), comes, func(s *Snapshot) { s.Policy.Exclusive = true }), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("a crash loop long ago does not count",
		with(serving(), crashedInHold(100*time.Millisecond, 5), comes, func(s *Snapshot) { s.Memory.Lingers = true }), WorkloadRun, peer.PhaseHolding, ReasonWorkloadCrashed),
)

func neverReady(s *Snapshot) { s.Workload.EverReady = false }

var _ = Describe("A workload that crashed", func() {
	It("waits longer each time, and anew once it runs", func() {
		s := with(serving(), crashedInHold(100*time.Millisecond, 0), comes)
		d := Decide(s)
		Expect(d.Memory).To(And(HaveField("Tries", 1), HaveField("EndedAt", BeZero())))
		s.Memory = d.Memory
		d = Decide(s)
		Expect(d.Workload).To(Equal(WorkloadStay))
		Expect(d.Memory.EndedAt).To(Equal(now))
		Expect(d.RequeueAfter).To(Equal(200 * time.Millisecond))
		s.Memory = d.Memory
		s.Workload = WorkloadFacts{Started: true}
		Expect(Decide(s).Memory.EndedAt).To(BeZero())
	})
})

var _ = DescribeTable("What is said at the end of a hold is for its cause alone",
	func(s Snapshot, says, advises string) {
		d := Decide(s)
		Expect(d.Reason).To(Equal(ReasonHoldEnded))
		Expect(d.Warning).To(BeTrue())
		Expect(d.Message).To(ContainSubstring(says))
		if advises == "" {
			Expect(d.Message).NotTo(ContainSubstring("raise"))
		} else {
			Expect(d.Message).To(ContainSubstring(advises))
		}
	},
	Entry("not ready", with(serving(), told(6500*time.Millisecond), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Stopping"))),
		"no successor was ready in time", "raise stop_grace_period"),
	Entry("not ready, told twice", with(serving(), told(20*time.Second), grace(time.Minute), pressed(6500*time.Millisecond), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Stopping"))),
		"the second signal has shortened", ""),
	Entry("settling, told twice", with(serving(), told(20*time.Second), grace(time.Minute), pressed(6500*time.Millisecond), bothAcking, settles(time.Minute)),
		"the second signal has shortened", ""),
	Entry("not ready, told twice, which has shortened nothing", with(serving(), told(6500*time.Millisecond), pressed(time.Second), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Stopping"))),
		"no successor was ready in time", "raise stop_grace_period"),
	Entry("settling", with(serving(), told(6500*time.Millisecond), bothAcking, settles(time.Minute)),
		"not yet for policy.settle", "lower policy.settle"),
	Entry("not reported running", with(serving(), told(6500*time.Millisecond), hears(youngerPeer(), acking), answers(otherListed("Installed"), ownListed("Stopping"))),
		"did not report it running", ""),
	Entry("not acknowledging", with(serving(), told(6500*time.Millisecond), hears(youngerPeer()), answers(otherListed("Running"), ownListed("Stopping"))),
		"has not acknowledged", ""),
	Entry("crashed", with(serving(), told(6500*time.Millisecond), hadSuccessor(time.Second), answers(otherListed("exited"), ownListed("Stopping"))),
		"the successor has ended", ""),
	Entry("nobody known", with(serving(), told(6500*time.Millisecond), answers()),
		"no successor was heard or listed", ""),
)

var _ = Describe("An instance beside another one of unknown age", func() {
	It("says that no hand-over happens, and why", func() {
		s := with(serving(), hears(youngerPeer(), func(p *peer.Peer) { p.FirstStart, p.Container = peer.FirstStart{}, "" }))
		d := Decide(s)
		Expect(d.Reason).To(Equal(ReasonAgeUnknown))
		Expect(d.Message).To(ContainSubstring("no hand-over happens"))
	})

	It("knows its age without containers, by the start of the processes", func() {
		s := with(serving(), off, anonymousSelf, hears(youngerPeer(), inContainer("")))
		Expect(Decide(s).Reason).To(Equal(ReasonBothSignals))
	})

	It("orders two of the same moment in the same way on both sides", func() {
		twin := func(self, other byte) Age {
			s := with(serving(), anonymousSelf)
			s.Self.Instance = id(self)
			p := youngerPeer()
			p.Instance, p.Container, p.FirstStart = id(other), "", s.Self.FirstStart
			return s.Age(&p)
		}
		Expect(twin(1, 2)).To(Equal(Younger))
		Expect(twin(2, 1)).To(Equal(Older))
	})
})
