package peer_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

// foreigners are datagrams that are not for testDomain: of other services,
// other versions and other programs.
func foreigners() [][]byte {
	other := sample()
	other.Domain = peer.NewDomain("6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", "1234", "other")
	version := encode(sample(), nil)
	version[0] = 2
	extension := encode(sample(), nil)
	extension[11] = 2
	return [][]byte{
		encode(other, nil), encode(other, mustKeys("k")), version, extension, encode(sample(), nil)[:15],
		nine(0), nine(1)[:8], append(nine(1), 0), make([]byte, 512), []byte("M-SEARCH * HTTP/1.1\r\n"), nil,
	}
}

// startFiltered starts a node that hears the group through a filter, or
// without if there is none.
func startFiltered(cfg peer.MulticastConfig, filter *peer.Filter) *peer.Node {
	GinkgoHelper()
	cfg.Filter = filter
	m, err := peer.OpenMulticast(cfg)
	Expect(err).NotTo(HaveOccurred())
	n, err := peer.Start(peer.Config{
		Self: peer.Identity{Instance: peer.NewInstanceID()}, Domain: testDomain, Legacy: true, Ways: []peer.Way{m},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = n.Close(context.Background()) })
	return n
}

var _ = Describe("Multicast with a filter", func() {
	BeforeEach(checkLeaks)

	It("lets foreign datagrams never reach the process, and its own pass", func() {
		cfg := onLoopback()
		with, without := startFiltered(cfg, &peer.Filter{Domain: testDomain, Legacy: true}), startFiltered(cfg, nil)
		sender, to := plainSocket(0), &net.UDPAddr{IP: cfg.Group.AsSlice(), Port: cfg.Port}
		send := func(raw []byte) {
			GinkgoHelper()
			_, err := sender.WriteTo(raw, to)
			Expect(err).NotTo(HaveOccurred())
		}
		const rounds = 60
		all := foreigners()
		for range rounds {
			for _, raw := range all {
				send(raw)
			}
		}
		sent := uint64(rounds * len(all))
		Eventually(func() uint64 { return with.Stats().Ways[0].Kernel.Drops }).Should(Equal(sent))
		Expect(with.Stats().Ways[0].Received).To(BeZero(), "none woke it")
		Expect(*with.Stats().Ways[0].Kernel).To(Equal(peer.KernelStats{Filter: true, DropsKnown: true, Drops: sent}))

		send(encode(sample(), nil))
		send(encode(forge(1, 1), mustKeys("k"))) // signed, though nobody asks
		send(nine(1))
		Eventually(func() uint64 { return with.Stats().Ways[0].Received }).Should(BeEquivalentTo(3))
		Eventually(func() int { return len(with.Peers()) }).Should(Equal(3))
		Expect(with.Stats().Ways[0].DroppedTotal()).To(BeZero())
		Expect(with.Stats().Ways[0].Kernel.Drops).To(Equal(sent))

		// Without a filter they are read, or find no room in the queue: that is
		// counted by the kernel, too.
		Eventually(func() uint64 {
			w := without.Stats().Ways[0]
			return w.Received + w.Kernel.Drops
		}).Should(Equal(sent + 3))
		Expect(without.Stats().Ways[0].Kernel.Filter).To(BeFalse())
		Expect(without.Stats().Ways[0].DroppedTotal()).NotTo(BeZero())
	})

	It("drops handover-lib's nine bytes for a node that would not understand them", func() {
		cfg := onLoopback()
		cfg.Filter = &peer.Filter{Domain: testDomain}
		m := open(cfg)
		l := listenTo(m)
		own := encode(sample(), nil)
		Expect(m.Send(nine(1), false)).To(Succeed())
		Expect(m.Send(own, false)).To(Succeed())
		Eventually(l.heard).Should(Equal([][]byte{own}))
		Expect(m.Kernel().Drops).To(BeEquivalentTo(1))
	})

	It("judges every datagram of a batch that was sent at once by itself", func() {
		cfg := onLoopback()
		cfg.Filter = &peer.Filter{Domain: testDomain}
		m := open(cfg)
		l := listenTo(m)
		own := encode(sample(), nil)
		foreign := bytes.Clone(own)
		foreign[12]++
		sender := plainSocket(0)
		raw, err := sender.SyscallConn()
		Expect(err).NotTo(HaveOccurred())
		Expect(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, len(own))
		})).To(Succeed())
		if err != nil {
			Skip(fmt.Sprint("needs UDP_SEGMENT (Linux 4.18): ", err))
		}
		batch := bytes.Join([][]byte{foreign, own, foreign, foreign, own}, nil)
		_, err = sender.WriteTo(batch, &net.UDPAddr{IP: cfg.Group.AsSlice(), Port: cfg.Port})
		Expect(err).NotTo(HaveOccurred())
		Eventually(l.heard).Should(Equal([][]byte{own, own}))
		Eventually(func() uint64 { return m.Kernel().Drops }).Should(BeEquivalentTo(3))
	})

	It("sees datagrams that came in fragments as a whole", func() {
		if why := canMakeNamespaces(); why != "" {
			Skip(why)
		}
		a, b := namespace(), namespace()
		wire(a, "ab", b, "ba", 1)
		for _, end := range [][2]string{{a, "ab"}, {b, "ba"}} {
			ip("-n", end[0], "link", "set", end[1], "mtu", "68")
		}
		filtered := childConfig{Mode: peer.ModeBridge, Filter: &peer.Filter{Domain: testDomain}}
		ca, cb := startChild(a, filtered), startChild(b, filtered)
		Eventually(ca.using).Should(Equal("ab"))
		Eventually(cb.using).Should(Equal("ba"))
		own := hex.EncodeToString(encode(sample(), nil))
		ca.send(1)
		_, err := fmt.Fprintln(ca.stdin, own)
		Expect(err).NotTo(HaveOccurred())
		Eventually(cb.said).Should(ContainElement("heard ba " + own))
		Expect(cb.said()).NotTo(ContainElement(heard("ba", 1)))
	})
})
