package stories_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/peer"

	"github.com/handover-controller/handover/controller/decide"
)

var _ = Describe("Take-back", func() {
	standby := func(d *device) { d.policy.Standby = 30 * time.Second }

	story("takes the service back as soon as the younger one does not serve, and the marker waits for its end", func(d *device) {
		standby(d)
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(a.state().Reason).To(Equal(decide.ReasonStandby))
		b.workload.lose(true)
		d.wait(soon)
		Expect(d.serving()).To(Equal([]string{"a"}))

		By("trusting it only after ten seconds then")
		b.workload.lose(false)
		d.wait(9 * time.Second)
		Expect(a.phase()).To(Equal("serving"))
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(d.serving()).To(Equal([]string{"b"}))
		d.wait(28 * time.Second)
		Expect(d.marked()).NotTo(ContainElement("a wrote"))
		d.wait(2 * time.Second)
		Expect(d.marked()).To(ContainElement("a wrote"))
		Expect(a.state().Reason).To(Equal(decide.ReasonReleased))
	})

	story("takes it back after SIGTERM, and holds until the younger one serves again", func(d *device) {
		standby(d)
		d.policy.StopGracePeriod = 20 * time.Second
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: time.Second})
		a.term()
		d.wait(2 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(a.alive()).To(BeTrue())
		b.restarts = true
		b.workload.exit(1)
		d.wait(soon)
		Expect(a.phase()).To(Equal("holding"))
		Expect(d.serving()).To(Equal([]string{"a"}))
		b.run(plan{readyAfter: 2 * time.Second})
		d.wait(2*time.Second + soon)
		Expect(d.serving()).To(Equal([]string{"b"}))
		d.wait(20 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(a.code).To(BeZero())
		Expect(d.marked()).NotTo(ContainElement(ContainSubstring("killed")))
		Expect(d.serving()).To(Equal([]string{"b"}))
	})

	story("does not hold up a device that stops", func(d *device) {
		standby(d)
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		a.term()
		b.term()
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("ended"))
	})
})

