package run_test

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor/simulator"

	"github.com/handover-controller/handover/controller/decide"
)

// patience is how long a loaded machine may take for what takes milliseconds.
const patience = time.Minute

// soon is a generous bound for what takes milliseconds. Specs with it see to it
// that what they exclude takes several times as long.
const soon = 10 * time.Second

// seldom makes an instance ask the Supervisor so seldom that a decision which
// waits for the next answer, instead of asking at once, does not come soon. What
// the program guarantees is 300 ms between the later signal and the stop signal:
// the stories hold it to that, on virtual time.
const seldom = "HANDOVER_SUPERVISOR_POLL_INTERVAL=1m"

// longGrace lets a hold last for 56.5 s, so that nothing here ends because it
// does.
const longGrace = "HANDOVER_SERVICE_STOP_GRACE_PERIOD=1m"

var _ = Describe("Two signals", func() {
	It("ends the old instance only when the younger one is announced and reported running", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)

		By("a container that is reported running and says nothing")
		b := r.container("b")
		r.supervisor.list(b.id(), "Running", r.created)
		Consistently(a.phase, "1500ms", "100ms").Should(Equal("serving"))

		By("the same container announcing itself, reported as Installed")
		r.supervisor.set(b.id(), "Installed")
		b.address = simulator.FreeAddress()
		b.start([]string{
			"RUN_SUITE_ROLE=serve", "SERVICE_NAME=b", "SERVICE_ADDRESS=" + b.address,
			"HANDOVER_READINESS_HTTP=http://" + b.address + "/ready", "HANDOVER_READINESS_PERIOD=50ms",
		}, os.Args[0])
		b.until("serving", patience)
		Consistently(a.phase, "2500ms", "100ms").Should(Equal("serving"))
		Expect(a.answer(0)).To(Succeed())
		Expect(r.marker()).NotTo(BeAnExistingFile())

		By("reporting it running")
		r.supervisor.set(b.id(), "Running")
		a.until("released", patience)
		Expect(b.answer(0)).To(Succeed())

		By("writing the marker after the workload has ended")
		Eventually(r.marker(), patience).Should(BeAnExistingFile())
		workloadEnded, err := os.Stat(a.endedFile())
		Expect(err).NotTo(HaveOccurred())
		marked, err := os.Stat(r.marker())
		Expect(err).NotTo(HaveOccurred())
		Expect(marked.ModTime()).To(BeTemporally(">=", workloadEnded.ModTime()))

		By("staying until SIGTERM, healthy")
		Consistently(a.phase, "1s", "100ms").Should(Equal("released"))
		code, text := a.handover("probe")
		Expect(code).To(BeZero(), text)
		ready, _ := a.get("/readyz")
		Expect(ready).To(Equal(http.StatusServiceUnavailable))
		a.term()
		Expect(a.exit(patience)).To(BeZero())
		Expect(r.marker()).NotTo(BeAnExistingFile(), "its writer removes it when it is told")
		b.until("serving", patience)
	})

	It("drains as soon as it sees the later signal, and finishes what is in flight", onDevice, func() {
		r := newRig()
		a := r.container("a").serve(0, seldom)
		a.until("serving", patience)
		b := r.container("b").serve(time.Hour)
		Eventually(func() bool { return len(a.status().Peers) == 1 }, patience).Should(BeTrue())
		answered, err := a.ask(3 * time.Second)
		Expect(err).NotTo(HaveOccurred())
		b.ready()
		a.until("released", patience)
		Expect(answered()).To(Succeed())
		Eventually(r.marker(), patience).Should(BeAnExistingFile())
		seen := a.event("Peer", "is serving")
		Expect(a.event("StopSignalSent", "").Sub(seen)).To(BeNumerically("<", soon))
		Expect(a.event("MarkerWritten", "")).To(BeTemporally(">=", a.event("WorkloadEnded", "")))
		Expect(b.answer(0)).To(Succeed())
	})

	It("takes the same decision by announcements alone when the Supervisor is off, with one warning", func() {
		r := newRig()
		a := r.container("a").serve(0, "HANDOVER_SUPERVISOR_MODE=off")
		a.until("serving", patience)
		r.container("b").serve(0, "HANDOVER_SUPERVISOR_MODE=off")
		a.until("released", patience)
		Expect(r.supervisor.count()).To(BeZero())
		Expect(strings.Count(a.err.String(), "supervisor.mode is off")).To(Equal(1))
	})
})

