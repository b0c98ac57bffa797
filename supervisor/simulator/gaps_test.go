package simulator_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// gaps are how long things took in ms, by what they were. What was only due to
// the containers' processes and to the labels is taken off.
func (c *course) gaps(a *actions) map[string][]int {
	all := map[string][]int{}
	note := func(what string, ms int) { all[what] = append(all[what], ms) }
	host := ""
	if a.host {
		host = " on the host's network"
	}
	last := map[string]happening{} // by kind and container
	var started happening
	told := map[string]happening{} // the first SIGTERM, by container
	restarts, supervisors := 0, 0
	for _, h := range c.engine {
		kind, container, _ := strings.Cut(h.what, " ")
		if i := strings.LastIndex(h.what, " "); i >= 0 {
			container = h.what[i+1:]
		}
		since := func(other string) int { return h.ms - last[other+container].ms }
		switch kind {
		case "rename":
			if !a.rename && container != "proxy" {
				note("restart policy cleared, renamed", since("update"))
			}
		case "create":
			for _, old := range []string{"A", "B"} {
				if r, ok := last["rename"+old]; ok && h.ms-r.ms < 1000 {
					note("renamed, created", h.ms-r.ms)
				}
			}
		case "start":
			if _, created := last["create"+container]; created && last["start"+container].what == "" {
				if a.killedAt == "" && !a.ports { // it had to wait for the old one's end
					note("created, started"+host, since("create"))
				}
				started = h
			} else {
				pause := 100 << restarts
				restarts++
				note("died, restarted, without the pause", since("die")-pause)
			}
		case "kill":
			switch {
			case strings.HasPrefix(h.what, "kill 9"):
				grace := 10000
				if a.grace > 0 {
					grace = 1000 * a.grace
				}
				note("SIGTERM, SIGKILL", h.ms-told[container].ms-grace)
			case told[container].what != "": // again, by a Supervisor that was started again
				if supervisors++; !a.ignores { // when it was started is known
					note("Supervisor started again, SIGTERM", h.ms-a.killed[supervisors-1].up)
				}
			case a.ports:
				note("created, start failed, SIGTERM to the old one", h.ms-last["createB"].ms)
			case a.restart > 0 || a.byHand > 0:
			case a.down > 0 || a.killedAt != "":
				note("Supervisor started again, SIGTERM", h.ms-a.up)
			case a.marker < 0:
				note("started with a stale marker, SIGTERM", h.ms-started.ms)
			case a.marker > 0:
				note("marker written, SIGTERM", h.ms-started.ms-a.marker)
			case strings.HasPrefix(a.name, "19.0.5/"):
				if !a.crashes && started.what != "" { // 91 ms once: that a crash loop slows the engine down is not simulated
					note("started, SIGTERM to the old one", h.ms-started.ms)
				}
			default:
				note("time-out over, SIGTERM", h.ms-started.ms-1000*a.timeout)
			}
		case "die":
			if k, ok := last["kill"+container]; ok && (!a.crashes || container != "B") {
				took := h.ms - k.ms
				switch {
				case container != "A" || a.exits > 0 || !strings.HasPrefix(k.what, "kill 15"):
				case a.again > 0:
					took -= a.again
				default:
					took -= 1000*a.stops + a.ends
				}
				note("ends, died", took)
			}
		case "stop":
			note("died, stopped"+host, since("die"))
		case "destroy":
			note("stopped, removed", since("stop"))
		}
		if kind == "kill" && told[container].what == "" {
			told[container] = h
		}
		last[kind+container] = h
	}
	c.statusGaps(a, note)
	return all
}

