package interop_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const bridgeMode = "HANDOVER_NETWORK_MODE=bridge"

// untilQuiet is when an instance that knows of nobody has said the last word
// about its phase: from then on it speaks only once in every interval, unless
// something happens.
const untilQuiet = 1200 * time.Millisecond

var _ = Describe("On bridges", func() {
	It("one of several containers steps down, the one that is meant", func() {
		d := newDevice()
		a := d.run(d.network(), "a", bridgeMode)
		other := d.start(d.network(), "b", bridgeMode, "BALENA_SERVICE_NAME=worker")
		foreign := d.start(d.network(), "c", bridgeMode, "BALENA_APP_ID=1002")
		for _, i := range []*instance{a, other, foreign} {
			i.ready()
		}
		younger := d.run(d.network(), "d", bridgeMode)
		ready := younger.becomeReady()
		took("readiness to the old one's stop", ready, a.stopped())
		a.until("released")
		Expect(a.knows()).To(ConsistOf("dddddddddddd"))
		for _, i := range []*instance{other, foreign} {
			Expect(i.phase()).To(Equal("serving"))
			Expect(i.knows()).To(BeEmpty())
		}
		younger.until("serving")
	})

	It("an instance on two of them hears a peer on either, and is heard there", func() {
		d := newDevice()
		both := d.network()
		d.plug(both, "eth1", "br1")
		second := d.lonely()
		d.plug(second, "eth0", "br1")
		a := d.run(d.network(), "a", bridgeMode)
		a.ready()
		b := d.run(both, "b", bridgeMode)
		took("readiness to the old one's stop, the young one on both", b.ready(), a.stopped())
		c := d.run(second, "c", bridgeMode)
		took("readiness to the old one's stop, the old one on both", c.ready(), b.stopped())
		Eventually(b.knows, patience).Should(ConsistOf("aaaaaaaaaaaa", "cccccccccccc"))
		Eventually(a.knows, patience).Should(ConsistOf("bbbbbbbbbbbb"))
		Eventually(c.knows, patience).Should(ConsistOf("bbbbbbbbbbbb"))
	})

	// The network of the young one comes when both have said all that they had to
	// say; with a Supervisor, its list makes them speak on.
	DescribeTable("all is made up for when",
		func(before, come func(d *device, young namespace), extra ...string) {
			d := newDevice()
			extra = append(extra, bridgeMode)
			a := d.run(d.network(), "a", extra...)
			a.ready()
			two := d.lonely()
			before(d, two)
			b := d.run(two, "b", extra...)
			b.ready()
			Consistently(a.phase, untilQuiet, 50*time.Millisecond).Should(Equal("serving"))
			come(d, two)
			took("network to the old one's stop", time.Now(), a.stopped())
			a.until("released")
			b.until("serving")
		},
		Entry("an interface appears late", nothing, plug),
		Entry("an interface appears late, without a Supervisor", nothing, plug, noSupervisor),
		Entry("the carrier comes late", plugDead, revive),
		Entry("the carrier comes late, without a Supervisor", plugDead, revive, noSupervisor),
	)

	It("no route is needed, neither to the group nor by default", func() {
		d := newDevice()
		one := d.network()
		Expect(command("ip", "-n", string(one), "route", "get", group)).To(MatchError(ContainSubstring("unreachable")))
		a := d.run(one, "a", bridgeMode)
		a.ready()
		b := d.run(d.network(), "b", bridgeMode)
		took("readiness to the old one's stop", b.ready(), a.stopped())
	})

	It("loopback does, where there is nothing else", func() {
		d := newDevice()
		only := d.lonely()
		a := d.run(only, "a", bridgeMode)
		a.ready()
		b := d.run(only, "b", bridgeMode)
		took("readiness to the old one's stop", b.ready(), a.stopped())
	})

	// Each disturbs the network of one of the two for a while, has the young
	// one become ready meanwhile, makes sure that it is not heard where it cannot
	// be, and leaves the network whole.
	DescribeTable("a hand-over goes through, though an interface",
		func(disturb func(d *device, n namespace, port string, ready, unheard func()), supervisor string) {
			for _, whose := range []string{"the old one's", "the young one's"} {
				By(whose)
				d := newDevice()
				d.supervisor.listenOn(d.hub, bridgeSupervisor)
				one, two := d.lonely(), d.lonely()
				oldPort, youngPort := d.plug(one, "eth0", "br0"), d.plug(two, "eth0", "br0")
				a := d.run(one, "a", bridgeMode, "BALENA_SUPERVISOR_ADDRESS=http://"+supervisor)
				a.ready()
				b := d.run(two, "b", bridgeMode, "BALENA_SUPERVISOR_ADDRESS=http://"+supervisor)
				Eventually(a.knows, patience, 10*time.Millisecond).Should(ConsistOf("bbbbbbbbbbbb"))
				n, port := one, oldPort
				if whose == "the young one's" {
					n, port = two, youngPort
				}
				disturb(d, n, port, func() { b.ready() }, func() {
					Consistently(a.phase, 300*time.Millisecond, 50*time.Millisecond).Should(Equal("serving"))
				})
				took(whose+": network to the old one's stop", time.Now(), a.stopped())
				a.until("released")
				b.until("serving")
			}
		},
		Entry("goes down and up", func(_ *device, n namespace, _ string, ready, unheard func()) {
			downAndUp(n, ready, unheard)
		}, supervisorAddress),
		Entry("flaps", func(_ *device, n namespace, _ string, ready, unheard func()) {
			for range 20 {
				downAndUp(n)
			}
			downAndUp(n, ready, unheard)
		}, supervisorAddress),
		Entry("loses its carrier again and again", func(d *device, _ namespace, port string, ready, unheard func()) {
			for range 10 {
				cut(d, port)
			}
			cut(d, port, ready, unheard)
		}, supervisorAddress),
		Entry("loses its carrier, and the Supervisor with it", func(d *device, _ namespace, port string, ready, unheard func()) {
			cut(d, port, ready, unheard)
		}, bridgeSupervisor),
		Entry("is taken away and made again", func(d *device, n namespace, _ string, ready, unheard func()) {
			for round := range 5 {
				n.ip("link", "delete", "eth0")
				if round == 4 {
					ready()
					unheard()
				}
				d.plug(n, "eth0", "br0")
			}
		}, supervisorAddress),
		Entry("changes its address", func(_ *device, n namespace, _ string, ready, _ func()) {
			for round := range 5 {
				n.ip("address", "flush", "dev", "eth0")
				if round == 4 {
					ready() // and heard, if it is quicker than the old one's leaving the group
				}
				n.ip("address", "add", fmt.Sprintf("10.77.0.%d/24", 200+round), "dev", "eth0")
			}
		}, supervisorAddress),
	)

	It("an instance that is told to stop holds while the network is away, and hands over when it is back", func() {
		d := newDevice()
		one := d.lonely()
		port := d.plug(one, "eth0", "br0")
		a := d.run(one, "a", bridgeMode, "HANDOVER_SERVICE_STOP_GRACE_PERIOD=2m")
		a.ready()
		b := d.run(d.network(), "b", bridgeMode)
		Eventually(a.knows, patience, 10*time.Millisecond).Should(ConsistOf("bbbbbbbbbbbb"))
		cut(d, port, func() {
			a.term()
			b.ready()
			a.until("holding")
			Consistently(a.phase, 300*time.Millisecond, 50*time.Millisecond).Should(Equal("holding"))
		})
		took("network to the old one's stop", time.Now(), a.stopped())
		Expect(a.exit()).To(BeZero())
	})

	It("a hand-over goes through while an interface flaps", func() {
		d := newDevice()
		one := d.network()
		a := d.run(one, "a", bridgeMode)
		a.ready()
		b := d.run(d.network(), "b", bridgeMode)
		Eventually(a.knows, patience, 10*time.Millisecond).Should(ConsistOf("bbbbbbbbbbbb"))
		ready := b.becomeReady()
		for range 30 {
			downAndUp(one)
		}
		still := time.Now() // on a loaded machine all that takes a while, too
		AddReportEntry("readiness to the old one's stop", a.stopped().Sub(ready).Round(time.Millisecond).String())
		took("the end of the flapping to the old one's stop", still, a.stopped())
	})
})

// noSupervisor leaves the decision to announcements.
const noSupervisor = "HANDOVER_SUPERVISOR_MODE=off"

func nothing(*device, namespace) {}

func plug(d *device, n namespace) { d.plug(n, "eth0", "br0") }

// plugDead plugs an interface whose other end is down, revive takes that up.
func plugDead(d *device, n namespace) { d.hub.ip("link", "set", d.plug(n, "eth0", "br0"), "down") }

func revive(d *device, _ namespace) { d.hub.ip("link", "set", d.lastPort(), "up") }

// bridgeSupervisor is where a Supervisor answers on br0.
const bridgeSupervisor = "10.77.0.1:48484"

func downAndUp(n namespace, meanwhile ...func()) {
	n.ip("link", "set", "eth0", "down")
	for _, f := range meanwhile {
		f()
	}
	n.ip("link", "set", "eth0", "up")
}

// cut takes the carrier away: the interface itself stays up.
func cut(d *device, port string, meanwhile ...func()) {
	d.hub.ip("link", "set", port, "down")
	for _, f := range meanwhile {
		f()
	}
	d.hub.ip("link", "set", port, "up")
}
