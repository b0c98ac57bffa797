package peer_test

import (
	"context"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

var _ = Describe("A node", func() {
	It("says nothing before Say, not even that it is gone", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			packets := record(network)
			a, b := join(1, nil, network), join(2, nil, network)
			b.Say(peer.Statement{Phase: peer.PhaseServing, Ask: true})
			rest(time.Minute)
			Expect(a.sees(b)).NotTo(BeNil(), "but it listens")
			a.quit()
			sent, _ := from(*packets, a)
			Expect(sent).To(BeZero())
			b.quit()
		})
	})

	It("that is idle wakes up once every interval, and sends once", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{Delay: time.Millisecond})
			packets := record(network)
			status := func(c *peer.Config) { c.StatusMessages = true }
			a, b := join(1, status, network), join(2, status, network)
			a.Say(serving)
			rest(3 * time.Second)
			b.Say(peer.Statement{Phase: peer.PhaseReleased})
			rest(time.Minute)
			*packets = nil
			before, beforeB := a.Stats().WakeUps, b.Stats().WakeUps
			rest(1000 * time.Second)
			Expect(a.Stats().WakeUps - before).To(BeEquivalentTo(100))
			Expect(b.Stats().WakeUps - beforeB).To(BeEquivalentTo(100))
			announcements, ups := from(*packets, a)
			Expect(announcements).To(Equal(100))
			Expect(ups).To(Equal(100))
			announcements, downs := from(*packets, b)
			Expect(announcements).To(Equal(100))
			Expect(downs).To(BeZero())
			a.quit()
			b.quit()
		})
	})

	It("never sends what crashes handover-lib, nor 512 bytes or more, and numbers every transmission", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{Loss: 0.2})
			packets := record(network)
			a := join(1, func(c *peer.Config) { c.Secrets = [][]byte{[]byte("k")}; c.StatusMessages = true }, network)
			for phase := peer.PhaseUnknown; phase <= peer.PhaseGone; phase++ {
				var acks []peer.InstanceID
				for range 20 {
					acks = append(acks, peer.NewInstanceID())
				}
				a.Say(peer.Statement{Phase: phase, Told: true, Ask: true, Eager: true, Acks: acks, Release: 1 << 63})
				rest(time.Second)
			}
			a.quit()
			var last uint64
			for _, p := range *packets {
				if p.Status {
					Expect(p.Data).To(HaveLen(peer.StatusMessageSize))
					continue
				}
				Expect(p.Data[0]).To(BeEquivalentTo(1))
				Expect(len(p.Data)).To(And(BeNumerically(">=", 9), BeNumerically("<", 512)))
				var got peer.Announcement
				Expect(got.Decode(p.Data, testDomain, keyring("k"))).To(Succeed())
				Expect(got.Sequence).To(BeNumerically(">", last))
				last = got.Sequence
			}
			Expect(last).To(BeNumerically(">", 50))
		})
	})

	DescribeTable("carries the real start time for handover-lib only when",
		func(legacy bool, real []peer.Phase) {
			bubble(func() {
				network := peertest.NewNetwork(peertest.Options{})
				packets := record(network)
				a := join(7, func(c *peer.Config) { c.Legacy = legacy }, network)
				for phase := peer.PhaseStarting; phase <= peer.PhaseGone; phase++ {
					a.Say(peer.Statement{Phase: phase})
					rest(time.Second)
				}
				a.quit()
				for _, p := range *packets {
					var got peer.Announcement
					Expect(got.Decode(p.Data, testDomain, nil)).To(Succeed())
					want := BeZero()
					for _, phase := range real {
						if got.Phase == phase {
							want = BeEquivalentTo(7000)
						}
					}
					Expect(got.StartMilli).To(want, got.Phase.String())
				}
			})
		},
		Entry("serving or prepared", true, []peer.Phase{peer.PhaseServing, peer.PhasePrepared}),
		Entry("handover-lib is to be understood at all", false, nil),
	)

	It("sends status messages: UP while it serves, DOWN once it drains and when it ends", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			packets := record(network)
			words := func() (up, down int) {
				synctest.Wait()
				for _, p := range *packets {
					if p.Status && string(p.Data[112:114]) == "UP" {
						up++
					} else if p.Status {
						Expect(string(p.Data[112:])).To(Equal("DOWN\x00\x00\x00\x00"))
						down++
					}
				}
				*packets = nil
				return up, down
			}
			a := join(1, func(c *peer.Config) { c.StatusMessages = true }, network)
			a.Say(peer.Statement{Phase: peer.PhaseStarting})
			rest(30 * time.Second)
			Expect(words()).To(Equal(0))
			a.Say(serving)
			rest(25 * time.Second)
			up, down := words()
			Expect([]int{up, down}).To(Equal([]int{3, 0}))
			a.Say(peer.Statement{Phase: peer.PhaseDraining})
			rest(950 * time.Millisecond)
			up, down = words()
			Expect([]int{up, down}).To(Equal([]int{0, 10}))
			a.quit()
			up, down = words()
			Expect([]int{up, down}).To(Equal([]int{0, 3}))
			Expect(a.Stats().Ways[0].StatusSent).To(BeEquivalentTo(16))
		})
	})

	It("closes at once when there is no time for a farewell", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			packets := record(network)
			a := join(1, nil, network)
			a.Say(serving)
			rest(5 * time.Second)
			*packets = nil
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			start := time.Now()
			Expect(a.Close(ctx)).To(Succeed())
			Expect(time.Since(start)).To(BeZero())
			Expect(*packets).To(HaveLen(1))
			Expect(a.Close(context.Background())).To(Succeed(), "again")
			a.Say(serving) // does nothing, harms nothing
			a.Vouch(nil)
			Expect(a.Peers()).To(BeEmpty())
		})
	})

	It("says the last statement before it is gone, also when it had no time to send it", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			a, b := join(1, nil, network), join(2, nil, network)
			a.Say(serving)
			rest(time.Second)
			a.Say(peer.Statement{Phase: peer.PhaseReleased, Told: true})
			a.quit()
			rest(time.Second)
			Expect(b.sees(a).Gone && b.sees(a).Told).To(BeTrue())
			b.quit()
		})
	})

	It("counts what it drops by reason, and is not disturbed", func() {
		bubble(func() {
			var bad vectorFile
			load("testdata/dropped.json", &bad)
			for _, secret := range []string{"", "k"} {
				network := peertest.NewNetwork(peertest.Options{})
				raw := network.Raw("hostile")
				a := join(1, func(c *peer.Config) {
					if secret != "" {
						c.Secrets = [][]byte{[]byte(secret), []byte("l")}
					}
				}, network)
				want := map[string]uint64{}
				for _, v := range bad.Dropped {
					if (len(v.Secrets) > 0) == (secret != "") {
						raw.Send(v.datagram())
						want[v.Reason]++
					}
					rest(time.Second)
				}
				got := map[string]uint64{}
				stats := a.Stats().Ways[0]
				for _, r := range peer.DropReasons() {
					if n := stats.Dropped(r); n > 0 {
						got[r.String()] = n
					}
				}
				Expect(got).To(Equal(want))
				Expect(stats.Received).To(Equal(stats.DroppedTotal()))
				Expect(a.Peers()).To(BeEmpty())
				a.quit()
			}
		})
	})

	It("survives datagrams of every length, and goes on", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			raw := network.Raw("hostile")
			a, b := join(1, nil, network), join(2, nil, network)
			b.Say(serving)
			plain := encode(sample(), nil)
			for length := range 2001 {
				noise := make([]byte, length)
				for i := range noise {
					noise[i] = plain[i%len(plain)]
				}
				raw.Send(noise)
				rest(time.Millisecond)
			}
			stats := a.Stats().Ways[0]
			Expect(stats.Dropped(peer.DropShort)).To(BeEquivalentTo(9))
			Expect(stats.Dropped(peer.DropOversized)).To(BeEquivalentTo(2001 - 512))
			Expect(a.sees(b)).NotTo(BeNil())
			a.quit()
			b.quit()
		})
	})

	DescribeTable("does not start with",
		func(spoil func(*peer.Config), message string) {
			bubble(func() {
				network := peertest.NewNetwork(peertest.Options{})
				way := network.Attach("a")
				cfg := peer.Config{Self: peer.Identity{Instance: peer.NewInstanceID()}, Ways: []peer.Way{way}}
				spoil(&cfg)
				_, err := peer.Start(cfg)
				Expect(err).To(MatchError(ContainSubstring(message)))
				if len(cfg.Ways) > 0 {
					Expect(network.Addresses()).To(BeEmpty(), "the ways are closed")
				}
			})
		},
		Entry("no instance id", func(c *peer.Config) { c.Self.Instance = peer.InstanceID{} }, "instance's id is zero"),
		Entry("a negative interval", func(c *peer.Config) { c.Interval = -1; c.ExpireAfter = 1 }, "negative"),
		Entry("a short expiry", func(c *peer.Config) { c.ExpireAfter = 29 * time.Second }, "less than three intervals"),
		Entry("no way", func(c *peer.Config) { c.Ways = nil }, "no way"),
		Entry("two ways of one name", func(c *peer.Config) { c.Ways = append(c.Ways, c.Ways[0]) }, `two ways are named "memory"`),
		Entry("an empty secret", func(c *peer.Config) { c.Secrets = [][]byte{{}} }, "a secret is empty"),
		Entry("a bad container id", func(c *peer.Config) { c.Self.Container = "main" }, "container id"),
	)
})
