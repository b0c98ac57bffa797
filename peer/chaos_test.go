package peer_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// agree checks that each node knows just what the others say.
func agree(all []*member, said map[*member]peer.Statement) {
	GinkgoHelper()
	for _, m := range all {
		for _, other := range all {
			if m == other {
				continue
			}
			p := m.sees(other)
			Expect(p).NotTo(BeNil())
			s := said[other]
			Expect(p.Phase).To(Equal(s.Phase))
			Expect(p.Told).To(Equal(s.Told))
			Expect(p.Acks).To(HaveLen(len(s.Acks)))
		}
	}
}

var _ = Describe("On a bad network, nodes", func() {
	for seed := range uint64(20) {
		It(fmt.Sprintf("always agree in the end (seed %d)", seed), func() {
			bubble(func() {
				random := rand.New(rand.NewPCG(seed, 7))
				bad := peertest.Options{
					Seed: seed, Loss: 0.6 * random.Float64(), Duplicate: random.Float64() / 2, Reorder: random.Float64() / 2,
					Delay: 2 * time.Millisecond, Jitter: 40 * time.Millisecond, ReorderBy: 100 * time.Millisecond,
				}
				network := peertest.NewNetwork(bad)
				said := map[*member]peer.Statement{}
				var all []*member
				for i := range 4 {
					all = append(all, join(i+1, func(c *peer.Config) { c.Rand = rand.New(rand.NewPCG(seed, uint64(i))) }, network))
				}
				for range 50 {
					m := all[random.IntN(len(all))]
					s := peer.Statement{
						Phase: peer.PhaseStarting + peer.Phase(random.IntN(6)), Told: random.IntN(3) == 0,
						Ask: random.IntN(3) == 0, Eager: random.IntN(3) == 0,
					}
					for range random.IntN(3) {
						s.Acks = append(s.Acks, peer.NewInstanceID())
					}
					m.Say(s)
					said[m] = s
					if random.IntN(10) == 0 {
						network.Partition([]string{string(containerNumber(1)), string(containerNumber(2))})
					} else if random.IntN(5) == 0 {
						network.Heal()
					}
					rest(time.Duration(random.IntN(2000)) * time.Millisecond)
				}
				network.Heal()
				network.Set(peertest.Options{Delay: time.Millisecond})
				for _, m := range all {
					m.Say(serving)
					said[m] = serving
				}
				rest(11 * time.Second)
				agree(all, said)
				for _, m := range all {
					m.quit()
				}
			})
		})
	}

	It("learn of a change within 300 ms although every second datagram is lost", func() {
		late := 0
		for seed := range uint64(50) {
			bubble(func() {
				network := peertest.NewNetwork(peertest.Options{Seed: seed, Loss: 0.5, Delay: time.Millisecond})
				a, b := join(1, nil, network), join(2, nil, network)
				a.Say(serving)
				b.Say(serving)
				rest(20 * time.Second)
				a.Say(peer.Statement{Phase: peer.PhaseHolding, Told: true, Eager: true})
				rest(350 * time.Millisecond)
				if p := b.sees(a); p == nil || !p.Told {
					late++
				}
				a.quit()
				b.quit()
			})
		}
		Expect(late).To(BeNumerically("<=", 3), "six datagrams of a burst come within 300 ms: one in 64 is late")
	})
})
