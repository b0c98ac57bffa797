package decide_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
)

func defers(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.DeferredUntil = now.Add(d) }
}

func hurried(s *Snapshot) { s.Self.Hurry = true }

var _ = DescribeTable("A deferral", decides,
	Entry("holds up a drain", with(serving(), both, defers(1)), WorkloadRun, peer.PhaseServing, ReasonDeferred),
	Entry("is over in time", with(serving(), both, defers(0)), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("is no reason to start a service", with(serving(), restarted(0), both, defers(time.Minute)), WorkloadStay, peer.PhaseReleased, ReasonSteppedAside),
	Entry("holds up one under SIGTERM", with(serving(), told(time.Second), bothAcking, defers(time.Second)), WorkloadRun, peer.PhaseHolding, ReasonDeferred),
	Entry("holds up a plain stop", with(serving(), told(time.Second), answers(ownListed("Stopping")), defers(time.Second)), WorkloadRun, peer.PhaseHolding, ReasonDeferred),
	Entry("lasts no longer than the hold", with(serving(), told(6500*time.Millisecond), bothAcking, defers(time.Hour)), WorkloadDrain, peer.PhaseDraining, ReasonSuccessorServes),
	Entry("is ended by a second SIGTERM", with(serving(), told(time.Second), answers(otherListed("Running"), ownListed("Stopping")), defers(time.Hour), hurried), WorkloadDrain, peer.PhaseDraining, ReasonHurried),
	Entry("does not delay an end by itself", with(serving(), defers(time.Hour), func(s *Snapshot) { s.Workload = WorkloadFacts{Started: true, Ended: true} }), WorkloadStay, peer.PhaseGone, ReasonWorkloadEnded),
)

func standby(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Policy.Standby = d }
}

