package workload_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
)

// Whatever is promised must hold as process 1 and as a subreaper.
var both = []TableEntry{
	Entry("as process 1", launch{namespace: true}),
	Entry("as a subreaper", launch{}),
}

var _ = Describe("Reaping", func() {
	DescribeTable("1,000 orphans leave no zombie and cost no exit status",
		func(l launch) {
			// Meanwhile a readiness command runs, whose status must not be lost either.
			h := l.host(settings{
				Argv: []string{"sh", "-c", `
					n=0; while [ $n -lt 1000 ]; do (true &); n=$((n+1)); done
					exit 7`},
				Readiness: workload.Readiness{
					Command: workload.Command{Argv: []string{"true"}},
					Period:  time.Millisecond, ServingPeriod: time.Millisecond, Timeout: time.Minute, Failures: 1,
				},
				Stay: true,
			})
			Eventually(h.ended).Should(BeTrue())
			Expect(h.state().ExitCode).To(Equal(7))
			Expect(h.state().EverReady).To(BeTrue())
			Eventually(zombies).WithArguments(h.pid()).Should(BeZero())
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(Equal(7))
			Expect(eventsText(h)).NotTo(ContainSubstring("not ready any more"))
		}, both)

	DescribeTable("no exit status is lost in many short runs amid orphans",
		func(l launch) {
			h := l.host(settings{Argv: []string{"sh", "-c", "(true & true &); (true &); exit 9"}, Runs: 100})
			Expect(h.exit()).To(Equal(9))
			Expect(strings.Count(eventsText(h), `"workload ended"`)).To(Equal(100))
			Expect(strings.Count(eventsText(h), "exitCode=9")).To(Equal(100))
		}, both)

	DescribeTable("children from before it was executed are reaped",
		func(l launch) {
			l.prelude = "true & true &"
			h := l.host(settings{Argv: self("child", "plain")})
			Eventually(h.text).Should(ContainSubstring("up"))
			Eventually(zombies).WithArguments(h.pid()).Should(BeZero())
		}, both)
})

var _ = Describe("The exit code", func() {
	DescribeTableSubtree("is the workload's",
		func(l launch) {
			DescribeTable("and that of tini and Docker",
				func(code int, argv ...string) {
					Expect(l.host(settings{Argv: argv}).exit()).To(Equal(code))
				},
				Entry("success", 0, "true"),
				Entry("failure", 3, "sh", "-c", "exit 3"),
				Entry("a signal", 143, "sh", "-c", "kill -TERM $$"),
				Entry("a fault", 139, "sh", "-c", "kill -SEGV $$"),
				Entry("not found", 127, "/does/not/exist"),
				Entry("not executable", 126, "/etc/passwd"),
			)
		}, both)
})

var _ = Describe("Signals", func() {
	DescribeTable("reach the main process, and it only",
		func(l launch) {
			h := l.host(settings{Argv: append([]string{"sh", "-c", `"$@" & exec "$@"`, "sh"}, self("child", "plain")...)})
			Eventually(func() int { return strings.Count(h.text(), "up") }).Should(Equal(2))
			for _, s := range []syscall.Signal{
				syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGQUIT, syscall.Signal(40),
			} {
				h.signal(s)
				Eventually(func() int { return strings.Count(h.text(), "signal "+s.String()+"\n") }).Should(Equal(1), s.String())
			}
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(BeZero())
			Expect(strings.Count(h.text(), "\nsignal ")).To(Equal(7), h.text())
			_, own := h.report()
			Expect(own).To(Equal([]string{"terminated"}))
		}, both)

	It("that were ignored from the start stay ignored, and are not passed on", func() {
		l := launch{prelude: "trap '' HUP INT TSTP TTOU"}
		h := l.host(settings{Argv: []string{"sh", "-c", "grep SigIgn /proc/self/status; exec sleep 1000"}})
		Eventually(h.text).Should(MatchRegexp(`SigIgn:\s+0*280003\n`))
		h.signal(syscall.SIGHUP)
		h.signal(syscall.SIGINT)
		h.signal(syscall.SIGTERM)
		Expect(h.exit()).To(Equal(143))
		_, own := h.report()
		Expect(own).To(Equal([]string{"terminated"}))
	})
})

