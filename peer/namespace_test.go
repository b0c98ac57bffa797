package peer_test

import (
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

var namespaces atomic.Int64

// ip runs the command of that name.
func ip(args ...string) {
	GinkgoHelper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "ip %v: %s", args, out)
}

// namespace makes a network namespace with loopback up, for this spec only.
func namespace() string {
	GinkgoHelper()
	name := fmt.Sprintf("peer-%d-%d", os.Getpid(), namespaces.Add(1))
	ip("netns", "add", name)
	DeferCleanup(func() { ip("netns", "delete", name) })
	ip("-n", name, "link", "set", "lo", "up")
	return name
}

// wire connects two namespaces by an interface in each, both up. The numbers
// are the last bytes of their addresses.
func wire(a, nameA string, b, nameB string, subnet int) {
	GinkgoHelper()
	ip("-n", a, "link", "add", "name", nameA, "type", "veth", "peer", "name", nameB, "netns", b)
	for i, end := range [][2]string{{a, nameA}, {b, nameB}} {
		ip("-n", end[0], "address", "add", fmt.Sprintf("10.77.%d.%d/24", subnet, i+1), "dev", end[1])
		ip("-n", end[0], "link", "set", end[1], "up")
	}
}

// canMakeNamespaces tells why not, if not.
func canMakeNamespaces() string {
	if os.Geteuid() != 0 {
		return "needs root, to make network namespaces"
	}
	name := fmt.Sprintf("peer-%d-probe", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		return fmt.Sprintf("needs network namespaces: %v: %s", err, out)
	}
	defer func() { _ = exec.Command("ip", "netns", "delete", name).Run() }()
	if out, err := exec.Command("ip", "-n", name, "link", "add", "name", "x0", "type", "veth").CombinedOutput(); err != nil {
		return fmt.Sprintf("needs veth interfaces: %v: %s", err, out)
	}
	return ""
}

