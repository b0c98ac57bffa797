package demo_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
	"github.com/handover-controller/handover/cmd/handover/terminal"
)

func drawn(t *demo.Timeline, end time.Duration, width int, style demo.Style) string {
	var b bytes.Buffer
	demo.DrawTimeline(&b, t, end, width, style)
	return b.String()
}

func trimmed(text string) []string {
	var all []string
	for _, each := range lines(text) {
		all = append(all, strings.TrimRight(each, " "))
	}
	return all
}

var _ = Describe("Plain", func() {
	It("prints one line for each event", func() {
		var b bytes.Buffer
		p := demo.NewPlain(&b)
		p.Event(demo.Event{At: 3420 * time.Millisecond, Lane: "A", Mark: demo.MarkPhase, Text: "holding: told to stop, serves on until B is ready"})
		p.Event(demo.Event{At: 12 * time.Second, Lane: "Supervisor", Text: "two\r\nlines \x1b[31mred\x07 é 日本 …"})
		p.Event(demo.Event{At: 0, Lane: "a lane with a long name", Text: strings.Repeat("long ", 40)})
		p.Phase(0, "A", demo.PhaseServing)
		p.Progress(time.Second, time.Minute, demo.Counters{})
		p.Close()
		Expect(strings.Split(b.String(), "\n")).To(HaveExactElements(
			"  3.42s  A           holding: told to stop, serves on until B is ready",
			" 12.00s  Supervisor  two  lines ?[31mred? ? ?? -",
			And(HavePrefix("  0.00s  a lane ...  long long "), HaveSuffix("..."), HaveLen(110)),
			"",
		))
		expectPlain(Default, b.String())
	})
})

var _ = Describe("The timeline", func() {
	It("draws a lane for each instance, in ASCII", func() {
		Expect(trimmed(drawn(ordinary(), 10*time.Second, 63, demo.Style{}))).To(HaveExactElements(
			" Supervisor                 S",
			" A           .....##########===============~~~~~~~~~~_",
			"                            T                        dE",
			" B                          ...............####################",
			"                                           ar",
			"             0s        2s        4s        6s        8s",
			" . starting  # serving  = holding  ~ draining  _ released",
			" S started  a announced  r reported running  T SIGTERM",
			" d drained  E ended",
		))
	})

	It("draws with blocks and colours on a terminal", func() {
		text := drawn(ordinary(), 10*time.Second, 63, demo.Style{Unicode: true, Colour: true})
		Expect(text).To(ContainSubstring("\x1b[32m██████████\x1b[0m\x1b[33m▓▓▓"))
		Expect(widest(text)).To(BeNumerically("<=", 63))
		Expect(controls(escapes.ReplaceAllString(text, ""))).To(BeEmpty())
		plain := drawn(ordinary(), 10*time.Second, 63, demo.Style{Unicode: true})
		Expect(plain).To(Equal(escapes.ReplaceAllString(text, "")), "without colours it is the same")
	})

	It("gives a short phase at least one cell", func() {
		t := &demo.Timeline{}
		for i, phase := range []string{"starting", "serving", "holding", "draining", "released", "odd", "gone"} {
			t.Phase(time.Duration(i)*time.Millisecond, "A", phase)
		}
		Expect(trimmed(drawn(t, 10*time.Second, 30, demo.Style{}))[0]).To(Equal(" A  .#=~_-"))
	})

	It("puts marks beside each other rather than one over the other", func() {
		t := &demo.Timeline{}
		for m := demo.MarkNote; m <= demo.MarkResult+1; m++ {
			t.Event(demo.Event{At: time.Second, Lane: "A", Mark: m})
		}
		Expect(trimmed(drawn(t, 2*time.Second, 30, demo.Style{}))[0]).To(Equal(" A               SarT"))
	})

	DescribeTable("fits every width", func(width int) {
		for _, style := range []demo.Style{{}, {Unicode: true}, {Unicode: true, Colour: true}} {
			text := drawn(ordinary(), 10*time.Second, width, style)
			Expect(widest(text)).To(BeNumerically("<=", max(10, width)), text)
		}
	}, func(width int) string { return fmt.Sprint(width) },
		Entry(nil, -1), Entry(nil, 0), Entry(nil, 1), Entry(nil, 10), Entry(nil, 20), Entry(nil, 41), Entry(nil, 200), Entry(nil, 100000))

	It("draws nothing of nothing", func() {
		Expect(lines(drawn(&demo.Timeline{}, 0, 80, demo.Style{}))).To(HaveLen(1))
		Expect(lines(drawn(&demo.Timeline{}, -time.Second, 80, demo.Style{}))).To(HaveLen(1))
	})
})

