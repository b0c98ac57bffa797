package stories_test

import (
	"slices"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"

	"github.com/handover-controller/handover/controller/decide"
)

func graceOf(d time.Duration) func(*decide.Policy) {
	return func(p *decide.Policy) { p.StopGracePeriod = d }
}

// stopped stands between a controller and its node: while it is stopped, the loop
// does not go on, and what arrives waits.
type stopped struct {
	*peer.Node
	until *atomic.Int64 // Unix nanoseconds
}

func (s stopped) Peers() []peer.Peer {
	if d := time.Until(time.Unix(0, s.until.Load())); d > 0 {
		time.Sleep(d)
	}
	return s.Node.Peers()
}

// beginsFrozen begins with an old instance that has 60 s to end, and no Supervisor. It
// does not run for as long as stops says.
func beginsFrozen(d *device) (a *container, stops func(time.Duration)) {
	var until atomic.Int64
	d.peers = func(n *peer.Node) controller.Peers { return stopped{n, &until} }
	a = beginsOld(d, plan{policy: graceOf(time.Minute)})
	d.peers = nil
	d.breaks(errDown)
	return a, func(t time.Duration) { until.Store(time.Now().Add(t).UnixNano()) }
}

var _ = Describe("An old instance that is disturbed in the middle", func() {
	story("does not take the time in which it did not run for silence", func(d *device) {
		a, stops := beginsFrozen(d)
		a.term()
		d.wait(50 * time.Millisecond)
		stops(3500 * time.Millisecond)
		d.wait(3400 * time.Millisecond)
		b := d.start("b", plan{readyAfter: 10 * time.Second})
		d.wait(10 * time.Second)
		Expect(a.phase()).To(Equal("holding"))
		d.breaks(nil)
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})

	story("measures silence anew after the last of two times in which it did not run", func(d *device) {
		a, stops := beginsFrozen(d)
		a.term()
		d.wait(50 * time.Millisecond)
		for _, t := range []time.Duration{3500 * time.Millisecond, 600 * time.Millisecond} {
			stops(t)
			d.wait(t + 20*time.Millisecond)
		}
		d.wait(900 * time.Millisecond)
		Expect(a.phase()).To(Equal("holding"))
		d.wait(200 * time.Millisecond)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("takes a drain back when the new one dies before the stop signal", func(d *device) {
		delay := func(p *decide.Policy) { p.DrainDelay, p.StopGracePeriod = 3*time.Second, time.Minute }
		a := beginsOld(d, plan{policy: delay})
		b := d.start("b", plan{readyAfter: time.Second})
		a.term()
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("draining"))
		b.workload.exit(1)
		d.wait(100 * time.Millisecond)
		Expect(a.phase()).To(Equal("holding"))
		Expect(a.state().Workload.Ready).To(BeTrue())
		b.run(plan{readyAfter: time.Second})
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(d.serving()).To(Equal([]string{"b"}))
		d.expectNoOutage()
	})

	story("serves on when the new one is killed by hand, and is not started again", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(30 * time.Second)})
		b := d.start("b", plan{readyAfter: 5 * time.Second})
		a.term()
		d.wait(3 * time.Second)
		b.kill()
		b.set("exited")
		d.wait(20 * time.Second)
		Expect(a.phase()).To(Equal("holding"))
		Expect(string(a.state().Reason)).To(Equal("SuccessorLost"))
		d.wait(4 * time.Second)
		Expect(a.phase()).To(Equal("ended"), "the hold is over")
	})

	story("asks again beside a request that hangs", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		d.hangs(1)
		b := d.create("b") // listed, and not heard: it has another secret, for example
		b.set("Running")
		a.term()
		d.wait(20 * time.Second)
		Expect(a.phase()).To(Equal("holding"))
	})

	for _, hung := range []time.Duration{2200 * time.Millisecond, 2700 * time.Millisecond, 8 * time.Second} {
		story("finds a successor that is only listed, although what it asked within "+hung.String()+" is never answered", func(d *device) {
			a := beginsOld(d, plan{policy: graceOf(time.Minute)})
			d.create("b").set("Running")
			d.hangs(1000)
			a.term()
			d.wait(hung)
			d.hangs(0)
			d.wait(1200 * time.Millisecond)
			Expect(a.phase()).To(Equal("holding"))
			Expect(string(a.state().Reason)).To(Equal("Holding"), "it has been told since")
			Expect(d.mostAtOnce()).To(BeNumerically("<=", 3))
		})
	}

	story("stops soon when the Supervisor lives and its answers are useless", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		d.refuses(&supervisor.Error{Op: "view", Kind: supervisor.KindServer, StatusCode: 500})
		a.term()
		d.wait(4 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("hears a Supervisor that takes four seconds to answer", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		d.create("b").set("Running")
		d.slow = 4 * time.Second
		a.term()
		d.wait(5 * time.Second)
		Expect(string(a.state().Reason)).To(Equal("Holding"))
	})

	story("hands over although each answer takes longer than two poll intervals", func(d *device) {
		d.slow = 2200 * time.Millisecond
		a := beginsOld(d, plan{policy: graceOf(30 * time.Second)})
		b := d.start("b", plan{readyAfter: time.Second})
		a.term()
		d.wait(8 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})

	story("does not ask a Supervisor that answers slowly more than three times at once", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(30 * time.Second)})
		d.create("b").set("Running")
		d.hangs(1000)
		a.term()
		d.wait(20 * time.Second)
		Expect(d.mostAtOnce()).To(And(BeNumerically(">", 1), BeNumerically("<=", 3)))
	})
})

