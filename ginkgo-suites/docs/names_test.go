package docs_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"

	"github.com/handover-controller/handover/controller/decide"
)

// keys are all keys of the configuration.
var keys = sync.OnceValue(func() map[string]bool {
	loaded, err := config.Load(config.Options{Dir: "/nowhere"})
	Expect(err).NotTo(HaveOccurred())
	all := map[string]bool{}
	for _, v := range loaded.Values() {
		all[v.Key] = true
	}
	return all
})

// variables are all variables that the configuration is read from: the keys'
// own, and the others of the table in config/README.md, which a test there
// holds to the code.
var variables = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{"HANDOVER_CONFIG": true}
	for key := range keys() {
		all["HANDOVER_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = true
	}
	text, err := os.ReadFile(filepath.Join(root, "config", "README.md"))
	Expect(err).NotTo(HaveOccurred())
	_, table, _ := strings.Cut(string(text), "<!-- keys -->")
	for _, name := range regexp.MustCompile("`([A-Z][A-Z_]+)`").FindAllStringSubmatch(table, -1) {
		all[name[1]] = true
	}
	return all
})

// metrics are all metrics, from an instance that does nothing.
var metrics = sync.OnceValue(func() map[string]bool {
	c, err := controller.New(controller.Options{
		Policy: decide.Policy{SupervisorOff: true, PollInterval: 1, StopGracePeriod: 10e9},
		Peers:  nobody{}, Workload: nothing{}, Marker: nothing{}, Logger: slog.New(slog.DiscardHandler),
	})
	Expect(err).NotTo(HaveOccurred())
	recorder := httptest.NewRecorder()
	c.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(context.Background(), "GET", "/metrics", nil))
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(recorder.Body.String(), -1) {
		all[m[1]] = true
		if m[2] == "histogram" {
			all[m[1]+"_bucket"], all[m[1]+"_sum"], all[m[1]+"_count"] = true, true, true
		}
	}
	return all
})

type nobody struct{}

func (nobody) Say(peer.Statement)       {}
func (nobody) Peers() []peer.Peer       { return nil }
func (nobody) Changed() <-chan struct{} { return nil }
func (nobody) Vouch([]peer.ContainerID) {}
func (nobody) Stats() peer.Stats        { return peer.Stats{} }

type nothing struct{}

func (nothing) Start() error             { return nil }
func (nothing) Drain(workload.Plan)      {}
func (nothing) State() workload.State    { return workload.State{} }
func (nothing) Changed() <-chan struct{} { return nil }
func (nothing) Write() error             { return nil }
func (nothing) Remove() (bool, error)    { return false, nil }

