package controller_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

var _ = Describe("GET /metrics", func() {
	It("is what Prometheus accepts, before anything has happened", func() {
		Expect(checkMetrics(scrape(newIdle(nil, nil)))).To(BeEmpty())
	})

	It("would be found out if it were not", func() {
		good := scrape(newIdle(nil, nil))
		for fault, change := range map[string][2]string{
			"no HELP":                   {"# HELP handover_peers ", "# help handover_peers "},
			"no TYPE":                   {"# TYPE handover_peers gauge\n", ""},
			"a counter ends in _total":  {"# TYPE handover_peers gauge", "# TYPE handover_peers counter"},
			"_total, but is no counter": {"# TYPE handover_reconciles_total counter", "# TYPE handover_reconciles_total gauge"},
			"is not a name":             {"handover_failed 0", "handover-failed 0"},
			"stands twice":              {"handover_failed 0\n", "handover_failed 0\nhandover_failed 0\n"},
			"is not a number":           {"handover_failed 0\n", "handover_failed no\n"},
			"does not grow":             {`handover_supervisor_request_duration_seconds_bucket{le="0.01"} 0`, `handover_supervisor_request_duration_seconds_bucket{le="0.01"} 7`},
			"no bucket +Inf":            {`handover_supervisor_request_duration_seconds_bucket{le="+Inf"} 0` + "\n", ""},
			"a base unit":               {"handover_hold_remaining_seconds", "handover_hold_remaining_millis"},
		} {
			bad := strings.ReplaceAll(good, change[0], change[1])
			Expect(bad).NotTo(Equal(good), fault)
			Expect(checkMetrics(bad)).To(ContainElement(ContainSubstring(fault)))
		}
	})

	It("passes promtool", func() {
		promtool, err := exec.LookPath("promtool")
		if err != nil {
			Skip("promtool is not installed (Debian package prometheus)")
		}
		check := exec.Command(promtool, "check", "metrics")
		check.Stdin = strings.NewReader(scrape(newIdle(nil, nil)))
		out, err := check.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		Expect(string(out)).To(BeEmpty())
	})

	It("has the same series after a hand-over, and counts it", func(ctx SpecContext) {
		peers := &peersFake{changed: make(chan struct{}, 1)}
		command := &workloadFake{changed: make(chan struct{}, 1)}
		c := newIdle(peers, command)
		before := seriesOf(scrape(c))
		run, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = c.Run(run)
		}()
		DeferCleanup(func() { cancel(); <-done })
		Eventually(func() float64 { return value(c, `handover_phase{phase="serving"}`) }).WithContext(ctx).Should(BeEquivalentTo(1))
		Expect(value(c, `handover_stage_duration_seconds_count{stage="starting"}`)).To(BeEquivalentTo(1))
		Expect(value(c, "process_start_time_seconds")).To(BeNumerically("~", float64(time.Now().Unix()), 60))
		c.Tell()
		Eventually(func() float64 { return value(c, "handover_told_timestamp_seconds") }).WithContext(ctx).
			Should(BeNumerically("~", float64(time.Now().Unix()), 60))
		Expect(value(c, "handover_hold_remaining_seconds")).To(And(BeNumerically(">", 0), BeNumerically("<=", 6.5)))
		Expect(value(c, `handover_decisions_total{reason="Searching"}`)).To(BeEquivalentTo(1))
		Expect(value(c, `handover_workload_starts_total`)).To(BeEquivalentTo(1))
		Expect(seriesOf(scrape(c))).To(Equal(before))
	})

	It("counts requests to the Supervisor by outcome, and how long they took", func(ctx SpecContext) {
		answers := make(chan error, 3)
		answers <- &supervisor.Error{Op: "view", Kind: supervisor.KindUnauthorized, StatusCode: 401}
		answers <- errors.New("something else")
		answers <- nil
		c := newAsking(supervisorFake(answers))
		run, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = c.Run(run)
		}()
		DeferCleanup(func() { cancel(); <-done })
		for _, outcome := range []string{"unauthorized", "unexpected", "answered"} {
			Eventually(func() float64 { return value(c, `handover_supervisor_requests_total{outcome="`+outcome+`"}`) }).
				WithContext(ctx).Should(BeEquivalentTo(1), outcome)
		}
		Expect(value(c, "handover_supervisor_request_duration_seconds_count")).To(BeEquivalentTo(3))
		Expect(value(c, `handover_supervisor_request_duration_seconds_bucket{le="10"}`)).To(BeEquivalentTo(3))
		Expect(scrape(c)).NotTo(ContainSubstring("something else"))
	}, SpecTimeout(20*time.Second))

	It("has a series for every reason of a decision", func() {
		text := scrape(newIdle(nil, nil))
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("decide", "decision.go"), nil, 0)
		Expect(err).NotTo(HaveOccurred())
		reasons := 0
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
				return true
			}
			reason, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			Expect(err).NotTo(HaveOccurred())
			Expect(text).To(ContainSubstring(`handover_decisions_total{reason="`+reason+`"} 0`), "counters.go must name it")
			reasons++
			return true
		})
		Expect(reasons).To(BeNumerically(">", 20))
		Expect(strings.Count(text, "handover_decisions_total{")).To(Equal(reasons))
	})

	It("has the metrics of the table in README.md, in its order", func() {
		readme, err := os.ReadFile("README.md")
		Expect(err).NotTo(HaveOccurred())
		var documented, exposed []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)(?:\\{[a-z,]*\\})?` \\| (counter|gauge|histogram) \\|").FindAllStringSubmatch(string(readme), -1) {
			documented = append(documented, m[1]+" "+m[2])
		}
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (.*)$`).FindAllStringSubmatch(scrape(newIdle(nil, nil)), -1) {
			exposed = append(exposed, m[1])
		}
		Expect(documented).To(Equal(exposed))
	})
})

