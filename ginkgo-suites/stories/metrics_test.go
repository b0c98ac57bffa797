package stories_test

import (
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"

	"github.com/handover-controller/handover/controller/decide"
)

// metric is the value of one series, also after the end of the instance.
func (c *container) metric(series string) float64 {
	GinkgoHelper()
	_, text := c.ask("GET", "/metrics", "")
	for _, line := range strings.Split(text, "\n") {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			Expect(err).NotTo(HaveOccurred())
			return v
		}
	}
	Fail("there is no series " + series)
	return 0
}

// stage is how often a stage of a hand-over was timed, and how long it took in all.
func (c *container) stage(name string) (count int, took time.Duration) {
	GinkgoHelper()
	of := `{stage="` + name + `"}`
	took = time.Duration(c.metric("handover_stage_duration_seconds_sum"+of) * float64(time.Second))
	return int(c.metric("handover_stage_duration_seconds_count" + of)), took
}

// expectStage compares that with what the story knows.
func (c *container) expectStage(name string, want time.Duration) {
	GinkgoHelper()
	count, took := c.stage(name)
	Expect(count).To(Equal(1), name)
	Expect(took).To(BeNumerically("~", want, 100*time.Millisecond), name)
}

// last is the last event with that reason.
func (c *container) last(reason decide.Reason) controller.Event {
	GinkgoHelper()
	all := c.state().Events
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Reason == reason {
			return all[i]
		}
	}
	Fail("there is no event " + string(reason))
	return controller.Event{}
}