var _ = Describe("A new instance in a crash loop beside an old one", func() {
	story("stays until it is ten seconds old, from its second try on, and tries again and again", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		b := d.start("b", plan{readyAfter: -1, crashes: []time.Duration{time.Second}})
		a.term()
		d.wait(time.Second + soon)
		Expect(b.phase()).To(Equal("ended"), "the first time it is tried again at once")
		b.run(plan{readyAfter: -1, crashes: slices.Repeat([]time.Duration{100 * time.Millisecond}, 100)})
		d.wait(9 * time.Second)
		Expect(b.phase()).To(Equal("starting"))
		Expect(string(b.state().Reason)).To(Equal("EndedEarly"))
		Expect(b.workload.State().Run).To(BeNumerically("~", 7, 1), "its pauses grow")
		d.wait(2 * time.Second)
		Expect(b.phase()).To(Equal("ended"))
		Expect(b.code).To(Equal(3))
		Expect(a.phase()).To(Equal("holding"))
	})

	story("takes over within a hold of the default length, if its third try succeeds", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: time.Second, crashes: []time.Duration{200 * time.Millisecond}})
		a.term()
		d.wait(300 * time.Millisecond)
		b.run(plan{readyAfter: time.Second, crashes: []time.Duration{200 * time.Millisecond}})
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("serving"))
		d.expectNoOutage()
	})

	story("starts again at once when the old one ends", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		b := d.start("b", plan{readyAfter: -1, crashes: []time.Duration{10 * time.Millisecond}})
		d.wait(100 * time.Millisecond)
		b.run(plan{readyAfter: 0, crashes: slices.Repeat([]time.Duration{time.Millisecond}, 6)})
		d.wait(3500 * time.Millisecond) // in its pause of 3.2 s
		Expect(string(b.state().Reason)).To(Equal("EndedEarly"))
		Expect(b.state().Workload.Ready).To(BeFalse())
		a.term()
		a.controller.Interrupt()
		d.wait(soon)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("serving"))
	})
})

var _ = Describe("An old instance whose workload crashes while it holds", func() {
	story("starts it again, as often as the engine would", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		b := d.start("b", plan{readyAfter: 20 * time.Second})
		a.term()
		d.wait(3 * time.Second)
		a.workload.exit(7)
		d.wait(90 * time.Millisecond)
		Expect(d.serving()).To(BeEmpty())
		Expect(a.phase()).To(Equal("holding"))
		Expect(string(a.state().Reason)).To(Equal("WorkloadCrashed"))
		d.wait(20 * time.Millisecond)
		Expect(d.serving()).To(Equal([]string{"a"}))
		a.workload.exit(7)
		d.wait(190 * time.Millisecond)
		Expect(d.serving()).To(BeEmpty())
		d.wait(20 * time.Millisecond)
		Expect(d.serving()).To(Equal([]string{"a"}))
		d.wait(20 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(a.code).To(BeZero())
		Expect(b.phase()).To(Equal("serving"))
	})

	story("ends with its status where the successor serves by then", func(d *device) {
		a := beginsOld(d, plan{policy: func(p *decide.Policy) { p.StopGracePeriod, p.Settle = time.Minute, 0 }})
		b := d.start("b", plan{readyAfter: 3 * time.Second})
		a.term()
		d.wait(2950 * time.Millisecond)
		a.workload.exit(7)
		d.wait(soon + 50*time.Millisecond)
		Expect(a.phase()).To(Equal("ended"))
		Expect(a.code).To(Equal(7))
		Expect(b.phase()).To(Equal("serving"))
	})
})
