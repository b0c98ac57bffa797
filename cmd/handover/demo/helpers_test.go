package demo_test

import (
	"regexp"
	"strings"
	"time"
	"unicode"

	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
)

// ordinary is a run as the demo shows it.
func ordinary() *demo.Timeline {
	t := &demo.Timeline{}
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	t.Event(demo.Event{At: at(3), Lane: "Supervisor", Mark: demo.MarkStart, Text: "starts release B"})
	t.Phase(0, "A", demo.PhaseStarting)
	t.Phase(at(1), "A", demo.PhaseServing)
	t.Phase(at(3), "B", demo.PhaseStarting)
	t.Event(demo.Event{At: at(3.1), Lane: "A", Mark: demo.MarkSigterm})
	t.Phase(at(3.1), "A", demo.PhaseHolding)
	t.Phase(at(6), "B", demo.PhaseServing)
	t.Event(demo.Event{At: at(6), Lane: "B", Mark: demo.MarkSignalAnnounced})
	t.Event(demo.Event{At: at(6.01), Lane: "B", Mark: demo.MarkSignalRunning})
	t.Phase(at(6.02), "A", demo.PhaseDraining)
	t.Phase(at(8), "A", demo.PhaseReleased)
	t.Event(demo.Event{At: at(8), Lane: "A", Mark: demo.MarkDrained})
	t.Phase(at(8.02), "A", demo.PhaseEnded)
	t.Event(demo.Event{At: at(8.02), Lane: "A", Mark: demo.MarkExit})
	return t
}

var escapes = regexp.MustCompile("\x1b\\[[?0-9;]*[A-Za-z]")

// lines are what is seen of a text, without colours.
func lines(text string) []string {
	return strings.Split(strings.TrimSuffix(escapes.ReplaceAllString(text, ""), "\n"), "\n")
}

// widest is how many columns the longest line takes.
func widest(text string) int {
	most := 0
	for _, each := range lines(text) {
		most = max(most, len([]rune(each)))
	}
	return most
}

// controls returns the control characters of a text but the end of a line.
func controls(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
}

// expectPlain expects ASCII that does nothing but end lines.
func expectPlain(g Gomega, text string) {
	g.Expect(controls(text)).To(BeEmpty())
	for _, r := range text {
		g.Expect(r).To(BeNumerically("<", 0x7f))
	}
}
