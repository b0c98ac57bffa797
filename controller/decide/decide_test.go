package decide_test

import (
	"github.com/handover-controller/handover/controller/decide/decidetest"

	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

var (
	both       = decidetest.Both
	bothAcking = func(s *Snapshot) {
		hears(youngerPeer(), acking)(s)
		answers(otherListed("Running"), ownListed("Stopping"))(s)
	}
)

// decides is what a row of a table checks.
func decides(s Snapshot, wish WorkloadWish, ph peer.Phase, why Reason) {
	GinkgoHelper()
	d := Decide(s)
	Expect(d.Reason).To(Equal(why), d.Message)
	Expect(d.Workload).To(Equal(wish))
	Expect(d.Phase).To(Equal(ph))
	Expect(d.Exit).To(Equal(ph == peer.PhaseGone))
	Expect(d.Message).NotTo(BeEmpty())
	Expect(d.Conditions).To(HaveLen(5))
}

var _ = DescribeTable("Decide, row by row", decides,
	// Not told.
	Entry("alone: serve", serving(), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("alone, not ready: say so", with(serving(), func(s *Snapshot) { s.Workload.Ready = false }), WorkloadRun, peer.PhaseStarting, ReasonAlone),
	Entry("running alone: serve", with(serving(), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("announced, not running: serve", with(serving(), hears(youngerPeer()), answers(otherListed("Installed"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonYoungerNotListed),
	Entry("announced, not listed: serve", with(serving(), hears(youngerPeer()), answers(ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonYoungerNotListed),
	Entry("announced, an unknown status: serve", with(serving(), hears(youngerPeer()), answers(otherListed("Daydreaming"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonYoungerNotListed),
	Entry("announced, never asked: serve", with(serving(), hears(youngerPeer())), WorkloadRun, peer.PhaseServing, ReasonYoungerUnknown),
	Entry("announced, the Supervisor fails: serve", with(serving(), hears(youngerPeer()), unreachable), WorkloadRun, peer.PhaseServing, ReasonYoungerUnknown),
	Entry("announced, the key was rotated: serve", with(serving(), hears(youngerPeer()), unreachable, func(s *Snapshot) { s.Supervisor.Rotated = true }), WorkloadRun, peer.PhaseServing, ReasonYoungerUnknown),
	Entry("announced, the answer is two polls old: serve", with(serving(), both, asked(2*time.Second)), WorkloadRun, peer.PhaseServing, ReasonYoungerUnknown),
	Entry("announced, the answer is a little younger than that: step down", with(serving(), both, asked(1999*time.Millisecond)), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("announced and running: step down", with(serving(), both), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("announced and Awaiting handover: step down", with(serving(), hears(youngerPeer()), answers(otherListed("Awaiting handover"), ownListed("Running"))), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("announced and handing over, in lower case: step down", with(serving(), hears(youngerPeer()), answers(otherListed("handing over"), ownListed("Running"))), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("prepared counts as announced", with(serving(), both, func(s *Snapshot) { s.Peers[0].Phase = peer.PhasePrepared }), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("not ready, and a younger one serves: step down", with(serving(), both, func(s *Snapshot) { s.Workload.Ready = false }), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("running, the younger one is starting: serve", with(serving(), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonYoungerNotReady),
	Entry("running, announced a second ago: serve and ask", with(serving(), hears(youngerPeer(), heard(time.Second)), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonYoungerSilent),
	Entry("running, announced by one that is told: serve", with(serving(), hears(youngerPeer(), isTold), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("running, holding: serve", with(serving(), hears(youngerPeer(), isTold, phase(peer.PhaseHolding)), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("running, gone: serve", with(serving(), hears(youngerPeer(), isGone), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("announced and running, but older: serve", with(serving(), hears(youngerPeer(), firstStart(thisBoot, time.Second)), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("announced and running, own container unknown: serve", with(serving(), both, func(s *Snapshot) { s.Self.Container = "" }), WorkloadRun, peer.PhaseServing, ReasonYoungerUnknown),
	Entry("announced and running, the peer's container unknown: serve", with(serving(), both, func(s *Snapshot) { s.Peers[0].Container = "" }), WorkloadRun, peer.PhaseServing, ReasonYoungerUnknown),
	Entry("mode off: announced is enough", with(serving(), hears(youngerPeer()), off), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("mode off: not announced", with(serving(), hears(youngerPeer(), phase(peer.PhaseStarting)), off), WorkloadRun, peer.PhaseServing, ReasonYoungerNotReady),
	Entry("running, not heard just now, although its process lives: serve, it may be frozen", with(serving(), hears(youngerPeer(), heard(5*time.Second), vouchedFor(time.Second)), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonYoungerSilent),
	Entry("running, announced, but seen to be dead: serve", with(serving(), hears(youngerPeer(), isDead), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("settle: both just now", with(serving(), both, func(s *Snapshot) { s.Policy.Settle = 5 * time.Second }), WorkloadRun, peer.PhaseServing, ReasonSettling),
	Entry("settle: for long enough", with(serving(), both, settled(5*time.Second), heardSince(6*time.Second)), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("settle: for long enough, but silent at the end", with(serving(), both, settled(5*time.Second), heardSince(6*time.Second), silent(2*time.Second)), WorkloadRun, peer.PhaseServing, ReasonYoungerSilent),
	Entry("settle: silent for 4 s in between starts over", with(serving(), both, settled(5*time.Second), heardSince(6*time.Second), silent(4*time.Second)), WorkloadRun, peer.PhaseServing, ReasonYoungerSilent),
	Entry("settle: another instance id starts over", with(serving(), both, settled(5*time.Second), heardSince(6*time.Second), func(s *Snapshot) { s.Peers[0].Instance = id(3) }), WorkloadRun, peer.PhaseServing, ReasonSettling),
	Entry("settle: a phase in between starts over", with(serving(), both, settled(5*time.Second)), WorkloadRun, peer.PhaseServing, ReasonSettling),
	Entry("after a restart of the workload, both must hold for 10 s", with(serving(), both, func(s *Snapshot) { s.Memory.Restarts = 1 }), WorkloadRun, peer.PhaseServing, ReasonSettling),

	// Draining and released.
	Entry("draining goes on whatever happens", with(serving(), func(s *Snapshot) { s.Memory.Drain = &Drain{Since: ago(time.Second), Reason: ReasonBothSignals} }), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("draining goes on when told", with(serving(), told(time.Second), func(s *Snapshot) { s.Memory.Drain = &Drain{Since: ago(2 * time.Second), Reason: ReasonBothSignals} }), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("drained: released", with(serving(), both, func(s *Snapshot) {
		s.Memory.Drain = &Drain{Since: ago(time.Second), Reason: ReasonBothSignals, HandOver: true}
		s.Workload.Ended, s.Workload.Ready = true, false
	}), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("released, told: end", with(serving(), both, releasedFor(time.Second, true), told(0)), WorkloadStay, peer.PhaseGone, ReasonHandedOver),
	Entry("released, the younger one serves: stay", with(serving(), both, releasedFor(time.Hour, true)), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("released, silent for less than 10 s: stay", with(serving(), hears(youngerPeer(), heard(9999*time.Millisecond)), releasedFor(time.Hour, true)), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("released, silent for 10 s: serve", with(serving(), hears(youngerPeer(), heard(10*time.Second)), releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released, the younger one is gone: serve", with(serving(), hears(youngerPeer(), isGone), releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released, the younger one is seen to be dead: serve", with(serving(), hears(youngerPeer(), isDead), releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released, silent for long, although its process lives: serve, it may be frozen", with(serving(), hears(youngerPeer(), heard(10*time.Second), vouchedFor(time.Second)), releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released, the younger one is told: serve", with(serving(), hears(youngerPeer(), isTold, phase(peer.PhaseHolding)), releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released, the younger one is absent: serve", with(serving(), hears(youngerPeer(), heard(2*time.Second)), answers(ownListed("Running")), releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released, missing from a list that lacks this container, too: stay", with(serving(), hears(youngerPeer(), heard(2*time.Second)), answers(), releasedFor(time.Hour, true)), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("released, missing from the list but heard since: stay", with(serving(), hears(youngerPeer(), heard(10*time.Millisecond)), answers(ownListed("Running")), releasedFor(time.Hour, true)), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("released, the younger one is not ready for a moment: stay", with(serving(), hears(youngerPeer(), phase(peer.PhaseStarting), phaseFor(time.Second)), releasedFor(time.Hour, true)), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("released, the younger ones come and go without serving: serve", with(serving(), hears(youngerPeer(), phase(peer.PhaseStarting), phaseFor(time.Second)), releasedFor(time.Hour, true), func(s *Snapshot) { s.Memory.Drain.UnservedSince = ago(1500 * time.Millisecond) }), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released, the younger one is not ready for long: serve", with(serving(), hears(youngerPeer(), phase(peer.PhaseStarting), phaseFor(1500*time.Millisecond)), releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released, nobody left: serve", with(serving(), releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("released for a handover-lib peer, silent for 30 s: stay", with(serving(), hears(legacyPeer(), heard(30*time.Second)), off, releasedFor(time.Hour, true)), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("released for a handover-lib peer, silent until it expired: serve", with(serving(), hears(legacyPeer(), heard(35*time.Second)), off, releasedFor(time.Hour, true)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),

	// Told.
	Entry("told, nobody there, answered: a plain stop", with(serving(), told(time.Second), answers(ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, nobody there, the answer is older: search", with(serving(), told(0), answers(ownListed("Running"))), WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, the answer does not list this instance's container: search", with(serving(), told(time.Second), answers()), WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, the answers never list this instance's container: hold past policy.discovery", with(serving(), told(5*time.Second), answers()), WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, unreachable: search for policy.discovery", with(serving(), told(2999*time.Millisecond), unreachable), WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, unreachable, policy.discovery is over: a plain stop", with(serving(), told(3*time.Second), unreachable), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, the key was rotated: hold past policy.discovery", with(serving(), told(4*time.Second), unreachable, func(s *Snapshot) { s.Supervisor.Rotated = true }), WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, unreachable, heard since: hold", with(serving(), told(4*time.Second), unreachable, hears(youngerPeer(), phase(peer.PhaseStarting), heard(3*time.Second))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, unreachable, heard before only: a plain stop", with(serving(), told(4*time.Second), unreachable, hears(youngerPeer(), phase(peer.PhaseStarting), heard(5*time.Second))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, unreachable, heard before only, but a way vouches for it: hold", with(serving(), told(4*time.Second), unreachable, hears(youngerPeer(), phase(peer.PhaseStarting), heard(5*time.Second), vouchedFor(time.Second))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, mode off, nobody heard: search", with(serving(), told(time.Second), off), WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, mode off, nobody heard for policy.discovery: a plain stop", with(serving(), told(3*time.Second), off), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, listed only: hold", with(serving(), told(time.Second), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, listed as Starting: hold", with(serving(), told(time.Second), answers(otherListed("Starting"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, listed with an unknown status: hold", with(serving(), told(time.Second), answers(otherListed("Daydreaming"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, listed as Stopping: a plain stop", with(serving(), told(time.Second), answers(otherListed("Stopping"), ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, listed as Installed: a plain stop", with(serving(), told(time.Second), answers(otherListed("Installed"), ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, listed, but its instance was told as well: a plain stop", with(serving(), told(time.Second), hears(youngerPeer(), isTold, phase(peer.PhaseHolding)), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, listed, its instance was told and is gone: a plain stop", with(serving(), told(time.Second), hears(youngerPeer(), isTold, isGone), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, listed, its instance is gone and was not told: hold", with(serving(), told(time.Second), hears(youngerPeer(), isGone), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, listed as Stopping, but it lives and is not told: hold", with(serving(), told(time.Second), hears(youngerPeer()), answers(otherListed("Stopping"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, listed as Stopping, and silent: a plain stop", with(serving(), told(time.Second), hears(youngerPeer(), heard(4*time.Second)), answers(otherListed("Stopping"), ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, silent for a second and not listed: a plain stop", with(serving(), told(2*time.Second), hears(youngerPeer(), heard(time.Second)), answers(ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, an older one serves and acknowledges: step down", with(serving(), told(time.Second), hears(youngerPeer(), acking, firstStart(thisBoot, time.Second)), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonSuccessorServes),
	Entry("told, a released one that is not told: hold, it will serve again", with(serving(), told(time.Second), hears(youngerPeer(), phase(peer.PhaseReleased)), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, announced and running, not acknowledging: hold", with(serving(), told(time.Second), hears(youngerPeer()), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, acknowledging and running, not ready: hold", with(serving(), told(time.Second), hears(youngerPeer(), acking, phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, all three: step down", with(serving(), told(time.Second), bothAcking), WorkloadDrain, peer.PhaseDraining, ReasonSuccessorServes),
	Entry("told, all three, for less than policy.settle: hold", with(serving(), told(time.Second), bothAcking, settles(1001*time.Millisecond)), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, all three, for policy.settle: step down", with(serving(), told(time.Second), bothAcking, settles(time.Second)), WorkloadDrain, peer.PhaseDraining, ReasonSuccessorServes),
	Entry("told, all three, policy.settle is longer than the hold: step down at its end", with(serving(), told(6500*time.Millisecond), bothAcking, settles(time.Minute)), WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
	Entry("told, acknowledging, not running: hold", with(serving(), told(time.Second), hears(youngerPeer(), acking), answers(otherListed("Installed"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, acknowledging, unknown for a moment: hold", with(serving(), told(2*time.Second), unreachable, hears(youngerPeer(), acking)), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, acknowledging, unknown for a third of the hold: step down", with(serving(), told(2170*time.Millisecond), unreachable, hears(youngerPeer(), acking)), WorkloadDrain, peer.PhaseDraining, ReasonSuccessorTrusted),
	Entry("told, never ready, a successor: hold", with(serving(), told(time.Second), hears(youngerPeer()), answers(otherListed("Running"), ownListed("Stopping")), func(s *Snapshot) { s.Workload.Ready = false }), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, the hold lasts until 3.5 s before SIGKILL", with(serving(), told(6499*time.Millisecond), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, the key was rotated, and the hold must end although nobody was heard: loudly", with(serving(), told(6500*time.Millisecond), unreachable, func(s *Snapshot) { s.Supervisor.Rotated = true }), WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
	Entry("told, the hold must end", with(serving(), told(6500*time.Millisecond), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonHoldEnded),
	Entry("told twice: at once", with(serving(), told(time.Second), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Stopping")), func(s *Snapshot) { s.Self.Hurry = true }), WorkloadDrain, peer.PhaseDraining, ReasonHurried),
	Entry("told before the workload was started: end", with(serving(), told(0), func(s *Snapshot) { s.Workload = WorkloadFacts{} }), WorkloadStay, peer.PhaseGone, ReasonToldEarly),
	Entry("told, own container unknown, one unheard runs: that is this one", with(serving(), told(time.Second), answers(ownListed("Running")), func(s *Snapshot) { s.Self.Container = "" }), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, own container unknown, two unheard run: hold", with(serving(), told(time.Second), answers(otherListed("Running"), ownListed("Running")), func(s *Snapshot) { s.Self.Container = "" }), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, own container unknown, one stops and one runs: hold", with(serving(), told(time.Second), answers(otherListed("Running"), ownListed("Stopping")), func(s *Snapshot) { s.Self.Container = "" }), WorkloadRun, peer.PhaseHolding, ReasonHolding),

	// A peer of handover-lib.
	Entry("handover-lib, its container has run for 5 s: step down", with(serving(), hears(legacyPeer()), answers(otherListed("Running"), ownListed("Running"))), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("handover-lib, its container has run for less: serve", with(serving(), hears(legacyPeer()), answers(otherListed("Running"), ownListed("Running")), runningFor(4999*time.Millisecond)), WorkloadRun, peer.PhaseServing, ReasonYoungerUnknown),
	Entry("handover-lib, heard 11 s ago: serve", with(serving(), hears(legacyPeer(), heard(11*time.Second)), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonYoungerSilent),
	Entry("another service's handover-lib: serve", with(serving(), hears(legacyPeer()), answers(ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("another service's handover-lib beside a new container of this program: serve", with(serving(), hears(legacyPeer()), answers(otherListed("Running"), ownListed("Running")), func(s *Snapshot) { s.Supervisor.Containers[0].Extended = true }), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("handover-lib, the container was created after its own start: serve", with(serving(), hears(legacyPeer(), func(p *peer.Peer) { p.StartMilli = created.Add(59 * time.Second).UnixMilli() }), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("handover-lib, older: serve", with(serving(), hears(legacyPeer(), func(p *peer.Peer) { p.StartMilli = 1 }), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonAlone),
	Entry("handover-lib, mode off: the timestamp decides", with(serving(), hears(legacyPeer()), off), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("told, handover-lib runs for 2.5 s: step down without acknowledgement", with(serving(), told(3*time.Second), hears(legacyPeer()), answers(otherListed("Running"), ownListed("Stopping")), runningFor(2500*time.Millisecond)), WorkloadDrain, peer.PhaseDraining, ReasonSuccessorServes),
	Entry("told, handover-lib runs for less: hold", with(serving(), told(time.Second), hears(legacyPeer()), answers(otherListed("Running"), ownListed("Stopping")), runningFor(2499*time.Millisecond)), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, unreachable, a handover-lib heard since: trust it", with(serving(), told(3*time.Second), unreachable, hears(legacyPeer())), WorkloadDrain, peer.PhaseDraining, ReasonSuccessorTrusted),
	Entry("told, unreachable, a handover-lib heard before only: hold, it may be anybody's", with(serving(), told(2*time.Second), unreachable, hears(legacyPeer(), heard(2100*time.Millisecond))), WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, unreachable, a handover-lib heard before only, discovery over: a plain stop", with(serving(), told(3*time.Second), unreachable, hears(legacyPeer(), heard(3100*time.Millisecond))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, mode off, a handover-lib heard before only: hold", with(serving(), told(time.Second), off, hears(legacyPeer(), heard(1100*time.Millisecond))), WorkloadRun, peer.PhaseHolding, ReasonSearching),
	Entry("told, unreachable, an own successor that is not ready beside it: hold", with(serving(), told(3*time.Second), unreachable, hears(legacyPeer()), hears(youngerPeer(), phase(peer.PhaseStarting))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, a handover-lib that is matched, an own successor that is not ready beside it: hold", with(serving(), told(3*time.Second), hears(legacyPeer()), hears(youngerPeer(), inContainer("c"), phase(peer.PhaseStarting)), answers(listed("c", "Running", created.Add(2*time.Minute)), otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, own container unknown, the one that is stopping was heard: it is not this one", with(serving(), told(4*time.Second), unreachable, func(s *Snapshot) { s.Self.Container = "" }, answers(otherListed("Stopping"), ownListed("Running")), asked(5*time.Second), hears(youngerPeer(), isGone)), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, an own successor that is heard and, in an empty answer, not listed, beside a handover-lib: hold", with(serving(), told(6*time.Second), func(s *Snapshot) { s.Self.Container = "" }, hears(legacyPeer()), hears(youngerPeer(), phase(peer.PhaseStarting)), answers()), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, the key was rotated: a handover-lib is not trusted", with(serving(), told(3*time.Second), unreachable, hears(legacyPeer()), func(s *Snapshot) { s.Supervisor.Rotated = true }), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("handover-lib, beside an instance that does not know its container: serve", with(serving(), hears(legacyPeer()), hears(youngerPeer(), inContainer(""), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseServing, ReasonYoungerNotReady),
	Entry("told, another service's handover-lib: a plain stop", with(serving(), told(time.Second), hears(legacyPeer()), answers(ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, own container unknown, another service's handover-lib: a plain stop", with(serving(), anonymous, told(time.Second), hears(legacyPeer()), answers(ownListed("Stopping"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, own container unknown, the same by a signal of somebody else: a plain stop", with(serving(), anonymous, told(time.Second), hears(legacyPeer()), answers(ownListed("Running"))), WorkloadDrain, peer.PhaseDraining, ReasonNoSuccessor),
	Entry("told, own container unknown, a handover-lib, and a container that may be its: hold", with(serving(), anonymous, told(time.Second), hears(legacyPeer()), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, own container unknown, a handover-lib, the answer is older: hold", with(serving(), anonymous, told(time.Second), hears(legacyPeer()), answers(ownListed("Running")), asked(1500*time.Millisecond)), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, own container unknown, a handover-lib, an empty answer: hold", with(serving(), anonymous, told(time.Second), hears(legacyPeer()), answers()), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("told, the answer does not list this instance's container, a handover-lib: hold", with(serving(), told(2*time.Second), hears(legacyPeer()), answers()), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("released for a handover-lib peer, an answer does not list this instance's container: stay", with(serving(), hears(legacyPeer()), answers(), releasedFor(time.Hour, true), forLegacy), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("released for a handover-lib peer, its container ends, another service's speaks on: serve", with(serving(), hears(legacyPeer()), answers(otherListed("Stopping"), ownListed("Running")), releasedFor(time.Hour, true), forLegacy), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),

	// The start.
	Entry("the first start waits for nothing", with(serving(), notStarted), WorkloadRun, peer.PhaseStarting, ReasonAlone),
	Entry("a later start listens", with(serving(), restarted(149*time.Millisecond)), WorkloadWait, peer.PhaseStarting, ReasonListening),
	Entry("a later start without a peer goes on after 150 ms", with(serving(), restarted(150*time.Millisecond)), WorkloadRun, peer.PhaseStarting, ReasonAlone),
	Entry("a later start with a peer waits for the Supervisor", with(serving(), restarted(549*time.Millisecond), hears(youngerPeer())), WorkloadWait, peer.PhaseStarting, ReasonListening),
	Entry("a later start does not wait longer", with(serving(), restarted(550*time.Millisecond), hears(youngerPeer())), WorkloadRun, peer.PhaseStarting, ReasonYoungerUnknown),
	Entry("a later start does not wait for an older peer", with(serving(), restarted(150*time.Millisecond), hears(youngerPeer(), firstStart(thisBoot, time.Second))), WorkloadRun, peer.PhaseStarting, ReasonAlone),
	Entry("a later start with an answer does not wait longer", with(serving(), restarted(200*time.Millisecond), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Running"))), WorkloadRun, peer.PhaseStarting, ReasonYoungerNotReady),
	Entry("a later start finds both signals: step aside", with(serving(), restarted(100*time.Millisecond), both), WorkloadStay, peer.PhaseReleased, ReasonSteppedAside),

	// The workload ends by itself.
	Entry("the workload ended by itself: end", with(serving(), func(s *Snapshot) { s.Workload = WorkloadFacts{Started: true, Ended: true, ExitCode: 3} }), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
	Entry("the workload ended by itself while holding: end", with(serving(), told(time.Second), bothAcking, func(s *Snapshot) { s.Workload = WorkloadFacts{Started: true, Ended: true, ExitCode: 3} }), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
)

func settled(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Policy.Settle = d
		s.Memory.Settling = []Settling{{Instance: id(2), Since: ago(d)}}
	}
}

func heardSince(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Peers[0].PhaseSince, s.Peers[0].FirstHeard = ago(d), ago(d) }
}

func silent(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Peers[0].LastHeard = ago(d) }
}

func runningFor(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Supervisor.Containers[0].RunningSince = ago(d) }
}

func forLegacy(s *Snapshot) { s.Memory.Drain.For = legacyPeer().Instance }

func anonymous(s *Snapshot) { s.Self.Container = "" }

func notStarted(s *Snapshot) {
	s.Workload, s.Self.ListeningSince = WorkloadFacts{}, now
}

func restarted(before time.Duration) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Workload, s.Self.ListeningSince, s.Self.Restarted = WorkloadFacts{}, ago(before), true
	}
}

var _ = DescribeTable("Who is younger", func(s Snapshot, stepsDown bool) {
	Expect(steppedDown(Decide(s))).To(Equal(stepsDown))
},
	Entry("same boot, later", with(serving(), both), true),
	Entry("same boot, earlier", with(serving(), both, starts(thisBoot, 100, thisBoot, 99)), false),
	Entry("same earlier boot, later", with(serving(), both, starts(lastBoot, 100, lastBoot, 101)), true),
	Entry("same earlier boot, earlier", with(serving(), both, starts(lastBoot, 100, lastBoot, 99)), false),
	Entry("this one from an earlier boot, the other from the present", with(serving(), both, starts(lastBoot, 900, thisBoot, 1)), true),
	Entry("this one from the present boot, the other from an earlier one", with(serving(), both, starts(thisBoot, 1, lastBoot, 900)), false),
	Entry("this one from an earlier boot, whatever the times of creation", with(serving(), both, starts(lastBoot, 900, thisBoot, 1), createdAt(created.Add(time.Hour), created)), true),
	Entry("the other one from an earlier boot, whatever the times of creation", with(serving(), both, starts(thisBoot, 1, lastBoot, 900), createdAt(created, created.Add(time.Hour))), false),
	Entry("two different earlier boots: created later", with(serving(), both, starts(lastBoot, 900, anyBoot, 1)), true),
	Entry("two different earlier boots: created earlier", with(serving(), both, starts(lastBoot, 1, anyBoot, 900), createdAt(created.Add(time.Hour), created)), false),
	Entry("equal starts: created later", with(serving(), both, starts(thisBoot, 100, thisBoot, 100)), true),
	Entry("no record there: created later", with(serving(), both, starts(thisBoot, 100, [4]byte{}, 0)), true),
	Entry("no record here: created later", with(serving(), both, starts([4]byte{}, 0, thisBoot, 100)), true),
	Entry("no record: created earlier", with(serving(), both, starts([4]byte{}, 0, [4]byte{}, 0), createdAt(created.Add(time.Hour), created)), false),
	Entry("no record, created at once: the greater id", with(serving(), both, starts([4]byte{}, 0, [4]byte{}, 0), createdAt(created, created)), true),
	Entry("no record, not listed both: nobody", with(serving(), both, starts([4]byte{}, 0, [4]byte{}, 0), func(s *Snapshot) { s.Supervisor.Containers = s.Supervisor.Containers[:1] }), false),
	Entry("no record, no time of creation: nobody", with(serving(), both, starts([4]byte{}, 0, [4]byte{}, 0), createdAt(time.Time{}, created)), false),
	Entry("a wall clock that was set back does not matter", with(serving(), both, createdAt(created.Add(time.Hour), created)), true),
	Entry("an older release does not matter", with(serving(), both, func(s *Snapshot) { s.Peers[0].Release = 1 }), true),
)

func starts(self [4]byte, selfS int, other [4]byte, otherS int) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Self.FirstStart = peer.FirstStart{Boot: self, Since: time.Duration(selfS) * time.Second}
		s.Peers[0].FirstStart = peer.FirstStart{Boot: other, Since: time.Duration(otherS) * time.Second}
	}
}

func createdAt(own, other time.Time) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Supervisor.Containers[0].CreatedAt, s.Supervisor.Containers[1].CreatedAt = other, own
	}
}

var _ = DescribeTable("The marker", func(s Snapshot, want MarkerWish) {
	Expect(Decide(s).Marker).To(Equal(want))
},
	Entry("written after the release, both signals once more", with(serving(), both, releasedFor(0, false)), MarkerWrite),
	Entry("not without the announcement", with(serving(), hears(youngerPeer(), heard(2*time.Second)), answers(otherListed("Running"), ownListed("Running")), releasedFor(0, false)), MarkerKeep),
	Entry("not without the Supervisor", with(serving(), hears(youngerPeer()), releasedFor(0, false)), MarkerKeep),
	Entry("not while draining", with(serving(), both, func(s *Snapshot) { s.Memory.Drain = &Drain{Since: ago(time.Second), Reason: ReasonBothSignals} }), MarkerKeep),
	Entry("not by an instance that is told", with(serving(), both, releasedFor(0, false), told(0)), MarkerKeep),
	Entry("only once", with(serving(), both, releasedFor(0, true)), MarkerKeep),
	Entry("not by a container from before the reboot", with(serving(), both, releasedFor(0, false), starts(lastBoot, 1, thisBoot, 2)), MarkerKeep),
	Entry("not for a container from before the reboot", with(serving(), both, releasedFor(0, false), starts(lastBoot, 1, lastBoot, 2)), MarkerKeep),
	Entry("not without an own record", with(serving(), both, releasedFor(0, false), starts([4]byte{}, 0, thisBoot, 2)), MarkerKeep),
	Entry("not by one that stepped aside", with(serving(), restarted(0), both), MarkerKeep),
	Entry("removed by its writer when told", with(serving(), both, releasedFor(time.Second, true), told(0), func(s *Snapshot) { s.Memory.MarkerWritten = true }), MarkerRemove),
	Entry("left alone by others when told", with(serving(), both, releasedFor(time.Second, true), told(0)), MarkerKeep),
	Entry("removed at the start", with(serving(), notStarted), MarkerRemove),
	Entry("removed at the start while an older one serves", with(serving(), notStarted, hears(youngerPeer(), firstStart(thisBoot, 1))), MarkerRemove),
	Entry("left at the start when all older ones have released", with(serving(), notStarted, hears(youngerPeer(), firstStart(thisBoot, 1), phase(peer.PhaseReleased))), MarkerKeep),
	Entry("left by one that steps aside at its very start", with(serving(), notStarted, both), MarkerKeep),
	Entry("removed when the younger one is lost", with(serving(), hears(youngerPeer(), isGone), releasedFor(time.Hour, true)), MarkerRemove),
	Entry("removed when listed alone after a peer was lost", with(serving(), answers(ownListed("Running")), func(s *Snapshot) { s.PeerLostAt = ago(time.Second) }), MarkerRemove),
	Entry("left when not listed alone", with(serving(), answers(otherListed("Running"), ownListed("Running")), func(s *Snapshot) { s.PeerLostAt = ago(time.Second) }), MarkerKeep),
	Entry("left before the Supervisor was asked", with(serving(), answers(ownListed("Running")), func(s *Snapshot) { s.PeerLostAt = now }), MarkerKeep),
)

var _ = Describe("Decide", func() {
	It("exits with the workload's status after a plain stop, and with 0 after a hand-over", func() {
		s := with(serving(), told(time.Second), func(s *Snapshot) {
			s.Workload = WorkloadFacts{Started: true, Ended: true, ExitCode: 143}
			s.Memory.Drain = &Drain{Since: ago(time.Second), Reason: ReasonNoSuccessor}
		})
		Expect(Decide(s)).To(And(HaveField("Exit", true), HaveField("ExitCode", 143)))
		s.Memory.Drain = &Drain{Since: ago(time.Second), Reason: ReasonSuccessorServes, HandOver: true}
		Expect(Decide(s)).To(And(HaveField("Exit", true), HaveField("ExitCode", 0)))
		s.Memory = Memory{}
		s.Workload.ExitCode = 3
		Expect(Decide(s)).To(And(HaveField("Exit", true), HaveField("ExitCode", 3)))
	})

	It("leaves the Supervisor alone while no hand-over is possible", func() {
		d := Decide(serving())
		Expect(d.Poll).To(BeFalse())
		Expect(d.AskSince).To(BeZero())
		Expect(d.Ask).To(BeFalse())
		Expect(d.Eager).To(BeFalse())
		Expect(d.RequeueAfter).To(BeZero())

		By("hearing another service's handover-lib for ever")
		d = Decide(with(serving(), hears(legacyPeer()), answers(ownListed("Running")), asked(time.Second)))
		Expect(d.Poll).To(BeFalse())
		Expect(d.AskSince).To(BeTemporally("<=", ago(time.Second)))
	})

	It("asks the Supervisor on and on after a release for handover-lib, since only the list tells that it lives", func() {
		s := with(serving(), hears(legacyPeer()), answers(otherListed("Running"), ownListed("Running")), releasedFor(time.Hour, true))
		Expect(Decide(s).Reason).To(Equal(ReasonReleased))
		Expect(Decide(s).Poll).To(BeTrue())
		Expect(Decide(with(s, off)).Poll).To(BeFalse())
		Expect(Decide(with(serving(), both, releasedFor(time.Hour, true))).Poll).To(BeFalse())
	})

	It("asks the Supervisor at once for a new peer, a new phase and a SIGTERM", func() {
		d := Decide(with(serving(), hears(youngerPeer(), phase(peer.PhaseStarting), phaseFor(300*time.Millisecond))))
		Expect(d.AskSince).To(Equal(ago(300 * time.Millisecond)))
		Expect(d.Poll).To(BeTrue())
		d = Decide(with(serving(), told(20*time.Millisecond)))
		Expect(d.AskSince).To(Equal(ago(20 * time.Millisecond)))
		Expect(d.Poll).To(BeTrue())
	})

	It("repeats itself eagerly while told, and while an older peer has not begun to drain", func() {
		older := func(p peer.Phase) func(*Snapshot) { return hears(youngerPeer(), firstStart(thisBoot, 1), phase(p)) }
		Expect(Decide(with(serving(), told(0))).Eager).To(BeTrue())
		Expect(Decide(with(serving(), older(peer.PhaseServing))).Eager).To(BeTrue())
		Expect(Decide(with(serving(), older(peer.PhaseHolding))).Eager).To(BeTrue())
		Expect(Decide(with(serving(), older(peer.PhaseDraining))).Eager).To(BeFalse())
		Expect(Decide(with(serving(), hears(youngerPeer()))).Eager).To(BeFalse())

		By("not having heard it just now, or at all, but seeing it listed")
		Expect(Decide(with(serving(), hears(youngerPeer(), firstStart(thisBoot, 1), heard(30*time.Second)))).Eager).To(BeTrue())
		younger := func(s *Snapshot) { s.Self.Container = short("b") }
		for status, waits := range map[string]bool{
			"Running": true, "Stopping": true, "Starting": true, "exited": false, "Installed": false,
		} {
			Expect(Decide(with(serving(), younger, answers(otherListed("Running"), ownListed(supervisor.Status(status))))).Eager).To(Equal(waits), "%s", status)
		}
		Expect(Decide(with(serving(), answers(otherListed("Running"), ownListed("Running")))).Eager).To(BeFalse(), "it is younger")
		Expect(Decide(with(serving(), younger, answers(otherListed("Running"), ownListed("Running")),
			hears(youngerPeer(), inContainer("a"), firstStart(thisBoot, 1), phase(peer.PhaseReleased)))).Eager).To(BeFalse(), "it has released")
	})

	It("acknowledges a holding peer as long as it intends to serve", func() {
		holding := hears(youngerPeer(), isTold, phase(peer.PhaseHolding))
		Expect(Decide(with(serving(), holding)).Acks).To(Equal([]peer.InstanceID{id(2)}))
		Expect(Decide(with(serving(), holding, notStarted)).Acks).To(Equal([]peer.InstanceID{id(2)}))
		Expect(Decide(with(serving(), holding, told(time.Second))).Acks).To(BeEmpty())
		Expect(Decide(with(serving(), holding, func(s *Snapshot) { s.Memory.Drain = &Drain{Since: now} })).Acks).To(BeEmpty())
	})

	It("takes YoungerRunning for true in mode off, whether there is anybody or not", func() {
		for _, s := range []Snapshot{with(serving(), off), with(serving(), off, hears(youngerPeer())), with(serving(), off, told(time.Second))} {
			Expect(Decide(s).Conditions[2]).To(And(HaveField("Type", YoungerRunning), HaveField("Status", True)))
		}
		Expect(Decide(serving()).Conditions[2].Status).To(Equal(Unknown))
	})

	It("bounds a drain after SIGTERM by the grace period, also one under way", func() {
		d := Decide(with(serving(), both, func(s *Snapshot) { s.Policy.DrainDelay = 2 * time.Second }))
		Expect(d.SignalAt).To(Equal(now.Add(2 * time.Second)))
		Expect(d.KillAt).To(BeZero())
		s := with(serving(), both, told(time.Second))
		s.Memory = d.Memory
		Expect(Decide(s).KillAt).To(Equal(ago(time.Second).Add(9500 * time.Millisecond)))
	})

	It("doubles the settle time with each restart, up to 160 s, and forgets it", func() {
		for restarts, want := range map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 4: 80 * time.Second, 5: 160 * time.Second, 6: 160 * time.Second, 1000: 160 * time.Second} {
			s := with(serving(), both, heardSince(time.Hour), func(s *Snapshot) {
				s.Memory.Restarts = restarts
				s.Memory.Settling = []Settling{{Instance: id(2), Since: ago(want - time.Millisecond)}}
			})
			Expect(steppedDown(Decide(s))).To(BeFalse(), "after %d restarts", restarts)
			s.Memory.Settling = []Settling{{Instance: id(2), Since: ago(want)}}
			Expect(steppedDown(Decide(s))).To(BeTrue(), "after %d restarts", restarts)
		}
		s := with(serving(), both, releasedFor(10*time.Second, true), func(s *Snapshot) { s.Memory.Restarts = 1 })
		Expect(Decide(s).Memory.Restarts).To(BeZero())
		s = with(serving(), both, releasedFor(9*time.Second, true), func(s *Snapshot) { s.Memory.Restarts = 1 })
		Expect(Decide(s).Memory.Restarts).To(Equal(1))
	})

	It("confirms that a lost successor was the last one with a request sent after the loss", func() {
		s := with(serving(), told(2*time.Second), answers(ownListed("Stopping")), func(s *Snapshot) { s.Memory.HadSuccessor = true })
		d := Decide(s)
		Expect(d.Workload).To(Equal(WorkloadRun))
		Expect(d.AskSince).To(Equal(now), "the Supervisor is asked again")
		s.Memory = d.Memory
		s.Supervisor.RequestedAt = now
		Expect(Decide(s).Reason).To(Equal(ReasonNoSuccessor))
	})
})
