package peer_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

var _ = Describe("Next to handover-lib, a node", func() {
	// beside runs the body with a node of start time 7000 and a handover-lib
	// peer of the given one.
	beside := func(start int64, change func(*peer.Config), body func(*peertest.Network, *member, *peertest.LegacyPeer)) {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{Seed: 2, Delay: time.Millisecond})
			a := join(7, change, network)
			defer a.quit()
			old := peertest.NewLegacyPeer(network.Attach("handover-lib"), start)
			defer old.Close()
			body(network, a, old)
			Expect(old.Crashed()).NotTo(HaveOccurred())
		})
	}

	It("makes an older one shut down once it serves, not before", func() {
		beside(5000, nil, func(_ *peertest.Network, a *member, old *peertest.LegacyPeer) {
			old.StartBroadcasting()
			for _, phase := range []peer.Phase{peer.PhaseStarting, peer.PhaseHolding, peer.PhaseDraining, peer.PhaseReleased} {
				a.Say(peer.Statement{Phase: phase, Ask: true})
				rest(time.Minute)
				Expect(old.ShuttingDown()).To(BeZero())
			}
			a.Say(serving)
			rest(2 * time.Millisecond)
			Expect(old.ShuttingDown()).To(BeEquivalentTo(7000))
		})
	})

	It("leaves a younger one alone", func() {
		beside(9000, nil, func(_ *peertest.Network, a *member, young *peertest.LegacyPeer) {
			a.Say(serving)
			rest(time.Minute)
			Expect(young.ShuttingDown()).To(BeZero())
			Expect(young.Heard()).To(ContainElement(BeEquivalentTo(7000)))
		})
	})

	It("sees it as serving peer while it announces, and forgets it afterwards", func() {
		beside(9000, nil, func(network *peertest.Network, a *member, young *peertest.LegacyPeer) {
			a.Say(serving)
			rest(time.Minute)
			Expect(a.Peers()).To(BeEmpty(), "it does not announce yet")
			young.StartBroadcasting()
			rest(2 * time.Millisecond)
			Expect(a.woken()).To(BeTrue())
			Expect(a.Peers()).To(HaveLen(1))
			p := a.Peers()[0]
			Expect(p.Legacy).To(BeTrue())
			Expect(p.Phase).To(Equal(peer.PhaseServing))
			Expect(p.StartMilli).To(BeEquivalentTo(9000))
			Expect(p.Address).To(Equal(network.Addresses()[1]))
			Expect(a.Stats().LegacyPeers).To(Equal(1))
			rest(time.Hour)
			Expect(a.woken()).To(BeFalse())
			Expect(a.Peers()).To(HaveLen(1))
			Expect(young.Close()).To(Succeed())
			rest(36 * time.Second)
			Expect(a.Peers()).To(BeEmpty())
			Expect(a.woken()).To(BeTrue())
		})
	})

	It("ignores it, and is ignored by it, when announce.legacy is off", func() {
		beside(5000, func(c *peer.Config) { c.Legacy = false }, func(_ *peertest.Network, a *member, old *peertest.LegacyPeer) {
			old.StartBroadcasting()
			a.Say(serving)
			rest(time.Minute)
			Expect(a.Peers()).To(BeEmpty())
			Expect(a.Stats().Ways[0].Dropped(peer.DropLegacyOff)).To(BeNumerically(">=", 6))
			Expect(old.ShuttingDown()).To(BeZero())
		})
	})

	It("ignores it when a secret is set, but is still understood", func() {
		secret := func(c *peer.Config) { c.Secrets = [][]byte{[]byte("k")} }
		beside(5000, secret, func(_ *peertest.Network, a *member, old *peertest.LegacyPeer) {
			old.StartBroadcasting()
			rest(time.Minute)
			Expect(a.Peers()).To(BeEmpty())
			Expect(a.Stats().Ways[0].Dropped(peer.DropUnsigned)).To(BeNumerically(">=", 6))
			a.Say(serving)
			rest(time.Second)
			Expect(old.ShuttingDown()).To(BeEquivalentTo(7000))
		})
	})
})
