package interop_test

import (
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const hostMode = "HANDOVER_NETWORK_MODE=host"

// In host mode all containers are in the device's own network.
var _ = Describe("In host mode", func() {
	It("supervisor0 does without carrier, as the bridge without ports that it is", func() {
		d := newDevice()
		host := d.network()
		host.ip("link", "add", "name", "supervisor0", "type", "bridge")
		host.ip("address", "add", "10.114.104.1/25", "dev", "supervisor0")
		host.ip("link", "set", "supervisor0", "up")
		other := tapIn(d.hub, "br0")
		// Where supervisor0 is, host is also what auto means.
		a := d.run(host, "a", "HANDOVER_NETWORK_MODE=auto")
		a.ready()
		b := d.run(host, "b", hostMode)
		took("readiness to the old one's stop", b.ready(), a.stopped())
		a.until("released")
		Expect(other.all()).To(BeEmpty())
	})

	It("supervisor0 may be missing at first, and be made later", func() {
		d := newDevice()
		host := d.network()
		other := tapIn(d.hub, "br0")
		a := d.run(host, "a", hostMode)
		a.ready()
		b := d.run(host, "b", hostMode)
		b.ready()
		Consistently(a.phase, untilQuiet, 50*time.Millisecond).Should(Equal("serving"))
		for _, i := range []*instance{a, b} {
			Expect(i.knows()).To(BeEmpty(), "no other interface takes its place")
			Expect(i.log.String()).To(MatchRegexp(`level=WARN msg="waiting for the network interface.*interface=supervisor0`))
		}
		d.plug(host, "supervisor0", "br1")
		took("network to the old one's stop", time.Now(), a.stopped())
		a.until("released")
		Expect(other.all()).To(BeEmpty(), "nothing was sent on eth0")
	})

	It("supervisor0 may go and be made again in the middle", func() {
		d := newDevice()
		host := d.network()
		d.plug(host, "supervisor0", "br1")
		a := d.run(host, "a", hostMode)
		a.ready()
		b := d.run(host, "b", hostMode)
		Eventually(a.knows, patience, 10*time.Millisecond).Should(ConsistOf("bbbbbbbbbbbb"))
		for range 3 {
			host.ip("link", "delete", "supervisor0")
			d.plug(host, "supervisor0", "br1")
		}
		host.ip("link", "delete", "supervisor0")
		b.ready()
		Consistently(a.phase, 300*time.Millisecond, 50*time.Millisecond).Should(Equal("serving"))
		d.plug(host, "supervisor0", "br1")
		took("network to the old one's stop", time.Now(), a.stopped())
	})

	It("nothing is ever sent or heard on another interface", func() {
		d := newDevice()
		host := d.network() // with eth0
		d.plug(host, "supervisor0", "br1")
		elsewhere := d.lonely()
		d.plugAs(elsewhere, "eth0", "br0", "10.77.0.99/24")
		eth0, supervisor0 := tapIn(d.hub, "br0"), tapIn(d.hub, "br1")
		// What comes in on eth0 is let in by the kernel, as somebody joined there.
		ears := listenIn(host, group, port)
		a := d.run(host, "a", hostMode)
		a.ready()
		c := d.run(elsewhere, "c", bridgeMode)
		c.ready()
		Eventually(func() []string { return ears.phases("c") }, patience).Should(Equal([]string{"starting", "serving"}))

		By("a younger instance on eth0 that serves and runs: it is not heard")
		Consistently(a.phase, 500*time.Millisecond, 50*time.Millisecond).Should(Equal("serving"))
		Expect(a.knows()).To(BeEmpty())
		Expect(c.knows()).To(BeEmpty())

		By("a whole run of all phases")
		b := d.run(host, "b", hostMode, "HANDOVER_SERVICE_STOP_GRACE_PERIOD=2m")
		b.ready()
		a.until("released")
		a.term()
		Expect(a.exit()).To(BeZero())
		d.supervisor.set(containerID("c"), "exited") // so that nobody waits for it
		e := d.run(host, "e", hostMode)
		Eventually(b.knows, patience, 10*time.Millisecond).Should(ContainElement("eeeeeeeeeeee"))
		b.term()
		b.until("holding")
		e.ready()
		Expect(b.exit()).To(BeZero())
		Expect(eth0.datagrams()).NotTo(BeEmpty())
		Expect(eth0.datagrams()).To(HaveEach(HaveField("From", netip.MustParseAddr("10.77.0.99"))))
		Expect(len(supervisor0.datagrams(port))).To(BeNumerically(">", 20))
		Expect(supervisor0.datagrams(statusPort)).NotTo(BeEmpty())
		Eventually(e.knows, patience).Should(ConsistOf("bbbbbbbbbbbb"))
		Expect(c.knows()).To(BeEmpty())
	})
})
