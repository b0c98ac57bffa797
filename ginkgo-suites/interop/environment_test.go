package interop_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Variables of handover-lib", func() {
	BeforeEach(needLibrary)

	// Old and new get the same environment.
	DescribeTable("have the same effect here", func(name, group string, port int, environ ...string) {
		d := newDevice()
		network := func() namespace {
			n := d.lonely()
			d.plug(n, name, "br0")
			n.ip("route", "add", "default", "dev", name)
			return n
		}
		bystander := network()
		there := listenIn(bystander, group, port)
		old := d.service(network(), environ...)
		Expect(old.said("joined")).To(ConsistOf(group))
		a := d.run(network(), "a", environ...)
		a.until("starting")
		old.ready()
		Eventually(a.knows, patience).Should(ConsistOf(""), "handover-lib is heard")
		took("readiness to handover-lib's callback", a.becomeReady(), old.stopping())
		Expect(there.legacy()).NotTo(BeZero())
		Eventually(func() []string { return there.phases("a") }, patience).Should(Equal([]string{"starting", "serving"}))
	},
		Entry("SHUTDOWN_BROADCAST_ADDRESS", "eth0", "239.192.77.7", port, "SHUTDOWN_BROADCAST_ADDRESS=239.192.77.7"),
		Entry("SHUTDOWN_PORT", "eth0", group, 2600, "SHUTDOWN_PORT=2600"),
		Entry("HANDOVER_NETWORK_MODE=bridge, which leaves NETWORK_INTERFACE alone", "eth0", group, port,
			"HANDOVER_NETWORK_MODE=bridge", "NETWORK_INTERFACE=supervisor0"),
		Entry("HANDOVER_NETWORK_MODE=host", "supervisor0", group, port, "HANDOVER_NETWORK_MODE=host"),
		Entry("NETWORK_INTERFACE", "resin0", group, port, "HANDOVER_NETWORK_MODE=host", "NETWORK_INTERFACE=resin0"),
	)

	// handover-lib sets the interface on its listening socket, which never
	// sends: it sends and joins by the default route, whatever the mode is. So
	// host mode can be compared only where that route goes by supervisor0, as
	// above. Elsewhere, in the device's own network:
	It("in host mode do not keep handover-lib on supervisor0, so hearing it takes a route; it hears this program without", func() {
		d := newDevice()
		host := d.routed() // with eth0
		d.plug(host, "supervisor0", "br1")
		eth0, supervisor0 := tapIn(d.hub, "br0"), tapIn(d.hub, "br1")
		a := d.run(host, "a", hostMode)
		a.until("starting")

		By("without a route, it speaks on eth0, where host mode must not listen")
		deaf := d.service(host, hostMode, startedAt(-time.Hour))
		deaf.ready()
		Eventually(func() []packet { return eth0.datagrams(port) }, patience).ShouldNot(BeEmpty())
		Consistently(a.knows, 300*time.Millisecond, 50*time.Millisecond).Should(BeEmpty())

		By("with a route to the group by supervisor0, it is heard")
		host.ip("route", "add", group, "dev", "supervisor0")
		routed := d.service(host, hostMode, startedAt(-time.Hour))
		routed.ready()
		Eventually(a.knows, patience).Should(ContainElement(""))

		By("both hear this program")
		a.ready()
		routed.stopping()
		deaf.stopping()
		Expect(eth0.datagrams()).To(HaveEach(HaveField("Size", 9)), "nothing of this program")
		Expect(supervisor0.datagrams(port)).To(ContainElement(HaveField("Size", BeNumerically(">", 9))))
	})
})
