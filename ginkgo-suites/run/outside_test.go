package run_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"

	"github.com/handover-controller/handover/controller/decide"
)

var _ = DescribeTable("Exit status", func(code int, complaint string, argv ...string) {
	r := newRig()
	i := r.container("a")
	cmd := exec.Command(binary, argv...)
	cmd.Env = i.environ()
	cmd.Dir = r.dir
	text, _ := cmd.CombinedOutput()
	Expect(cmd.ProcessState.ExitCode()).To(Equal(code), string(text))
	Expect(string(text)).To(ContainSubstring(complaint))
},
	Entry("of the workload", onDevice, 3, "", "run", "--", "sh", "-c", "exit 3"),
	Entry("of a workload that succeeds", 0, "", "run", "--", "true"),
	Entry("of a workload that a signal ended", onDevice, 128+9, "", "run", "--", "sh", "-c", "kill -9 $$"),
	Entry("of a command that does not exist", onDevice, 127, "no-such-command", "run", "--", "no-such-command"),
	Entry("of a path that does not exist", 127, "/no/such/command", "run", "--", "/no/such/command"),
	Entry("of a folder", 126, "/tmp", "run", "--", "/tmp"),
	Entry("of a file that is not executable", onDevice, 126, "/etc/passwd", "run", "--", "/etc/passwd"),
	Entry("without a command", onDevice, 64, "handover run -- COMMAND", "run"),
	Entry("with only dashes", 64, "handover run -- COMMAND", "run", "--"),
	Entry("with a wrong flag", 64, "--nonsense", "run", "--nonsense", "--", "true"),
	Entry("with a wrong flag for another command", 64, "--nonsense", "status", "--nonsense"),
	Entry("with an unknown command", 64, "frobnicate", "frobnicate"),
	Entry("without any argument", 64, "a command is missing"),
	Entry("with an argument too many", 64, "takes no arguments", "version", "now"),
	Entry("with a command that is nearly right", 64, "did you mean status?", "stat"),
	Entry("of a completion for nothing", 64, "name a shell", "completion"),
	Entry("of the version as a flag", 0, "handover version", "--version"),
	Entry("with a file that does not exist", 78, "/no/such.yaml", "run", "--config", "/no/such.yaml", "--", "true"),
	Entry("of a probe without an instance", 1, "no instance answers", "probe"),
	Entry("of a status without an instance", 1, "is `handover run` running", "status"),
	Entry("of a deferral without an instance", 1, "no instance answers", "defer", "30s"),
	Entry("of a deferral for no time", 64, "name one duration", "defer"),
	Entry("of a deferral for a bare number", 64, "such as 30s", "defer", "30"),
	Entry("of a deferral into the past", 64, "such as 30s", "defer", "--", "-1s"),
	Entry("of the workload's own flags", 0, "-n", "run", "--", "echo", "-n", "--config", "x", "-n"),
)

var _ = Describe("Bad configuration", func() {
	It("exits 78 with all errors at once, before anything is started", func() {
		r := newRig()
		i := r.container("a")
		file := filepath.Join(r.dir, "handover.yaml")
		Expect(os.WriteFile(file, []byte("policy:\n  setle: 1s\n  drain_reserve: 5\nnetwork:\n  port: 99999\n"), 0o600)).To(Succeed())
		i.start([]string{"HANDOVER_ANNOUNCE_INTERVAL=soon", "HANDOVER_ANNOUNCE_SECRET=sesame-open"}, "sh", "-c", "echo started")
		Expect(i.exit(patience)).To(Equal(78))
		Expect(i.out.String()).To(BeEmpty())
		for _, part := range []string{"handover.yaml:2", "policy.setle", "policy.settle", "handover.yaml:3", "handover.yaml:5", "99999", "HANDOVER_ANNOUNCE_INTERVAL", "soon"} {
			Expect(i.err.String()).To(ContainSubstring(part))
		}
		Expect(i.err.String()).NotTo(ContainSubstring("sesame"))
	})
})

