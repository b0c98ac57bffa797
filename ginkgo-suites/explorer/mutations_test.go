package explorer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
)

// mutation is a mistake in the controller that the explorer must find.
type mutation struct {
	name, file string
	old, new   string // old must be in the file exactly once
	fast       bool   // tried in each run, not only with EXPLORE_MUTATIONS=1
}

var mutations = []mutation{
	{name: "drains as soon as it is told", file: "decide/told.go", fast: true,
		old: "	switch {\n	case hurried:", new: "	switch {\n	case true:"},
	{name: "steps down for any younger instance", file: "decide/serving.go",
		old: "	if b != nil && b.both() && b.settled {\n		if !w", new: "	if b != nil {\n		if !w"},
	{name: "believes an announcement alone", file: "decide/serving.go",
		old: "return c.announced && c.running == True", new: "return c.announced"},
	{name: "believes the list alone", file: "decide/serving.go",
		old: "return c.announced && c.running == True", new: "return c.running == True"},
	{name: "what was announced once counts for ever", file: "decide/world.go",
		old: "return announcing(p) && w.heard(p, announcedWithin)", new: "return announcing(p)"},
	{name: "an old answer of the Supervisor counts for ever", file: "decide/world.go",
		old: "return !s.RequestedAt.IsZero() && !w.reached(later(", new: "return !s.RequestedAt.IsZero() || !w.reached(later("},
	{name: "the older one is taken for the younger", file: "decide/age.go",
		old: "case self.Boot == other.Boot && other.Since > self.Since:\n		return Younger\n	case self.Boot == other.Boot && other.Since < self.Since:\n		return Older",
		new: "case self.Boot == other.Boot && other.Since > self.Since:\n		return Older\n	case self.Boot == other.Boot && other.Since < self.Since:\n		return Younger"},
	{name: "goes by wall clocks", file: "decide/age.go",
		old: "	if r := relateStarts(", new: "	if p.StartMilli > w.Self.StartMilli {\n		return Younger\n	}\n	if p.StartMilli != 0 {\n		return Older\n	}\n	if r := relateStarts("},
	{name: "told: an answer from before the signal rules out a successor", file: "decide/told.go",
		old: "	return !w.Policy.SupervisorOff && !w.Supervisor.RequestedAt.Before(lost)\n", new: "	return !w.Policy.SupervisorOff && !w.Supervisor.RequestedAt.IsZero() && !lost.IsZero()\n"},
	{name: "told: a list without its own container rules out a successor", file: "decide/told.go",
		old: "case answered && w.listsSelf():", new: "case answered:"},
	{name: "told: a rotated key is a Supervisor that is away", file: "decide/told.go",
		old: "(w.Supervisor.Rotated || answered)", new: "answered"},
	{name: "told: waits for no acknowledgement", file: "decide/told.go",
		old: "case !s.acked || !w.trusts(s):", new: "case !w.trusts(s):"},
	{name: "told: one that was told, too, is a successor", file: "decide/told.go",
		old: "		if p.Told || p.Ended() || !w.maySucceed(p) {", new: "		if p.Ended() || !w.maySucceed(p) {"},
	{name: "told: the list adds no successors", file: "decide/told.go",
		old: "	if w.listCounts() {\n		all", new: "	if false {\n		all"},
	{name: "told: trusts an acknowledgement at once", file: "decide/told.go",
		old: "return w.silence(since, min(w.Policy.UnknownAfter, third))", new: "return since.Add(0 * third)"},
	{name: "told: holds into SIGKILL", file: "decide/told.go",
		old: "w.killAt().Add(-w.Policy.DrainReserve)", new: "w.killAt().Add(w.Policy.DrainReserve)"},
	{name: "never acknowledges", file: "decide/decide.go",
		old: "p.Phase == peer.PhaseHolding && w.live(p)", new: "p.Phase == peer.PhaseGone && w.live(p)"},
	{name: "a drain is not cut short by SIGTERM", file: "decide/decide.go",
		old: "		d.KillAt = w.killAt()", new: "		_ = w.killAt()"},
	{name: "released: never serves again", file: "decide/released.go",
		old: "	lost := !drain.UnservedSince.IsZero() && w.lost(drain.UnservedSince, standby)\n", new: "	lost := false\n"},
	{name: "released: gives up a younger one at the first silence", file: "decide/released.go",
		old: "		limit := silentAfter\n", new: "		limit := 10 * time.Millisecond\n"},
	{name: "released: does not end when it is told", file: "decide/released.go",
		old: "	if w.Self.Told() && !standby {", new: "	if w.Self.Hurry && !standby {"},
	{name: "releases that were too early are forgotten", file: "decide/serving.go",
		old: "	if w.memory.Restarts == 0 {\n", new: "	if true {\n"},
	{name: "writes the marker before the release", file: "decide/decide.go",
		old: "	d.SignalAt = signalAt\n", new: "	d.SignalAt = signalAt\n	d.Marker = MarkerWrite\n"},
	{name: "writes the marker after a reboot", file: "decide/marker.go",
		old: "	case w.Self.FirstStart.Boot != w.Self.Boot:\n", new: "	case w.Self.FirstStart.Boot != w.Self.Boot && !w.Self.Restarted:\n"},
	{name: "a restarted instance does not look who serves", file: "decide/serving.go",
		old: "	if !w.Self.Restarted {\n		return run()", new: "	if true {\n		return run()"},
	{name: "a handover-lib is matched to any container", file: "decide/world.go",
		old: "		case c == own, c.Extended, c.Unnamed, c.RunningSince.IsZero():", new: "		case c == own, c.Unnamed:"},
	{name: "told: trusts another service's handover-lib", file: "decide/told.go",
		old: "	if !s.Legacy {\n		return true", new: "	if true {\n		return true"},
	{name: "matches a handover-lib where an own instance may be", file: "decide/world.go",
		old: "!o.Legacy && !o.Ended() && o.Container == \"\"", new: "false && o != nil"},
	{name: "standby: a release is final", file: "decide/released.go",
		old: "	if w.Policy.Standby <= 0 || ", new: "	if true || "},
	{name: "standby: goes on beyond the hold", file: "decide/released.go",
		old: "w.Self.PressedAt.IsZero() && !w.reached(w.holdEnds())\n", new: "w.Self.PressedAt.IsZero()\n"},
	{name: "standby: writes the marker at once", file: "decide/released.go",
		old: "	if !drain.Completed && !standby && b", new: "	if !drain.Completed && b"},
	{name: "does not wait although the workload asked for time", file: "decide/serving.go",
		old: "		if !w.deferred() {\n", new: "		if true {\n"},
	{name: "told: waits beyond the hold because the workload asked for time", file: "decide/told.go",
		old: "	if w.deferred() && !hurried && !w.reached(w.holdEnds()) {", new: "	if w.deferred() && !hurried {"},
	{name: "exclusive: starts without the right", file: "decide/exclusive.go",
		old: "	if !w.Owner.Held {\n", new: "	if false {\n"},
	{name: "exclusive: gives up the right before the workload has ended", file: "decide/decide.go",
		old: "w.Workload.Started && !w.Workload.Ended,", new: "w.Workload.Started && !w.Workload.Ended && w.memory.Drain == nil,"},
	{name: "loop: the time of the signal moves", file: "look.go",
		old: "	now := time.Now()\n	c.noteStall(", new: "	now := time.Now()\n	if c.self.Told() {\n		c.self.ToldAt = now\n	}\n	c.noteStall("},
	{name: "loop: does not look again by itself", file: "controller.go",
		old: "		timer.Reset(next.RequeueAfter)", new: "		_ = timer"},
	{name: "loop: a new plan for a drain is not passed on", file: "controller.go",
		old: "		if plan != c.plan {\n", new: "		if c.plan == (workload.Plan{}) {\n"},
	{name: "loop: an answer is as new as its receipt", file: "controller.go",
		old: "c.supervisor.RequestedAt, c.supervisor.ReceivedAt = a.view.RequestedAt, a.view.ReceivedAt",
		new: "c.supervisor.RequestedAt, c.supervisor.ReceivedAt = a.view.ReceivedAt, a.view.ReceivedAt"},
	{name: "loop: a refused key is not remembered", file: "poller.go",
		old: "p.failures, p.worked, p.refused = 0, true, false", new: "p.failures, p.refused = 0, false"},
	{name: "loop: does not ask the Supervisor out of turn", file: "poller.go",
		old: "	if p.sentAt.Before(askSince) {\n", new: "	if p.sentAt.IsZero() {\n"},
	{name: "the stop signal waits for policy.drain_delay although nobody else serves", file: "decide/decide.go",
		old: "w.Policy.DrainDelay > 0 && !w.Policy.Exclusive && (d.HandOver || w.anotherServes())", new: "w.Policy.DrainDelay > 0 && !w.Policy.Exclusive"},
	{name: "silence counts although this process did not run", file: "decide/world.go",
		old: "if s := w.Stall; !s.To.IsZero() && over", new: "if s := w.Stall; s.To.Before(s.From) && over"},
	{name: "a lock in the folder is an announcement", file: "decide/world.go",
		old: "return announcing(p) && w.heard(p, announcedWithin)", new: "return announcing(p) && (w.heard(p, announcedWithin) || w.vouched(p))"},
	{name: "told: a second SIGTERM always hurries", file: "told.go",
		old: "	case o.interrupt:\n", new: "	case true:\n"},
	{name: "told: a repeat after the Supervisor was away is somebody in a hurry", file: "told.go",
		old: "	case b.presses == 1 && b.last.Equal(b.toldAt) && away.until.After(b.toldAt), away.since.After(b.last):\n", new: "	case away.since.After(time.Now()):\n"},
	{name: "told: the list beats who speaks", file: "decide/told.go",
		old: "		return !w.absent(p) || w.within(p.LastHeard, announcedWithin)\n", new: "		return w.find(p.Container) != nil\n"},
}