// checkMetrics is what Prometheus would not like about an answer.
func checkMetrics(text string) (faults []string) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	line := regexp.MustCompile(`^([^{ ]+)(?:\{((?:[a-z][a-z0-9_]*="[^"\\]*",?)+)\})? (\S+)$`)
	kinds, helped, seen := map[string]string{}, map[string]bool{}, map[string]bool{}
	last, inf := map[string]float64{}, map[string]bool{}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if f, ok := strings.CutPrefix(l, "# HELP "); ok {
			family, help, _ := strings.Cut(f, " ")
			helped[family] = help != ""
			continue
		}
		if f, ok := strings.CutPrefix(l, "# TYPE "); ok {
			family, kind, _ := strings.Cut(f, " ")
			kinds[family] = kind
			if total := strings.HasSuffix(family, "_total"); kind == "counter" && !total {
				add("%s: a counter ends in _total", family)
			} else if total && kind != "counter" {
				add("%s ends in _total, but is no counter", family)
			}
			for _, unit := range []string{"_millis", "_ms", "_minutes", "_nanoseconds", "_milliseconds"} {
				if strings.Contains(family+"_", unit+"_") {
					add("%s: seconds are a base unit, %s are not", family, unit)
				}
			}
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			add("%q is no series", l)
			continue
		}
		family := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(m[1], suffix); base != m[1] && kinds[base] == "histogram" {
				family = base
			}
		}
		if !name.MatchString(m[1]) {
			add("%s is not a name", m[1])
		}
		if !helped[family] {
			add("%s has no HELP before it", m[1])
		}
		if kinds[family] == "" {
			add("%s has no TYPE before it", m[1])
		}
		series := m[1] + "{" + m[2] + "}"
		if seen[series] {
			add("%s stands twice", series)
		}
		seen[series] = true
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			add("%s: %s is not a number", series, m[3])
		}
		if strings.HasSuffix(m[1], "_bucket") && family != m[1] {
			of := family + regexp.MustCompile(`,?le="[^"]*"`).ReplaceAllString(m[2], "")
			if v < last[of] {
				add("%s does not grow", series)
			}
			last[of] = v
			inf[of] = inf[of] || strings.Contains(m[2], `le="+Inf"`)
		}
	}
	for of := range last {
		if !inf[of] {
			add("%s has no bucket +Inf", of)
		}
	}
	return faults
}

func scrape(c *controller.Controller) string {
	answer := httptest.NewRecorder()
	c.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}

// seriesOf is an answer without its values.
func seriesOf(text string) string { return regexp.MustCompile(`(?m) \S+$`).ReplaceAllString(text, "") }

// value is that of one series; -1 if there is none.
func value(c *controller.Controller, series string) float64 {
	for _, l := range strings.Split(scrape(c), "\n") {
		if text, ok := strings.CutPrefix(l, series+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			Expect(err).NotTo(HaveOccurred())
			return v
		}
	}
	return -1
}

// newIdle is a controller without a Supervisor.
func newIdle(peers *peersFake, command *workloadFake) *controller.Controller {
	if peers == nil {
		peers = &peersFake{}
	}
	if command == nil {
		command = &workloadFake{}
	}
	return build(controller.Options{Peers: peers, Workload: command, Policy: decide.Policy{SupervisorOff: true}})
}

func newAsking(s controller.Supervisor) *controller.Controller {
	return build(controller.Options{
		Peers: &peersFake{}, Workload: &workloadFake{changed: make(chan struct{}, 1)}, Supervisor: s,
	})
}

func build(o controller.Options) *controller.Controller {
	GinkgoHelper()
	o.Marker, o.Logger, o.Version = markerFake{}, slog.New(slog.DiscardHandler), "1.2.3"
	o.Policy.PollInterval, o.Policy.StopGracePeriod, o.Policy.Discovery = 10*time.Millisecond, 7*time.Second, time.Minute
	c, err := controller.New(o)
	Expect(err).NotTo(HaveOccurred())
	return c
}

type peersFake struct{ changed chan struct{} }

func (*peersFake) Say(peer.Statement)         {}
func (*peersFake) Peers() []peer.Peer         { return nil }
func (*peersFake) Vouch([]peer.ContainerID)   {}
func (f *peersFake) Changed() <-chan struct{} { return f.changed }
func (*peersFake) Stats() peer.Stats {
	return peer.Stats{Ways: []peer.WayStats{{Name: "multicast", Kernel: &peer.KernelStats{DropsKnown: true}}, {Name: "folder"}}}
}

// workloadFake is ready as soon as it is started. Only the loop uses it.
type workloadFake struct {
	changed chan struct{}
	state   workload.State
}

func (f *workloadFake) Start() error {
	now := time.Now()
	f.state = workload.State{Run: 1, Running: true, PID: 1, Started: now, Ready: true, EverReady: true, ReadySince: now}
	return nil
}
func (*workloadFake) Drain(workload.Plan)        {}
func (f *workloadFake) State() workload.State    { return f.state }
func (f *workloadFake) Changed() <-chan struct{} { return f.changed }

type markerFake struct{}

func (markerFake) Write() error          { return nil }
func (markerFake) Remove() (bool, error) { return false, nil }

// supervisorFake fails as it is told, or answers.
type supervisorFake chan error

func (f supervisorFake) View(context.Context) (supervisor.View, error) {
	return supervisor.View{RequestedAt: time.Now(), ReceivedAt: time.Now()}, <-f
}

func (supervisorFake) Releases(context.Context, string) (supervisor.Releases, error) {
	return supervisor.Releases{}, nil
}

func (supervisorFake) Target(context.Context, string, string) (supervisor.Target, error) {
	return supervisor.Target{}, nil
}
