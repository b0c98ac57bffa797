package stories_test

import (
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/peer"

	"github.com/handover-controller/handover/controller/decide"
)

// soon is well above the latencies of network and Supervisor, and below what
// the guarantees allow.
const soon = 300 * time.Millisecond

// beginsOld starts the old container and lets it serve for a while.
func beginsOld(d *device, p plan) *container {
	a := d.start("a", p)
	d.wait(p.readyAfter + 20*time.Second)
	Expect(d.serving()).To(Equal([]string{"a"}))
	return a
}

var _ = Describe("A Supervisor that waits (up to 14.13.9)", func() {
	story("hands over once the younger one is announced and running, and writes the marker after the release", func(d *device) {
		a := beginsOld(d, plan{drains: 2 * time.Second})
		b := d.start("b", plan{readyAfter: 5 * time.Second})
		d.wait(4900 * time.Millisecond)
		Expect(a.phase()).To(Equal("serving"))
		d.wait(100*time.Millisecond + soon)
		Expect(a.phase()).To(Equal("draining"))
		Expect(d.hasMarker()).To(BeFalse(), "the workload has not ended")
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(d.hasMarker()).To(BeTrue())
		Expect(d.serving()).To(Equal([]string{"b"}))

		By("staying until it is told")
		d.wait(time.Hour)
		Expect(a.phase()).To(Equal("released"))
		a.term()
		d.wait(soon)
		Expect(a.phase()).To(Equal("ended"))
		Expect(a.code).To(Equal(0))
		Expect(d.hasMarker()).To(BeFalse(), "its writer removes it when it is told")
		Expect(b.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})

	story("never steps down for an announcement alone", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		b.set("Installed")
		d.wait(time.Hour)
		Expect(a.phase()).To(Equal("serving"))
		Expect(b.phase()).To(Equal("serving"))

		By("being reported as running later")
		b.set("Running")
		d.wait(d.policy.PollInterval + latency + soon)
		Expect(a.phase()).To(Equal("released"))
		d.expectNoOutage()
	})

	story("never steps down for a running container alone", func(d *device) {
		a := beginsOld(d, plan{})
		d.create("b").set("Running") // says nothing
		d.start("c", plan{readyAfter: -1})
		d.wait(time.Hour)
		Expect(a.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})

	story("does not step down while the Supervisor is away, and does soon after it answers", func(d *device) {
		a := beginsOld(d, plan{})
		d.breaks(errDown)
		d.start("b", plan{})
		d.wait(10 * time.Minute)
		Expect(a.phase()).To(Equal("serving"))
		Expect(a.state().Reason).To(Equal(decide.ReasonYoungerUnknown))
		d.breaks(nil)
		d.wait(31 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		d.expectNoOutage()
	})

	story("hands over by announcements alone when the Supervisor is switched off", func(d *device) {
		d.policy.SupervisorOff = true
		a := beginsOld(d, plan{})
		d.start("b", plan{readyAfter: time.Second})
		d.wait(time.Second + soon)
		Expect(a.phase()).To(Equal("released"))
		Expect(d.requested()).To(BeZero())
		d.expectNoOutage()
	})

	story("drains within the time-out, then kills", func(d *device) {
		a := beginsOld(d, plan{hangs: true})
		d.start("b", plan{})
		d.wait(29 * time.Second)
		Expect(a.phase()).To(Equal("draining"))
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		d.expectNoOutage()
	})

	story("a younger one that crashes after the release is followed at once, and trusted only after ten seconds", func(d *device) {
		a := beginsOld(d, plan{readyAfter: 500 * time.Millisecond})
		b := d.start("b", plan{})
		d.wait(soon)
		Expect(a.phase()).To(Equal("released"))
		b.workload.exit(1)
		d.wait(time.Second)
		Expect(d.serving()).To(Equal([]string{"a"}))
		b.run(plan{})
		d.wait(9 * time.Second)
		Expect(a.phase()).To(Equal("serving"))
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(b.phase()).To(Equal("serving"))
	})

	story("a younger one that is killed without a word is followed after ten seconds of silence", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		d.breaks(errDown)
		b.kill()
		d.wait(9 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("serving"))
	})

	story("a younger one that is removed is followed as soon as the list says so", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(5 * time.Second)
		b.kill()
		b.remove()
		d.wait(4 * time.Second)
		Expect(a.phase()).To(Equal("serving"))
		Expect(d.hasMarker()).To(BeFalse())
	})

	story("a younger one that is not ready any more is followed when its probes would have failed often enough", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(5 * time.Second)
		b.workload.lose(true)
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("released"))
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("serving"))
	})

	story("a younger one that is killed again and again before it is ready does not hold the service", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(3 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		for range 5 {
			b.kill()
			b.run(plan{readyAfter: -1})
			d.wait(1200 * time.Millisecond)
		}
		Expect(d.serving()).To(Equal([]string{"a"}))
	})

	story("a settle time goes on while the Supervisor is away for a moment", func(d *device) {
		d.policy.Settle = 30 * time.Second
		a := beginsOld(d, plan{})
		d.start("b", plan{})
		d.wait(10 * time.Second)
		d.breaks(errDown)
		d.wait(10 * time.Second)
		d.breaks(nil)
		d.wait(12 * time.Second)
		Expect(a.phase()).To(Equal("released"))
	})

	story("a marker is removed after a peer was lost, also if the first request fails", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: -1})
		d.wait(time.Second)
		_ = markerOf{b}.Write()
		d.breaks(errDown)
		b.workload.exit(1)
		d.wait(time.Second)
		b.remove()
		d.breaks(nil)
		d.wait(time.Minute)
		Expect(a.phase()).To(Equal("serving"))
		Expect(d.hasMarker()).To(BeFalse())
	})

	story("a crash loop of the younger one never takes the service away for long", func(d *device) {
		a := beginsOld(d, plan{})
		dies := plan{crashes: slices.Repeat([]time.Duration{700 * time.Millisecond}, 100)}
		b := d.start("b", dies)
		for range 20 { // from the second time on, each lasts until it is ten seconds old, or crashes after that
			<-b.over
			d.wait(300 * time.Millisecond)
			b.run(dies)
		}
		Expect(a.phase()).To(Equal("serving"), "after the first time it trusts nobody who does not last")
		d.mu.Lock()
		defer d.mu.Unlock()
		Expect(len(d.unserved)).To(BeNumerically("<=", 1))
	})
})