// root is the module's folder.
var root = filepath.Join("..", "..")

// mutant builds this suite with the mistake in it, and returns its path.
func mutant(dir string, i int) string {
	GinkgoHelper()
	m := mutations[i]
	file := filepath.Join(root, "controller", m.file)
	text, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	Expect(strings.Count(string(text), m.old)).To(Equal(1), "%s must have this once: %s", file, m.old)
	original, err := filepath.Abs(file)
	Expect(err).NotTo(HaveOccurred())
	base := filepath.Join(dir, fmt.Sprint(i))
	Expect(os.WriteFile(base+".go", []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600)).To(Succeed())
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: base + ".go"}})
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(base+".json", overlay, 0o600)).To(Succeed())
	out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", base+".json", "-o", base+".test", ".").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s: %s", m.name, out)
	return base + ".test"
}

var failingLine = regexp.MustCompile(`(?m)^failing seed (\d+) (\S+) (.*)$`)

// hunt explores seeds with a mutant until one fails, and returns how many it
// took and which invariant that was.
func hunt(program string, seeds int) (tried, invariant, text string) {
	cmd := exec.Command(program, "-test.run=^TestExplorer$", "-test.timeout=10m")
	progress := program + ".progress"
	cmd.Env = append(os.Environ(), fmt.Sprintf("EXPLORE_SLICE=0-%d", seeds), "EXPLORE_MOST=1", "EXPLORE_PROGRESS="+progress)
	out, _ := cmd.CombinedOutput()
	if f := failingLine.FindStringSubmatch(string(out)); f != nil {
		return f[1], f[2], f[3]
	}
	if strings.Contains(string(out), "panic:") {
		return "?", "panic", string(out)
	}
	return "", "", ""
}

