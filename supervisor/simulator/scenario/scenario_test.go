package scenario_test

import (
	"errors"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor/simulator"
	"github.com/handover-controller/handover/supervisor/simulator/scenario"
)

func TestScenario(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Scenarios")
}

var _ = Describe("The outcome of a scenario", func() {
	find := func(name string) scenario.Scenario {
		GinkgoHelper()
		s, err := scenario.ByName(name)
		Expect(err).NotTo(HaveOccurred())
		return s
	}
	good := func() scenario.Outcome {
		return scenario.Outcome{Serving: []string{"B"}, Requests: 1000, Stops: []scenario.Stop{{Name: "A", Took: time.Second}}}
	}

	It("is as expected", func() {
		s := find("update")
		Expect(s.Check(good())).To(BeEmpty())
		Expect(s.Expected()).To(Equal("B serves, 0 failed"))
	})

	DescribeTable("is not as expected", func(name string, change func(*scenario.Outcome), text string) {
		s, o := find(name), good()
		change(&o)
		Expect(s.Check(o)).To(ContainElement(MatchError(ContainSubstring(text))))
	},
		Entry("a failed request", "update", func(o *scenario.Outcome) { o.Failed = 1 }, "1 of 1000 requests failed, expected was none"),
		Entry("no requests", "update", func(o *scenario.Outcome) { o.Requests = 0 }, "there were no requests"),
		Entry("another one serves", "update", func(o *scenario.Outcome) { o.Serving = []string{"A"} }, "in the end A served, expected was B"),
		Entry("two serve", "update", func(o *scenario.Outcome) { o.Serving = []string{"A", "B"} }, "in the end A and B served, expected was B"),
		Entry("nobody serves", "update", func(o *scenario.Outcome) { o.Serving = nil }, "in the end nobody served, expected was B"),
		Entry("killed", "update", func(o *scenario.Outcome) { o.Stops[0].Killed = true }, "A had to be killed"),
		Entry("a wrong exit status", "update", func(o *scenario.Outcome) { o.Stops[0].Code = 1 }, "A ended with exit status 1"),
		Entry("a slow stop", "plain-stop", func(o *scenario.Outcome) { o.Stops[0].Took = 5 * time.Second }, "A took 5s to stop, expected was at most 4s"),
		Entry("no outage where there must be one", "without", func(*scenario.Outcome) {}, "no request failed, expected was an outage"),
		Entry("not played", "update", func(o *scenario.Outcome) { o.Err = errors.New("too slow") }, "was not played to its end: too slow"),
	)

	It("is defined for names that exist once", func() {
		seen := map[string]bool{}
		for _, s := range scenario.All() {
			Expect(seen[s.Name]).To(BeFalse(), s.Name)
			seen[s.Name] = true
			Expect(s.Summary).NotTo(BeEmpty())
			Expect(s.Lesson).NotTo(BeEmpty())
			Expect(s.Takes).To(And(BeNumerically(">", 0), BeNumerically("<", 20*time.Second)), s.Name)
		}
		_, err := scenario.ByName("updat")
		Expect(err).To(MatchError(ContainSubstring("use one of update, crash-loop, ")))
	})
})

var _ = Describe("A cast", func() {
	It("names containers by their releases", func() {
		c := scenario.NewCast()
		release := func(commit string) simulator.Release { return simulator.Release{Commit: commit} }
		Expect(c.Name("1", release("aaa"))).To(Equal("A"))
		Expect(c.Name("2", release("bbb"))).To(Equal("B"))
		Expect(c.Name("3", release("aaa"))).To(Equal("A2"))
		Expect(c.Name("1", release("bbb"))).To(Equal("A"), "once named, always named")
	})
})
