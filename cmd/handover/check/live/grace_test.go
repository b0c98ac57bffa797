package live

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/controller"
)

var _ = Describe("What is judged of the grace period", func() {
	// The hold is 16.5 s.
	twenty := []string{"HANDOVER_SERVICE_STOP_GRACE_PERIOD=20s"}
	took := func(d time.Duration) change {
		return func(f *facts) { f.instance.metrics = metrics{starts: 1, starting: d} }
	}
	seen := func(readiness, drain time.Duration) change {
		return func(f *facts) { f.instance.metrics = metrics{}; withHandover(lanes(readiness, drain))(f) }
	}
	DescribeTable("is", judged,
		Entry("the default", nil, nil, gracePeriod, check.Note, "is not set: it is taken to be 10s"),
		Entry("what is set", twenty, nil, gracePeriod, check.OK, "20s (HANDOVER_SERVICE_STOP_GRACE_PERIOD)"),
		Entry("the hold", []string{twenty[0], "HANDOVER_POLICY_DRAIN_DELAY=2s"}, nil, graceHold, check.OK, "16.5s: 20s − policy.drain_reserve (3s) − 500ms"),
		Entry("a settle time that never ends in a hold", []string{twenty[0], "HANDOVER_POLICY_SETTLE=16500ms"}, nil, graceHold, check.Error, "policy.settle (16.5s, HANDOVER_POLICY_SETTLE) must be less than the hold, which is 16.5s"),
		Entry("a readiness.after that it cannot wait for", []string{twenty[0], "HANDOVER_READINESS_AFTER=17s"}, nil, graceHold, check.Error, "readiness.after (17s, HANDOVER_READINESS_AFTER) must be less than the hold, which is 16.5s"),
		Entry("one where the Supervisor waits", []string{twenty[0], "HANDOVER_READINESS_AFTER=17s"}, version("14.13.9"), graceHold, check.Note, "does not stop the old one before the time-out"),
		Entry("a settle time that just does", []string{twenty[0], "HANDOVER_POLICY_SETTLE=16s"}, nil, graceHold, check.OK, "16.5s"),

		Entry("nothing seen", twenty, change(func(f *facts) { f.instance.metrics = metrics{} }), graceReadiness, check.Note, "was not seen yet"),
		Entry("no instance", twenty, change(func(f *facts) { f.instance.status = nil }), graceReadiness, check.Note, "was not seen yet"),
		Entry("a start that fits", twenty, took(8250*time.Millisecond), graceReadiness, check.OK, "8.3s (this container): that fits into the 16.5s"),
		Entry("a start that leaves little", twenty, took(8251*time.Millisecond), graceReadiness, check.Warning, "less than half is left"),
		Entry("a start that does not fit", twenty, took(16500*time.Millisecond), graceReadiness, check.Error, "does not fit"),
		Entry("a start with settle", []string{twenty[0], "HANDOVER_POLICY_SETTLE=10s"}, took(7*time.Second), graceReadiness, check.Error, "7s (this container), and policy.settle is 10s: that does not fit"),
		Entry("the average of several starts", twenty, change(func(f *facts) { f.instance.metrics = metrics{starts: 2, starting: 40 * time.Second} }),
			graceReadiness, check.Error, "20s (the average of 2 starts of this container)"),
		Entry("a peer's start", twenty, seen(17*time.Second, 0), graceReadiness, check.Error, "17s (container bbbbbbbbbbbb)"),
		Entry("the longest of all", twenty, change(func(f *facts) { took(2 * time.Second)(f); withHandover(lanes(9*time.Second, 0))(f) }), graceReadiness, check.Warning, "9s (container bbbbbbbbbbbb)"),
		Entry("a start that is not over", twenty, change(func(f *facts) {
			f.instance.metrics = metrics{}
			f.instance.status.Workload = controller.WorkloadStatus{Running: true, Started: ago(30 * time.Second)}
		}), graceReadiness, check.Error, "this container has not been ready for 30s"),
		Entry("a start that does not fit, where the Supervisor waits", twenty, change(func(f *facts) { took(time.Minute)(f); version("14.13.9")(f) }),
			graceReadiness, check.Note, "does not stop the old one before the time-out"),
		Entry("an exclusive workload, whose start has waited", []string{twenty[0], "HANDOVER_POLICY_EXCLUSIVE=true"}, took(time.Minute), graceReadiness, check.Note, "was not seen yet"),

		Entry("a drain that is cut", twenty, nil, graceDrain, check.Note, "policy.drain_timeout, 30s, is longer than policy.drain_reserve: after a hold that lasts until its end, a drain has 3s"),
		Entry("a drain that is not", []string{twenty[0], "HANDOVER_POLICY_DRAIN_TIMEOUT=3s"}, nil, graceDrain, check.OK, "a drain has 3s"),
		Entry("a drain that took longer", twenty, seen(time.Second, 4*time.Second), graceDrain, check.Warning, "a drain took 4s (this container)"),
		Entry("a drain that took longer, where no hold ends it", twenty, func(f *facts) {
			seen(time.Second, 4*time.Second)(f)
			f.supervisor.version = "14.13.9"
		}, graceDrain, check.Note, "policy.drain_timeout, 30s"),
		Entry("a drain that fits", []string{twenty[0], "HANDOVER_POLICY_DRAIN_TIMEOUT=3s"}, seen(time.Second, 3*time.Second), graceDrain, check.OK, "a drain has 3s"),
		Entry("a drain with its delay", []string{twenty[0], "HANDOVER_POLICY_DRAIN_TIMEOUT=3s", "HANDOVER_POLICY_DRAIN_DELAY=2s"}, seen(time.Second, 5*time.Second), graceDrain, check.OK, "a drain has 3s"),
	)

	It("says how long the grace period must be, so that half of the hold is left", func() {
		f := healthy(twenty...)
		took(20 * time.Second)(f)
		found := of(f.judge(), graceReadiness)
		Expect(found).To(HaveLen(1))
		Expect(found[0].Do).To(HaveSuffix("at least 44s"), "2 × 20s + 3.5s, in whole seconds")
	})

	It("says that an older instance ended before this one was ready", func() {
		f := healthy()
		f.instance.metrics.takeovers = 2
		Expect(of(f.judge(), processHandovers)).To(ContainElement(And(
			HaveField("Level", check.Warning), HaveField("Found", ContainSubstring("had to end (2)")))))
	})

	DescribeTable("takes for a start only what begins a process and ends in its being ready",
		func(want time.Duration, spans ...controller.Span) {
			f := healthy()
			f.instance.metrics = metrics{}
			withHandover(controller.Handover{Lanes: []controller.Lane{{Container: other, Spans: spans}}})(f)
			longest, known := f.instance.longestReadiness(false)
			Expect(known).To(Equal(want > 0))
			Expect(longest.took).To(Equal(want))
		},
		Entry("a start", 3*time.Second, span("starting", 0, 3), span("serving", 3, 9)),
		Entry("a start that is prepared", 3*time.Second, span("starting", 0, 3), span("prepared", 3, 9)),
		Entry("a service that was not ready any more", 1*time.Second, span("starting", 0, 1), span("serving", 1, 2), span("starting", 2, 8), span("serving", 8, 9)),
		Entry("a process that came back", 5*time.Second, span("starting", 0, 1), span("serving", 1, 2), span("starting", 3, 8), span("serving", 8, 9)),
		Entry("a crash loop", time.Duration(0), span("starting", 0, 1), span("starting", 2, 3)),
		Entry("a process that ended, and another that was ready before it was heard", time.Duration(0), span("starting", 0, 1), span("serving", 3, 4)),
		Entry("one that was stopped before", time.Duration(0), span("starting", 0, 1), span("draining", 1, 3)),
		Entry("one that goes on", time.Duration(0), span("starting", 0, 0)),
	)
})

// span is a span from second to second; from 0 to 0 goes on.
func span(phase string, from, to int) controller.Span {
	s := controller.Span{Phase: phase, From: now.Add(time.Duration(from) * time.Second)}
	if to > 0 {
		end := now.Add(time.Duration(to) * time.Second)
		s.To = &end
	}
	return s
}
