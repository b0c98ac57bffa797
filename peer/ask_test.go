package peer_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

var _ = Describe("A peer that serves all the time", func() {
	asking := peer.Statement{Phase: peer.PhaseServing, Ask: true}

	// both runs the body with two nodes that share a network and a folder.
	both := func(o peertest.FolderOptions, body func(n *peertest.Network, f *peertest.Folder, a, b *member)) {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{Seed: 1, Delay: time.Millisecond})
			folder := peertest.NewFolder(o)
			way := func(c *peer.Config) { c.Ways = append(c.Ways, folder.Open(c.Self.Instance)) }
			a, b := join(1, way, network), join(2, way, network)
			defer a.quit()
			defer b.quit()
			a.Say(serving)
			b.Say(serving)
			rest(30 * time.Second)
			body(network, folder, a, b)
		})
	}
	// alone cuts the network off.
	alone := func(o peertest.FolderOptions, body func(f *peertest.Folder, a, b *member)) {
		both(o, func(n *peertest.Network, f *peertest.Folder, a, b *member) {
			n.Set(peertest.Options{Loss: 1})
			rest(33 * time.Second) // not at the moment of a regular announcement
			body(f, a, b)
		})
	}
	written := func(m *member) uint64 { stats := m.Stats(); return stats.Way("folder").Sent }
	silence := func(m, other *member) time.Duration { return time.Since(m.sees(other).LastHeard) }

	DescribeTable("is asked by the folder where there is nothing else, and answers within 100 ms",
		func(o peertest.FolderOptions, blind bool) {
			alone(o, func(f *peertest.Folder, a, b *member) {
				f.Blind(blind)
				before := written(a)
				b.Say(asking)
				rest(100 * time.Millisecond)
				if !blind {
					Expect(silence(b, a)).To(BeNumerically("<", 100*time.Millisecond))
				} else {
					rest(11 * time.Second) // with its next word it looks
				}
				Expect(written(a)).To(BeNumerically(">", before))
				var worst time.Duration
				for range 1000 {
					rest(10 * time.Millisecond)
					worst = max(worst, silence(b, a))
				}
				Expect(worst).To(BeNumerically("<", 800*time.Millisecond))
				Expect(written(a)-before).To(BeNumerically("<", 80), "one file for each question")

				By("asking no more")
				b.Say(serving)
				rest(time.Second)
				before = written(a)
				rest(20 * time.Second)
				Expect(written(a) - before).To(BeEquivalentTo(2))
			})
		},
		Entry(nil, peertest.FolderOptions{}, false),
		Entry("and others see changes only after a while", peertest.FolderOptions{Delay: 5 * time.Millisecond}, false),
		Entry("and changes are not told", peertest.FolderOptions{}, true),
	)

	It("is not gone because somebody says so by the network", func() {
		both(peertest.FolderOptions{}, func(n *peertest.Network, _ *peertest.Folder, a, b *member) {
			rest(3 * time.Second) // not at the moment of a regular announcement
			forged := forge(2, uint64(uptime()))
			forged.Instance, forged.Phase, forged.Timed = b.id(), peer.PhaseGone, true
			data, err := forged.Append(nil, nil)
			Expect(err).NotTo(HaveOccurred())
			n.Raw("forger").Send(data)
			rest(10 * time.Millisecond)
			Expect(a.sees(b).Gone).To(BeFalse())
			Expect(a.sees(b).FreshUntil).To(BeTemporally(">", time.Now()))
		})
	})

	DescribeTable("is gone as soon as it ends", func(blind bool, within time.Duration) {
		both(peertest.FolderOptions{Delay: time.Millisecond}, func(n *peertest.Network, f *peertest.Folder, a, _ *member) {
			c := join(3, func(c *peer.Config) { c.Ways = append(c.Ways, f.Open(c.Self.Instance)) }, n)
			c.Say(serving)
			rest(time.Second)
			f.Blind(blind)
			a.Say(peer.Statement{Phase: peer.PhaseHolding}) // so it looks
			rest(900 * time.Millisecond)
			a.woken()
			Expect(a.sees(c).FreshUntil).To(BeTemporally(">", time.Now()))
			ends := time.Now()
			go func() { _ = c.Close(context.Background()) }()
			<-a.Changed()
			Expect(time.Since(ends)).To(BeNumerically("<=", within))
			Expect(a.sees(c).Gone).To(BeTrue())
			c.quit()
		})
	},
		Entry(nil, false, 5*time.Millisecond),
		Entry("where changes are not told", true, 10*time.Millisecond),
	)

	It("is not asked without end by one that it asks", func() {
		alone(peertest.FolderOptions{Delay: time.Millisecond}, func(_ *peertest.Folder, a, b *member) {
			a.Say(asking)
			b.Say(asking)
			rest(time.Second)
			before := written(a) + written(b)
			rest(10 * time.Second)
			Expect(written(a)+written(b)-before).To(BeNumerically("<", 80), "either one's question is the other's answer")
			Expect(silence(a, b)).To(BeNumerically("<", time.Second))
			Expect(silence(b, a)).To(BeNumerically("<", time.Second))
		})
	})

	It("is not asked by the folder where the network brings answers", func() {
		both(peertest.FolderOptions{}, func(_ *peertest.Network, _ *peertest.Folder, a, b *member) {
			rest(3 * time.Second) // not at the moment of a regular announcement
			before := written(a)
			b.Say(peer.Statement{Phase: peer.PhaseHolding, Ask: true})
			rest(3 * time.Second)
			Expect(silence(b, a)).To(BeNumerically("<", time.Second))
			Expect(written(a)).To(Equal(before), "what is new is no question")
			before += written(b)
			rest(20 * time.Second)
			Expect(silence(b, a)).To(BeNumerically("<", time.Second))
			Expect(written(a)+written(b)-before).To(BeNumerically("<=", 6), "one for each interval, and an answer to it")
		})
	})

	It("is asked by the folder when the network brings no more answers", func() {
		both(peertest.FolderOptions{}, func(n *peertest.Network, _ *peertest.Folder, a, b *member) {
			b.Say(asking)
			rest(5 * time.Second)
			n.Set(peertest.Options{Loss: 1})
			var worst time.Duration
			for range 1000 {
				rest(10 * time.Millisecond)
				worst = max(worst, silence(b, a))
			}
			Expect(worst).To(BeNumerically("<", 1200*time.Millisecond))
			Expect(silence(b, a)).To(BeNumerically("<", 500*time.Millisecond))
		})
	})

	It("is asked by the folder by one that only it does not hear", func() {
		// Its question is answered before the folder shows it.
		both(peertest.FolderOptions{Delay: 40 * time.Millisecond}, func(n *peertest.Network, _ *peertest.Folder, a, b *member) {
			n.Cut(string(a.cfg.Self.Container), string(b.cfg.Self.Container))
			rest(33 * time.Second)
			b.Say(asking)
			rest(200 * time.Millisecond)
			Expect(silence(b, a)).To(BeNumerically("<", 200*time.Millisecond))
			for range 20 {
				rest(500 * time.Millisecond)
				Expect(silence(b, a)).To(BeNumerically("<", time.Second))
			}
		})
	})
})
