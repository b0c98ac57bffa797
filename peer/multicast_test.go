package peer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// onLoopback returns a configuration for host mode on lo, with a group and
// ports that no other test on this machine is likely to use, nor the kernel gives
// out.
func onLoopback() peer.MulticastConfig {
	port := 20000 + 2*rand.IntN(6000)
	return peer.MulticastConfig{
		Group: netip.AddrFrom4([4]byte{239, 192, byte(rand.IntN(256)), byte(rand.IntN(256))}),
		Port:  port, StatusPort: port + 1, Mode: peer.ModeHost, Interface: "lo",
	}
}

func open(cfg peer.MulticastConfig) *peer.Multicast {
	GinkgoHelper()
	m, err := peer.OpenMulticast(cfg)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(m.Close)
	return m
}

// listener collects what a way receives.
type listener struct {
	mu       sync.Mutex
	received []peer.Received
	data     [][]byte
	err      error
	ended    chan struct{}
}

func listenTo(w peer.Way) *listener {
	l := &listener{ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		buf := make([]byte, peer.MaxDatagram+1)
		for {
			r, err := w.Receive(buf)
			l.mu.Lock()
			if err != nil {
				l.err = err
				l.mu.Unlock()
				return
			}
			l.received = append(l.received, r)
			l.data = append(l.data, bytes.Clone(buf[:r.N]))
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listener) heard() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([][]byte(nil), l.data...)
}

func (l *listener) last() peer.Received {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.received) == 0 {
		return peer.Received{}
	}
	return l.received[len(l.received)-1]
}

// nine is a datagram of handover-lib.
func nine(b byte) []byte { return []byte{1, 0, 0, 0, 0, 0, 0, 0, b} }

