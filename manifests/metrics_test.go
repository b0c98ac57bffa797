package manifests_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"

	"github.com/handover-controller/handover/controller/decide"
)

const (
	dashboardPath = "grafana-dashboard.json"
	rulesPath     = "prometheus-rules.yml"
	rulesTestPath = "testdata/prometheus-rules-test.yml"
)

var _ = Describe("prometheus-rules.yml", func() {
	It("uses metrics and labels that exist, and says what to do", func() {
		Expect(checkRules(read(rulesPath))).To(BeEmpty())
	})

	DescribeTable("would be found out if it said something else",
		func(old, replacement, fault string) {
			Expect(checkRules(broken(read(rulesPath), old, replacement))).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("a metric that is none", "expr: handover_failed", "expr: handover_faild", "handover_faild does not exist"),
		Entry("a label that is none", `handover_decisions_total{reason=`, `handover_decisions_total{why=`, `no label why`),
		Entry("a value that is none", `reason="HoldEnded"`, `reason="HoldOver"`, `no reason "HoldOver"`),
		Entry("a phase that is none", `"starting|prepared"`, `"starting|preparing"`, `no phase "preparing"`),
		Entry("no severity", "expr: handover_failed == 1\n        labels:\n          severity: critical", "expr: handover_failed == 1\n        labels:\n          page: x", "HandoverFailed has no severity"),
		Entry("a field that is none", "        for: 1m\n", "        fore: 1m\n", "fore not found"),
	)

	It("is accepted by promtool", func() { promtool("check", "rules", rulesPath) })

	It("raises what it should and when, as promtool finds", func() { promtool("test", "rules", rulesTestPath) })
})

var _ = Describe("grafana-dashboard.json", func() {
	It("uses metrics and labels that exist", func() {
		Expect(checkExpressions(expressions())).To(BeEmpty())
	})

	It("shows every metric but those that only explain others", func() {
		shown := strings.Join(expressions(), "\n")
		for _, name := range metricNames() {
			switch name {
			case "handover_build_info", "process_start_time_seconds", "handover_told_timestamp_seconds", "handover_reconciles_total",
				"handover_workload_starts_total", "handover_supervisor_answer_timestamp_seconds", "handover_announcements_throttled_total",
				"handover_announcements_filter", "handover_status_messages_sent_total":
				continue
			}
			Expect(shown).To(ContainSubstring(name))
		}
	})

	It("has panels that do not lie on each other, and variables that are used", func() {
		d := dashboard()
		for i, a := range d.Panels {
			Expect(a.Title).NotTo(BeEmpty())
			Expect(a.Description).NotTo(BeEmpty(), a.Title)
			Expect(a.Grid.X+a.Grid.W).To(BeNumerically("<=", 24), a.Title)
			for _, b := range d.Panels[:i] {
				Expect(b.ID).NotTo(Equal(a.ID))
				apart := a.Grid.X >= b.Grid.X+b.Grid.W || b.Grid.X >= a.Grid.X+a.Grid.W ||
					a.Grid.Y >= b.Grid.Y+b.Grid.H || b.Grid.Y >= a.Grid.Y+a.Grid.H
				Expect(apart).To(BeTrue(), "%s and %s", a.Title, b.Title)
			}
		}
		for _, v := range d.Templating.List {
			Expect(read(dashboardPath)).To(MatchRegexp(`\$\{?`+v.Name+`\b`), v.Name)
		}
	})

	It("has expressions that promtool accepts", func() {
		var rules strings.Builder
		rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
		for i, e := range expressions() {
			e = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h").Replace(e)
			e = regexp.MustCompile(`\$[a-z]+`).ReplaceAllString(e, "x")
			fmt.Fprintf(&rules, "      - record: expression:%d\n        expr: %q\n", i, e)
		}
		path := filepath.Join(GinkgoT().TempDir(), "rules.yml")
		Expect(os.WriteFile(path, []byte(rules.String()), 0o600)).To(Succeed())
		promtool("check", "rules", path)
	})
})

var _ = Describe("the guide to scraping in README.md", func() {
	It("has examples that Prometheus accepts, with the labels that rules and dashboard use", func() {
		blocks := regexp.MustCompile("(?ms)^```yaml\n([^`]*^scrape_configs:.*?)^```$").FindAllStringSubmatch(read("README.md"), -1)
		Expect(blocks).NotTo(BeEmpty())
		for i, b := range blocks {
			var config struct {
				ScrapeConfigs []yaml.Node `yaml:"scrape_configs"`
			}
			Expect(yaml.Unmarshal([]byte(b[1]), &config)).To(Succeed())
			Expect(config.ScrapeConfigs).NotTo(BeEmpty())
			for _, l := range []string{"device", "service"} {
				Expect(b[1]).To(MatchRegexp(`(target_label: |"|\n +)`+l+`\b`), "example %d", i)
			}
		}
		for _, b := range blocks {
			path := filepath.Join(GinkgoT().TempDir(), "prometheus.yml")
			Expect(os.WriteFile(path, []byte(b[1]), 0o600)).To(Succeed())
			promtool("check", "config", "--syntax-only", path)
		}
	})
})

// promtool runs it, or skips.
func promtool(args ...string) {
	GinkgoHelper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		Skip("promtool is not installed (Debian package prometheus)")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
}

// rulesFile is the part of the format that is used: any other field is an error.
type rulesFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

// checkRules is what is wrong with the rules.
func checkRules(text string) faults {
	var f faults
	var file rulesFile
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		f.add("does not parse: %v", err)
		return f
	}
	var seen []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if !strings.HasPrefix(r.Alert, "Handover") || slices.Contains(seen, r.Alert) {
				f.add("%q is not a name, or stands twice", r.Alert)
			}
			seen = append(seen, r.Alert)
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				f.add("%s has no severity", r.Alert)
			}
			if r.For != "" {
				if _, err := time.ParseDuration(r.For); err != nil {
					f.add("%s: %v", r.Alert, err)
				}
			}
			if r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 80 {
				f.add("%s does not say what to do", r.Alert)
			}
			f = append(f, checkExpressions([]string{r.Expr})...)
		}
	}
	if len(seen) == 0 {
		f.add("there is no alert")
	}
	return f
}