var _ = DescribeTable("Take-back", decides,
	Entry("stands by after the release", with(serving(), both, standby(time.Minute), releasedFor(time.Second, false)), WorkloadStay, peer.PhaseReleased, ReasonStandby),
	Entry("is over in time", with(serving(), both, standby(time.Second), releasedFor(time.Second, false)), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("takes over at once from one that does not serve", with(serving(), standby(time.Minute), releasedFor(time.Second, false), hears(youngerPeer(), phase(peer.PhaseStarting), phaseFor(0))), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("else, from such a one, only after its probes would have failed", with(serving(), releasedFor(time.Second, false), hears(youngerPeer(), phase(peer.PhaseStarting), phaseFor(0))), WorkloadStay, peer.PhaseReleased, ReasonReleased),
	Entry("takes over at once from a dead one", with(serving(), standby(time.Minute), releasedFor(time.Second, false), hears(youngerPeer(), isDead)), WorkloadRun, peer.PhaseStarting, ReasonYoungerLost),
	Entry("does not take silence of some seconds for death", with(serving(), standby(time.Minute), releasedFor(20*time.Second, false), hears(youngerPeer(), heard(9*time.Second))), WorkloadStay, peer.PhaseReleased, ReasonStandby),
	Entry("counts silence from the end of a long drain", with(serving(), standby(time.Minute), releasedFor(0, false), hears(youngerPeer(), heard(20*time.Second))), WorkloadStay, peer.PhaseReleased, ReasonStandby),
	Entry("gives the Supervisor time to answer after it has taken over under SIGTERM", with(serving(), told(6*time.Second), hears(youngerPeer(), acking), unreachable, func(s *Snapshot) { s.Policy.StopGracePeriod, s.Memory.AgainAt = time.Minute, ago(time.Second) }), WorkloadRun, peer.PhaseHolding, ReasonHolding),
	Entry("stands by under SIGTERM", with(serving(), both, standby(time.Minute), releasedFor(time.Second, false), told(2*time.Second)), WorkloadStay, peer.PhaseReleased, ReasonStandby),
	Entry("takes over under SIGTERM, and holds", with(serving(), standby(time.Minute), releasedFor(time.Second, false), told(2*time.Second), hears(youngerPeer(), phase(peer.PhaseStarting)), answers(otherListed("Running"), ownListed("Stopping"))), WorkloadRun, peer.PhaseHolding, ReasonYoungerLost),
	Entry("ends under SIGTERM when nobody is left who could follow", with(serving(), standby(time.Minute), releasedFor(time.Second, false), told(2*time.Second), hears(youngerPeer(), isGone), answers(ownListed("Stopping"))), WorkloadStay, peer.PhaseGone, ReasonNobodyFollows),
	Entry("ends under SIGTERM with the hold", with(serving(), both, standby(time.Minute), releasedFor(time.Second, false), told(6500*time.Millisecond)), WorkloadStay, peer.PhaseGone, ReasonHandedOver),
	Entry("ends when told twice", with(serving(), both, standby(time.Minute), releasedFor(time.Second, false), told(time.Second), hurried), WorkloadStay, peer.PhaseGone, ReasonHandedOver),
	Entry("ends when both are told", with(serving(), standby(time.Minute), releasedFor(time.Second, false), told(time.Second), hears(youngerPeer(), isTold, phase(peer.PhaseHolding)), answers(otherListed("Stopping"), ownListed("Stopping"))), WorkloadStay, peer.PhaseGone, ReasonHandedOver),
	Entry("is not for one that stepped aside", with(serving(), both, standby(time.Minute), releasedFor(time.Second, false), func(s *Snapshot) { s.Memory.Drain.Aside = true }), WorkloadStay, peer.PhaseReleased, ReasonSteppedAside),
	Entry("is not for a plain stop", with(serving(), standby(time.Minute), releasedFor(time.Second, false), told(time.Second), func(s *Snapshot) { s.Memory.Drain.HandOver, s.Memory.Drain.Reason = false, ReasonNoSuccessor }), WorkloadStay, peer.PhaseGone, ReasonNoSuccessor),
)

var _ = DescribeTable("The marker, with take-back", func(s Snapshot, want MarkerWish) {
	Expect(Decide(s).Marker).To(Equal(want))
},
	Entry("is not written before it is over", with(serving(), both, standby(time.Minute), releasedFor(59*time.Second, false)), MarkerKeep),
	Entry("is written then", with(serving(), both, standby(time.Minute), releasedFor(time.Minute, false)), MarkerWrite),
	Entry("is not written for one that is only prepared", with(serving(), hears(youngerPeer(), phase(peer.PhasePrepared)), answers(otherListed("Running"), ownListed("Running")), releasedFor(0, false)), MarkerKeep),
)

func exclusively(o Ownership) func(*Snapshot) {
	return func(s *Snapshot) { s.Policy.Exclusive, s.Preflight, s.Owner = true, true, o }
}

var (
	free    = Ownership{Lockable: true, Held: true, Since: ago(time.Hour)}
	taken   = Ownership{Lockable: true}
	justGot = Ownership{Lockable: true, Held: true, Since: now}
	noLock  = Ownership{}
)

// olderPeer is container b, older than this one.
func olderPeer() peer.Peer {
	p := youngerPeer()
	p.FirstStart.Since = time.Second
	return p
}

func listening(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Workload, s.Self.ListeningSince = WorkloadFacts{}, ago(d) }
}

var _ = DescribeTable("An exclusive instance", decides,
	Entry("does its preflight first", with(serving(), notStarted, exclusively(free), func(s *Snapshot) { s.Preflight = false }), WorkloadWait, peer.PhaseStarting, ReasonPreflight),
	Entry("is prepared while another one has the right", with(serving(), notStarted, exclusively(taken)), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("listens for a moment for one that does not know of the right", with(serving(), listening(149*time.Millisecond), exclusively(justGot)), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("starts once it has the right", with(serving(), listening(150*time.Millisecond), exclusively(justGot)), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("says prepared until it is ready", with(serving(), exclusively(free), func(s *Snapshot) { s.Workload.Ready = false }), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("says starting when it is not ready any more", with(serving(), exclusively(free), func(s *Snapshot) { s.Workload = WorkloadFacts{Started: true, EverReady: true} }), WorkloadRun, peer.PhaseStarting, ReasonAlone),
	Entry("steps down for a younger one that is prepared", with(serving(), exclusively(free), hears(youngerPeer(), phase(peer.PhasePrepared)), answers(otherListed("Running"), ownListed("Running"))), WorkloadDrain, peer.PhaseDraining, ReasonBothSignals),
	Entry("steps aside, prepared, for a younger one that serves", with(serving(), notStarted, exclusively(taken), both), WorkloadStay, peer.PhaseReleased, ReasonSteppedAside),

	Entry("with the right, waits for one that does not know of it", with(serving(), listening(time.Second), exclusively(free), hears(olderPeer())), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("with the right, waits for a handover-lib that may be of this service", with(serving(), listening(time.Second), exclusively(free), hears(legacyPeer()), answers(ownListed("Running"), otherListed("Stopping"))), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("with the right, does not wait for another service's", with(serving(), listening(time.Second), exclusively(free), hears(legacyPeer()), answers(ownListed("Running"))), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("without a lock, does not wait for another service's handover-lib", with(serving(), listening(time.Hour), exclusively(noLock), hears(legacyPeer()), answers(ownListed("Running"))), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("with the right, does not wait for one that starts", with(serving(), listening(time.Second), exclusively(free), hears(olderPeer(), phase(peer.PhaseStarting))), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("with the right, does not wait for one that has released", with(serving(), listening(time.Second), exclusively(justGot), hears(olderPeer(), phase(peer.PhaseReleased))), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("waits a moment for the workload of one that was killed", with(serving(), listening(time.Second), exclusively(justGot), hears(olderPeer(), isDead)), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("waits no longer", with(serving(), listening(time.Second), exclusively(Ownership{Lockable: true, Held: true, Since: ago(250 * time.Millisecond)}), hears(olderPeer(), isDead)), WorkloadRun, peer.PhasePrepared, ReasonAlone),

	Entry("does not start again without the right, but says that it could", with(serving(), exclusively(taken), releasedFor(time.Minute, true), hears(youngerPeer(), isGone)), WorkloadStay, peer.PhasePrepared, ReasonOccupied),
	Entry("does not start again before its preflight, if it stepped aside", with(serving(), exclusively(free), releasedFor(time.Minute, true), hears(youngerPeer(), isGone), func(s *Snapshot) { s.Preflight, s.Memory.Drain.Aside = false, true }), WorkloadStay, peer.PhaseReleased, ReasonOccupied),
	Entry("with the right, waits for a handover-lib until the Supervisor has answered", with(serving(), listening(200*time.Millisecond), exclusively(free), hears(legacyPeer())), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("with the right, not for ever", with(serving(), listening(3*time.Second), exclusively(free), hears(legacyPeer())), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("with the right, without the Supervisor, does not wait for a handover-lib", with(serving(), listening(time.Hour), exclusively(free), off, hears(legacyPeer(), func(p *peer.Peer) { p.StartMilli = 1 })), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("without a lock and the Supervisor, waits for a handover-lib", with(serving(), listening(time.Hour), exclusively(noLock), off, hears(legacyPeer(), func(p *peer.Peer) { p.StartMilli = 1 })), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock, waits for a younger one that is prepared", with(serving(), listening(time.Hour), exclusively(noLock), answers(ownListed("Running"), otherListed("Starting")), hears(youngerPeer(), phase(peer.PhasePrepared))), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock, waits for an older container that is being stopped", with(serving(), listening(time.Hour), exclusively(noLock), answers(ownListed("Running"), listed("c", "Stopping", created.Add(-time.Minute)))), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock or an id of its own, starts when one container is listed: it is this instance's", with(serving(), listening(time.Hour), exclusively(noLock), func(s *Snapshot) { s.Self.Container = "" }, answers(ownListed("Running"))), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("without a lock or an id of its own, waits when two are", with(serving(), listening(time.Hour), exclusively(noLock), func(s *Snapshot) { s.Self.Container = "" }, answers(ownListed("Running"), otherListed("Running"))), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock and the Supervisor, does not start again for silence", with(serving(), exclusively(noLock), off, releasedFor(time.Minute, true)), WorkloadStay, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock and the Supervisor, nor for that of a handover-lib, which never says that it ends", with(serving(), exclusively(noLock), off, releasedFor(time.Minute, true), hears(legacyPeer(), heard(time.Minute))), WorkloadStay, peer.PhasePrepared, ReasonOccupied),
	Entry("starts again with the right", with(serving(), exclusively(free), releasedFor(time.Minute, true), hears(youngerPeer(), isGone)), WorkloadRun, peer.PhasePrepared, ReasonYoungerLost),
	Entry("does not start again while the younger one is prepared", with(serving(), exclusively(free), releasedFor(time.Minute, true), hears(youngerPeer(), phase(peer.PhasePrepared))), WorkloadStay, peer.PhaseReleased, ReasonReleased),

	Entry("without a lock, listens first", with(serving(), listening(999*time.Millisecond), exclusively(noLock), answers(ownListed("Running"))), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock, starts when it is alone", with(serving(), listening(time.Second), exclusively(noLock), answers(ownListed("Running"))), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("without a lock, waits for the Supervisor", with(serving(), listening(2*time.Second), exclusively(noLock)), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock, not for ever", with(serving(), listening(3*time.Second), exclusively(noLock)), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("without a lock, waits for one that said once that it serves", with(serving(), listening(time.Hour), exclusively(noLock), answers(ownListed("Running"), otherListed("Running")), hears(olderPeer(), heard(30*time.Second))), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock, not for one whose container is gone", with(serving(), listening(time.Hour), exclusively(noLock), answers(ownListed("Running")), hears(olderPeer(), heard(30*time.Second))), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("without a lock, waits for one of unknown age", with(serving(), listening(time.Hour), exclusively(noLock), answers(ownListed("Running")), hears(olderPeer(), heard(0), phase(peer.PhasePrepared), firstStart([4]byte{}, 0))), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock, waits for an older container that is not heard", with(serving(), listening(time.Hour), exclusively(noLock), answers(ownListed("Running"), listed("c", "Running", created.Add(-time.Minute)))), WorkloadWait, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock, not for a younger one", with(serving(), listening(time.Hour), exclusively(noLock), answers(ownListed("Running"), otherListed("Running"))), WorkloadRun, peer.PhasePrepared, ReasonAlone),
	Entry("without a lock, does not start again for silence", with(serving(), exclusively(noLock), releasedFor(time.Minute, true), hears(youngerPeer(), heard(30*time.Second)), answers(ownListed("Running"), otherListed("Running"))), WorkloadStay, peer.PhasePrepared, ReasonOccupied),
	Entry("without a lock, starts again when the younger one is gone", with(serving(), exclusively(noLock), releasedFor(time.Minute, true), hears(youngerPeer(), isGone), answers(ownListed("Running"))), WorkloadRun, peer.PhasePrepared, ReasonYoungerLost),
)

var _ = Describe("An exclusive instance", func() {
	wants := func(s Snapshot) bool { return Decide(s).Own }

	It("wants the right from before the start of its workload until it has ended", func() {
		Expect(wants(with(serving(), notStarted, exclusively(taken)))).To(BeTrue())
		Expect(wants(with(serving(), exclusively(free)))).To(BeTrue())
		Expect(wants(with(serving(), exclusively(free), told(time.Second), both))).To(BeTrue())
		Expect(wants(with(serving(), exclusively(free), func(s *Snapshot) { s.Memory.Drain = &Drain{Since: now} }))).To(BeTrue())
		Expect(wants(with(serving(), exclusively(free), both, releasedFor(time.Second, false)))).To(BeFalse())
	})

	It("asks those that it waits for", func() {
		Expect(Decide(with(serving(), notStarted, exclusively(taken))).Ask).To(BeTrue())
	})

	It("acknowledges one that holds, also when it is released and could serve again", func() {
		s := with(serving(), exclusively(taken), releasedFor(time.Minute, true), hears(youngerPeer(), isTold, phase(peer.PhaseHolding)))
		Expect(Decide(s).Acks).To(Equal([]peer.InstanceID{id(2)}))
		s.Preflight = false
		Expect(Decide(s).Acks).To(BeEmpty())
		Expect(Decide(s).Preflight).To(BeTrue())
		Expect(Decide(s).Own).To(BeFalse())
	})

	It("does not say that another one serves which is only prepared", func() {
		says := func(ph peer.Phase, steps ...func(*Snapshot)) string {
			s := with(serving(), releasedFor(time.Second, true), told(0), hears(youngerPeer(), phase(ph)), answers(otherListed("Running"), ownListed("Stopping")))
			d := Decide(with(s, steps...))
			Expect(d.Reason).To(Equal(ReasonHandedOver))
			return d.Message
		}
		Expect(says(peer.PhasePrepared, exclusively(taken))).To(ContainSubstring("another instance takes over"))
		Expect(says(peer.PhaseServing, exclusively(taken))).To(ContainSubstring("another instance serves"))
		Expect(says(peer.PhaseServing)).To(ContainSubstring("another instance serves"))
	})

	It("notes when it takes the service back", func() {
		d := Decide(with(serving(), exclusively(free), releasedFor(time.Minute, true), hears(youngerPeer(), isGone)))
		Expect(d.Memory.AgainAt).To(Equal(now))
	})

	It("wants it not before its preflight, and not for stepping aside", func() {
		Expect(wants(with(serving(), notStarted, exclusively(taken), func(s *Snapshot) { s.Preflight = false }))).To(BeFalse())
		Expect(wants(with(serving(), notStarted, exclusively(taken), both))).To(BeFalse())
	})

	It("wants it again when the younger one is lost, and keeps it when it starts again", func() {
		lost := with(serving(), exclusively(taken), releasedFor(time.Minute, true), hears(youngerPeer(), isGone))
		Expect(wants(lost)).To(BeTrue())
		lost.Owner = free
		Expect(wants(lost)).To(BeTrue())
	})

	It("asks the Supervisor again and again where there is no lock", func() {
		s := with(serving(), listening(time.Hour), exclusively(noLock), answers(ownListed("Running"), listed("c", "Running", created.Add(-time.Minute))),
			func(s *Snapshot) { s.PeerLostAt = ago(time.Millisecond) })
		Expect(Decide(s).Reason).To(Equal(ReasonOccupied))
		Expect(Decide(s).Poll).To(BeTrue())
		Expect(Decide(s).AskSince).To(Equal(ago(time.Millisecond)))
		s = with(serving(), exclusively(noLock), releasedFor(time.Minute, true), hears(youngerPeer(), heard(30*time.Second)), answers(ownListed("Running"), otherListed("Running")))
		Expect(Decide(s).Reason).To(Equal(ReasonOccupied))
		Expect(Decide(s).Poll).To(BeTrue())
		s.Owner = taken
		s.Peers[0].Gone = true
		Expect(Decide(s).Reason).To(Equal(ReasonOccupied))
	})

	It("that is not exclusive wants nothing", func() {
		Expect(wants(with(serving(), notStarted))).To(BeFalse())
		Expect(wants(with(serving(), releasedFor(time.Minute, true), hears(youngerPeer(), isGone)))).To(BeFalse())
	})
})
