package peer_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

var _ = Describe("Two nodes", func() {
	// pair runs the body with two nodes that have long found each other.
	pair := func(body func(network *peertest.Network, a, b *member)) {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{Seed: 1, Delay: time.Millisecond})
			a, b := join(1, nil, network), join(2, nil, network)
			defer a.quit()
			defer b.quit()
			a.Say(serving)
			b.Say(serving)
			rest(5 * time.Second)
			a.woken()
			b.woken()
			body(network, a, b)
		})
	}

	It("hear of each other within milliseconds", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{Seed: 1, Delay: time.Millisecond})
			a := join(1, nil, network)
			defer a.quit()
			a.Say(serving)
			rest(time.Minute)
			b := join(2, nil, network)
			defer b.quit()
			Expect(a.woken() || b.woken()).To(BeFalse())
			b.Say(peer.Statement{Phase: peer.PhaseStarting, Release: 7, Acks: []peer.InstanceID{a.id()}})
			rest(50 * time.Millisecond)
			Expect(a.woken()).To(BeTrue())
			Expect(b.woken()).To(BeTrue())
			now := time.Now()
			p := *a.sees(b)
			Expect(p.LastHeard).To(BeTemporally("~", now, 50*time.Millisecond))
			Expect(p.FirstHeard).To(BeTemporally("~", now, 50*time.Millisecond))
			p.LastHeard, p.FirstHeard, p.PhaseSince = time.Time{}, time.Time{}, time.Time{}
			Expect(p).To(Equal(peer.Peer{
				Instance: b.id(), Container: containerNumber(2), FirstStart: b.cfg.Self.FirstStart, Release: 7,
				Phase: peer.PhaseStarting, Acks: []peer.InstanceID{a.id()}, Ways: []string{"memory"},
				Address: network.Addresses()[1],
			}))
			Expect(b.sees(a).Phase).To(Equal(peer.PhaseServing), "a peer heard for the first time is answered")
			Expect(b.sees(a).StartMilli).To(BeEquivalentTo(1000))
		})
	})

	It("learn of every change of phase, told and acks at once", func() {
		pair(func(_ *peertest.Network, a, b *member) {
			for _, s := range []peer.Statement{
				{Phase: peer.PhaseHolding, Told: true},
				{Phase: peer.PhaseHolding, Told: true, Acks: []peer.InstanceID{b.id()}},
				{Phase: peer.PhaseDraining, Told: true},
				{Phase: peer.PhaseReleased, Told: true},
			} {
				a.Say(s)
				rest(2 * time.Millisecond)
				Expect(b.woken()).To(BeTrue())
				Expect(b.sees(a).Phase).To(Equal(s.Phase))
				Expect(b.sees(a).Told).To(BeTrue())
				Expect(b.sees(a).Acknowledges(b.id())).To(Equal(len(s.Acks) > 0))
				Expect(b.sees(a).PhaseSince).To(BeTemporally("<=", time.Now()))
				rest(time.Second)
			}
		})
	})

	It("hear with news of one that was told to stop and was silent for a while", func() {
		pair(func(network *peertest.Network, a, b *member) {
			a.Say(peer.Statement{Phase: peer.PhaseHolding, Told: true, Eager: true})
			rest(time.Second)
			b.woken()
			rest(20 * time.Second)
			Expect(b.woken()).To(BeFalse(), "it is heard all the time")
			network.Set(peertest.Options{Loss: 1})
			rest(5 * time.Second)
			Expect(b.woken()).To(BeFalse())
			network.Set(peertest.Options{})
			rest(300 * time.Millisecond)
			Expect(b.woken()).To(BeTrue())
		})
	})

	It("do not wake anybody by mere repeats", func() {
		pair(func(_ *peertest.Network, a, b *member) {
			a.Say(peer.Statement{Phase: peer.PhaseServing, Eager: true})
			rest(time.Hour)
			Expect(a.woken() || b.woken()).To(BeFalse())
			Expect(time.Since(b.sees(a).LastHeard)).To(BeNumerically("<=", 10*time.Second))
		})
	})

	It("answer within 50 ms when asked, which wakes the one who asks", func() {
		pair(func(network *peertest.Network, a, b *member) {
			packets := record(network)
			a.Say(peer.Statement{Phase: peer.PhaseServing, Ask: true})
			for range 10 {
				<-a.Changed()
				Expect(time.Since(a.sees(b).LastHeard)).To(BeNumerically("<", 10*time.Millisecond))
			}
			var asked time.Time
			for _, p := range *packets {
				if p.From == string(a.cfg.Self.Container) {
					asked = p.Time
				} else {
					Expect(p.Time.Sub(asked)).To(BeNumerically("<=", 50*time.Millisecond))
				}
			}
			asks, _ := from(*packets, a)
			answers, _ := from(*packets, b)
			Expect(asks).To(BeNumerically("~", 10, 1))
			Expect(answers).To(BeNumerically("~", 10, 1))
			Expect(b.woken()).To(BeFalse(), "who is asked has nothing to do")
		})
	})

	It("say that they are gone, in a short burst", func() {
		pair(func(network *peertest.Network, a, b *member) {
			packets := record(network)
			a.Say(peer.Statement{Phase: peer.PhaseReleased, Told: true})
			rest(2 * time.Second)
			*packets = nil
			start := time.Now()
			a.quit()
			Expect(time.Since(start)).To(BeNumerically("<=", 50*time.Millisecond))
			Expect(*packets).To(HaveLen(3))
			rest(10 * time.Millisecond)
			Expect(b.woken()).To(BeTrue())
			Expect(b.sees(a).Gone).To(BeTrue())
			Expect(b.sees(a).Told).To(BeTrue())
			rest(4 * time.Minute)
			Expect(b.sees(a)).NotTo(BeNil())
			b.woken()
			rest(2 * time.Minute)
			Expect(b.sees(a)).To(BeNil())
			Expect(b.woken()).To(BeTrue())
		})
	})

	It("forget each other after a while of silence, not before", func() {
		pair(func(network *peertest.Network, a, b *member) {
			network.Partition([]string{string(containerNumber(1))})
			rest(29 * time.Second)
			Expect(b.sees(a)).NotTo(BeNil())
			Expect(b.woken()).To(BeFalse())
			rest(10 * time.Second)
			Expect(b.sees(a)).To(BeNil())
			Expect(b.woken()).To(BeTrue())
			network.Heal()
			rest(11 * time.Second)
			Expect(b.sees(a)).NotTo(BeNil())
			Expect(b.woken()).To(BeTrue())
		})
	})

	It("see a container's new process take the place of the one before", func() {
		pair(func(network *peertest.Network, a, b *member) {
			packets := record(network)
			late := network.Raw("late")
			rest(time.Second)
			a.quit()
			again := join(1, nil, network)
			defer again.quit()
			again.Say(peer.Statement{Phase: peer.PhaseStarting})
			rest(time.Second)
			Expect(b.sees(a)).To(BeNil())
			Expect(b.sees(again)).NotTo(BeNil())
			for _, p := range *packets {
				late.Send(p.Data)
			}
			rest(time.Second)
			Expect(b.sees(a)).To(BeNil())
			Expect(b.sees(again).Gone).To(BeFalse())
		})
	})

	It("of another service, device or container's own do not see each other", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			all := []*member{
				join(1, nil, network),
				join(2, func(c *peer.Config) { c.Domain = peer.NewDomain("b", "1234", "other") }, network),
				join(1, nil, network), // the same container
			}
			for _, m := range all {
				m.Say(serving)
			}
			rest(time.Minute)
			for _, m := range all {
				Expect(m.Peers()).To(BeEmpty())
				m.quit()
			}
		})
	})
})
