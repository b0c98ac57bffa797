package workload_test

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/supervisor/simulator"
)

func eventsText(h *handover) string {
	b, err := os.ReadFile(h.events)
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}

var _ = Describe("What the workload sees", func() {
	// dump prints everything about itself that should not depend on us. A shell
	// changes its environment and its mask, so each is read where it has not.
	dump := []string{"sh", "-c", `
		cat /proc/$$/environ | tr '\0' '\n'
		readlink /proc/$$/cwd; umask
		grep -E '^(Umask|Sig(Blk|Ign|Cgt|Pnd)|ShdPnd|Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid)' /proc/self/status
		cat /proc/$$/limits /proc/$$/oom_score_adj
		cut -d' ' -f18,19,40,41 /proc/$$/stat
		for f in /proc/$$/fd/*; do echo ${f##*/} $(readlink $f); done`}
	// comparable takes out what differs from one run to the next.
	comparable := func(text string) string {
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			if strings.Contains(line, "/output") || strings.Contains(line, "pipe:") {
				lines[i] = strings.Fields(line)[0] + " a file"
			}
		}
		return strings.Join(lines, "\n")
	}

	DescribeTable("is what it would see without us",
		func(namespaced bool, prelude string) {
			l := launch{namespace: namespaced, prelude: strings.ReplaceAll(prelude, "SELF", quoted(self())[0])}
			plain := l.run(dump...)
			Expect(plain.exit()).To(BeZero(), plain.text())
			h := l.host(settings{Argv: dump})
			Expect(h.exit()).To(BeZero(), h.text())
			Expect(comparable(h.text())).To(Equal(comparable(plain.text())))
			Expect(strings.Count(h.text(), "\n")).To(BeNumerically(">", 30))
		},
		Entry("ordinarily, as process 1", true, ""),
		Entry("ordinarily, as a subreaper", false, ""),
		Entry("with limits, priorities and a mask", true, `
			ulimit -Sn 512; ulimit -c 0; umask 027; cd /usr; renice -n 3 $$ >/dev/null; echo 500 > /proc/self/oom_score_adj`),
		Entry("with the soft limit of files as high as the hard one", true, "ulimit -n 4096"),
		Entry("with ignored signals", true, "trap '' HUP INT TSTP TTIN TTOU CONT"),
		Entry("with blocked signals", true, "exec env --block-signal=USR1,TERM,CHLD,40 \"$@\""),
		Entry("with an odd environment", true, `
			exec env -i PATH="$PATH" NOTIFY_SOCKET=@x LISTEN_FDS=1 "A B=1" =odd "$@"`),
		Entry("with an environment that no shell could make", true, `exec SELF odd "$@"`),
		Entry("with inherited files", true, "exec 7</etc/passwd 9>/dev/null"),
	)
})

var _ = Describe("Readiness", func() {
	It("auto sees a daemon that was handed to us", func() {
		for _, l := range []launch{{namespace: true}, {}} {
			h := l.host(settings{
				Argv: append([]string{"sh", "-c", `(setsid "$@" &) ; exec sleep 1000`, "sh"}, self("child", "listen", simulator.FreeAddress())...),
				Readiness: workload.Readiness{
					AfterAuto: true, After: time.Hour, Period: 10 * time.Millisecond, ServingPeriod: 10 * time.Millisecond, Failures: 1,
				},
			})
			Eventually(h.ready).Should(BeTrue())
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(Equal(143))
		}
	})

	DescribeTable("works as process 1",
		func(rule func(address, file string) (workload.Readiness, []string)) {
			a, file := simulator.FreeAddress(), GinkgoT().TempDir()+"/ready"
			readiness, argv := rule(a, file)
			h := launch{namespace: true}.host(settings{Argv: argv, Readiness: readiness})
			Eventually(h.ready).Should(BeTrue())
		},
		Entry("tcp", func(a, _ string) (workload.Readiness, []string) {
			return workload.Readiness{TCP: a}, self("child", "listen", a)
		}),
		Entry("auto", func(a, _ string) (workload.Readiness, []string) {
			return workload.Readiness{AfterAuto: true, After: time.Hour}, self("child", "listen", a)
		}),
		Entry("command", func(_, f string) (workload.Readiness, []string) {
			return workload.Readiness{Command: workload.Command{Argv: []string{"test", "-e", f}}},
				[]string{"sh", "-c", ": > " + f + "; exec sleep 1000"}
		}),
		Entry("file", func(_, f string) (workload.Readiness, []string) {
			return workload.Readiness{File: f + "/in/here"}, []string{"sh", "-c", "mkdir -p " + f + "/in; : > " + f + "/in/here; exec sleep 1000"}
		}),
		Entry("notify", func(_, _ string) (workload.Readiness, []string) {
			return workload.Readiness{Notify: true}, self("child", "notify")
		}),
		Entry("after", func(_, _ string) (workload.Readiness, []string) {
			return workload.Readiness{After: time.Millisecond}, self("child", "plain")
		}),
	)

	It("notify does not listen to processes outside the container", func() {
		h := launch{namespace: true}.host(settings{
			Argv:      []string{"sh", "-c", `echo "$NOTIFY_SOCKET"; exec sleep 1000`},
			Readiness: workload.Readiness{Notify: true},
		})
		Eventually(h.text).Should(HavePrefix("@"))
		conn, err := net.Dial("unixgram", strings.TrimSpace(h.text()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		_, err = conn.Write([]byte("READY=1"))
		Expect(err).NotTo(HaveOccurred())
		Consistently(h.ready, "200ms").Should(BeFalse())
	})
})

var _ = Describe("An idle host", func() {
	DescribeTable("does not wake up",
		func(r workload.Readiness) {
			h := launch{}.host(settings{Argv: []string{"sleep", "1000"}, Readiness: r})
			Eventually(h.state).ShouldNot(BeZero())
			before := -1
			Eventually(func() bool {
				same := before == switches(h.pid())
				before = switches(h.pid())
				return same
			}).WithPolling(time.Second).Should(BeTrue())
		},
		Entry("without a rule", workload.Readiness{}),
		Entry("waiting for notify", workload.Readiness{Notify: true}),
		Entry("waiting for a file", workload.Readiness{File: "/does/not/exist"}),
		Entry("waiting for a time", workload.Readiness{After: time.Hour}),
		Entry("ready by being alive", workload.Readiness{AfterAuto: true, After: time.Millisecond}),
	)
})

// switches counts how often the threads of a process have given up a processor.
func switches(pid int) int {
	GinkgoHelper()
	folder := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(folder)
	Expect(err).NotTo(HaveOccurred())
	sum := 0
	for _, thread := range threads {
		status, err := os.ReadFile(folder + "/" + thread.Name() + "/status")
		if err != nil {
			continue // it has just ended
		}
		for line := range strings.Lines(string(status)) {
			if count, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, err := strconv.Atoi(strings.TrimSpace(count))
				Expect(err).NotTo(HaveOccurred())
				sum += n
			}
		}
	}
	return sum
}
