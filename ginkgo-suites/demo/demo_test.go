package demo_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	"github.com/handover-controller/handover/supervisor/simulator"
	"github.com/handover-controller/handover/supervisor/simulator/scenario"
)

// limit is what any scenario must end within.
const limit = 20 * time.Second

// run is one run of the demo.
type run struct {
	args []string
	dir  string // its TMPDIR
	done chan struct{}
	code int
	out  string
	took time.Duration
}

// tooBusy is what a demo says that failed while its process had to wait for the
// processor.
const tooBusy = "one that busy proves little"

// atOnce bounds how many demos run at the same time: they share the machine.
var atOnce = make(chan struct{}, 3)

// start runs the demo in the background.
func start(dir, program string, args ...string) *run {
	return launch(dir, args, atOnce, func(tmp string) *exec.Cmd { return demo(program, tmp, args...) })
}

// launch runs a command with a TMPDIR of its own in the background, as soon as
// few enough others run.
func launch(dir string, args []string, atOnce chan struct{}, command func(tmp string) *exec.Cmd) *run {
	r := &run{args: args, done: make(chan struct{})}
	var err error
	r.dir, err = os.MkdirTemp(dir, "tmp")
	Expect(err).NotTo(HaveOccurred())
	go func() {
		defer close(r.done)
		atOnce <- struct{}{}
		defer func() { <-atOnce }()
		began := time.Now()
		cmd := command(r.dir)
		out, _ := cmd.CombinedOutput()
		r.code, r.out, r.took = cmd.ProcessState.ExitCode(), string(out), time.Since(began)
	}()
	return r
}

func demo(program, dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (r *run) wait(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, r.done).Should(BeClosed())
	AddReportEntry(strings.Join(r.args, " "), r.out)
}

// inOrder is what was printed, with the lines of the timeline in the order of
// their times: what an instance tells arrives late on a machine that is busy.
func (r *run) inOrder() string {
	lines := strings.Split(r.out, "\n")
	at := func(line string) float64 {
		var seconds float64
		_, _ = fmt.Sscanf(line, "%fs  ", &seconds)
		return seconds
	}
	timed := regexp.MustCompile(`^ *\d+\.\d\ds  \S`)
	begin := slices.IndexFunc(lines, timed.MatchString)
	if begin < 0 {
		return r.out
	}
	end := begin
	for end < len(lines) && timed.MatchString(lines[end]) {
		end++
	}
	slices.SortStableFunc(lines[begin:end], func(a, b string) int { return cmp.Compare(at(a), at(b)) })
	return strings.Join(lines, "\n")
}

// expectNothingLeft looks for processes and files of a run.
func (r *run) expectNothingLeft() {
	GinkgoHelper()
	left, err := os.ReadDir(r.dir)
	Expect(err).NotTo(HaveOccurred())
	Expect(left).To(BeEmpty())
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	Expect(err).NotTo(HaveOccurred())
	for _, path := range processes {
		env, _ := os.ReadFile(path) // it may have ended
		Expect(bytes.Contains(env, []byte("="+r.dir))).To(BeFalse(), path)
	}
}

