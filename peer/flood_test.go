package peer_test

import (
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// siege runs the body with two nodes, and a hostile sender that sends what
// forged returns every 100 µs during the given time after the start.
func siege(lasting time.Duration, forged func(i int) []byte, body func(network *peertest.Network, a, b *member)) {
	bubble(func() {
		network := peertest.NewNetwork(peertest.Options{Seed: 3})
		a, b := join(1, nil, network), join(2, nil, network)
		raw := network.Raw("hostile")
		end := make(chan struct{})
		go func() {
			defer close(end)
			for i := range int(lasting / (100 * time.Microsecond)) {
				if i%1000 == 0 { // many addresses
					raw = network.Raw("hostile")
				}
				raw.SendFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), 1), forged(i))
				time.Sleep(100 * time.Microsecond)
			}
		}()
		body(network, a, b)
		<-end
		a.quit()
		b.quit()
	})
}

var _ = Describe("Under a flood, a node", func() {
	It("answers forged requests at a bounded rate, and reads them at one", func() {
		ask := func(i int) []byte {
			f := forge(1000+i, 1)
			f.Ask = true
			return encode(f, nil)
		}
		siege(20*time.Second, ask, func(network *peertest.Network, a, b *member) {
			a.Say(serving)
			rest(5 * time.Second)
			before := a.Stats().Ways[0]
			rest(10 * time.Second)
			after := a.Stats().Ways[0]
			Expect(after.Sent - before.Sent).To(BeNumerically("<=", 10*20+2))
			Expect(after.Sent - before.Sent).To(BeNumerically(">=", 10*10))
			Expect(after.Received - before.Received).To(BeNumerically("<=", 10*2000+200))
			Expect(after.Throttled - before.Throttled).To(BeNumerically("~", 100, 10))
		})
	})

	It("wakes the one who waits at a bounded rate", func() {
		siege(10*time.Second, func(i int) []byte { return encode(forge(1000+i, 1), nil) },
			func(network *peertest.Network, a, b *member) {
				a.Say(serving)
				wakes := 0
				for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
					<-a.Changed()
					wakes++
				}
				Expect(wakes).To(BeNumerically("<=", 5*200+1))
			})
	})

	It("keeps and finds peers that are vouched for", func() {
		siege(20*time.Second, func(i int) []byte { return encode(forge(1000+i/3, uint64(1+i)), nil) },
			func(network *peertest.Network, a, b *member) {
				a.Say(serving)
				a.Vouch([]peer.ContainerID{"c0ffee000002" + "0123456789012345678901234567890123456789012345678901"})
				rest(5 * time.Second)
				b.Say(peer.Statement{Phase: peer.PhaseServing, Eager: true}) // heard late: the flood came first
				rest(5 * time.Second)
				Expect(a.sees(b)).NotTo(BeNil())
				Expect(a.Stats().Peers).To(Equal(64))
				rest(5 * time.Second)
				Expect(time.Since(a.sees(b).LastHeard)).To(BeNumerically("<", 10*time.Second))
			})
	})

	It("bounds handover-lib peers, and keeps to itself while it is at work", func() {
		siege(5*time.Second, func(i int) []byte {
			return encode(peer.Announcement{Legacy: true, StartMilli: int64(1 + i)}, nil)
		}, func(network *peertest.Network, a, b *member) {
			a.Say(serving)
			b.Say(serving)
			rest(4 * time.Second)
			Expect(a.Stats().LegacyPeers).To(Equal(16))
			Expect(a.sees(b)).NotTo(BeNil())
			start := time.Now()
			a.quit() // in the middle of it
			Expect(time.Since(start)).To(BeNumerically("<=", 50*time.Millisecond))
		})
	})
})
