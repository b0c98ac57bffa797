package interop_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/ipv4"

	"github.com/handover-controller/handover/peer"
)

// routed makes a container's network in which handover-lib can speak: it joins
// and sends by the default route.
func (d *device) routed() namespace {
	GinkgoHelper()
	n := d.network()
	n.ip("route", "add", "default", "dev", "eth0")
	return n
}

// startedAt is the service's start time, that much later than now.
func startedAt(later time.Duration) string {
	return fmt.Sprint("STARTED_AT=", time.Now().Add(later).UnixMilli())
}

var _ = Describe("Next to an older handover-lib", func() {
	BeforeEach(needLibrary)

	It("has it shut down once this instance serves, not before", func() {
		d := newDevice()
		old := d.service(d.routed())
		a := d.run(d.network(), "a", bridgeMode)
		a.until("starting")
		old.ready()
		Eventually(func() int { return len(old.heard()) }, patience).Should(BeNumerically(">=", 8), "the whole burst")
		Expect(old.phases("a")).To(Equal([]string{"starting"}))
		old.unharmed(0)
		Eventually(a.knows, patience).Should(ConsistOf(""))

		took("readiness to handover-lib's callback", a.becomeReady(), old.stopping())
		Eventually(func() []string { return old.said("stopped") }, patience).Should(HaveLen(1))
		Eventually(d.marker(), patience).Should(BeAnExistingFile())
		a.until("serving")
		old.unharmed(1)
	})
})

var _ = Describe("Whatever is said", func() {
	BeforeEach(needLibrary)

	// One container after the other takes over, in both ways: told first, and by
	// both signals. Only the first one lets handover-lib know its start.
	DescribeTable("no handover-lib peer ends or is called but by an instance that serves", func(extra ...string) {
		d := newDevice()
		const silent = "HANDOVER_ANNOUNCE_LEGACY=false"
		extra = append(extra, bridgeMode, "HANDOVER_SERVICE_STOP_GRACE_PERIOD=2m", "HANDOVER_POLICY_DRAIN_DELAY=200ms")
		old := d.service(d.routed(), startedAt(-time.Hour))
		young := d.service(d.routed(), startedAt(time.Hour))
		a := d.run(d.network(), "a", extra...)
		young.hears("a", "starting")
		a.ready()
		old.stopping()

		b := d.run(d.network(), "b", append(extra, silent)...)
		Eventually(a.knows, patience, 10*time.Millisecond).Should(ContainElement("bbbbbbbbbbbb"))
		a.term()
		a.until("holding")
		late := d.service(d.routed(), startedAt(-time.Hour))
		late.hears("a", "holding")
		late.hears("b", "starting")
		b.ready()
		Expect(a.exit()).To(BeZero())

		c := d.run(d.network(), "c", append(extra, silent)...)
		took("readiness to the old one's stop", c.ready(), b.stopped())
		late.hears("b", "released")
		b.term()
		Expect(b.exit()).To(BeZero())
		c.term()
		Expect(c.exit()).To(Equal(128+15), "a plain stop, with the workload's status")

		late.hears("c", "gone")
		young.hears("a", "gone")
		Expect(late.phases("a")).To(HaveExactElements("holding", "draining", "gone"))
		Expect(late.phases("b")).To(HaveExactElements("starting", "serving", "draining", "released", "gone"))
		Expect(young.phases("a")).To(HaveExactElements("starting", "serving", "holding", "draining", "gone"))
		late.unharmed(0)
		young.unharmed(0)
		old.unharmed(1)
	},
		Entry("in a whole run of all phases"),
		Entry("in a whole run of all phases, signed", "HANDOVER_ANNOUNCE_SECRET=a secret of this test"),
	)

	It("as long as it can be, in every phase, handover-lib reads its start and nothing else", func() {
		d := newDevice()
		s := d.service(d.routed())
		keys, err := peer.NewKeyring([]byte("a secret of this test"))
		Expect(err).NotTo(HaveOccurred())
		send := d.sender()
		var sent [][]byte
		for phase := peer.PhaseStarting; phase <= peer.PhaseGone; phase++ {
			for _, all := range []bool{false, true} {
				for _, k := range []*peer.Keyring{nil, keys} {
					raw := large(phase, all, 0, k)
					send(raw)
					sent = append(sent, raw)
				}
			}
		}
		Eventually(s.heard, patience).Should(ContainElements(sent))
		s.unharmed(0)

		By("a start that is later than its own")
		last := large(peer.PhaseServing, true, time.Now().Add(time.Hour).UnixMilli(), keys)
		Expect(last).To(HaveLen(peer.MaxDatagram))
		for range 10 {
			send(last)
		}
		s.stopping()
		Eventually(func() []string { return s.said("stopped") }, patience).Should(HaveLen(1))
		s.unharmed(1)
	})

	It("what would end handover-lib does end it, so this suite would see it", func() {
		d := newDevice()
		s := d.service(d.routed())
		d.sender()([]byte{1, 0})
		Eventually(s.lives, patience).Should(BeFalse())
		Expect(s.cmd.ProcessState.ExitCode()).NotTo(BeZero())
	})
})

// sender returns what sends a datagram to the group on br0.
func (d *device) sender() func(raw []byte) {
	GinkgoHelper()
	var conn net.PacketConn
	d.hub.do(func() (err error) {
		if conn, err = net.ListenPacket("udp4", "10.77.0.1:0"); err != nil {
			return err
		}
		bridge, err := net.InterfaceByName("br0")
		if err != nil {
			return err
		}
		return ipv4.NewPacketConn(conn).SetMulticastInterface(bridge)
	})
	DeferCleanup(conn.Close)
	return func(raw []byte) {
		GinkgoHelper()
		_, err := conn.WriteTo(raw, &net.UDPAddr{IP: net.ParseIP(group), Port: port})
		Expect(err).NotTo(HaveOccurred())
	}
}

// large makes an announcement of a phase; with all: with every field, as many
// acknowledgements as there can be, and filled up with fields of types to come.
func large(phase peer.Phase, all bool, startMilli int64, keys *peer.Keyring) []byte {
	GinkgoHelper()
	a := peer.Announcement{
		StartMilli: startMilli, Domain: peer.NewDomain("another boot", appID, serviceName),
		Instance: peer.NewInstanceID(), Phase: phase, Sequence: 1 << 40,
	}
	if all {
		id, err := peer.ShortContainerID(containerID("f"))
		Expect(err).NotTo(HaveOccurred())
		a.Told, a.Ask, a.Container, a.Release, a.ForgetAfter = true, true, id.Digits(), 1<<60, time.Hour
		a.FirstStart = peer.FirstStart{Boot: peer.BootHash("another boot"), Since: time.Hour}
		var acks []peer.InstanceID
		for range peer.MaxAcks {
			acks = append(acks, peer.NewInstanceID())
		}
		a.SetAcks(acks)
	}
	raw, err := a.Append(nil, keys)
	Expect(err).NotTo(HaveOccurred())
	Expect(binary.BigEndian.Uint64(raw[1:])).To(BeEquivalentTo(startMilli))
	for kind := byte(0x60); all && len(raw)+2 <= peer.MaxDatagram; kind++ {
		length := min(255, peer.MaxDatagram-len(raw)-2)
		raw = append(append(raw, kind, byte(length)), make([]byte, length)...)
	}
	return raw
}