var _ = Describe("handover defer", func() {
	It("holds up the drain that a hand-over would begin, until it is withdrawn", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		code, text := a.handover("defer", "10m")
		Expect(code).To(BeZero(), text)
		Expect(text).To(MatchRegexp(`^deferred until \d\d:\d\d:\d\d \(10m0s\)\n$`))
		b := r.container("b").serve(0)
		b.until("serving", patience)
		Eventually(func() decide.Reason { return a.status().Reason }, patience, "10ms").Should(Equal(decide.ReasonDeferred))
		_, text = a.handover("status")
		Expect(text).To(MatchRegexp(`Deferred: +for another (10|9)m`))
		Consistently(a.phase, "300ms", "50ms").Should(Equal("serving"))
		code, text = a.handover("defer", "0")
		Expect(code).To(BeZero(), text)
		Expect(text).To(Equal("not deferred\n"))
		a.until("released", patience)
		code, text = a.handover("defer", "1s")
		Expect(code).To(Equal(1))
		Expect(text).To(ContainSubstring("too late"))
	})

	It("can be used by the workload itself, and delays a plain stop", func() {
		r := newRig()
		a := r.container("a")
		a.run([]string{"HANDOVER_READINESS_AFTER=0s", longGrace}, "sh", "-c", binary+" defer 1m && exec sleep 1000")
		a.until("serving", patience)
		Eventually(func() *time.Time { return a.status().Instance.DeferredUntil }, patience, "10ms").ShouldNot(BeNil())
		a.term()
		Consistently(a.done, "1s").ShouldNot(BeClosed())
		a.until("holding", patience)
		a.term()
		Expect(a.exit(patience)).To(Equal(128 + 15))
	})
})

var _ = Describe("A marker that cannot be written", func() {
	It("is a warning that says what it means, and nothing else changes", func() {
		r := newRig()
		missing := "BALENA_SERVICE_HANDOVER_COMPLETE_PATH=" + filepath.Join(r.dir, "missing", "handover-complete")
		a := r.container("a").serve(0, missing)
		a.until("serving", patience)
		Eventually(a.err.String, patience).Should(MatchRegexp(`level=WARN msg=".*missing.*"`))
		r.container("b").serve(0, missing)
		a.until("released", patience)
		Eventually(a.err.String, patience).Should(ContainSubstring("reason=MarkerNotWritten"))
		Eventually(func() string { _, text := a.get("/status"); return text }, patience).Should(ContainSubstring("the marker could not be written"))
		a.term()
		Expect(a.exit(patience)).To(BeZero())
	})

	It("is one also where the folder is read-only", func() {
		if os.Geteuid() == 0 {
			Skip("root may write to read-only folders; run this suite as an ordinary user as well")
		}
		r := newRig()
		folder := filepath.Join(r.dir, "sealed")
		Expect(os.Mkdir(folder, 0o500)).To(Succeed())
		a := r.container("a").serve(0, "BALENA_SERVICE_HANDOVER_COMPLETE_PATH="+filepath.Join(folder, "handover-complete"))
		a.until("serving", patience)
		Eventually(a.err.String, patience).Should(MatchRegexp(`level=WARN msg=".*sealed.*"`))
	})
})

var _ = DescribeTable("A Supervisor that answers nonsense is unknown, not a reason", func(answer http.HandlerFunc) {
	r := newRig()
	r.supervisor.answers(answer)
	a := r.container("a").serve(0, "HANDOVER_SUPERVISOR_TIMEOUT=500ms")
	a.until("serving", patience)
	b := r.container("b").serve(0)
	b.until("serving", patience)
	Eventually(func() string { return condition(a.status(), decide.YoungerAnnounced) }, patience).Should(Equal("True"))
	Consistently(a.phase, "1s", "50ms").Should(Equal("serving"))
	Eventually(func() string { return condition(a.status(), decide.YoungerRunning) }, patience).Should(Equal("Unknown"))
	Expect(a.err.String()).NotTo(ContainSubstring(apiKey))
	_, status := a.get("/status")
	_, metrics := a.get("/metrics")
	Expect(status + metrics).NotTo(ContainSubstring(apiKey))
},
	Entry("HTML", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>It works!</body></html>")
	}),
	Entry("10 MB", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"success","containers":[],"padding":"` + strings.Repeat("x", 10<<20) + `"}`))
	}),
	Entry("half a body", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"status":"success","containers":[{"status":"Run`))
	}),
	Entry("nothing", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
	Entry("the key itself", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "what is "+r.Header.Get("Authorization")+"?", http.StatusInternalServerError)
	}),
)

func condition(st controller.Status, of decide.ConditionType) string {
	for _, c := range st.Conditions {
		if c.Type == of {
			return string(c.Status)
		}
	}
	return ""
}

