package peer_test

import (
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// siegeEvery is the pause between two hostile datagrams: more than twice as
// many as a node reads.
const siegeEvery = 200 * time.Microsecond

// siege runs the body with two nodes, and a hostile sender that sends what
// forged returns as long as the body runs, from ever new addresses.
func siege(forged func(i int) []byte, body func(a, b *member)) {
	bubble(func() {
		network := peertest.NewNetwork(peertest.Options{Seed: 3})
		a, b := join(1, nil, network), join(2, nil, network)
		raw := network.Raw("hostile")
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for i := 0; ; i++ {
				raw.SendFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), 1), forged(i))
				select {
				case <-stop:
					return
				case <-time.After(siegeEvery):
				}
			}
		}()
		defer func() {
			close(stop)
			<-ended
		}()
		body(a, b)
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
		siege(ask, func(a, b *member) {
			a.Say(serving)
			rest(2 * time.Second)
			before := a.Stats().Ways[0]
			rest(4 * time.Second)
			after := a.Stats().Ways[0]
			Expect(after.Sent - before.Sent).To(BeNumerically("<=", 4*20+2))
			Expect(after.Sent - before.Sent).To(BeNumerically(">=", 4*10))
			Expect(after.Received - before.Received).To(BeNumerically("<=", 4*2000+200))
			Expect(after.Throttled - before.Throttled).To(BeNumerically("~", 40, 5))
		})
	})

	It("wakes the one who waits at a bounded rate", func() {
		siege(func(i int) []byte { return encode(forge(1000+i, 1), nil) },
			func(a, b *member) {
				a.Say(serving)
				wakes := 0
				for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
					<-a.Changed()
					wakes++
				}
				Expect(wakes).To(BeNumerically("<=", 3*200+1))
			})
	})

	It("keeps and finds peers that are vouched for", func() {
		siege(func(i int) []byte { return encode(forge(1000+i/3, uint64(1+i)), nil) },
			func(a, b *member) {
				a.Say(serving)
				a.Vouch([]peer.ContainerID{"c0ffee000002" + "0123456789012345678901234567890123456789012345678901"})
				rest(3 * time.Second)
				b.Say(peer.Statement{Phase: peer.PhaseServing, Eager: true}) // heard late: the flood came first
				rest(3 * time.Second)
				Expect(a.sees(b)).NotTo(BeNil())
				Expect(a.Stats().Peers).To(Equal(64))
				rest(3 * time.Second)
				Expect(time.Since(a.sees(b).LastHeard)).To(BeNumerically("<", 10*time.Second))
			})
	})

	It("bounds handover-lib peers, and keeps to itself while it is at work", func() {
		siege(func(i int) []byte {
			return encode(peer.Announcement{Legacy: true, StartMilli: int64(1 + i)}, nil)
		}, func(a, b *member) {
			a.Say(serving)
			b.Say(serving)
			rest(2 * time.Second)
			Expect(a.Stats().LegacyPeers).To(Equal(16))
			Expect(a.sees(b)).NotTo(BeNil())
			start := time.Now()
			a.quit() // in the middle of it
			Expect(time.Since(start)).To(BeNumerically("<=", 50*time.Millisecond))
		})
	})
})