var _ = Describe("A Supervisor that does not wait (14.13.10 and later)", func() {
	// update starts the new container and sends the old one SIGTERM 25 ms later.
	update := func(d *device, a *container, letter string, p plan) *container {
		b := d.start(letter, p)
		d.wait(25 * time.Millisecond)
		a.term()
		return b
	}

	story("holds until the younger one serves, drains and ends with 0", func(d *device) {
		a := beginsOld(d, plan{drains: time.Second})
		b := update(d, a, "b", plan{readyAfter: 5 * time.Second})
		d.wait(4900 * time.Millisecond)
		Expect(a.phase()).To(Equal("holding"))
		Expect(d.serving()).To(Equal([]string{"a"}))
		d.wait(soon)
		Expect(a.phase()).To(Equal("draining"))
		d.wait(time.Second + soon)
		Expect(a.phase()).To(Equal("ended"))
		Expect(a.code).To(Equal(0))
		Expect(b.phase()).To(Equal("serving"))
		Expect(d.marked()).To(BeEmpty(), "no marker after a SIGTERM")
		d.expectNoOutage()
	})

	story("ends the hold in time if the younger one is never ready", func(d *device) {
		a := beginsOld(d, plan{drains: 2 * time.Second})
		update(d, a, "b", plan{readyAfter: -1})
		d.wait(6400 * time.Millisecond)
		Expect(a.phase()).To(Equal("holding"))
		d.wait(200 * time.Millisecond)
		Expect(a.phase()).To(Equal("draining"))
		Expect(a.state().Reason).To(Equal(decide.ReasonHoldEnded))
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(d.marked()).To(BeEmpty())
	})

	story("is over before SIGKILL even if the workload ignores its stop signal", func(d *device) {
		a := beginsOld(d, plan{hangs: true})
		update(d, a, "b", plan{readyAfter: -1})
		d.wait(9600 * time.Millisecond)
		Expect(a.phase()).To(Equal("ended"))
		Expect(a.code).To(Equal(137))
		Expect(d.marked()).To(BeEmpty(), "nobody was killed from outside")
	})

	story("holds through a rotated key, and trusts the acknowledgement after a third of the hold", func(d *device) {
		a := beginsOld(d, plan{})
		d.breaks(errRotated)
		update(d, a, "b", plan{readyAfter: time.Second})
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("holding"))
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("ended"))
		d.expectNoOutage()
	})

	story("a key that was rotated stays so when the Supervisor is away after that", func(d *device) {
		a := beginsOld(d, plan{})
		d.breaks(errRotated)
		a.term()
		d.wait(1500 * time.Millisecond)
		d.breaks(errDown)
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("holding"))
	})

	story("counts the grace period from the signal, however busy it was", func(d *device) {
		a := d.start("a", plan{hangs: true, startTakes: time.Second})
		d.wait(100 * time.Millisecond)
		a.term()
		d.start("b", plan{readyAfter: -1})
		d.wait(11 * time.Second)
		Expect(d.marked()).NotTo(ContainElement("a was killed"))
	})

	story("holds to the end through a rotated key without hearing anybody", func(d *device) {
		a := beginsOld(d, plan{})
		d.breaks(errRotated)
		a.term()
		d.wait(6 * time.Second)
		Expect(a.phase()).To(Equal("holding"))
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("hands over to the same release, and to an older one: release ids do not count", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.create("b")
		b.image = a.image
		b.run(plan{readyAfter: time.Second})
		a.term()
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		c := d.create("c")
		c.image = a.image - 7
		c.run(plan{readyAfter: time.Second})
		b.term()
		d.wait(2 * time.Second)
		Expect(b.phase()).To(Equal("ended"))
		Expect(d.serving()).To(Equal([]string{"c"}))
		d.expectNoOutage()
	})

	story("a clock that is set back does not matter", func(d *device) {
		a := beginsOld(d, plan{})
		d.clock = -24 * time.Hour
		b := update(d, a, "b", plan{readyAfter: time.Second})
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})

	story("a target that goes back in the middle: the younger one holds for the older one", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: 3 * time.Second})
		d.wait(time.Second)
		b.term() // the Supervisor changed its mind
		d.wait(soon)
		Expect(b.phase()).To(Equal("ended"))
		Expect(a.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})

	story("a target that goes back after the release: the older one serves again first", func(d *device) {
		a := beginsOld(d, plan{readyAfter: 2 * time.Second})
		b := d.start("b", plan{})
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		b.term()
		d.wait(soon)
		Expect(a.phase()).To(Equal("starting"))
		Expect(b.phase()).To(Equal("holding"))
		d.wait(2 * time.Second)
		Expect(b.phase()).To(Equal("ended"))
		Expect(d.serving()).To(Equal([]string{"a"}))
		d.expectNoOutage()
	})

	story("a second update during the first one", func(d *device) {
		a := beginsOld(d, plan{drains: time.Second})
		b := update(d, a, "b", plan{readyAfter: 4 * time.Second})
		d.wait(time.Second)
		c := d.start("c", plan{readyAfter: 3 * time.Second})
		b.term()
		d.wait(2900 * time.Millisecond)
		Expect(d.serving()).To(ContainElement("a"))
		d.wait(3 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("ended"))
		Expect(c.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})

	story("does not step down for one that is told at the same moment", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: time.Second})
		d.wait(time.Second)
		b.term() // as it becomes ready
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("serving"))
		Expect(b.phase()).To(Equal("ended"))
		d.expectNoOutage()
	})
})