var _ = Describe("Exclusive workloads", func() {
	exclusive := func(d *device) {
		d.policy.Exclusive = true
		d.lock = &lock{}
	}

	for _, told := range []bool{false, true} {
		name := "pass the resource on when the younger one is prepared"
		if told {
			name += ", also after SIGTERM"
		}
		story(name, func(d *device) {
			exclusive(d)
			a := beginsOld(d, plan{drains: 2 * time.Second})
			fail := errors.New("no such device")
			tries := 0
			b := d.start("b", plan{readyAfter: 3 * time.Second, preflight: func(context.Context) error {
				if tries++; tries < 3 {
					return fail
				}
				return nil
			}})
			if told {
				a.term()
			}
			d.wait(time.Second - soon)
			Expect(b.phase()).To(Equal("starting"))
			Expect(b.state().Reason).To(Equal(decide.ReasonPreflight))
			d.wait(2*time.Second + 2*soon)
			Expect(tries).To(Equal(3))
			Expect(b.phase()).To(Equal("prepared"))
			Expect(a.phase()).To(Equal("draining"))
			d.wait(2 * time.Second)
			Expect(b.phase()).To(Equal("prepared"))
			Expect(d.running).To(HaveKey(b))
			d.wait(3 * time.Second)
			Expect(b.phase()).To(Equal("serving"))
			Expect(d.crowded).To(BeEmpty())
			Expect(d.longest).To(BeNumerically("<", 20*time.Millisecond), "between the old workload's end and the new one's start")
			Expect(d.marked()).NotTo(ContainElement(ContainSubstring("killed")))
			if told {
				Expect(a.phase()).To(Equal("ended"))
				Expect(a.code).To(BeZero())
			} else {
				Expect(d.hasMarker()).To(BeTrue())
			}
		})
	}

	story("get the resource back when the younger one fails", func(d *device) {
		exclusive(d)
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: -1})
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("released"))
		Expect(d.hasMarker()).To(BeFalse(), "it never served")
		b.workload.exit(1)
		d.wait(soon)
		Expect(d.serving()).To(Equal([]string{"a"}))
		Expect(d.crowded).To(BeEmpty())
	})

	story("get it back after SIGTERM, with take-back", func(d *device) {
		exclusive(d)
		d.policy.Standby, d.policy.StopGracePeriod = time.Minute, 30*time.Second
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: -1})
		a.term()
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		b.restarts = true
		b.workload.exit(1)
		d.wait(soon)
		Expect(a.phase()).To(Equal("holding"))
		Expect(d.serving()).To(Equal([]string{"a"}))
		b.run(plan{})
		d.wait(time.Second)
		Expect(d.serving()).To(Equal([]string{"b"}))
		d.wait(30 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(d.crowded).To(BeEmpty())
	})

	story("never run two at a time while a younger one crashes again and again", func(d *device) {
		exclusive(d)
		a := beginsOld(d, plan{readyAfter: 200 * time.Millisecond})
		b := d.start("b", plan{readyAfter: 500 * time.Millisecond})
		for range 20 {
			d.wait(4 * time.Second)
			if b.workload.State().Running {
				b.workload.exit(1)
				d.wait(100 * time.Millisecond)
			} else {
				b.kill()
			}
			b.run(plan{readyAfter: 500 * time.Millisecond})
		}
		d.wait(time.Minute)
		Expect(a.phase()).To(Equal("released"))
		Expect(d.serving()).To(Equal([]string{"b"}))
		Expect(d.crowded).To(BeEmpty())
	})

	story("go back in order when an update is taken back half-way", func(d *device) {
		exclusive(d)
		a := beginsOld(d, plan{})
		b := d.start("b", plan{drains: 5 * time.Second})
		d.wait(10 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		b.term()
		d.wait(soon)
		Expect(a.phase()).To(Equal("prepared"))
		Expect(b.state().Reason).To(Equal(decide.ReasonSuccessorServes))
		d.wait(6 * time.Second)
		Expect(b.alive()).To(BeFalse())
		Expect(b.code).To(BeZero())
		Expect(d.serving()).To(Equal([]string{"a"}))
		Expect(d.marked()).NotTo(ContainElement(ContainSubstring("killed")))
		Expect(d.crowded).To(BeEmpty())
	})

	story("settle who runs after a power cut", func(d *device) {
		exclusive(d)
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(5 * time.Second)
		a.kill()
		b.kill()
		d.reboots("22222222-2222-2222-2222-222222222222")
		a.run(plan{})
		b.run(plan{})
		d.wait(10 * time.Second)
		Expect(d.serving()).To(Equal([]string{"b"}))
		Expect(a.phase()).To(Equal("released"))
		Expect(d.crowded).To(BeEmpty())
	})

	Context("without a shared folder", func() {
		story("pass the resource on, and never run two at a time", func(d *device) {
			d.policy.Exclusive = true
			a := beginsOld(d, plan{drains: time.Second})
			b := d.start("b", plan{readyAfter: time.Second})
			d.wait(5 * time.Second)
			Expect(a.phase()).To(Equal("released"))
			Expect(d.serving()).To(Equal([]string{"b"}))
			b.workload.exit(1)
			d.wait(time.Second)
			Expect(d.serving()).To(Equal([]string{"a"}))
			Expect(d.crowded).To(BeEmpty())
		})

		story("do not take silence for an end, also without the Supervisor", func(d *device) {
			d.policy.Exclusive, d.policy.SupervisorOff = true, true
			a := beginsOld(d, plan{})
			d.start("b", plan{})
			d.wait(10 * time.Second)
			Expect(a.phase()).To(Equal("released"))
			d.network.Partition([]string{"a"}, []string{"b"})
			d.wait(10 * time.Minute)
			Expect(d.serving()).To(Equal([]string{"b"}))
			Expect(d.crowded).To(BeEmpty())
		})

		story("do not take silence for an end", func(d *device) {
			d.policy.Exclusive = true
			a := beginsOld(d, plan{})
			b := d.start("b", plan{})
			d.wait(10 * time.Second)
			Expect(a.phase()).To(Equal("released"))
			d.network.Partition([]string{"a"}, []string{"b"})
			d.wait(10 * time.Minute)
			Expect(d.serving()).To(Equal([]string{"b"}))
			Expect(b.alive()).To(BeTrue())
			Expect(d.crowded).To(BeEmpty())
		})
	})
})