// checkExpressions is which of their metrics, labels and values do not exist.
func checkExpressions(all []string) faults {
	var f faults
	known := metricLabels()
	selector := regexp.MustCompile(`\b((?:handover|process)_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher := regexp.MustCompile(`([a-z]+)\s*=~?\s*"([^"]*)"`)
	for _, e := range all {
		found := selector.FindAllStringSubmatch(e, -1)
		if len(found) == 0 {
			f.add("%s asks for nothing", e)
		}
		for _, m := range found {
			labels, ok := known[m[1]]
			if !ok {
				f.add("%s does not exist", m[1])
				continue
			}
			for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
				if slices.Contains([]string{"job", "device", "service", "instance"}, l[1]) {
					continue // of the target
				}
				if labels[l[1]] == nil {
					f.add("%s has no label %s", m[1], l[1])
					continue
				}
				for _, v := range strings.Split(l[2], "|") {
					if !slices.Contains(labels[l[1]], v) {
						f.add("%s has no %s %q", m[1], l[1], v)
					}
				}
			}
		}
	}
	return f
}

type dashboardFile struct {
	Panels []struct {
		ID                 int
		Title, Description string
		Grid               struct{ X, Y, W, H int } `json:"gridPos"`
		Targets            []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func dashboard() dashboardFile {
	GinkgoHelper()
	var d dashboardFile
	Expect(json.Unmarshal([]byte(read(dashboardPath)), &d)).To(Succeed())
	Expect(d.Panels).NotTo(BeEmpty())
	return d
}

// expressions are those of all panels.
func expressions() []string {
	GinkgoHelper()
	var all []string
	for _, p := range dashboard().Panels {
		Expect(p.Targets).NotTo(BeEmpty(), p.Title)
		for _, t := range p.Targets {
			all = append(all, t.Expr)
		}
	}
	return all
}

// metricLabels are the series that an instance has: their names, and for each
// label its values.
func metricLabels() map[string]map[string][]string {
	GinkgoHelper()
	c, err := controller.New(controller.Options{
		Peers: silence{}, Workload: nothing{}, Marker: nothing{}, Logger: slog.New(slog.DiscardHandler),
		Policy: decide.Policy{SupervisorOff: true, PollInterval: time.Second, StopGracePeriod: 10 * time.Second},
	})
	Expect(err).NotTo(HaveOccurred())
	answer := httptest.NewRecorder()
	c.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	all := map[string]map[string][]string{}
	for _, line := range strings.Split(answer.Body.String(), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, _, _ := strings.Cut(line, " ")
		name, labels, _ := strings.Cut(name, "{")
		if all[name] == nil {
			all[name] = map[string][]string{}
		}
		for _, l := range regexp.MustCompile(`([a-z]+)="([^"]*)"`).FindAllStringSubmatch(labels, -1) {
			all[name][l[1]] = append(all[name][l[1]], l[2])
		}
	}
	Expect(len(all)).To(BeNumerically(">", 20))
	return all
}

// metricNames are the names without the suffixes of histograms.
func metricNames() []string {
	var all []string
	for name := range metricLabels() {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// silence is a network on which nobody speaks.
type silence struct{}

func (silence) Say(peer.Statement)       {}
func (silence) Peers() []peer.Peer       { return nil }
func (silence) Changed() <-chan struct{} { return nil }
func (silence) Vouch([]peer.ContainerID) {}
func (silence) Stats() peer.Stats {
	return peer.Stats{Ways: []peer.WayStats{{Name: "multicast", Kernel: &peer.KernelStats{DropsKnown: true}}, {Name: "folder"}}}
}

// nothing is a workload that does nothing, and a marker that is not there.
type nothing struct{}

func (nothing) Start() error             { return nil }
func (nothing) Drain(workload.Plan)      {}
func (nothing) State() workload.State    { return workload.State{} }
func (nothing) Changed() <-chan struct{} { return nil }
func (nothing) Write() error             { return nil }
func (nothing) Remove() (bool, error)    { return false, nil }