var _ = Describe("handover demo", Ordered, func() {
	type key struct{ program, scenario, supervisor string }
	var (
		dir  string
		path string
		runs = map[key]*run{}
	)
	const (
		asItIs     = "handover"
		toldAtOnce = "drains at once when it is told"
		anyYounger = "drains at once for any younger instance"
		byClock    = "takes the later wall clock for the younger instance"
		noAside    = "starts its service whoever else serves"
	)
	plays := []key{
		{asItIs, "update", "19.0.5"},
		{asItIs, "update", "14.13.9"},
		{asItIs, "without", "19.0.5"},
		{toldAtOnce, "update", "19.0.5"},
		{anyYounger, "update", "14.13.9"},
		{byClock, "clock-back", "19.0.5"},
		{noAside, "old-restarts", "19.0.5"},
		{asItIs, "crash-loop", "19.0.5"},
		{asItIs, "device-stop", "19.0.5"},
	}
	if os.Getenv("DEMO_ALL") != "" {
		for _, v := range simulator.Released() {
			for _, s := range scenario.All() {
				plays = append(plays, key{asItIs, s.Name, v.Name})
			}
		}
	}

	BeforeAll(func() {
		if testing.Short() {
			Skip("these demos take a minute; run this suite without -short")
		}
		Expect(built.DependOnSources()).To(Succeed())
		var err error
		dir, err = os.MkdirTemp("", "handover-demo-suite")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, dir)
		path = build(dir, "handover", nil)
		programs := map[string]string{
			asItIs: path,
			toldAtOnce: build(dir, "told", mutate("controller/decide/told.go",
				"	switch {\n	case hurried:", "	switch {\n	case true:")),
			anyYounger: build(dir, "younger", mutate("controller/decide/serving.go",
				"if b != nil && b.both() && b.settled {", "if b != nil {")),
			byClock: build(dir, "clock", mutate("controller/decide/age.go",
				"	if r := relateStarts(", `	if p.StartMilli > w.Self.StartMilli {
		return Younger
	}
	if p.StartMilli != 0 {
		return Older
	}
	if r := relateStarts(`)),
			noAside: build(dir, "aside", mutate("controller/decide/serving.go",
				"	if b != nil && b.both() {\n		return w.stepAside(b)", "	if b != nil && false {\n		return w.stepAside(b)")),
		}
		for _, k := range plays {
			if runs[k] == nil {
				runs[k] = start(dir, programs[k.program], "--plain", "--scenario", k.scenario, "--supervisor", k.supervisor)
			}
		}
	})
	AfterAll(func() {
		for _, r := range runs {
			<-r.done
		}
	})

	for _, k := range plays {
		if k.program != asItIs {
			continue
		}
		It(fmt.Sprintf("plays %s on Supervisor %s as it says", k.scenario, k.supervisor), func(ctx SpecContext) {
			r := runs[k]
			r.wait(ctx)
			if r.code != 0 && strings.Contains(r.out, tooBusy) { // once more, on a machine that is shared
				r = start(dir, path, r.args...)
				runs[k] = r
				r.wait(ctx)
			}
			Expect(r.code).To(BeZero(), r.out)
			Expect(r.took).To(BeNumerically("<", limit))
			Expect(r.out).To(ContainSubstring("As expected: "))
			Expect(r.out).NotTo(MatchRegexp(`[\x00-\x09\x0b-\x1f\x7f-\xff]`), "plain text without control characters")
			requests := regexp.MustCompile(`(?m)^(\d+) requests, (\d+) failed`).FindStringSubmatch(r.out)
			Expect(requests).NotTo(BeNil(), r.out)
			if k.scenario == "without" {
				Expect(requests[2]).NotTo(Equal("0"))
			} else {
				Expect(requests[2]).To(Equal("0"))
			}
			r.expectNothingLeft()
		}, SpecTimeout(10*time.Minute))
	}

	It("tells the two signals, the Supervisor's SIGTERM and the drain, in their order", func(ctx SpecContext) {
		r := runs[key{asItIs, "update", "19.0.5"}]
		r.wait(ctx)
		Expect(r.inOrder()).To(MatchRegexp(`(?s)SIGTERM from the Supervisor, \d+ ms after B was started.*` +
			`A +holding.*B +serving.*A +draining: both signals.*A +has ended with exit status 0`))
		Expect(r.inOrder()).To(MatchRegexp(`(?s)A +signal: the Supervisor reports that a younger container is running.*A +draining`))
		Expect(r.inOrder()).To(MatchRegexp(`(?s)A +signal: a younger instance announces that it serves.*A +draining`))
		Expect(r.out).To(MatchRegexp(`(?m)^ A +\d+ +0$`), "how many requests A answered")
		Expect(r.out).To(ContainSubstring("longest wait"))

		r = runs[key{asItIs, "update", "14.13.9"}]
		r.wait(ctx)
		Expect(r.inOrder()).To(MatchRegexp(`(?s)A +draining: both signals are there\n.*A +released.*` +
			`Supervisor +has seen the file handover-complete.*SIGTERM from the Supervisor; SIGKILL.*A +has ended with exit status 0`))
	}, SpecTimeout(10*time.Minute))

	It("fails with a Decide that drains at once", func(ctx SpecContext) {
		for _, k := range []key{{toldAtOnce, "update", "19.0.5"}, {anyYounger, "update", "14.13.9"}} {
			r := runs[k]
			r.wait(ctx)
			Expect(r.code).To(Equal(1), r.out)
			Expect(r.out).To(MatchRegexp(`\d+ of \d+ requests failed, expected was none`))
			Expect(r.took).To(BeNumerically("<", limit))
			r.expectNothingLeft()
		}
	}, SpecTimeout(10*time.Minute))

	It("fails with a Decide that goes by wall clocks, or starts a service that is not needed", func(ctx SpecContext) {
		r := runs[key{byClock, "clock-back", "19.0.5"}]
		r.wait(ctx)
		Expect(r.code).To(Equal(1), r.out)
		Expect(r.out).To(MatchRegexp(`B is (draining|released), but must take over`))
		r = runs[key{noAside, "old-restarts", "19.0.5"}]
		r.wait(ctx)
		Expect(r.code).To(Equal(1), r.out)
		Expect(r.out).To(MatchRegexp(`A is \w+, but must stay out of the way`))
	}, SpecTimeout(10*time.Minute))

	It("names its scenarios and versions", func() {
		out, err := demo(path, dir, "--list").CombinedOutput()
		Expect(err).NotTo(HaveOccurred())
		for _, name := range []string{
			"update", "crash-loop", "never-ready", "same-release", "rollback", "revert", "twice", "supervisor-down", "supervisor-restarts",
			"key-rotation", "old-restarts", "clock-back", "plain-stop", "device-stop", "without", "12", "14.13.9", "17.6", "19.0.5",
		} {
			Expect(string(out)).To(MatchRegexp(`(?m)^` + regexp.QuoteMeta(name) + ` `))
		}
	})

	DescribeTable("refuses what it does not know",
		func(allowed string, args ...string) {
			cmd := demo(path, dir, args...)
			out, _ := cmd.CombinedOutput()
			Expect(cmd.ProcessState.ExitCode()).To(Equal(64), string(out))
			Expect(string(out)).To(ContainSubstring(allowed))
		},
		Entry("a scenario", "use one of update, crash-loop", "--scenario", "updat"),
		Entry("a version", "use one of 12, 14.13.9, 17.6, 19.0.5", "--supervisor", "20"),
		Entry("an argument", "takes no arguments", "update"),
	)

	It("leaves nothing behind when it is ended", func(SpecContext) {
		type ending struct {
			why    string
			end    func(*exec.Cmd, *os.File) error
			cmd    *exec.Cmd
			reader *os.File
		}
		send := func(s os.Signal) func(*exec.Cmd, *os.File) error {
			return func(cmd *exec.Cmd, _ *os.File) error { return cmd.Process.Signal(s) }
		}
		all := []*ending{
			{why: "it is interrupted", end: send(syscall.SIGINT)},
			{why: "it is told to stop", end: send(syscall.SIGTERM)},
			{why: "it loses its terminal", end: send(syscall.SIGHUP)},
			{why: "it loses its reader", end: func(_ *exec.Cmd, reader *os.File) error { return reader.Close() }},
		}
		r := &run{}
		var err error
		r.dir, err = os.MkdirTemp(dir, "ended")
		Expect(err).NotTo(HaveOccurred())
		for _, e := range all {
			e.cmd = demo(path, r.dir, "--plain")
			var writer *os.File
			e.reader, writer, err = os.Pipe()
			Expect(err).NotTo(HaveOccurred())
			e.cmd.Stdout = writer
			Expect(e.cmd.Start()).To(Succeed())
			_ = writer.Close()
		}
		for _, e := range all {
			By(e.why)
			lines := bufio.NewScanner(e.reader)
			for lines.Scan() && !strings.Contains(lines.Text(), "serving: its service is ready") {
			}
			Expect(e.end(e.cmd, e.reader)).To(Succeed())
			go func() { _, _ = io.Copy(io.Discard, e.reader) }()
		}
		for _, e := range all {
			Expect(e.cmd.Wait()).To(HaveOccurred(), e.why)
			Expect(e.cmd.ProcessState.ExitCode()).To(Equal(1), e.why)
			_ = e.reader.Close()
		}
		r.expectNothingLeft()
	}, SpecTimeout(2*time.Minute))

	It("says what is missing before it begins", func() {
		cmd := demo(path, filepath.Join(dir, "no such folder"), "--plain")
		out, _ := cmd.CombinedOutput()
		Expect(cmd.ProcessState.ExitCode()).To(Equal(1))
		Expect(string(out)).To(ContainSubstring("set TMPDIR to a folder that can be written"))
		Expect(string(out)).NotTo(ContainSubstring("expected"))
	})

	It("sends nothing to any network but loopback", func(ctx SpecContext) {
		if os.Getuid() != 0 {
			Skip("needs root, to make a network namespace")
		}
		for _, tool := range []string{"unshare", "ip"} {
			if _, err := exec.LookPath(tool); err != nil {
				Skip("needs " + tool)
			}
		}
		// A network with a second interface, on which IPv6 says nothing of itself.
		const script = `set -e
ip link set lo up
ip link add other type dummy || exit 99
echo 1 > /proc/sys/net/ipv6/conf/other/disable_ipv6 2>/dev/null || true
ip address add 10.99.0.1/24 dev other
ip link set other up multicast on
"$0" demo --plain --scenario plain-stop
echo "sent $(cat /sys/class/net/other/statistics/tx_packets) packets"`
		cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "sh", "-c", "mount -t sysfs sysfs /sys && "+script, path)
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code == 99 || code == 1 && strings.Contains(string(out), "unshare") {
			Skip("this machine gives no namespace with a second interface: " + string(out))
		}
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(ContainSubstring("sent 0 packets"))
	}, SpecTimeout(time.Minute))
})