var _ = Describe("SIGTERM first", func() {
	It("keeps serving until the younger instance is ready, then drains and ends with 0, without a marker", onDevice, func() {
		r := newRig()
		a := r.container("a").serve(0, seldom, longGrace)
		a.until("serving", patience)
		b := r.container("b").serve(time.Hour)
		a.term()
		a.until("holding", patience)
		Expect(a.answer(0)).To(Succeed())
		ready, _ := a.get("/readyz")
		Expect(ready).To(Equal(http.StatusOK))
		b.until("starting", patience)
		b.ready()
		var last controller.Status
		Eventually(func() bool {
			if st := a.status(); st.Phase != "" {
				last = st
			}
			select {
			case <-a.done:
				return true
			default:
				return false
			}
		}, patience, 5*time.Millisecond).Should(BeTrue())
		Expect(a.cmd.ProcessState.ExitCode()).To(BeZero())
		Expect(a.endedFile()).To(BeAnExistingFile())
		b.until("serving", patience)
		Expect(b.answer(0)).To(Succeed())
		Expect(r.marker()).NotTo(BeAnExistingFile())
		Expect(logged(a, "reason=SuccessorServes").Sub(logged(a, "another instance is serving"))).To(BeNumerically("<", soon))
		Expect(last.Instance.Told).To(BeTrue())
	})

	It("drains in time, loudly, when the younger instance is never ready", func() {
		r := newRig()
		a := r.container("a").serve(0, "HANDOVER_SERVICE_STOP_GRACE_PERIOD=10s", "HANDOVER_POLICY_DRAIN_RESERVE=5s")
		a.until("serving", patience)
		r.container("b").serve(time.Hour)
		told := time.Now()
		a.term()
		Expect(a.exit(patience)).To(BeZero(), "the workload's own status")
		Expect(a.err.String()).To(MatchRegexp(`level=WARN .*no successor was ready in time.*reason=HoldEnded`))
		Expect(a.ended.Sub(told)).To(BeNumerically("<", 10*time.Second), "SIGKILL would have come")
		Expect(a.ended.Sub(told)).To(BeNumerically(">", 4*time.Second), "it held")
	})

	It("kills a workload that ignores its stop signal before the grace period is over", func() {
		r := newRig()
		a := r.container("a").run([]string{
			"RUN_SUITE_ROLE=stubborn", "HANDOVER_READINESS_AFTER=0s",
			"HANDOVER_SERVICE_STOP_GRACE_PERIOD=3s", "HANDOVER_POLICY_DRAIN_RESERVE=1s",
		}, os.Args[0])
		a.until("serving", patience)
		Eventually(a.out.String, patience).Should(ContainSubstring("up"))
		told := time.Now()
		a.term()
		Expect(a.exit(patience)).To(Equal(137))
		// The plan leaves half a second of the grace period. How long it has served
		// tells what has passed between the two.
		passed := within(a, "reason=NoSuccessor", "served") - within(a, "reason=Told", "served")
		left := within(a, "reason=Told", "killedIn") - (passed + within(a, "reason=NoSuccessor", "killedIn"))
		Expect(left).To(BeNumerically("~", 500*time.Millisecond, 5*time.Millisecond))
		// What the machine takes beyond the plan, and the kernel to end the workload, is
		// their affair; policy.drain_timeout is 30 s.
		Expect(logged(a, "workload killed").Sub(told)).To(And(BeNumerically(">=", 2490*time.Millisecond), BeNumerically("<", soon)))
	})

	It("holds through a rotated key", func() {
		r := newRig()
		a := r.container("a").serve(0, longGrace, "HANDOVER_POLICY_DISCOVERY=2s", "HANDOVER_POLICY_UNKNOWN_AFTER=5s")
		a.until("serving", patience)
		Eventually(func() *bool { return a.status().Supervisor.Reachable }, patience).Should(HaveValue(BeTrue()))
		r.supervisor.answers(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Unauthorized", http.StatusUnauthorized) })
		a.term()
		a.until("holding", patience)
		Consistently(a.phase, "3s", "50ms").Should(Equal("holding"))
		b := r.container("b").serve(0)
		Expect(a.exit(patience)).To(BeZero())
		b.until("serving", patience)
		Expect(a.err.String()).To(ContainSubstring("reason=SuccessorTrusted"))
	})
})

var _ = Describe("SIGTERM without a successor", func() {
	It("is a plain stop as soon as the Supervisor has answered, with the workload's own status", func() {
		r := newRig()
		a := r.container("a").run([]string{"HANDOVER_READINESS_AFTER=0s", longGrace, "HANDOVER_POLICY_DISCOVERY=50s"},
			"sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
		a.until("serving", patience)
		Eventually(a.out.String, patience).Should(ContainSubstring("up"))
		a.term()
		Expect(a.exit(patience)).To(Equal(7))
		Expect(within(a, "reason=NoSuccessor", "signalIn")).To(BeNumerically("<=", 0), "at once")
		Expect(logged(a, "stop signal").Sub(logged(a, "reason=NoSuccessor"))).To(BeNumerically("<", soon))
		Expect(logged(a, "reason=NoSuccessor").Sub(logged(a, "reason=Told"))).To(BeNumerically("<", soon))
	})

	It("takes policy.discovery while nobody answers", func() {
		r := newRig()
		a := r.container("a").serve(0, longGrace, "HANDOVER_POLICY_DISCOVERY=1s")
		a.until("serving", patience)
		r.supervisor.server.CloseClientConnections()
		r.supervisor.server.Listener.Close()
		told := time.Now()
		a.term()
		Expect(a.exit(patience)).To(BeZero())
		Expect(logged(a, "reason=NoSuccessor").Sub(told)).To(And(BeNumerically(">=", 990*time.Millisecond), BeNumerically("<", soon)))
	})

	It("does not hold when the whole device stops", func() {
		r := newRig()
		a := r.container("a").serve(0, longGrace)
		a.until("serving", patience)
		b := r.container("b").serve(time.Hour, longGrace)
		Eventually(func() bool { return len(a.status().Peers) == 1 && len(b.status().Peers) == 1 }, patience).Should(BeTrue())
		Eventually(func() error { return b.answer(0) }, patience).Should(Succeed(), "it handles signals from then on")
		a.term()
		b.term()
		for _, i := range []*instance{a, b} {
			Expect(i.exit(patience)).To(BeZero())
			Expect(logged(i, "stop signal").Sub(logged(i, "reason=Told"))).To(BeNumerically("<", soon), "the hold may last 56.5 s")
			Expect(i.err.String()).NotTo(ContainSubstring("reason=HoldEnded"))
		}
	})

	It("treats SIGINT alike, and a second signal ends a hold at once", func() {
		r := newRig()
		a := r.container("a").serve(0, longGrace)
		a.until("serving", patience)
		r.container("b").serve(time.Hour)
		a.signal(syscall.SIGINT)
		a.until("holding", patience)
		a.signal(syscall.SIGINT)
		Expect(a.exit(patience)).To(BeZero())
		Expect(a.err.String()).To(ContainSubstring("reason=Hurried"))
	})
})

var _ = Describe("A container that is restarted", func() {
	It("steps aside when a younger instance serves, and never starts its workload", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		b := r.container("b").serve(0)
		a.until("released", patience)
		a.kill()
		again := restarted(r)
		// It listens for 150 ms, and for 400 ms more if the Supervisor has not
		// answered. A machine that has no time for that meanwhile gets another try.
		for try := 1; again.status().Reason != decide.ReasonSteppedAside && try < 5; try++ {
			Expect(logged(again, "workload started").Sub(logged(again, "reason=Started"))).To(BeNumerically(">", 100*time.Millisecond), "it listened")
			again.kill()
			again = restarted(r)
		}
		Expect(again.status().Reason).To(Equal(decide.ReasonSteppedAside))
		Expect(again.status().Instance.Restarted).To(BeTrue())
		Expect(again.out.String()).To(BeEmpty())
		b.until("serving", patience)
	})

	It("serves again when the younger one has died", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		b := r.container("b").serve(0)
		a.until("released", patience)
		r.supervisor.set(b.id(), "")
		b.kill()
		a.until("serving", patience)
		Expect(a.answer(0)).To(Succeed())
		Expect(r.marker()).NotTo(BeAnExistingFile())
	})
})