// statusGaps are those that the API shows.
func (c *course) statusGaps(a *actions, note func(string, int)) {
	moment := func(what string) int {
		for _, h := range slices.Backward(c.engine) {
			if strings.HasPrefix(h.what, what) {
				return h.ms
			}
		}
		return 0
	}
	current, applied, before := 0, 0, ""
	for _, s := range c.says[viewPath] {
		if current == 0 && (strings.HasPrefix(s.line, "applying b:") || strings.HasPrefix(s.line, "applying c:")) {
			current = s.ms
		}
		if strings.HasPrefix(s.line, "applied ") && !strings.HasPrefix(before, "applied ") {
			applied = s.ms
		}
		if s.line != unanswered {
			before = s.line
		}
	}
	switch {
	case a.same:
		note("removed, applied without another release", applied-moment("destroy"))
	case a.rename:
		note("renamed, current", current-moment("rename"))
		note("renamed and current, applied", applied-current)
	case a.crashes: // the API stalls meanwhile
	case a.byHand > 0 || a.restart > 0 || a.killedAt == simulator.EventRename: // nothing is applied
	case a.clean:
		note("removed, current, images deleted between", current-moment("destroy"))
		note("current, applied", applied-current)
	case a.killedAt == simulator.EventCreate || a.ports: // started after the removal
		note("current, applied", applied-current)
	default:
		note("removed, current", current-moment("destroy"))
		note("current, applied", applied-current)
	}
	if a.present > 1 && a.unlock == 0 && a.third == 0 {
		note("target set, hand-over begun", moment("update")-a.target)
	}
}

// documented are ranges that are known from more than these recordings, in ms.
var documented = map[string][2]int{
	"started, SIGTERM to the old one":      {14, 55}, // 19.0.5
	"started with a stale marker, SIGTERM": {28, 31}, // 14.13.9
	// Recorded once, with a pause of 1 s in it; 0.1 s more or less.
	"created, start failed, SIGTERM to the old one": {1232, 1432},
	// It looks every 100 ms, and acts within 31.
	"marker written, SIGTERM": {0, 131},
	// Written down from the steps of 20 and 100 ms in which the Supervisor sees
	// a time-out.
	"time-out over, SIGTERM": {13, 110},
}

// recordedGaps are those of all recordings: of each version, and of both.
var recordedGaps = sync.OnceValues(func() (by map[string]map[string][]int, both map[string][]int) {
	by, both = map[string]map[string][]int{}, map[string][]int{}
	for _, a := range recordings {
		if by[a.program()] == nil {
			by[a.program()] = map[string][]int{}
		}
		for gap, ms := range recorded(a.file()).gaps(&a) {
			both[gap] = append(both[gap], ms...)
			by[a.program()][gap] = append(by[a.program()][gap], ms...)
		}
	}
	return by, both
})

// program is the version without the repair of its wait.
func (a *actions) program() string { return strings.TrimSuffix(a.version(), "-wait-repaired") }

var _ = Describe("How long things take", func() {
	// What was recorded once or twice only is taken from both versions together.
	const enough = 3
	// The recorder asks every 50–100 ms, so what the API shows is known so well.
	const blur = 80
	for _, a := range recordings {
		It("is as long as it was in "+a.name, func() {
			by, both := recordedGaps()
			end := recorded(a.file()).end
			for seed := range seeds() {
				var got *course
				virtually(fmt.Sprint(seed), func() { got = a.simulate(100+seed, end+2000) })
				all := got.gaps(&a)
				Expect(all).NotTo(BeEmpty())
				for gap, times := range all {
					seen := by[a.program()][gap]
					if len(seen) < enough {
						seen = both[gap]
					}
					Expect(seen).NotTo(BeEmpty(), gap)
					least, most := slices.Min(seen), slices.Max(seen)
					if d, ok := documented[gap]; ok {
						least, most = d[0], d[1]
					}
					if shown(gap) {
						least, most = least-blur, most+blur
					}
					for _, ms := range times {
						Expect(ms).To(And(BeNumerically(">=", least), BeNumerically("<=", most)),
							"seed %d: %s: %d ms, recorded %v", 100+seed, gap, ms, seen)
					}
				}
			}
		})
	}
})

// shown tells whether a gap was read from the API's answers.
func shown(gap string) bool {
	return strings.Contains(gap, "current") || strings.Contains(gap, "applied") || strings.Contains(gap, "target set")
}