var _ = Describe("Multicast in network namespaces", Ordered, ContinueOnFailure, func() {
	BeforeAll(func() {
		if why := canMakeNamespaces(); why != "" {
			Skip(why)
		}
	})

	bridge := childConfig{Mode: peer.ModeBridge}
	host := childConfig{Mode: peer.ModeHost, Interface: "up0"}

	It("in bridge mode speaks and listens on every interface, but not on loopback", func() {
		a, b, c := namespace(), namespace(), namespace()
		wire(a, "ab", b, "ba", 1)
		wire(a, "ac", c, "ca", 2)
		ca, cb, cc := startChild(a, bridge), startChild(b, bridge), startChild(c, bridge)
		Eventually(ca.using).Should(Equal("ab,ac"))
		Eventually(cb.using).Should(Equal("ba"))
		Eventually(cc.using).Should(Equal("ca"))
		ca.send(1)
		Eventually(cb.said).Should(ContainElement(heard("ba", 1)))
		Eventually(cc.said).Should(ContainElement(heard("ca", 1)))
		cb.send(2)
		Eventually(ca.said).Should(ContainElement(heard("ab", 2)))
		cc.send(3)
		Eventually(ca.said).Should(ContainElement(heard("ac", 3)))
		Expect(cb.said()).NotTo(ContainElement(heard("ba", 3)))
	})

	It("in bridge mode follows interfaces that come and go, with loopback for want of any", func() {
		a, b := namespace(), namespace()
		ca, cb := startChild(a, bridge), startChild(b, bridge)
		Eventually(ca.using).Should(Equal("lo"))
		ca.send(1)
		Eventually(ca.said).Should(ContainElement(heard("lo", 1)))
		for round := range 3 {
			wire(a, "ab", b, "ba", 1)
			Eventually(ca.using).Should(Equal("ab"))
			Eventually(cb.using).Should(Equal("ba"))
			Eventually(ca.said).Should(ContainElement("reach"))
			ca.send(byte(10 + round))
			Eventually(cb.said).Should(ContainElement(heard("ba", byte(10+round))))
			ip("-n", a, "link", "set", "ab", "down")
			Eventually(ca.using).Should(Equal("lo"))
			ip("-n", a, "link", "set", "ab", "up")
			Eventually(ca.using).Should(Equal("ab"))
			// Without carrier, the other end may have been away for a moment.
			Eventually(cb.using).Should(Equal("ba"))
			cb.send(byte(20 + round))
			Eventually(ca.said).Should(ContainElement(heard("ab", byte(20+round))))
			ip("-n", a, "link", "delete", "ab")
			Eventually(ca.using).Should(Equal("lo"))
			Eventually(cb.using).Should(Equal("lo"))
		}
	})

	It("in bridge mode does without interfaces that have no address", func() {
		a, b := namespace(), namespace()
		ca := startChild(a, bridge)
		ip("-n", a, "link", "add", "name", "ab", "type", "veth", "peer", "name", "ba", "netns", b)
		ip("-n", a, "link", "set", "ab", "up")
		ip("-n", b, "link", "set", "ba", "up")
		Eventually(ca.using).Should(Equal("lo"))
		ip("-n", a, "address", "add", "10.77.1.1/24", "dev", "ab")
		Eventually(ca.using).Should(Equal("ab"))
		ip("-n", a, "address", "delete", "10.77.1.1/24", "dev", "ab")
		Eventually(ca.using).Should(Equal("lo"))
	})

	It("in host mode waits for its interface, and follows it through everything", func() {
		a, b := namespace(), namespace()
		wire(a, "other", b, "rehto", 2)
		ca, cb := startChild(a, host), startChild(b, bridge)
		Eventually(ca.using).Should(Equal(""))
		ca.send(1)
		Eventually(ca.said).Should(ContainElement(HavePrefix("cannot send:")))
		for round := range 3 {
			wire(a, "up0", b, "0pu", 1)
			Eventually(ca.using).Should(Equal("up0"))
			Eventually(cb.using).Should(Equal("0pu,rehto"))
			ca.send(byte(10 + round))
			Eventually(cb.said).Should(ContainElement(heard("0pu", byte(10+round))))
			Expect(cb.said()).NotTo(ContainElement(heard("rehto", byte(10+round))))
			if round == 1 {
				ip("-n", a, "link", "set", "up0", "down")
				ip("-n", a, "link", "set", "up0", "name", "gone0")
				Eventually(ca.using).Should(Equal(""))
			}
			ip("-n", b, "link", "delete", "0pu")
			Eventually(ca.using).Should(Equal(""))
			Eventually(cb.using).Should(Equal("rehto"))
		}
	})

	It("in host mode never hears another interface, even if others in its namespace joined there", func() {
		a, b, c := namespace(), namespace(), namespace()
		wire(a, "up0", b, "0pu", 1)
		wire(a, "other", c, "rehto", 2)
		ca, busybody := startChild(a, host), startChild(a, bridge)
		cb, cc := startChild(b, bridge), startChild(c, bridge)
		Eventually(ca.using).Should(Equal("up0"))
		Eventually(busybody.using).Should(Equal("other,up0"))
		Eventually(cb.using).Should(Equal("0pu"))
		Eventually(cc.using).Should(Equal("rehto"))

		cc.send(3)
		Eventually(busybody.said).Should(ContainElement(heard("other", 3)))
		cb.send(2) // what was sent before would have been heard before
		Eventually(ca.said).Should(ContainElement(heard("up0", 2)))
		Expect(ca.said()).NotTo(ContainElement(heard("other", 3)))
		Expect(ca.said()).NotTo(ContainElement(ContainSubstring("dropped")), "the kernel does not even deliver it")

		ca.send(4)
		Eventually(cb.said).Should(ContainElement(heard("0pu", 4)))
		busybody.send(5) // by both
		Eventually(cc.said).Should(ContainElement(heard("rehto", 5)))
		Expect(cc.said()).NotTo(ContainElement(heard("rehto", 4)))
	})

	It("goes on with the other interfaces when one does not let it send", func() {
		a, b, c := namespace(), namespace(), namespace()
		wire(a, "ab", b, "ba", 1)
		wire(a, "ac", c, "ca", 2)
		ca, cb, cc := startChild(a, bridge), startChild(b, bridge), startChild(c, bridge)
		Eventually(ca.using).Should(Equal("ab,ac"))
		Eventually(cb.using).Should(Equal("ba"))
		Eventually(cc.using).Should(Equal("ca"))
		ip("-n", a, "route", "add", "prohibit", "239.192.16.16/32")
		ip("-n", a, "link", "set", "ab", "mtu", "68") // too small for IPv4 to care: EMSGSIZE at most
		ca.send(1)
		Eventually(cc.said).Should(ContainElement(heard("ca", 1)))
	})
})
