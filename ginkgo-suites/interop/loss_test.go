package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// lossAll is the variable that makes this suite do a hundred hand-overs on each
// bad network, instead of a few:
//
//	LOSS_ALL=1 go test -v ./ginkgo-suites/interop -ginkgo.focus 'On a real network that loses'
const lossAll = "LOSS_ALL"

// atOnce is how many hand-overs go on at the same time.
const atOnce = 10

var _ = Describe("On a real network that delays, doubles and loses", func() {
	It("and has datagrams overtake each other, hand-overs take no longer than others", func() {
		var took [10]time.Duration
		inParallel(len(took), atOnce, func(run int) {
			d := newDevice()
			one, two := d.lonely(), d.lonely()
			d.wire(one, two, wire{loss: 0.3, twice: 0.3, delay: 300 * time.Millisecond})
			took[run] = d.handsOver(one, two, run%2 == 0)
		})
		slices.Sort(took[:])
		AddReportEntry("readiness to drain, half of them told to stop", fmt.Sprint(took))
		Expect(took[len(took)-2]).To(BeNumerically("<", soon), "nine of ten; the next announcement that is due anyway comes after a minute: %v", took)
	})
})

var _ = Describe("On a real network that loses", func() {
	BeforeEach(needIptables)

	It("half of what is sent each way, hand-overs take no longer than others", func() {
		var took [10]time.Duration
		inParallel(len(took), atOnce, func(run int) { took[run] = handsOverWith(0.5, run%2 == 0) })
		slices.Sort(took[:])
		AddReportEntry("readiness to drain, half of them told to stop", fmt.Sprint(took))
		Expect(took[len(took)-2]).To(BeNumerically("<", soon), "nine of ten; the next announcement that is due anyway comes after a minute: %v", took)
	})

	It("everything for a while, exactly one serves afterwards", func() {
		all := []partition{
			{name: "neither hears the other", old: true, young: true},
			{name: "the old one is deaf", old: true},
			{name: "neither hears the other, and the old one is told to stop", old: true, young: true, told: true},
		}
		inParallel(len(all), atOnce, func(i int) { all[i].healed = heals(all[i]) })
		for _, p := range all {
			AddReportEntry(p.name+": network to drain", p.healed.String())
		}
	})

	// Of very many, 99 of 100 take less than a second; of a hundred, by chance, a
	// few less.
	DescribeTable("in a hundred hand-overs, the old one drains",
		func(loss float64, told bool, within time.Duration, percent int) {
			if os.Getenv(lossAll) == "" {
				Skip("a hundred hand-overs; set " + lossAll + "=1")
			}
			const runs = 100
			took := make([]time.Duration, runs)
			inParallel(runs, atOnce, func(run int) { took[run] = handsOverWith(loss, told) })
			slices.Sort(took)
			AddReportEntry(fmt.Sprintf("readiness to drain, %.0f %% lost each way, told %v", loss*100, told), distribution(took))
			Expect(took[percent-1]).To(BeNumerically("<=", within), "%v", took)
		},
		Entry("within a second, with 50 % lost each way", 0.5, false, time.Second, 97),
		Entry("within a second, with 50 % lost each way, when it is told to stop", 0.5, true, time.Second, 97),
		Entry("within 15 s, with 90 % lost each way", 0.9, false, 15*time.Second, 95),
		Entry("within 15 s, with 90 % lost each way, when it is told to stop", 0.9, true, 15*time.Second, 95),
	)
})

// handsOverWith lets a container take over from another one on a network of
// their own that loses so much each way.
func handsOverWith(loss float64, told bool) time.Duration {
	GinkgoHelper()
	d := newDevice()
	one, two := d.network(), d.network()
	one.lose(loss)
	two.lose(loss)
	return d.handsOver(one, two, told)
}

// handsOver lets a container take over from another one, by multicast alone, as
// soon as both run. It returns how long after its readiness the old one's
// service was stopped.
func (d *device) handsOver(one, two namespace, told bool) time.Duration {
	GinkgoHelper()
	a := d.run(one, "a", bridgeMode, "HANDOVER_SERVICE_STOP_GRACE_PERIOD=5m")
	defer a.kill()
	a.ready()
	b := d.run(two, "b", bridgeMode)
	defer b.kill()
	if told {
		a.term()
		a.until("holding")
	}
	took := a.stoppedAfter(b.becomeReady())
	if told {
		Expect(a.exit()).To(BeZero())
	} else {
		a.until("released")
	}
	b.until("serving")
	return took
}

