package interop_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Ten seconds pass between two UPs. Other specs run meanwhile.
var _ = Describe("While ten seconds pass", Ordered, ContinueOnFailure, func() {
	var (
		d                     *device
		a, b                  *instance
		announcements, status *ear
		up, down              []byte
	)
	BeforeAll(func() {
		d = newDevice()
		n := d.lonely()
		// The addresses of the recorded messages.
		d.plugAs(n, "eth0", "br0", "172.10.0.4/24")
		d.plugAs(n, "eth1", "br1", "192.168.0.1/24")
		proxy := d.network()
		announcements, status = listenIn(proxy, group, port), listenIn(proxy, group, statusPort)
		a = d.run(n, "a", bridgeMode, "HANDOVER_ANNOUNCE_INTERVAL=10s", "HANDOVER_SERVICE_STOP_GRACE_PERIOD=10m", "HANDOVER_POLICY_DRAIN_DELAY=3s")
		a.until("starting")
		b = d.run(d.network(), "b", bridgeMode, "HANDOVER_STATUS_PORT=0")
	})

	It("handover-lib's proxy helpers are told UP as soon as an instance serves, byte for byte as handover-lib does it", func() {
		Eventually(func() []string { return announcements.phases("a") }, patience).Should(Equal([]string{"starting"}))
		Expect(status.all()).To(BeEmpty())
		a.ready()
		Eventually(func() []string { return announcements.phases("a") }, patience).Should(Equal([]string{"starting", "serving"}))
		Eventually(status.all, patience).ShouldNot(BeEmpty())
		up, down = recorded("UP"), recorded("DOWN")
		for _, raw := range announcements.heard() {
			if start := binary.BigEndian.Uint64(raw[1:]); start != 0 {
				binary.BigEndian.PutUint64(up[1:], start)
				binary.BigEndian.PutUint64(down[1:], start)
			}
		}
		Expect(status.heard()).To(HaveEach(up))

		By("holding from now on")
		Eventually(a.knows, patience, 10*time.Millisecond).Should(ConsistOf("bbbbbbbbbbbb"))
		a.term()
		a.until("holding")
	})

	Describe("next to a younger handover-lib, an instance", nextToAYoungerHandoverLib)

	It("the proxy helpers are told UP every 10 s while it holds, too, and DOWN every 100 ms from the start of draining", func() {
		pause := func() time.Duration { // the last one
			heard := status.all()
			return heard[len(heard)-1].at.Sub(heard[max(0, len(heard)-2)].at)
		}
		Eventually(pause, patience, 50*time.Millisecond).Should(And(BeNumerically(">", 9*time.Second), BeNumerically("<", 20*time.Second)))
		ups := len(status.all())
		elapsed := status.all()[ups-1].at.Sub(status.all()[0].at)
		Expect(ups).To(BeNumerically("<=", int(elapsed/(10*time.Second))+3), "one more may go along with the word that it holds")
		Expect(status.heard()).To(HaveEach(up))
		Expect(a.phase()).To(Equal("holding"))

		By("draining")
		b.ready()
		Expect(a.exit()).To(BeZero())
		Eventually(func() []string { return announcements.phases("a") }, patience).Should(ContainElement("gone"))
		downs := status.heard()[ups:]
		for len(downs) > 0 && bytes.Equal(downs[0], up) { // who waits for the other one goes on
			downs = downs[1:]
		}
		Expect(downs).To(HaveEach(down))
		span := a.logged("phase=gone").Sub(a.logged("phase=draining"))
		Expect(span).To(BeNumerically(">", 2900*time.Millisecond))
		Expect(len(downs)).To(BeNumerically(">=", 5), "three seconds of draining, on a loaded machine")
		Expect(len(downs)).To(BeNumerically("<=", int(span/(100*time.Millisecond))+6), "and three at the end")
	})
})

var _ = Describe("With HANDOVER_STATUS_PORT=0", func() {
	It("no status messages are sent", func() {
		d := newDevice()
		tap := tapIn(d.hub, "br0")
		a := d.run(d.network(), "a", bridgeMode, "HANDOVER_STATUS_PORT=0")
		a.ready()
		b := d.run(d.network(), "b", bridgeMode, "HANDOVER_STATUS_PORT=0")
		b.ready()
		a.until("released")
		a.term()
		Expect(a.exit()).To(BeZero())
		Expect(tap.datagrams()).NotTo(BeEmpty())
		Expect(tap.datagrams()).To(HaveEach(HaveField("Port", BeEquivalentTo(port))))
	})
})

// recorded is a status message of handover-lib itself, for a service of this
// suite's name at 172.10.0.4 and 192.168.0.1.
func recorded(word string) []byte {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "peer", "testdata", "handover-lib.json"))
	Expect(err).NotTo(HaveOccurred())
	var all []struct {
		ServiceName, Status, Hex string
		Addresses                []string
	}
	Expect(json.Unmarshal(text, &all)).To(Succeed())
	for _, r := range all {
		if r.Status == word && r.ServiceName == serviceName {
			Expect(r.Addresses).To(Equal([]string{"172.10.0.4", "192.168.0.1"}))
			raw, err := hex.DecodeString(r.Hex)
			Expect(err).NotTo(HaveOccurred())
			return raw
		}
	}
	Fail("there is no " + word + " of " + serviceName)
	return nil
}