var _ = Describe("The service", func() {
	It("does not notice: streams, environment, working directory", func() {
		r := newRig()
		i := r.container("a")
		script := `pwd; tr '\0' '\n' </proc/self/environ; echo "args: $0 $*"; cat; echo oops >&2`
		run := func(name string, argv ...string) string {
			cmd := exec.Command(name, argv...)
			cmd.Env = append(i.environ(), "ODD", "TWICE=1", "TWICE=2", "EMPTY=")
			cmd.Dir = r.dir
			cmd.Stdin = strings.NewReader("from stdin\n")
			text, err := cmd.Output()
			Expect(err).NotTo(HaveOccurred())
			return string(text)
		}
		plain := run("/bin/sh", "-c", script, "zero", "one")
		Expect(run(binary, "run", "--", "/bin/sh", "-c", script, "zero", "one")).To(Equal(plain))
		Expect(plain).To(ContainSubstring("from stdin"))
	})

	It("gets SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH and SIGQUIT", func() {
		i := newRig().container("a")
		i.run([]string{"HANDOVER_READINESS_AFTER=0s"}, "sh", "-c",
			`for s in HUP USR1 USR2 WINCH QUIT; do trap "echo got $s" $s; done; echo up; while :; do sleep 0.02; done`)
		Eventually(i.out.String, patience).Should(ContainSubstring("up"))
		for name, s := range map[string]syscall.Signal{
			"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH, "QUIT": syscall.SIGQUIT,
		} {
			i.signal(s)
			Eventually(i.out.String, patience).Should(ContainSubstring("got " + name))
		}
		i.until("serving", patience)
	})

	It("ends with handover when handover is killed", func() {
		i := newRig().container("a")
		i.run([]string{"HANDOVER_READINESS_AFTER=0s"}, "sleep", "1000")
		i.until("serving", patience)
		pid := i.status().Workload.PID
		Expect(pid).NotTo(BeZero())
		i.kill()
		Eventually(func() error { return syscall.Kill(pid, 0) }, patience).Should(MatchError(syscall.ESRCH))
	})
})

var _ = Describe("Hostile datagrams", func() {
	It("are dropped and counted by reason, and change nothing", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		conn, err := net.Dial("udp4", "127.0.0.1:1536")
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = conn.Close() }()
		group, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = group.Close() }()
		Expect(multicastOnLoopback(group)).To(Succeed())
		to := &net.UDPAddr{IP: net.IPv4(239, 192, 16, 16), Port: 1536}
		send := func(b []byte) {
			_, err := group.WriteToUDP(b, to)
			Expect(err).NotTo(HaveOccurred())
		}
		dropped := func(reason string) func() int {
			return func() int {
				return metric(a, `handover_announcements_dropped_total{way="multicast",reason="`+reason+`"}`)
			}
		}
		before := map[string]int{}
		for _, reason := range []string{"short", "version", "malformed", "domain", "oversized"} {
			before[reason] = dropped(reason)()
		}
		byKernel := func() int { return metric(a, `handover_announcements_kernel_drops_total{way="multicast"}`) }
		beforeInKernel := byKernel()
		for range 3 {
			send([]byte{1, 2, 3})
			send([]byte{9, 0, 0, 0, 0, 0, 0, 0, 1})
			send(append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, "nonsense"...))
			send(append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 'H', 'O', 1}, "another domain, and what follows"...))
			send(make([]byte, 1400))
		}
		if metric(a, `handover_announcements_filter{way="multicast"}`) == 1 {
			Eventually(byKernel, patience).Should(BeNumerically(">=", beforeInKernel+15))
		} else {
			for reason, n := range before {
				Eventually(dropped(reason), patience).Should(BeNumerically(">=", n+3), reason)
			}
		}
		Expect(a.phase()).To(Equal("serving"))
		Expect(a.status().Peers).To(BeEmpty())
	})
})

// metric reads one series; -1 if there is none.
func metric(i *instance, series string) int {
	_, text := i.get("/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		return -1
	}
	n, _ := strconv.ParseFloat(m[1], 64)
	return int(n)
}