// partition is a time in which one or both hear nothing.
type partition struct {
	name       string
	old, young bool // who is deaf
	told       bool // the old one is told to stop meanwhile
	healed     time.Duration
}

// heals has the younger one become ready during a partition, and returns how
// long after its end the old one's service was stopped.
func heals(p partition) time.Duration {
	GinkgoHelper()
	d := newDevice()
	one, two := d.network(), d.network()
	if p.old {
		one.lose(1)
	}
	if p.young {
		two.lose(1)
	}
	a := d.run(one, "a", bridgeMode, "HANDOVER_SERVICE_STOP_GRACE_PERIOD=5m")
	defer a.kill()
	a.ready()
	b := d.run(two, "b", bridgeMode)
	defer b.kill()
	b.ready()
	serves := "serving"
	if p.told {
		a.term()
		serves = "holding"
		a.until(serves)
	}
	Consistently(a.phase, untilQuiet, 50*time.Millisecond).Should(Equal(serves), p.name)
	Expect(b.phase()).To(Equal("serving"), p.name)

	healed := time.Now()
	one.loseNothing()
	two.loseNothing()
	took := a.stoppedAfter(healed)
	Expect(took).To(BeNumerically("<", soon), p.name)
	if p.told {
		Expect(a.exit()).To(BeZero(), p.name)
	} else {
		a.until("released")
		Consistently(a.phase, 300*time.Millisecond, 50*time.Millisecond).Should(Equal("released"), p.name)
	}
	Expect(b.phase()).To(Equal("serving"), p.name)
	return took
}

// stoppedAfter waits until the instance has stopped its workload, and returns
// how long after that time, which must have been earlier.
func (i *instance) stoppedAfter(at time.Time) time.Duration {
	GinkgoHelper()
	took := i.stopped().Sub(at).Round(time.Millisecond)
	Expect(took).To(BeNumerically(">=", 0), "too early\n%s", i.log)
	return took
}

// kill ends the process that this instance started, if it still runs.
func (i *instance) kill() {
	_ = i.cmd.Process.Kill()
	<-i.done
}

// inParallel calls f for each run, so many at once.
func inParallel(runs, atOnce int, f func(run int)) {
	GinkgoHelper()
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for run := range runs {
		slots <- struct{}{}
		all.Go(func() {
			defer GinkgoRecover()
			defer func() { <-slots }()
			f(run)
		})
	}
	all.Wait()
}

// distribution tells what sorted times are like.
func distribution(sorted []time.Duration) string {
	at := func(percent int) time.Duration { return sorted[(len(sorted)*percent+99)/100-1] }
	return fmt.Sprintf("%d runs: 10 %% %v, median %v, 90 %% %v, 95 %% %v, 99 %% %v, worst %v",
		len(sorted), at(10), at(50), at(90), at(95), at(99), at(100))
}

// lose makes a network drop that share of the UDP datagrams that come in, each
// by chance.
func (n namespace) lose(share float64) {
	GinkgoHelper()
	Expect(n.tryToLose(share)).To(Succeed())
}

func (n namespace) tryToLose(share float64) error {
	return n.iptables("-A", "INPUT", "-p", "udp", "-m", "statistic", "--mode", "random", "--probability", fmt.Sprint(share), "-j", "DROP")
}

func (n namespace) loseNothing() {
	GinkgoHelper()
	Expect(n.iptables("-F", "INPUT")).To(Succeed())
}

// iptables runs the command of that name in this namespace.
func (n namespace) iptables(args ...string) error {
	return command("ip", append([]string{"netns", "exec", string(n), "iptables", "-w"}, args...)...)
}

// needIptables skips a spec where datagrams cannot be lost.
func needIptables() {
	if _, err := exec.LookPath("iptables"); err != nil {
		Skip("needs the command iptables, to lose datagrams; install iptables")
	}
	if err := newNamespace().tryToLose(0.5); err != nil {
		Skip("needs a kernel that can lose datagrams: " + err.Error())
	}
}