// plainSocket is a socket as handover-lib opens one: any port to send from, or
// the group's port with SO_REUSEADDR and the group joined on loopback.
func plainSocket(port int) *net.UDPConn {
	GinkgoHelper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		})
	}}
	conn, err := config.ListenPacket(context.Background(), "udp4", fmt.Sprintf("0.0.0.0:%d", port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	lo, err := net.InterfaceByName("lo")
	Expect(err).NotTo(HaveOccurred())
	Expect(ipv4.NewPacketConn(conn).SetMulticastInterface(lo)).To(Succeed())
	return conn.(*net.UDPConn)
}

func joinOnLoopback(conn *net.UDPConn, group netip.Addr) {
	GinkgoHelper()
	lo, err := net.InterfaceByName("lo")
	Expect(err).NotTo(HaveOccurred())
	Expect(ipv4.NewPacketConn(conn).JoinGroup(lo, &net.UDPAddr{IP: group.AsSlice()})).To(Succeed())
}

var _ = Describe("Multicast on loopback", func() {
	BeforeEach(checkLeaks)

	It("carries datagrams between processes, and back to the sender", func() {
		cfg := onLoopback()
		a, b := open(cfg), open(cfg)
		la, lb := listenTo(a), listenTo(b)
		Expect(a.Send(nine(7), false)).To(Succeed())
		Eventually(la.heard).Should(Equal([][]byte{nine(7)}))
		Eventually(lb.heard).Should(Equal([][]byte{nine(7)}))
		r := lb.last()
		Expect(r.Interface).To(Equal("lo"))
		Expect(r.From.Addr()).To(Equal(netip.MustParseAddr("127.0.0.1")))
		Expect(r.Time).To(BeTemporally("~", time.Now(), 10*time.Second))
		Expect(r.Drop).To(Equal(peer.NotDropped))
		Expect(a.Name()).To(Equal("multicast"))
		Expect(a.Status()).To(Equal(peer.MulticastStatus{
			Mode: peer.ModeHost, Interfaces: []string{"lo"}, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		}))
	})

	It("understands sockets of handover-lib, and is heard by them", func() {
		cfg := onLoopback()
		theirs := plainSocket(cfg.Port) // it came first
		joinOnLoopback(theirs, cfg.Group)
		ours := open(cfg)
		l := listenTo(ours)
		_, err := plainSocket(0).WriteTo(nine(1), &net.UDPAddr{IP: cfg.Group.AsSlice(), Port: cfg.Port})
		Expect(err).NotTo(HaveOccurred())
		Eventually(l.heard).Should(Equal([][]byte{nine(1)}))
		Expect(ours.Send(nine(2), false)).To(Succeed())
		buf := make([]byte, 100)
		var got []byte
		Expect(theirs.SetReadDeadline(time.Now().Add(10 * time.Second))).To(Succeed())
		for range 2 {
			n, err := theirs.Read(buf)
			Expect(err).NotTo(HaveOccurred())
			got = append(got, buf[:n]...)
		}
		Expect(got).To(Equal(append(nine(1), nine(2)...)))
		_ = plainSocket(cfg.Port) // it comes later
	})

	It("tells when the kernel received a datagram, not when it was read", func() {
		m := open(onLoopback())
		before := time.Now()
		Expect(m.Send(nine(1), false)).To(Succeed())
		after := time.Now()
		Eventually(func() time.Duration { return time.Since(after) }).Should(BeNumerically(">", time.Second))
		r, err := m.Receive(make([]byte, 512))
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Time).To(BeTemporally(">=", before.Add(-time.Millisecond)))
		Expect(r.Time).To(BeTemporally("<=", after.Add(300*time.Millisecond)))
	})

	It("flags what was not sent to the group, and what is too long", func() {
		cfg := onLoopback()
		l := listenTo(open(cfg))
		sender := plainSocket(0)
		send := func(to net.IP, n int) {
			GinkgoHelper()
			_, err := sender.WriteTo(append(nine(1), make([]byte, n)...), &net.UDPAddr{IP: to, Port: cfg.Port})
			Expect(err).NotTo(HaveOccurred())
		}
		send(net.IPv4(127, 0, 0, 1), 0)
		Eventually(func() peer.DropReason { return l.last().Drop }).Should(Equal(peer.DropInterface))
		for _, n := range []int{512, 513, 1500, 9000} {
			send(cfg.Group.AsSlice(), n-9)
			Eventually(func() int { return l.last().N }).Should(BeNumerically(">", 511))
			if n > 512 {
				Eventually(func() peer.DropReason { return l.last().Drop }).Should(Equal(peer.DropOversized))
			}
		}
		send(cfg.Group.AsSlice(), 511-9)
		Eventually(func() int { return l.last().N }).Should(Equal(511))
		Expect(l.last().Drop).To(Equal(peer.NotDropped))
	})

	It("never sends what would crash handover-lib", func() {
		m := open(onLoopback())
		l := listenTo(m)
		for _, raw := range [][]byte{nil, nine(1)[:8], append([]byte{2}, nine(1)...), make([]byte, 9), append(nine(1), make([]byte, 503)...)} {
			Expect(m.Send(raw, false)).To(MatchError(ContainSubstring("refused")))
		}
		Expect(m.Send(append(nine(1), make([]byte, 502)...), false)).To(Succeed())
		Eventually(l.heard).Should(HaveLen(1))
	})

	It("sends status messages with its own addresses to their own port", func() {
		cfg := onLoopback()
		proxy := plainSocket(cfg.StatusPort)
		joinOnLoopback(proxy, cfg.Group)
		m := open(cfg)
		l := listenTo(m)
		message := peer.StatusMessage{StartMilli: 5, Service: "main", Down: true}
		Expect(m.SendStatus(message)).To(Succeed())
		buf := make([]byte, 200)
		Expect(proxy.SetReadDeadline(time.Now().Add(10 * time.Second))).To(Succeed())
		n, err := proxy.Read(buf)
		Expect(err).NotTo(HaveOccurred())
		message.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		Expect(buf[:n]).To(Equal(message.Append(nil)))
		Expect(l.heard()).To(BeEmpty())

		cfg.StatusPort = 0
		Expect(open(cfg).SendStatus(message)).To(MatchError(ContainSubstring("switched off")))
	})

	It("ends Receive when it is closed, and can be closed again", func() {
		m := open(onLoopback())
		l := listenTo(m)
		Expect(m.Close()).To(Succeed())
		Eventually(l.ended).Should(BeClosed())
		Expect(l.err).To(MatchError(net.ErrClosed))
		Expect(m.Close()).To(Succeed())
		Expect(errors.Is(m.Send(nine(1), false), net.ErrClosed)).To(BeTrue())
	})

	It("in auto mode uses the interface that is there", func() {
		cfg := onLoopback()
		cfg.Mode = peer.ModeAuto
		Expect(open(cfg).Status().Mode).To(Equal(peer.ModeHost))
		cfg.Interface = "supervisor0"
		Expect(open(cfg).Status().Mode).To(Equal(peer.ModeBridge))
	})

	It("in host mode waits for its interface, says so once, and uses no other", func() {
		var log syncBuffer
		cfg := onLoopback()
		cfg.Interface, cfg.Logger = "nosuch0", slog.New(slog.NewTextHandler(&log, nil))
		m := open(cfg)
		Expect(m.Status().Interfaces).To(BeEmpty())
		Expect(m.Send(nine(1), false)).To(MatchError(peer.ErrNoInterface))
		Expect(m.Close()).To(Succeed())
		Expect(strings.Count(log.String(), "waiting for the network interface")).To(Equal(1))
		Expect(log.String()).To(ContainSubstring("interface=nosuch0"))
	})

	It("connects nodes", func() {
		cfg := onLoopback()
		start := func(container string) *peer.Node {
			GinkgoHelper()
			m, err := peer.OpenMulticast(cfg)
			Expect(err).NotTo(HaveOccurred())
			n, err := peer.Start(peer.Config{
				Self:   peer.Identity{Instance: peer.NewInstanceID(), Container: peer.ContainerID(container), StartMilli: 9},
				Domain: testDomain, Legacy: true, StatusMessages: true, Ways: []peer.Way{m},
			})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { _ = n.Close(context.Background()) })
			return n
		}
		a, b := start("aaaaaaaaaaaa"), start("bbbbbbbbbbbb")
		a.Say(serving)
		Eventually(b.Changed()).Should(Receive())
		Expect(b.Peers()).To(HaveLen(1))
		b.Say(peer.Statement{Phase: peer.PhaseStarting})
		Eventually(func() int { return len(a.Peers()) }).Should(Equal(1))
		Expect(a.Peers()[0].Ways).To(Equal([]string{"multicast"}))
		stats := a.Stats()
		Expect(stats.Ways[0].StatusSent).NotTo(BeZero())
		Expect(stats.Ways[0].Dropped(peer.DropOwn)).NotTo(BeZero())

		a.Say(peer.Statement{Phase: peer.PhaseDraining})
		Eventually(func() peer.Phase { return b.Peers()[0].Phase }).Should(Equal(peer.PhaseDraining))
		legacyWay, err := peer.OpenMulticast(cfg)
		Expect(err).NotTo(HaveOccurred())
		legacy := peertest.NewLegacyPeer(legacyWay, 5)
		DeferCleanup(legacy.Close)
		legacy.StartBroadcasting()
		Eventually(func() int { return a.Stats().LegacyPeers }).Should(Equal(1))
		a.Say(serving)
		Eventually(legacy.ShuttingDown).Should(BeEquivalentTo(9))
		Expect(legacy.Crashed()).NotTo(HaveOccurred())
		Expect(a.Close(context.Background())).To(Succeed())
		Eventually(func() bool { return b.Peers()[0].Gone }).Should(BeTrue())
	})

	DescribeTable("is not opened with",
		func(spoil func(*peer.MulticastConfig), message string) {
			cfg := onLoopback()
			spoil(&cfg)
			_, err := peer.OpenMulticast(cfg)
			Expect(err).To(MatchError(ContainSubstring(message)))
		},
		Entry("a unicast group", func(c *peer.MulticastConfig) { c.Group = netip.MustParseAddr("10.0.0.1") }, "multicast address"),
		Entry("an IPv6 group", func(c *peer.MulticastConfig) { c.Group = netip.MustParseAddr("ff02::1") }, "multicast address"),
		Entry("a port that is none", func(c *peer.MulticastConfig) { c.Port = 65536 }, "port 65536"),
		Entry("a negative status port", func(c *peer.MulticastConfig) { c.StatusPort = -1 }, "status port -1"),
		Entry("one port for both", func(c *peer.MulticastConfig) { c.StatusPort = c.Port }, "would crash"),
		Entry("status messages where handover-lib listens for announcements",
			func(c *peer.MulticastConfig) { c.StatusPort = 1536 }, "would crash"),
		Entry("announcements where handover-lib listens for status messages",
			func(c *peer.MulticastConfig) { c.Port = 1537 }, "would crash"),
		Entry("an unknown mode", func(c *peer.MulticastConfig) { c.Mode = "bus" }, `mode "bus"`),
	)

	It("is not opened when the port is taken by somebody who does not share it", func() {
		cfg := onLoopback()
		taken, err := net.ListenUDP("udp4", &net.UDPAddr{Port: cfg.Port})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(taken.Close)
		_, err = peer.OpenMulticast(cfg)
		Expect(err).To(MatchError(syscall.EADDRINUSE))
	})
})

// syncBuffer is a log that several goroutines write to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