var _ = Describe("A deferral", func() {
	later := func(c *container, by time.Duration) time.Duration {
		GinkgoHelper()
		until, err := c.controller.Defer(context.Background(), by)
		Expect(err).NotTo(HaveOccurred())
		return time.Until(until)
	}

	story("holds up the drain until it is over, or withdrawn", func(d *device) {
		a := beginsOld(d, plan{})
		Expect(later(a, time.Minute)).To(Equal(time.Minute))
		d.start("b", plan{})
		d.wait(59 * time.Second)
		Expect(a.phase()).To(Equal("serving"))
		Expect(a.state().Reason).To(Equal(decide.ReasonDeferred))
		Expect(*a.state().Instance.DeferredUntil).To(BeTemporally("~", time.Now().Add(time.Second), time.Millisecond))
		later(a, time.Hour)
		d.wait(10 * time.Minute)
		Expect(a.phase()).To(Equal("serving"))
		later(a, 0)
		d.wait(soon)
		Expect(a.phase()).To(Equal("released"))
		_, err := a.controller.Defer(context.Background(), time.Second)
		Expect(err).To(MatchError(controller.ErrTooLate))
		d.expectNoOutage()
	})

	story("lasts after SIGTERM at most until the hold must end", func(d *device) {
		a := beginsOld(d, plan{})
		later(a, time.Minute)
		b := d.start("b", plan{})
		a.term()
		d.wait(soon)
		Expect(later(a, time.Hour)).To(BeNumerically("~", 6500*time.Millisecond-soon, time.Millisecond))
		d.wait(6 * time.Second)
		Expect(a.phase()).To(Equal("holding"))
		d.wait(soon)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.phase()).To(Equal("serving"))
		Expect(d.marked()).To(BeEmpty())
		d.expectNoOutage()
	})

	story("comes too late when the hold is over, and after a second SIGTERM", func(d *device) {
		a := beginsOld(d, plan{hangs: true})
		d.start("b", plan{readyAfter: -1})
		a.term()
		d.wait(6499 * time.Millisecond)
		Expect(later(a, time.Minute)).To(BeNumerically(">", 0))
		d.wait(time.Millisecond)
		_, err := a.controller.Defer(context.Background(), time.Minute)
		Expect(err).To(MatchError(controller.ErrTooLate))
	})

	story("does not outlive the workload that asked for it, when it is started again", func(d *device) {
		d.policy.Standby, d.policy.StopGracePeriod = time.Minute, time.Minute
		a := beginsOld(d, plan{})
		b := d.start("b", plan{})
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("released"))
		b.workload.exit(1)
		d.wait(soon)
		Expect(a.phase()).To(Equal("serving"))
		Expect(a.state().Instance.DeferredUntil).To(BeNil())
	})

	story("does not outlive the start of the workload, if it was asked for before", func(d *device) {
		d.policy.Exclusive, d.lock = true, &lock{}
		beginsOld(d, plan{drains: 2 * time.Second})
		b := d.start("b", plan{})
		d.wait(time.Second)
		Expect(b.phase()).To(Equal("prepared"))
		later(b, time.Hour)
		Expect(b.state().Instance.DeferredUntil).NotTo(BeNil())
		d.wait(2 * time.Second)
		Expect(b.phase()).To(Equal("serving"))
		Expect(b.state().Instance.DeferredUntil).To(BeNil())
	})

	story("is an hour at most, if nothing else is configured", func(d *device) {
		a := beginsOld(d, plan{})
		_, err := a.controller.Defer(context.Background(), time.Hour+1)
		Expect(err).To(MatchError(controller.ErrTooLong))
		Expect(err).To(MatchError(ContainSubstring("at most 1h0m0s is allowed (policy.defer_limit)")))
		Expect(a.state().Instance.DeferredUntil).To(BeNil())
		Expect(later(a, time.Hour)).To(Equal(time.Hour))
	})

	story("is ended by a second SIGTERM", func(d *device) {
		a := beginsOld(d, plan{})
		later(a, time.Minute)
		a.term()
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("holding"))
		a.controller.Tell()
		d.wait(soon)
		Expect(a.phase()).To(Equal("ended"))
	})

	story("can be asked for by HTTP, in several forms", func(d *device) {
		a := beginsOld(d, plan{drains: time.Second})
		for _, r := range [][2]string{{"/defer?duration=90s", ""}, {"/defer", "90s"}, {"/defer", " 1m30s\n"}, {"/defer", `{"duration": "90s"}`}} {
			code, text := a.ask("POST", r[0], r[1])
			Expect(code).To(Equal(200), "%v: %s", r, text)
			Expect(text).To(MatchJSON(fmt.Sprintf(`{"deferredUntil": %q}`, time.Now().Add(90*time.Second).Format(time.RFC3339Nano))))
		}
		code, text := a.ask("POST", "/defer?duration=0", "")
		Expect(code).To(Equal(200))
		Expect(text).To(MatchJSON(`{"deferredUntil": null}`))
		for _, bad := range [][2]string{{"/defer", ""}, {"/defer?duration=30", ""}, {"/defer?duration=-1s", ""}, {"/defer", "{"}, {"/defer", strings.Repeat("9", 2000)}} {
			code, text := a.ask("POST", bad[0], bad[1])
			Expect(code).To(Equal(400), "%v", bad)
			Expect(text).NotTo(BeEmpty())
		}
		code, _ = a.ask("GET", "/defer", "")
		Expect(code).To(Equal(405))
		a.term()
		a.controller.Tell()
		code, text = a.ask("POST", "/defer", "30s")
		Expect(code).To(Equal(409))
		Expect(text).To(ContainSubstring("too late"))
		d.wait(soon)
	})

	story("is not to be had from the public address", func(d *device) {
		a := beginsOld(d, plan{})
		w := httptest.NewRecorder()
		a.controller.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/defer?duration=30s", nil))
		Expect(w.Code).To(Equal(404))
	})

	story("is forgotten with the workload that asked for it", func(d *device) {
		a := beginsOld(d, plan{})
		later(a, time.Hour)
		a.kill()
		a.run(plan{})
		d.wait(time.Second)
		Expect(a.state().Instance.DeferredUntil).To(BeNil())
		d.start("b", plan{})
		d.wait(soon)
		Expect(a.phase()).To(Equal("released"))
	})
})

