package stories_test

import (
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/peer"

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

var _ = Describe("An old instance that is disturbed in the middle", func() {
	story("does not take the time in which it did not run for silence", func(d *device) {
		var until atomic.Int64
		d.peers = func(n *peer.Node) controller.Peers { return stopped{n, &until} }
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		d.peers = nil
		d.breaks(errDown)
		a.term()
		d.wait(50 * time.Millisecond)
		until.Store(time.Now().Add(3500 * time.Millisecond).UnixNano())
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
	story("stays until it is ten seconds old, from its second try on", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		b := d.start("b", plan{readyAfter: -1})
		a.term()
		d.wait(time.Second)
		b.workload.exit(3)
		d.wait(soon)
		Expect(b.phase()).To(Equal("ended"), "the first time it is tried again at once")
		b.run(plan{readyAfter: -1})
		d.wait(time.Second)
		b.workload.exit(3)
		d.wait(8 * time.Second)
		Expect(b.phase()).To(Equal("starting"))
		Expect(string(b.state().Reason)).To(Equal("EndedEarly"))
		d.wait(2 * time.Second)
		Expect(b.phase()).To(Equal("ended"))
		Expect(b.code).To(Equal(3))
		Expect(a.phase()).To(Equal("holding"))
	})
})