var _ = Describe("The summary", func() {
	const ms = time.Millisecond
	summed := func(l *demo.Log, style demo.Style) string {
		var b bytes.Buffer
		s := l.Summary()
		demo.DrawSummary(&b, &s, begin.Add(-time.Second), style)
		return b.String()
	}

	It("ends with the number of failed requests", func() {
		l := demo.NewLog()
		for i := range 100 {
			request(l, time.Duration(i)*10*ms, 3*ms, []string{"A", "B"}[i/50], "")
		}
		text := summed(l, demo.Style{})
		expectPlain(Default, text)
		all := lines(text)
		Expect(all[len(all)-1]).To(Equal("100 requests, 0 failed"))
		Expect(all).To(ContainElements(
			" A                  50          0",
			" B                  50          0",
			" total             100          0",
			" longest wait beyond a request's own work: 3ms (A, at 1.00s)",
		))
		Expect(text).NotTo(ContainSubstring("outage"))
		Expect(widest(text)).To(BeNumerically("<=", 110))
		Expect(summed(l, demo.Style{Colour: true})).To(ContainSubstring("\x1b[1m\x1b[32m100 requests, 0 failed\x1b[0m\n"))
	})

	It("says how long nobody answered", func() {
		l := demo.NewLog()
		request(l, 0, ms, "A", "")
		for i := range 210 {
			request(l, time.Duration(100+10*i)*ms, ms, "", "nobody ready")
		}
		request(l, 2200*ms, ms, "B", "")
		text := summed(l, demo.Style{})
		Expect(text).To(HaveSuffix("\n212 requests, 210 failed: nobody answered for 2.1s\n"))
		Expect(text).To(ContainSubstring(" outage: from 1.10s to 3.20s nobody who asked was answered (210 requests)\n"))
		Expect(text).To(ContainSubstring(" failed: 210, nobody ready\n"))
	})

	It("says why single requests failed", func() {
		l := demo.NewLog()
		request(l, 0, ms, "A", "")
		request(l, ms, ms, "A", "connection reset")
		request(l, 2*ms, ms, "A", "")
		Expect(summed(l, demo.Style{})).To(HaveSuffix("\n3 requests, 1 failed: connection reset\n"))
	})

	It("can be of nothing", func() {
		Expect(summed(demo.NewLog(), demo.Style{})).To(HaveSuffix("\n0 requests, 0 failed\n"))
	})
})

var _ = Describe("A terminal", func() {
	It("is none if it is a file, a pipe, or dumb", func() {
		null, err := os.Open(os.DevNull)
		Expect(err).NotTo(HaveOccurred())
		defer null.Close()
		Expect(terminal.Interactive(null, []string{"TERM=xterm"})).To(BeFalse())
		Expect(terminal.Interactive(nil, []string{"TERM=xterm"})).To(BeFalse())
	})

	DescribeTable("is drawn on as its environment says", func(unicode, colour bool, environ ...string) {
		Expect(demo.ScreenStyle(environ)).To(Equal(demo.Style{Unicode: unicode, Colour: colour}))
	},
		Entry("nothing said", true, true),
		Entry("no colours", true, false, "NO_COLOR=1"),
		Entry("NO_COLOR is empty", true, true, "NO_COLOR="),
		Entry("no Unicode", false, true, "LANG=C"),
		Entry("the stronger variable", true, true, "LANG=C", "LC_ALL=en_GB.utf8"),
		Entry("the last value", true, true, "LANG=C", "LANG=de_AT.UTF-8"),
	)
})