// ask sends a request over the status socket.
func (c *container) ask(method, path, body string) (code int, text string) {
	w := httptest.NewRecorder()
	c.controller.SocketHandler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// broken is a Peers that panics when it is asked.
type broken struct {
	*peer.Node
	on *atomic.Bool
}

func (b broken) Peers() []peer.Peer {
	if b.on.Load() {
		panic("a defect")
	}
	return b.Node.Peers()
}

var _ = Describe("A panic in the loop", func() {
	story("does not end the service, and is visible", func(d *device) {
		var panics atomic.Bool
		d.peers = func(n *peer.Node) controller.Peers { return broken{n, &panics} }
		a := beginsOld(d, plan{drains: time.Second})
		d.peers = nil
		panics.Store(true)
		d.start("b", plan{})
		d.wait(time.Minute)
		Expect(a.phase()).To(Equal("serving"))
		Expect(a.alive()).To(BeTrue())
		Expect(d.serving()).To(ContainElement("a"))
		Expect(a.state().Failure).To(ContainSubstring("a defect"))
		Expect(a.state().Events).To(ContainElement(HaveField("Reason", decide.Reason("Panicked"))))
		Expect(a.state().Workload.Ready).To(BeTrue())
		_, err := a.controller.Defer(context.Background(), time.Second)
		Expect(err).To(MatchError(ContainSubstring("a defect")))
		code, text := a.ask("GET", "/healthz", "")
		Expect(code).To(Equal(503))
		Expect(text).To(ContainSubstring("a defect"))
		code, _ = a.ask("GET", "/readyz", "")
		Expect(code).To(Equal(200), "the workload is as ready as before")

		By("being told")
		a.term()
		d.wait(soon)
		Expect(d.serving()).NotTo(ContainElement("a"))
		d.wait(time.Second)
		Expect(a.alive()).To(BeFalse())
		Expect(a.code).To(BeZero())
		Expect(d.marked()).To(BeEmpty())
	})

	story("leaves an exclusive resource to the next one", func(d *device) {
		d.policy.Exclusive, d.lock = true, &lock{}
		var panics atomic.Bool
		d.peers = func(n *peer.Node) controller.Peers { return broken{n, &panics} }
		a := beginsOld(d, plan{drains: 5 * time.Second})
		d.peers = nil
		d.start("b", plan{})
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("draining"))
		panics.Store(true)
		d.wait(time.Minute)
		Expect(d.serving()).To(Equal([]string{"b"}))
		Expect(d.crowded).To(BeEmpty())
		Expect(a.alive()).To(BeTrue(), "Docker restarts whoever ends")
		a.term()
		d.wait(soon)
		Expect(a.alive()).To(BeFalse())
		Expect(a.code).To(BeZero())
	})

	story("does not start a service beside the one that it stepped aside for", func(d *device) {
		var panics atomic.Bool
		a := beginsOld(d, plan{})
		d.start("b", plan{})
		d.wait(time.Second)
		a.kill()
		d.peers = func(n *peer.Node) controller.Peers { return broken{n, &panics} }
		a.run(plan{})
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("released"))
		panics.Store(true)
		d.wait(10 * time.Second)
		Expect(a.state().Failure).NotTo(BeEmpty())
		Expect(d.serving()).To(Equal([]string{"b"}))
		Expect(a.alive()).To(BeTrue())
	})

	story("ends an exclusive instance that has not started its workload", func(d *device) {
		d.policy.Exclusive, d.lock = true, &lock{}
		a := beginsOld(d, plan{})
		var panics atomic.Bool
		panics.Store(true)
		d.peers = func(n *peer.Node) controller.Peers { return broken{n, &panics} }
		b := d.start("b", plan{})
		d.wait(time.Second)
		Expect(b.alive()).To(BeFalse(), "another instance has the resource")
		Expect(d.serving()).To(Equal([]string{"a"}))
		Expect(a.alive()).To(BeTrue())
		Expect(d.crowded).To(BeEmpty())
	})

	story("ends with the workload", func(d *device) {
		var panics atomic.Bool
		d.peers = func(n *peer.Node) controller.Peers { return broken{n, &panics} }
		a := d.start("a", plan{})
		d.wait(time.Second)
		panics.Store(true)
		a.controller.Tell()
		d.wait(soon)
		Expect(a.alive()).To(BeFalse())

		By("panicking before the start of the workload")
		b := d.start("b", plan{})
		d.wait(time.Second)
		Expect(d.serving()).To(Equal([]string{"b"}))
		b.workload.exit(7)
		d.wait(soon)
		Expect(b.alive()).To(BeFalse())
		Expect(b.code).To(Equal(7))
	})
})