var _ = Describe("Metrics and events", func() {
	story("time each stage of a hand-over of an instance that is told at last", func(d *device) {
		d.policy.Settle = 5 * time.Second
		a := beginsOld(d, plan{readyAfter: 4 * time.Second, drains: 3 * time.Second})
		a.expectStage("starting", 4*time.Second)
		b := d.create("b")
		b.run(plan{readyAfter: 2 * time.Second})
		b.set("Installed")
		d.wait(9 * time.Second) // ready after two, not running
		Expect(a.metric(`handover_condition{type="YoungerAnnounced",status="True"}`)).To(BeEquivalentTo(1))
		b.set("Running")
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("serving"))
		d.wait(10 * time.Second)
		Expect(a.phase()).To(Equal("released"))
		_, waited := a.stage("announced")
		Expect(waited).To(BeNumerically("~", 7500*time.Millisecond, 600*time.Millisecond), "it asks once a second")
		a.expectStage("running", 5*time.Second)
		a.expectStage("draining", 3*time.Second)
		Expect(a.last("Released").Details).To(ContainSubstring("drainTook=3s"))
		count, _ := b.stage("takeover")
		Expect(count).To(Equal(1))
		Expect(b.last("TookOver").Message).To(ContainSubstring("aaaaaaaaaaaa"))
		d.wait(time.Minute)
		count, _ = a.stage("released")
		Expect(count).To(BeZero(), "it stays")
		told := time.Now()
		a.term()
		d.wait(soon)
		Expect(a.phase()).To(Equal("ended"))
		_, stayed := a.stage("released")
		Expect(stayed).To(BeNumerically(">", time.Minute))
		Expect(a.metric("handover_told_timestamp_seconds")).To(BeNumerically("~", float64(told.UnixMilli())/1000, 0.01))
		Expect(a.last("HandedOver").Details).To(And(ContainSubstring("successor.container=bbbbbbbbbbbb"), ContainSubstring("stages.running=5s stages.draining=3s stages.released=1m"), ContainSubstring("exitCode=0")))
		Expect(a.metric("handover_unready_takeovers_total") + b.metric("handover_unready_takeovers_total")).To(BeZero())
	})

	story("time them of one that is told at first, and what is left of its hold", func(d *device) {
		d.policy.StopGracePeriod = time.Minute
		a := beginsOld(d, plan{drains: 2 * time.Second})
		Expect(a.metric("handover_hold_remaining_seconds")).To(BeZero())
		b := d.start("b", plan{readyAfter: 10 * time.Second})
		d.wait(25 * time.Millisecond)
		a.term()
		d.wait(4 * time.Second)
		Expect(a.metric("handover_hold_remaining_seconds")).To(BeNumerically("~", 52.5, 0.2))
		Expect(a.metric(`handover_phase{phase="holding"}`)).To(BeEquivalentTo(1))
		Expect(a.metric(`handover_peers{age="younger"}`)).To(BeEquivalentTo(1))
		Expect(b.metric(`handover_peers{age="older"}`)).To(BeEquivalentTo(1))
		d.wait(10 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		a.expectStage("draining", 2*time.Second)
		a.expectStage("released", 0)
		b.expectStage("starting", 10*time.Second)
		b.expectStage("takeover", 2*time.Second)
		Expect(a.last("SuccessorServes").Details).To(ContainSubstring("successor.container=bbbbbbbbbbbb"))
		Expect(a.metric(`handover_decisions_total{reason="HandedOver"}`)).To(BeEquivalentTo(1))
		Expect(a.metric("handover_hold_remaining_seconds")).To(BeZero())
	})

	story("count a hold that was too short where it can still be read", func(d *device) {
		a := beginsOld(d, plan{drains: 5 * time.Millisecond})
		b := d.start("b", plan{readyAfter: time.Minute})
		d.wait(25 * time.Millisecond)
		a.term()
		d.wait(20 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(a.metric(`handover_decisions_total{reason="HoldEnded"}`)).To(BeEquivalentTo(1))
		Expect(a.last("HoldEnded").Type).To(Equal("Normal"), "the end; the beginning of the drain was the warning")
		Expect(b.metric("handover_unready_takeovers_total")).To(BeEquivalentTo(1))
		Expect(b.last("NobodyServes").Type).To(Equal("Warning"))
		Expect(b.last("NobodyServes").Message).To(ContainSubstring("raise stop_grace_period"))
		d.wait(time.Minute)
		count, _ := b.stage("takeover")
		Expect(count).To(BeZero())
	})

	story("count no hold that was too short where the old one's service ended by itself", func(d *device) {
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		b := d.start("b", plan{readyAfter: time.Minute})
		a.term()
		d.wait(5 * time.Second)
		a.workload.exit(0)
		d.wait(time.Second)
		Expect(a.phase()).To(Equal("ended"))
		Expect(b.metric("handover_unready_takeovers_total")).To(BeZero())
		Expect(b.last("NobodyServes").Message).To(And(ContainSubstring("ended by itself"), Not(ContainSubstring("raise"))))
	})

	story("say of a second SIGTERM only what is known", func(d *device) {
		d.policy.SupervisorOff = true
		a := beginsOld(d, plan{policy: graceOf(time.Minute)})
		d.start("b", plan{readyAfter: time.Minute})
		a.term()
		d.wait(time.Second)
		a.controller.Tell()
		d.wait(soon)
		Expect(a.last("ToldAgain").Message).To(And(ContainSubstring("nothing tells"), Not(ContainSubstring("was not restarted"))))
	})

	story("count nothing of that for a plain stop", func(d *device) {
		a := beginsOld(d, plan{drains: time.Second})
		a.term()
		d.wait(5 * time.Second)
		Expect(a.phase()).To(Equal("ended"))
		for _, stage := range []string{"announced", "running", "draining", "released", "takeover"} {
			count, _ := a.stage(stage)
			Expect(count).To(BeZero(), stage)
		}
	})

	story("count the restarts of a younger instance, and warn of a crash loop once", func(d *device) {
		a := beginsOld(d, plan{})
		b := d.start("b", plan{readyAfter: -1})
		for range 5 {
			d.wait(3 * time.Second)
			b.kill()
			b.run(plan{readyAfter: -1})
		}
		d.wait(3 * time.Second)
		Expect(a.metric("handover_peer_restarts_total")).To(BeEquivalentTo(5))
		Expect(a.last("Peer").Details).To(ContainSubstring("restarts=5"))
		warnings := 0
		for _, e := range a.state().Events {
			if e.Reason == "PeerRestarts" {
				warnings++
				Expect(e.Type).To(Equal("Warning"))
			}
		}
		Expect(warnings).To(Equal(1))
		Expect(a.phase()).To(Equal("serving"))
	})

	story("say for how long the Supervisor was away", func(d *device) {
		a := beginsOld(d, plan{})
		d.breaks(errDown)
		d.start("b", plan{})
		d.wait(time.Minute)
		Expect(a.phase()).To(Equal("serving"))
		d.breaks(nil)
		d.wait(time.Minute)
		Expect(a.last("SupervisorAnswers").Details).To(MatchRegexp(`after=(1m|[56])`))
		Expect(a.metric(`handover_supervisor_requests_total{outcome="answered"}`)).To(BeNumerically(">", 0))
	})
})
