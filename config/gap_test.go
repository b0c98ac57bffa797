package config_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
)

var _ = Describe("The hold", func() {
	DescribeTable("is what is left of the grace period, and readiness auto takes half of it at most",
		func(file string, hold, alive time.Duration) {
			c := mustLoad(file).Config
			Expect(c.Hold()).To(Equal(hold))
			Expect(c.AliveAfter()).To(Equal(alive))
		},
		Entry("by default", "", 6500*time.Millisecond, 3250*time.Millisecond),
		Entry("a long one", "service: {stop_grace_period: 1m}", 56500*time.Millisecond, 10*time.Second),
		Entry("a short one", "{service: {stop_grace_period: 1s}, policy: {drain_reserve: 100ms}}", 400*time.Millisecond, 200*time.Millisecond),
		Entry("policy.drain_delay does not shorten it", "policy: {drain_delay: 5s}", 6500*time.Millisecond, 3250*time.Millisecond),
		Entry("policy.settle comes after it", "policy: {settle: 4500ms}", 6500*time.Millisecond, time.Second),
		Entry("policy.settle leaves nothing", "policy: {settle: 1h}", 6500*time.Millisecond, 100*time.Millisecond),
	)

	DescribeTable("must be longer than what a new instance takes to count as ready, or it is said",
		func(file, key string, line int, message string) {
			l := mustLoad(file)
			if message == "" {
				Expect(l.Gaps).To(BeEmpty())
				return
			}
			Expect(l.Gaps).To(HaveLen(1))
			g := l.Gaps[0]
			Expect(g.Key).To(Equal(key))
			Expect(g.Line).To(Equal(line))
			Expect(g.Message).To(Equal(message))
			Expect(g.Hint).To(ContainSubstring("raise stop_grace_period in the compose file and service.stop_grace_period alike to more than"))
			Expect(g.Why).To(ContainSubstring("nobody is ready in between"))
			Expect(l.Warnings).To(BeEmpty())
		},
		Entry("readiness.after that is too long", "\n\nreadiness: {after: 10s}\n", "readiness.after", 3,
			"readiness.after (10s, handover.yaml:3) must be less than the hold, which is 6.5s: service.stop_grace_period (10s, default) − policy.drain_reserve (3s, default) − 500ms"),
		Entry("with policy.settle", "readiness: {after: 4s}\npolicy: {settle: 3s}\n", "readiness.after", 1,
			"readiness.after (4s, handover.yaml:1) + policy.settle (3s, handover.yaml:2) must be less than the hold, which is 6.5s: service.stop_grace_period (10s, default) − policy.drain_reserve (3s, default) − 500ms"),
		Entry("policy.settle alone", "policy: {settle: 7s}\n", "policy.settle", 1,
			"policy.settle (7s, handover.yaml:1) must be less than the hold, which is 6.5s: service.stop_grace_period (10s, default) − policy.drain_reserve (3s, default) − 500ms"),
		Entry("one that fits", "readiness: {after: 6s}", "", 0, ""),
		Entry("a longer grace period", "readiness: {after: 10s}\nservice: {stop_grace_period: 20s}", "", 0, ""),
		Entry("nothing at all", "", "", 0, ""),
		Entry("a service that is never started beside the old one", "readiness: {after: 10s}\npolicy: {exclusive: true}", "", 0, ""),
	)

	It("names a grace period that is long enough", func() {
		l := mustLoad("readiness: {after: 10s}")
		Expect(l.Gaps[0].Hint).To(HaveSuffix("to more than 13.5s"))
		Expect(mustLoad("readiness: {after: 10s}\nservice: {stop_grace_period: 13501ms}").Gaps).To(BeEmpty())
		Expect(config.DrainMargin).To(Equal(500 * time.Millisecond))
	})
})