// restarted starts container a again, around another workload, and waits until
// it has stepped down.
func restarted(r *rig) *instance {
	GinkgoHelper()
	a := r.container("a")
	a.start([]string{"HANDOVER_READINESS_AFTER=0s"}, "sh", "-c", "echo started; exec sleep 1000")
	a.until("released", patience)
	return a
}

// line returns the first log line that has the text.
func line(i *instance, text string) string {
	GinkgoHelper()
	for line := range strings.Lines(i.err.String()) {
		if strings.Contains(line, text) {
			return line
		}
	}
	Fail("no log line has " + text + ":\n" + i.err.String())
	return ""
}

// logged returns the time of the first log line that has the text, in whole
// milliseconds.
func logged(i *instance, text string) time.Time {
	GinkgoHelper()
	stamp, _, _ := strings.Cut(strings.TrimPrefix(line(i, text), "time="), " ")
	t, err := time.Parse(time.RFC3339Nano, stamp)
	Expect(err).NotTo(HaveOccurred(), stamp)
	return t
}

// within returns the time of that name in the first log line that has the text.
func within(i *instance, text, name string) time.Duration {
	GinkgoHelper()
	_, rest, found := strings.Cut(line(i, text), " "+name+"=")
	Expect(found).To(BeTrue(), "%s in %s", name, line(i, text))
	value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	d, err := time.ParseDuration(value)
	Expect(err).NotTo(HaveOccurred())
	return d
}