var _ = Describe("A controller with a mistake", Ordered, ContinueOnFailure, func() {
	wanted := os.Getenv("EXPLORE_MUTATIONS")
	all := wanted != ""
	const seeds = 10000
	var dir string
	var table []string

	BeforeAll(func() {
		if testing.Short() && !all {
			Skip("it is built again for this; run this suite without -short")
		}
		Expect(built.DependOnSources()).To(Succeed())
		dir = GinkgoT().TempDir()
	})
	AfterAll(func() {
		if all {
			fmt.Println(strings.Join(table, "\n"))
		}
	})

	It("names pieces that are in the controller", func() {
		for _, m := range mutations {
			text, err := os.ReadFile(filepath.Join(root, "controller", m.file))
			Expect(err).NotTo(HaveOccurred())
			Expect(strings.Count(string(text), m.old)).To(Equal(1), "%s: controller/%s must have this once:\n%s", m.name, m.file, m.old)
		}
	})

	for i, m := range mutations {
		It("is found out: "+m.name, func() {
			if !m.fast && !all || all && wanted != "1" && !strings.Contains(m.name, wanted) {
				Skip("this takes minutes; run this suite with EXPLORE_MUTATIONS=1, or a part of this name")
			}
			began := time.Now()
			seed, invariant, text := hunt(mutant(dir, i), seeds)
			table = append(table, fmt.Sprintf("| %s | (%s) | %s | %v", m.name, invariant, seed, time.Since(began).Round(time.Second)))
			if all {
				fmt.Println("\n" + table[len(table)-1])
			}
			Expect(invariant).NotTo(BeEmpty(), "%s: not found in %d seeds", m.name, seeds)
			GinkgoWriter.Println(text)
		})
	}
})