var (
	settingLike  = regexp.MustCompile(`(^|[^\w./-])((?:service|network|announce|supervisor|policy|process|readiness|status|log)\.[a-z][a-z_]*)($|[^\w./(-]|\.$)`)
	settingValue = regexp.MustCompile(`^((?:service|network|announce|supervisor|policy|process|readiness|status|log)\.[a-z_]+): (.+)$`)
	checkLike    = regexp.MustCompile(`^[a-z]+\.[a-z_]+$`)
	variableLike = regexp.MustCompile(`\bHANDOVER_[A-Z_]*[A-Z]\b`)
	metricLike   = regexp.MustCompile(`^(handover_[a-z_]+)(?:\{[^}]*\})?$`)
	commandLike  = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:go (?:test|run|build) |handover [a-z])`)
	reasonLike   = regexp.MustCompile(`^[A-Z][a-z]+(?:[A-Z][a-z]+)*$`)
)

// wrong are names that are wrong on purpose, by page.
var wrong = map[string][]string{
	"config/README.md": {"HANDOVER_POLICY_SETLE"},
}

// foreign are words with a capital that are somebody else's: of handover-lib, of
// Docker, of Go, of the kernel.
var foreign = map[string]bool{"HandoverPeer": true, "Tty": true}

// checkNames is what inline code names and does not exist.
func checkNames(p *page) faults {
	var f faults
	known := func(name string) bool {
		for _, w := range wrong[p.path] {
			if w == name {
				return true
			}
		}
		return false
	}
	for _, s := range p.spans {
		var here faults
		for _, m := range settingLike.FindAllStringSubmatch(s.text, -1) {
			if !keys()[m[2]] && !known(m[2]) && !isCheck(m[2]) && !isFile(p, s.text) {
				here.add("%s is no key", m[2])
			}
		}
		if strings.HasPrefix(p.path, "cmd/handover/check/") && checkLike.MatchString(s.text) &&
			!keys()[s.text] && !isCheck(s.text) && !isFile(p, s.text) {
			here.add("%s is no check", s.text)
		}
		if m := settingValue.FindStringSubmatch(s.text); m != nil && keys()[m[1]] && !strings.Contains(m[2], "…") {
			here = append(here, checkValue(m[1], m[2])...)
		}
		if m := metricLike.FindStringSubmatch(s.text); m != nil && !metrics()[m[1]] {
			here.add("%s is no metric", m[1])
		}
		if commandLike.MatchString(s.text) && !strings.Contains(s.text, "…") {
			here = append(here, checkLine(s.text)...)
		}
		if reasonLike.MatchString(s.text) && !source.words[s.text] && !foreign[s.text] {
			here.add("%s is neither a text nor a name of the program", s.text)
		}
		f = append(f, here.at(p.path, s.line)...)
	}
	return append(f, checkVariables(p)...)
}

// checkVariables looks at the blocks, too.
func checkVariables(p *page) faults {
	var f faults
	look := func(text string, line int) {
		for _, name := range variableLike.FindAllString(text, -1) {
			if !variables()[name] && !strings.Contains(strings.Join(wrong[p.path], " "), name) {
				f = append(f, faults{name + " is no variable of handover"}.at(p.path, line)...)
			}
		}
	}
	for _, s := range p.spans {
		look(s.text, s.line)
	}
	for _, b := range p.blocks {
		look(b.text, b.line)
	}
	return f
}

// isCheck reports whether handover check has something of that name.
func isCheck(name string) bool {
	for path, f := range source.folders {
		if strings.HasPrefix(path, "cmd/handover/check") && slices.Contains(f.literals, name) {
			return true
		}
	}
	return false
}

// isFile reports whether inline code is the path of a file.
func isFile(p *page, text string) bool {
	for _, dir := range []string{filepath.Dir(p.path), "."} {
		if _, err := os.Stat(filepath.Join(root, dir, text)); err == nil {
			return true
		}
	}
	return false
}

// checkValue gives the key this value, with what else it needs.
func checkValue(key, value string) faults {
	section, name, _ := strings.Cut(key, ".")
	more := map[string]string{"supervisor.mode": "  address: http://127.0.0.1:48484\n"}
	return checkSettings(section+":\n  "+name+": "+value+"\n"+more[key], nil)
}

// troubleshooting is the section in which everything that is quoted must be
// something that a user can see, or write.
const troubleshooting = "Trouble-shooting"

// seen are the things outside the program that it may quote.
var seen = map[string]bool{
	"stop_grace_period":         true,
	"ports:":                    true,
	"network_mode: host":        true,
	"HEALTHCHECK":               true,
	"SIGTERM":                   true,
	"io.balena.update.strategy": true,
	"hand-over":                 true,
	"/tmp/balena":               true,
	"handover-complete":         true,
	"ENTRYPOINT":                true,
	"SO_REUSEPORT":              true,
	"io.balena.features.supervisor-api: \"1\"": true,
	"journalctl -u balena-supervisor":          true,
	"/proc":                                    true,
}

// checkSymptoms wants each piece of inline code in the section to be known.
func checkSymptoms(p *page) faults {
	var f faults
	for _, s := range p.spans {
		if s.section == troubleshooting && !isSeen(s.text) {
			f = append(f, faults{"a user sees nowhere: " + s.text}.at(p.path, s.line)...)
		}
	}
	return f
}

func isSeen(text string) bool {
	key, _, _ := strings.Cut(text, ":")
	if m := metricLike.FindStringSubmatch(text); m != nil {
		return metrics()[m[1]]
	}
	return seen[text] || keys()[text] || keys()[key] || variables()[text] || variables()[key] ||
		commandLike.MatchString(text) || source.says(text)
}

// checkLog wants lines of a log whose messages and reasons exist.
func checkLog(b block) faults {
	var f faults
	field := regexp.MustCompile(`(msg|reason)=("(?:[^"\\]|\\.)*"|\S+)`)
	for line := range strings.Lines(b.text) {
		found := 0
		for _, m := range field.FindAllStringSubmatch(line, -1) {
			text := strings.Trim(m[2], `"`)
			found++
			if m[1] == "reason" && !source.words[text] || !source.says(text) {
				f.add("nothing logs %s=%s", m[1], m[2])
			}
		}
		if found == 0 {
			f.add("a line of a log without a message: %s", strings.TrimSpace(line))
		}
	}
	return f
}

var _ = Describe("What handover exits with", func() {
	// Reasons why it ends before anything is announced.
	DescribeTable("is what the documents say",
		func(status int, args ...string) {
			dir := GinkgoT().TempDir()
			Expect(os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)).To(Succeed())
			run := exec.Command(binary, args...)
			run.Dir = dir
			run.Env = []string{
				"PATH=/usr/bin:/bin", "HANDOVER_NETWORK_MODE=host", "HANDOVER_NETWORK_INTERFACE=lo", "HANDOVER_NETWORK_PORT=21536",
				"HANDOVER_ANNOUNCE_STATUS_PORT=0", "HANDOVER_ANNOUNCE_FOLDER=off", "HANDOVER_SERVICE_STATE_DIR=" + dir,
				"HANDOVER_STATUS_SOCKET=" + filepath.Join(dir, "socket"), "HANDOVER_POLICY_COMPLETE_PATH=" + filepath.Join(dir, "marker"),
			}
			_ = run.Run()
			Expect(run.ProcessState.ExitCode()).To(Equal(status))
		},
		Entry("the workload's own", 7, "run", "--", "/bin/sh", "-c", "exit 7"),
		Entry("128 and the signal's number", 128+9, "run", "--", "/bin/sh", "-c", "kill -9 $$"),
		Entry("127: not found", 127, "run", "--", "/nowhere/service"),
		Entry("126: not executable", 126, "run", "--", "./file"),
		Entry("78: bad configuration", 78, "run", "--config", "file.yaml", "--", "true"),
		Entry("64: usage", 64, "run", "--interval", "5s", "--", "true"),
		Entry("64: no command", 64, "run"),
		Entry("1: nobody answers", 1, "status"),
	)
})
