package workload_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
)

var _ = Describe("Draining", func() {
	It("sends the stop signal and reports the end", func() {
		w, out := started(workload.Options{Argv: self("trap", "15")})
		before := time.Now()
		w.Drain(soon())
		Expect(w.State().Draining).To(BeTrue())
		Eventually(ended(w)).Should(BeTrue())
		s := w.State()
		Expect(out.lines()).To(Equal([]string{"trapping", "terminated"}))
		Expect(s.ExitCode).To(BeZero())
		Expect(s.Killed).To(BeFalse())
		Expect(s.Draining).To(BeFalse())
		Expect(s.SignalledAt).To(BeTemporally(">=", before))
		Expect(s.Ended).To(BeTemporally(">=", s.SignalledAt))
	})

	It("sends the configured stop signal", func() {
		w, out := started(workload.Options{Argv: self("trap", "3"), StopSignal: syscall.SIGQUIT})
		w.Drain(soon())
		Eventually(ended(w)).Should(BeTrue())
		Expect(out.lines()).To(Equal([]string{"trapping", "quit"}))
	})

	It("says not ready from the stop signal on, and not before", func() {
		w, _ := started(workload.Options{Argv: self("trap", "12")})
		Eventually(ready(w)).Should(BeTrue())
		w.Drain(workload.Plan{SignalAt: time.Now().Add(time.Hour), KillAfter: time.Minute})
		Consistently(ready(w), "50ms").Should(BeTrue())
		w.Drain(soon())
		Eventually(func() bool { return w.State().SignalledAt.IsZero() }).Should(BeFalse())
		Expect(w.State().Ready).To(BeFalse())
		Expect(w.State().ReadySince).To(BeZero())
		Expect(w.State().EverReady).To(BeTrue())
		Expect(w.State().NotReadyReason).To(Equal("stop signal sent"))
	})

	It("waits for the drain delay", func() {
		w, _ := started(workload.Options{Argv: self("trap", "15")})
		at := time.Now().Add(100 * time.Millisecond)
		w.Drain(workload.Plan{SignalAt: at, KillAfter: time.Minute})
		Eventually(ended(w)).Should(BeTrue())
		Expect(w.State().SignalledAt).To(BeTemporally(">=", at))
	})

	It("is taken back before its first step, and can begin anew", func() {
		w, out := started(workload.Options{Argv: self("trap", "15")})
		Eventually(ready(w)).Should(BeTrue())
		w.Drain(workload.Plan{SignalAt: time.Now().Add(time.Hour)})
		Expect(w.Resume()).To(BeTrue())
		s := w.State()
		Expect(s.Draining).To(BeFalse())
		Expect(s.Ready).To(BeTrue())
		Expect(w.Resume()).To(BeTrue(), "there is none any more")
		w.Drain(soon())
		Eventually(ended(w)).Should(BeTrue())
		Expect(out.lines()).To(Equal([]string{"trapping", "terminated"}))
	})

	It("is not taken back after the stop signal, nor while nothing runs", func() {
		w, _ := started(workload.Options{Argv: self("trap")})
		w.Drain(workload.Plan{KillAfter: time.Minute})
		Eventually(func() bool { return w.State().SignalledAt.IsZero() }).Should(BeFalse())
		Expect(w.Resume()).To(BeFalse())
		Expect(w.State().Draining).To(BeTrue())
		w.Drain(workload.Plan{KillAt: time.Now()})
		Eventually(ended(w)).Should(BeTrue())
		Expect(w.Resume()).To(BeFalse())
	})

	It("is over when the workload ends by itself during the drain delay", func() {
		w, _ := started(workload.Options{Argv: self("trap", "10")})
		w.Drain(workload.Plan{SignalAt: time.Now().Add(time.Hour)})
		Expect(w.Signal(syscall.SIGUSR1)).To(Succeed())
		Eventually(ended(w)).Should(BeTrue())
		Expect(w.State().SignalledAt).To(BeZero())
		Expect(w.State().ExitCode).To(BeZero())
	})

	It("kills a workload that does not obey, after the time from the stop signal", func() {
		w, _ := started(workload.Options{Argv: self("trap")})
		w.Drain(workload.Plan{KillAfter: 100 * time.Millisecond})
		Eventually(ended(w)).Should(BeTrue())
		s := w.State()
		Expect(s.Killed).To(BeTrue())
		Expect(s.ExitCode).To(Equal(137))
		Expect(s.Signal).To(Equal(syscall.SIGKILL))
		Expect(s.Ended).To(BeTemporally(">=", s.SignalledAt.Add(100*time.Millisecond)))
	})

	It("kills it at a time", func() {
		w, _ := started(workload.Options{Argv: self("trap")})
		at := time.Now().Add(100 * time.Millisecond)
		w.Drain(workload.Plan{KillAt: at, KillAfter: time.Hour})
		Eventually(ended(w)).Should(BeTrue())
		Expect(w.State().Killed).To(BeTrue())
		Expect(w.State().Ended).To(BeTemporally(">=", at))
	})

	It("continues a stopped workload, so that it can obey", func() {
		w, _ := started(workload.Options{Argv: self("trap", "15")})
		Expect(w.Signal(syscall.SIGSTOP)).To(Succeed())
		Eventually(func() string { return processState(w.State().PID) }).Should(Equal("T"))
		w.Drain(soon())
		Eventually(ended(w)).Should(BeTrue())
		Expect(w.State().ExitCode).To(BeZero())
	})

	It("replaces the plan when called again, and sends the stop signal once", func() {
		w, out := started(workload.Options{Argv: self("trap")})
		w.Drain(soon())
		Eventually(out.lines).Should(HaveLen(2))
		w.Drain(workload.Plan{SignalAt: time.Now(), KillAfter: time.Hour})
		Expect(w.Signal(syscall.SIGUSR1)).To(Succeed())
		Eventually(out.lines).Should(HaveLen(3))
		w.Drain(workload.Plan{KillAt: time.Now().Add(10 * time.Millisecond)})
		Eventually(ended(w)).Should(BeTrue())
		Expect(w.State().Killed).To(BeTrue())
		Expect(out.lines()).To(Equal([]string{"trapping", "terminated", "user-defined-signal-1"}))
	})

	It("does nothing while nothing runs", func() {
		w := create(workload.Options{Argv: []string{"true"}})
		w.Drain(soon())
		Expect(w.State().Draining).To(BeFalse())
		Expect(w.Start()).To(Succeed())
		Eventually(ended(w)).Should(BeTrue())
		w.Drain(soon())
		Expect(w.State().Draining).To(BeFalse())
		Expect(w.Start()).To(Succeed())
		Eventually(ended(w)).Should(BeTrue())
	})

	It("leaves a workload that was started again alone", func() {
		w, out := started(workload.Options{Argv: self("trap", "15")})
		w.Drain(soon())
		Eventually(ended(w)).Should(BeTrue())
		Expect(w.Start()).To(Succeed())
		Eventually(out.lines).Should(HaveLen(3))
		Consistently(func() bool { return w.State().Running && !w.State().Draining }, "50ms").Should(BeTrue())
	})

	It("kills what is left of the process group before it reports the end", func() {
		w, out := started(workload.Options{Argv: self("family")})
		Eventually(out.lines).Should(HaveLen(6))
		DeferCleanup(killPrinted(out))
		same, other := familyPIDs(out)
		w.Drain(soon())
		Eventually(ended(w)).Should(BeTrue())
		Expect(alive(same)).To(BeFalse())
		Expect(w.State().Killed).To(BeFalse(), "the main process obeyed")
		// We adopt nothing here, so nobody may touch what left the group.
		Expect(alive(other)).To(BeTrue())
	})

	It("says when others than the main process lost what they did, and only then", func() {
		const lost = "outlived its first one"
		for role, says := range map[string]bool{"family": true, "trap": false} {
			log := newOutput()
			w, out := started(workload.Options{Argv: self(role, "15"), Logger: logger(log)})
			if says {
				Eventually(out.lines).Should(HaveLen(6))
				DeferCleanup(killPrinted(out))
			}
			w.Drain(soon())
			Eventually(ended(w)).Should(BeTrue())
			Eventually(log.text).Should(ContainSubstring("workload ended"))
			if says {
				Expect(log.text()).To(MatchRegexp("level=WARN .*" + lost + ".* count=1"))
			} else {
				Expect(log.text()).NotTo(ContainSubstring(lost))
			}
		}
	})

	It("reports the end at once when the workload ends by itself, and kills nothing", func() {
		w, out := started(workload.Options{Argv: self("family")})
		Eventually(out.lines).Should(HaveLen(6))
		DeferCleanup(killPrinted(out))
		_, other := familyPIDs(out)
		Expect(w.Signal(syscall.SIGKILL)).To(Succeed())
		Eventually(ended(w)).Should(BeTrue())
		Expect(alive(other)).To(BeTrue())
	})

	It("takes calls from everywhere at once", func() {
		w := create(workload.Options{Argv: self("trap", "15")})
		Expect(w.Start()).To(Succeed())
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for !errors.Is(w.Start(), workload.ErrClosed) {
					w.Drain(soon())
					_ = w.Signal(syscall.SIGHUP)
				}
			})
		}
		Eventually(func() int { return w.State().Run }).Should(BeNumerically(">", 3))
		Expect(w.Close()).To(Succeed())
		all.Wait()
		Expect(w.State().Running).To(BeFalse())
	})

	Describe("with a pre-stop command", func() {
		var file string
		BeforeEach(func() { file = filepath.Join(GinkgoT().TempDir(), "pre-stop") })
		note := func() string {
			b, _ := os.ReadFile(file)
			return string(b)
		}
		preStop := func(script string) workload.Command {
			return workload.Command{Argv: []string{"sh", "-c", script, "pre-stop", file}}
		}

		It("is not taken back once that was started", func() {
			w, _ := started(workload.Options{Argv: self("trap", "15"), PreStop: preStop(`: > "$1"; exec sleep 1000`)})
			w.Drain(workload.Plan{KillAfter: time.Minute})
			Eventually(file).Should(BeAnExistingFile())
			Expect(w.Resume()).To(BeFalse())
			w.Drain(workload.Plan{KillAt: time.Now()})
			Eventually(ended(w)).Should(BeTrue())
		})

		It("runs it after the drain delay and before the stop signal", func() {
			w, out := started(workload.Options{
				Argv:    self("trap", "15"),
				PreStop: preStop(`echo pre-stop; date +%s%N > "$1"`),
			})
			at := time.Now().Add(50 * time.Millisecond)
			w.Drain(workload.Plan{SignalAt: at, KillAfter: time.Minute})
			Eventually(ended(w)).Should(BeTrue())
			Expect(out.lines()).To(Equal([]string{"trapping", "pre-stop", "terminated"}))
			var ran int64
			_, err := fmt.Sscan(note(), &ran)
			Expect(err).NotTo(HaveOccurred())
			Expect(time.Unix(0, ran)).To(BeTemporally(">=", at.Round(0)))
			Expect(time.Unix(0, ran)).To(BeTemporally("<=", w.State().SignalledAt.Round(0)))
		})

		It("goes on when it fails, or cannot be started", func() {
			for _, command := range []workload.Command{preStop("exit 7"), {Argv: []string{"/does/not/exist"}}} {
				w, out := started(workload.Options{Argv: self("trap", "15"), PreStop: command})
				w.Drain(soon())
				Eventually(ended(w)).Should(BeTrue())
				Expect(out.lines()).To(Equal([]string{"trapping", "terminated"}))
			}
		})

		It("kills one that hangs, with its group, and leaves the workload half of the time", func() {
			w, out := started(workload.Options{
				Argv:    self("trap", "15"),
				PreStop: preStop(`sleep 1000 & echo $! > "$1"; wait`),
			})
			begin := time.Now()
			killAt := begin.Add(4 * time.Second)
			w.Drain(workload.Plan{KillAt: killAt})
			Eventually(ended(w)).Should(BeTrue())
			s := w.State()
			Expect(s.SignalledAt).To(BeTemporally(">=", begin.Add(2*time.Second)))
			Expect(s.SignalledAt).To(BeTemporally("<", killAt))
			Expect(s.Killed).To(BeFalse())
			Expect(out.lines()).To(Equal([]string{"trapping", "terminated"}))
			var sleeper int
			_, err := fmt.Sscan(note(), &sleeper)
			Expect(err).NotTo(HaveOccurred())
			Eventually(alive).WithArguments(sleeper).Should(BeFalse())
		})

		It("cuts it short when the deadline moves", func() {
			w, _ := started(workload.Options{Argv: self("trap", "15"), PreStop: preStop(`echo > "$1"; exec sleep 1000`)})
			w.Drain(workload.Plan{KillAfter: time.Hour})
			Eventually(note).ShouldNot(BeEmpty())
			w.Drain(workload.Plan{KillAt: time.Now().Add(4 * time.Second), KillAfter: time.Hour})
			Eventually(ended(w)).Should(BeTrue())
			Expect(w.State().Killed).To(BeFalse())
		})

		It("ends with the workload, if that ends first", func() {
			w, _ := started(workload.Options{Argv: self("trap", "10"), PreStop: preStop(`echo $$ > "$1"; exec sleep 1000`)})
			w.Drain(workload.Plan{KillAfter: time.Hour})
			Eventually(note).ShouldNot(BeEmpty())
			Expect(w.Signal(syscall.SIGUSR1)).To(Succeed())
			Eventually(ended(w)).Should(BeTrue())
			var pid int
			_, err := fmt.Sscan(note(), &pid)
			Expect(err).NotTo(HaveOccurred())
			Expect(alive(pid)).To(BeFalse())
			Expect(w.State().SignalledAt).To(BeZero())
		})
	})
})

// familyPIDs are the children of role family: one in its group, and one in a
// group of its own.
func familyPIDs(out output) (same, other int) {
	GinkgoHelper()
	var pids []int
	fields := out.lines()
	for i, field := range fields {
		if field == "pid" {
			n, err := strconv.Atoi(fields[i+1])
			Expect(err).NotTo(HaveOccurred())
			pids = append(pids, n)
		}
	}
	Expect(pids).To(HaveLen(2))
	return pids[0], pids[1]
}

// processState is the letter of /proc/PID/stat.
func processState(pid int) string {
	var name, state string
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err == nil {
		_, err = fmt.Sscan(string(stat), new(int), &name, &state)
	}
	if err != nil {
		return ""
	}
	return state
}