var _ = Describe("The other commands", func() {
	It("status tells what is going on, as text and as JSON, and follows", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		Eventually(func() *bool { return a.status().Supervisor.Reachable }, patience).Should(HaveValue(BeTrue()))

		watch := exec.Command(binary, "status", "--watch")
		watch.Env = a.environ()
		pipe, err := watch.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(watch.Start()).To(Succeed())
		lines := make(chan string, 100)
		go func() {
			defer close(lines)
			for s := bufio.NewScanner(pipe); s.Scan(); {
				lines <- s.Text()
			}
		}()
		DeferCleanup(func() {
			_ = watch.Process.Kill()
			_ = watch.Wait()
		})

		r.container("b").serve(0)
		a.until("released", patience)
		Eventually(lines, patience).Should(Receive(MatchRegexp(`draining +Normal +BothSignals`)))
		a.event("MarkerWritten", "")
		code, text := a.handover("status")
		Expect(code).To(BeZero())
		for _, part := range []string{"Phase:", "released", "Conditions:", "YoungerAnnounced", "Peers:", "bbbbbbbbbbbb", "multicast", "Supervisor:", "(this one)", "Events:", "MarkerWritten"} {
			Expect(text).To(ContainSubstring(part))
		}
		code, text = a.handover("status", "--json")
		Expect(code).To(BeZero())
		var st controller.Status
		Expect(json.Unmarshal([]byte(text), &st)).To(Succeed())
		Expect(st.Phase).To(Equal("released"))
		Expect(st.Peers).To(HaveLen(1))

		By("ending with the instance")
		a.term()
		Expect(a.exit(patience)).To(BeZero())
		Eventually(lines, patience).Should(Receive(MatchRegexp(`gone +Normal +HandedOver`)))
		Eventually(lines, patience).Should(BeClosed())
		Expect(watch.Wait()).To(Succeed())
	})

	It("config prints values with origins, secrets masked", func() {
		code, text := newRig().container("a").handover("config")
		Expect(code).To(BeZero(), text)
		Expect(text).To(MatchRegexp(`interface: lo\s+# HANDOVER_NETWORK_INTERFACE`))
		Expect(text).To(MatchRegexp(`settle: 0s\s+# default`))
		Expect(text).NotTo(ContainSubstring(apiKey))
	})

	It("version, completion and help print something of use", func() {
		i := newRig().container("a")
		code, text := i.handover("version")
		Expect(code).To(BeZero())
		Expect(text).To(HavePrefix("handover "))
		code, text = i.handover("completion", "bash")
		Expect(code).To(BeZero())
		Expect(text).To(ContainSubstring("complete"))
		for _, command := range []string{"run", "status", "probe", "defer", "config", "version", "completion"} {
			code, text = i.handover(command, "--help")
			Expect(code).To(BeZero())
			Expect(text).To(ContainSubstring("Examples:"), command)
		}
	})

	It("probe fails when a workload that was ready is not ready any more", func() {
		r := newRig()
		file := filepath.Join(r.dir, "ready")
		a := r.container("a").run([]string{"HANDOVER_READINESS_FILE=" + file}, "sh", "-c", "touch "+file+"; exec sleep 1000")
		a.until("serving", patience)
		code, _ := a.handover("probe")
		Expect(code).To(BeZero())
		Expect(os.Remove(file)).To(Succeed())
		a.until("starting", patience)
		code, text := a.handover("probe")
		Expect(code).To(Equal(1))
		Expect(text).To(ContainSubstring("not ready any more"))
	})

	It("leaves the socket of a live instance alone", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		b := r.container("b").serve(0, "HANDOVER_STATUS_SOCKET="+a.socket())
		Eventually(b.err.String, patience).Should(ContainSubstring("another instance answers on it"))
		Expect(a.status().Instance.Container).To(Equal("aaaaaaaaaaaa"))
	})

	It("replaces the socket of an instance that was killed", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		a.kill()
		Expect(a.socket()).To(BeAnExistingFile())
		again := r.container("a").start([]string{"HANDOVER_READINESS_AFTER=0s"}, "sleep", "1000")
		again.until("serving", patience)
	})
})

var _ = Describe("An idle instance", func() {
	It("leaves the Supervisor alone after it was introduced", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		Eventually(r.supervisor.count, patience).Should(Equal(3), "the list, the releases and the target")
		Consistently(r.supervisor.count, 3*time.Second, 100*time.Millisecond).Should(Equal(3))
		Eventually(func() uint64 { return a.status().Instance.Release }, patience).Should(BeEquivalentTo(1001))
	})
})