var _ = Describe("The end of a drain", func() {
	DescribeTable("leaves nothing of the workload: group, daemons, and what they leave",
		func(l launch) {
			m := mark()
			h := l.host(settings{
				// Nested daemons, all deaf to SIGTERM, in sessions of their own.
				Argv: []string{"sh", "-c", `
					trap "" TERM
					sleep $0 &
					n=0; while [ $n -lt 20 ]; do
						setsid sh -c 'sleep $0 & setsid sh -c "sleep $0 & sleep $0; true" $0 & sleep $0; true' $0 &
						n=$((n+1))
					done
					trap "exit 5" TERM
					echo up; while :; do wait; done`, m},
				Stay: true,
			})
			Eventually(func() int { return strings.Count(fmt.Sprint(withMark(m)), "sleep "+m) }).Should(BeNumerically(">", 80))
			Eventually(h.text).Should(ContainSubstring("up"))
			h.signal(syscall.SIGTERM)
			Eventually(h.ended).Should(BeTrue())
			Expect(leftOf(m, h)).To(BeEmpty())
			Expect(h.state().ExitCode).To(Equal(5))
			Expect(h.state().Killed).To(BeFalse())
			Eventually(zombies).WithArguments(h.pid()).Should(BeZero())
		}, both)

	DescribeTable("comes late, before the next start, for one that ended by itself: it may have the port",
		func(l launch) {
			m, flag := mark(), filepath.Join(GinkgoT().TempDir(), "again")
			h := l.host(settings{
				Argv: []string{"sh", "-c", `
					[ -e $1 ] && { echo again; exec sleep 1000; }
					: > $1; sleep $0 & setsid sh -c 'sleep $0 & sleep $0; true' $0 &
					while [ $(ps -ww -eo args | grep -c "^sleep $0") -lt 3 ]; do sleep 0.01; done; exit 3`, m, flag},
				Runs: 2,
			})
			Eventually(h.text).Should(ContainSubstring("again"))
			Expect(fmt.Sprint(withMark(m))).NotTo(ContainSubstring("sleep " + m))
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(Equal(143))
		}, both)

	DescribeTable("comes although the workload multiplies",
		func(l launch) {
			m := mark()
			h := l.host(settings{
				Argv: []string{"sh", "-c", `
					bomb='[ $1 -gt 5 ] && exec sleep $0
						setsid sh -c "$2" $0 $(($1+1)) "$2" & setsid sh -c "$2" $0 $(($1+1)) "$2" &
						sleep 0.01'
					sh -c "$bomb" $0 0 "$bomb" &
					echo up; exec sleep $0`, m},
				KillAfter: 10e6, Stay: true,
			})
			Eventually(h.text).Should(ContainSubstring("up"))
			h.signal(syscall.SIGTERM)
			Eventually(h.ended).Should(BeTrue())
			Expect(leftOf(m, h)).To(BeEmpty())
		}, both)

	DescribeTable("comes with SIGKILL when the workload does not obey",
		func(l launch) {
			h := l.host(settings{Argv: self("child", "stubborn"), KillAfter: 200e6})
			Eventually(h.text).Should(ContainSubstring("up"))
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(Equal(137))
			s := h.state()
			Expect(s.Killed).To(BeTrue())
			Expect(s.Signal).To(Equal(syscall.SIGKILL))
			Expect(s.Ended.Sub(s.SignalledAt)).To(And(BeNumerically(">=", 200*time.Millisecond), BeNumerically("<", 15*time.Second)))
			Expect(h.text()).To(ContainSubstring("signal terminated"))
		}, both)

	DescribeTable("comes after delay, pre-stop command and stop signal, in this order",
		func(l launch) {
			h := l.host(settings{
				Argv: self("child", "plain"), PreStop: []string{"echo", "pre-stop"}, Delay: 100e6,
			})
			Eventually(h.text).Should(ContainSubstring("up"))
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(BeZero())
			Expect(h.text()).To(Equal("up \npre-stop\nsignal terminated\n"))
		}, both)

	It("spares what was there before, and what came in from outside", func() {
		if _, err := exec.LookPath("nsenter"); err != nil {
			Skip("needs nsenter, to enter the container as docker exec does")
		}
		before, inside, entered := mark(), mark(), mark()
		h := launch{namespace: true, prelude: "sleep " + before + " &"}.host(settings{
			Argv: []string{"sh", "-c", "setsid sleep $0 & echo up; wait", inside}, Stay: true,
		})
		Eventually(h.text).Should(ContainSubstring("up"))
		visitor := exec.Command("nsenter", "-t", strconv.Itoa(h.pid()), "-p", "-m", "sleep", entered)
		Expect(visitor.Start()).To(Succeed())
		DeferCleanup(func() { _ = visitor.Process.Kill(); _ = visitor.Wait() })
		Eventually(func() int { return len(withMark(entered)) }).Should(Equal(2))
		Eventually(func() int { return len(withMark(inside)) }).Should(BeNumerically(">", 0))
		h.signal(syscall.SIGTERM)
		Eventually(h.ended).Should(BeTrue())
		Expect(leftOf(inside, h)).To(BeEmpty())
		Expect(withMark("sleep " + before)).To(HaveLen(1))
		Expect(withMark("sleep " + entered)).NotTo(BeEmpty())
	})
})

var _ = Describe("If it dies itself", func() {
	It("by SIGKILL, the main process dies with it, and not with any thread of it", func() {
		h := launch{}.host(settings{Argv: self("child", "plain"), Churn: true})
		Eventually(h.text).Should(ContainSubstring("up"))
		main := h.workload()
		Expect(main).NotTo(BeZero())
		running := func() bool { return syscall.Kill(main, 0) == nil }
		Consistently(running, "200ms").Should(BeTrue())
		h.signal(syscall.SIGKILL)
		Eventually(running).Should(BeFalse())
	})
})

// leftOf lists living processes with the mark, but for the host and what
// started it, which have it in their settings.
func leftOf(mark string, h *handover) []info {
	var left []info
	for _, p := range withMark(mark) {
		if p.pid != h.pid() {
			left = append(left, p)
		}
	}
	return left
}
