package docker_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
)

var _ = Describe("The engine starts containers again", func() {
	It("and the older one steps down again, while the younger serves; no request is lost", func() {
		d := newDevice()
		a := d.start("a", shape{Env: behindFront, Flags: []string{"--health-interval", "1s", "--health-retries", "1"}})
		a.until("serving")
		d.startLoad()
		servedBy("a")
		b := d.start("b", shape{Env: behindFront})
		a.until("released")
		servedBy("b")
		docker("cp", a.id+":/tmp/balena/handover-complete", "-")
		Expect(a.inspect("{{.State.Status}}")).To(Equal("running"))

		By("the old one is healthy after its release")
		a.healthySince(a.logged(stopSignal, 1))

		By("the old one's PID 1 is killed")
		a.killFirst()
		a.restarted(1)
		a.steppedDown()
		servedBy("b")

		By("docker restart of the new one, which the old one stands in for")
		before := counted().Answered["a"]
		docker("restart", b.id)
		Eventually(func() int { return counted().Answered["a"] }, patience).Should(BeNumerically(">", before))
		b.until("serving")
		Expect(b.inspect("{{.RestartCount}}")).To(Equal("0"), "as it was asked to")
		Expect(b.status().Instance.Restarted).To(BeTrue())
		noneLost()
	})

	It("also one that was killed while it drained", func() {
		d := newDevice()
		a := d.start("a", shape{Env: []string{"SERVICE_ENDS_AFTER=1m"}})
		a.until("serving")
		b := d.start("b", shape{})
		a.until("draining")
		a.killFirst()
		a.restarted(1)
		a.steppedDown()
		Expect(strings.Count(a.log(), workloadReady)).To(Equal(1), "its service must not start again")
		Expect(b.phase()).To(Equal("serving"))
		Expect(b.inspect("{{.RestartCount}}")).To(Equal("0"))
	})

	It("but not after docker kill: the released one serves again", func() {
		d := newDevice()
		a := d.start("a", shape{})
		a.until("serving")
		b := d.start("b", shape{})
		a.until("released")
		docker("kill", b.id)
		a.until("serving")
		took("docker kill of the new one to readiness of the old one", d.at(b, "kill", 1), a.logged(workloadReady, 2))
		Expect(b.inspect("{{.State.Status}} {{.State.ExitCode}}")).To(Equal("exited 137"))
	})

	It("with docker restart of the only one, which waits for nobody", func() {
		d := newDevice()
		a := d.start("a", shape{})
		a.until("serving")
		docker("restart", a.id)
		a.until("serving")
		Expect(a.status().Instance.Restarted).To(BeTrue())
		took("SIGTERM to the container's end", d.at(a, "kill", 1), d.at(a, "die", 1))
		Expect(d.of(a, "die")[0].Actor.Attributes).To(HaveKeyWithValue("exitCode", "0"))
		took("the container's start to readiness", d.at(a, "start", 2), a.logged(workloadReady, 2))
	})
})

// restarted waits until the engine has started the container again so often.
func (c *container) restarted(times int) {
	GinkgoHelper()
	Eventually(func() int { return len(c.device.of(c, "start")) }, patience, 10*time.Millisecond).Should(Equal(times + 1))
	Expect(c.inspect("{{.RestartCount}}")).To(Equal(strconv.Itoa(times)))
}

// steppedDown waits until the restarted instance is released, with no workload.
func (c *container) steppedDown() {
	GinkgoHelper()
	var st controller.Status
	Eventually(func() string { st = c.status(); return st.Phase }, patience, 10*time.Millisecond).Should(Equal("released"), "%s", c.log)
	Expect(st.Instance.Restarted).To(BeTrue())
	Expect(st.Workload.Running).To(BeFalse())
}

// healthySince waits for two checks after that time, and expects that all of
// them succeed.
func (c *container) healthySince(since time.Time) {
	GinkgoHelper()
	type check struct {
		Start    time.Time
		ExitCode int
		Output   string
	}
	var health struct {
		Status string
		Log    []check
	}
	Eventually(func() bool {
		Expect(json.Unmarshal([]byte(c.inspect("{{json .State.Health}}")), &health)).To(Succeed())
		later := slices.IndexFunc(health.Log, func(l check) bool { return l.Start.After(since) })
		return later >= 0 && len(health.Log) >= later+2
	}, patience, 100*time.Millisecond).Should(BeTrue())
	Expect(health.Log).To(HaveEach(HaveField("ExitCode", 0)))
	Expect(health.Status).To(Equal("healthy"))
}