var _ = Describe("A plain stop", func() {
	story("drains as soon as the Supervisor has answered", func(d *device) {
		a := beginsOld(d, plan{drains: time.Second})
		a.term()
		d.wait(200 * time.Millisecond)
		Expect(a.phase()).To(Equal("draining"))
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("takes policy.discovery while nobody answers", func(d *device) {
		a := beginsOld(d, plan{})
		d.breaks(errDown)
		a.term()
		d.wait(2900 * time.Millisecond)
		Expect(a.phase()).To(Equal("holding"))
		d.wait(200 * time.Millisecond)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("of the whole device holds nobody up", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: -1})
		d.wait(time.Second)
		a.term()
		d.wait(50 * time.Millisecond)
		b.term()
		d.wait(500 * time.Millisecond)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("ended"))
	})

	story("of an instance that does not know its container", func(d *device) {
		a := d.start("a", plan{anonymous: true})
		d.wait(10 * time.Second)
		a.term()
		d.wait(500 * time.Millisecond)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("asked for twice ends a hold in time for docker stop's own time-out", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		d.start("b", plan{readyAfter: -1})
		d.wait(time.Second)
		a.term()
		d.wait(time.Second)
		a.controller.Tell()
		d.wait(6400 * time.Millisecond)
		Expect(a.phase()).To(Equal("holding"))
		d.wait(200 * time.Millisecond)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("asked for twice while nobody is known ends at once", func(d *device) {
		d.policy.SupervisorOff = true
		a := beginsOld(d, plan{})
		a.term()
		d.wait(50 * time.Millisecond)
		Expect(a.phase()).To(Equal("holding"))
		a.controller.Tell()
		d.wait(soon)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("asked for three times, or interrupted, ends a hold at once", func(d *device) {
		for _, again := range []func(*controller.Controller){
			func(c *controller.Controller) { c.Tell(); c.Tell() },
			(*controller.Controller).Interrupt,
		} {
			a := beginsOld(d, plan{})
			b := d.start("b", plan{readyAfter: -1})
			d.wait(time.Second)
			a.term()
			d.wait(time.Second)
			Expect(a.phase()).To(Equal("holding"))
			again(a.controller)
			d.wait(soon)
			Expect(a.phase()).To(Equal("ended"))
			b.kill()
			a.remove()
			b.remove()
		}
	})

	story("repeated by a Supervisor that was away between two polls only changes nothing", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		d.start("b", plan{readyAfter: 20 * time.Second})
		d.wait(time.Second)
		a.term()
		d.wait(time.Second)
		asked := d.requested()
		for d.requested() == asked {
			d.wait(10 * time.Millisecond)
		}
		d.breaks(errDown)
		d.wait(600 * time.Millisecond)
		d.breaks(nil)
		Expect(d.requested()).To(Equal(asked+1), "no poll has seen it")
		d.wait(200 * time.Millisecond)
		a.controller.Tell()
		d.wait(20 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(d.serving()).To(Equal([]string{"b"}))
		d.expectNoOutage()
	})

	story("repeated by a Supervisor that was restarted changes nothing", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		d.start("b", plan{readyAfter: 20 * time.Second})
		d.wait(time.Second)
		a.term()
		for range 2 {
			d.wait(time.Second)
			d.breaks(errDown)
			d.wait(3 * time.Second)
			d.breaks(nil)
			d.wait(250 * time.Millisecond)
			a.controller.Tell()
		}
		d.wait(20 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(d.serving()).To(Equal([]string{"b"}))
		d.expectNoOutage()
	})
})

var _ = Describe("A container that is started again", func() {
	story("steps aside if a younger one serves: the old one, killed by accident", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("released"))
		a.kill()
		a.run(plan{})
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(a.state().Reason).To(Equal(decide.ReasonSteppedAside))
		Expect(a.workload.State().Run).To(BeZero(), "its workload was never started")
		Expect(b.phase()).To(Equal("serving"))
		d.wait(time.Hour)
		Expect(d.serving()).To(Equal([]string{"b"}))
		d.expectNoOutage()
	})

	story("serves if the younger one does not", func(d *device) {
		a := beginsOld(d, plan{})
		d.start("b", plan{readyAfter: -1})
		d.wait(time.Second)
		a.kill()
		a.run(plan{})
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("serving"))
	})

	story("after a reboot with both containers the younger one serves, and no marker is written", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(time.Second)
		a.kill()
		b.kill()
		d.reboots("22222222-2222-2222-2222-222222222222")
		a.run(plan{readyAfter: 2 * time.Second})
		b.run(plan{readyAfter: 2 * time.Second})
		d.wait(10 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(b.phase()).To(Equal("serving"))
		Expect(d.marked()).To(BeEmpty())
		d.wait(time.Hour)
		Expect(d.serving()).To(Equal([]string{"b"}))
		d.expectNoOutage()
	})

	story("without a record of its first start is ordered by the time of creation", func(d *device) {
		a := d.start("a", plan{unreadable: true})
		d.wait(20 * time.Second)
		b := d.start("b", plan{unreadable: true})
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(b.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})
})

var _ = Describe("Others on the network", func() {
	story("another service's handover-lib touches nobody, and does not keep the Supervisor busy", func(d *device) {
		a := beginsOld(d, plan{})
		other := d.legacyPeer()
		defer func() { _ = other.Close() }()
		before := d.requested()
		d.wait(time.Hour)
		Expect(a.phase()).To(Equal("serving"))
		Expect(d.requested() - before).To(BeNumerically("<=", 2))
		Expect(other.Crashed()).NotTo(HaveOccurred())
		a.term()
		d.wait(500 * time.Millisecond)
		Expect(a.phase()).To(Equal("ended"), "it is no successor")
	})

	story("a handover-lib successor in a container of this service takes over", func(d *device) {
		a := beginsOld(d, plan{drains: time.Second})
		b := d.create("b")
		b.set("Running")
		d.wait(time.Second)
		peer := d.legacyPeer()
		defer func() { _ = peer.Close() }()
		d.wait(3 * time.Second)
		Expect(a.phase()).To(Equal("serving"))
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(d.hasMarker()).To(BeTrue())
	})

	story("a handover-lib predecessor is ended by this one as soon as it serves, not before", func(d *device) {
		old := d.legacyPeer()
		defer func() { _ = old.Close() }()
		d.wait(10 * time.Second)
		d.start("b", plan{readyAfter: 5 * time.Second})
		d.wait(4900 * time.Millisecond)
		Expect(old.ShuttingDown()).To(BeZero())
		d.wait(soon)
		Expect(old.ShuttingDown()).NotTo(BeZero())
		Expect(old.Crashed()).NotTo(HaveOccurred())
	})

	story("the same service on another device of the LAN touches nobody", func(d *device) {
		a := beginsOld(d, plan{})
		neighbour, err := peer.Start(peer.Config{
			Self: peer.Identity{
				Instance: peer.NewInstanceID(), Container: "bbbbbbbbbbbb",
				FirstStart: peer.FirstStart{Boot: peer.BootHash("33333333-3333-3333-3333-333333333333"), Since: time.Hour},
			},
			Domain: peer.NewDomain("33333333-3333-3333-3333-333333333333", app, service),
			Ways:   []peer.Way{d.network.Attach("neighbour")},
		})
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = neighbour.Close(canceled()) }()
		neighbour.Say(peer.Statement{Phase: peer.PhaseServing, Eager: true})
		d.create("b").set("Running")
		d.wait(10 * time.Minute)
		Expect(a.phase()).To(Equal("serving"))
		Expect(a.state().Peers).To(BeEmpty())
	})

	story("somebody who changes phase all the time costs the Supervisor one request a second, and nobody the service", func(d *device) {
		a := beginsOld(d, plan{})
		forger, err := peer.Start(peer.Config{
			Self: peer.Identity{
				Instance: peer.NewInstanceID(), Container: "cccccccccccc",
				FirstStart: peer.FirstStart{Boot: peer.BootHash(d.boot), Since: time.Hour},
			},
			Domain: peer.NewDomain(d.boot, app, service), Ways: []peer.Way{d.network.Attach("forger")},
			Uptime: d.uptime,
		})
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = forger.Close(canceled()) }()
		before := d.requested()
		for range 600 {
			forger.Say(peer.Statement{Phase: peer.PhaseStarting})
			d.wait(50 * time.Millisecond)
			forger.Say(peer.Statement{Phase: peer.PhaseServing})
			d.wait(50 * time.Millisecond)
		}
		Expect(d.requested() - before).To(BeNumerically("~", 60, 10))
		Expect(len(a.state().Events)).To(BeNumerically("<", 60), "nor do they fill the log")
		Expect(a.phase()).To(Equal("serving"))
	})

	story("one failed request does not leave two serving that do not know who is younger", func(d *device) {
		a := d.start("a", plan{unreadable: true})
		d.wait(20 * time.Second)
		d.breaks(errDown)
		b := d.start("b", plan{unreadable: true})
		d.wait(3 * time.Second)
		d.breaks(nil)
		d.wait(time.Minute)
		Expect(a.phase()).To(Equal("released"))
		Expect(b.phase()).To(Equal("serving"))
	})

	story("nor does an answer that lists the new container too late", func(d *device) {
		a := d.start("a", plan{unreadable: true})
		d.wait(20 * time.Second)
		b := d.start("b", plan{unreadable: true})
		b.hide(true)
		d.wait(time.Second)
		b.hide(false)
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("released"))
	})

	story("half of all datagrams lost delays the end of the old one by a second at most", func(d *device) {
		d.network.Set(lossy(0.5))
		for n, letter := range []string{"a", "b", "c", "d", "e", "f"} {
			old := n - 1
			next := d.start(letter, plan{})
			if old >= 0 {
				d.wait(25 * time.Millisecond)
				d.containers[old].term()
				d.wait(time.Second)
				Expect(d.containers[old].phase()).To(Equal("ended"))
			}
			d.wait(20 * time.Second)
			Expect(next.phase()).To(Equal("serving"))
		}
		d.expectNoOutage()
	})

	story("a partition that heals leaves one serving", func(d *device) {
		a := beginsOld(d, plan{})
		d.network.Partition([]string{"a"}, []string{"b"})
		b := d.start("b", plan{})
		d.wait(5 * time.Minute)
		Expect(d.serving()).To(Equal([]string{"a", "b"}))
		d.network.Heal()
		d.wait(15 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(b.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})
})
