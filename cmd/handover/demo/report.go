package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// noticed is the shortest outage that the result speaks of.
const noticed = 50 * time.Millisecond

// DrawSummary writes how many requests each instance answered, the waits, the
// outage if there was one, and as the last line the result: see Result. Times
// are since the demo began.
func DrawSummary(w io.Writer, s *Summary, began time.Time, style Style) {
	var b strings.Builder
	row := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	at := func(t time.Time) string { return seconds(t.Sub(began)) }
	name := func(of string) string { return fit(printable(of, style.Unicode), laneWidth) }
	or := func(of, nobody string) string {
		if of == "" {
			return nobody
		}
		return name(of)
	}

	row("%s", paint(fmt.Sprintf(" %s  %9s  %9s", pad("instance", laneWidth), "answered", "failed"), colourBold, style))
	for _, each := range s.Backends {
		row(" %s  %9d  %9d", pad(name(each.Name), laneWidth), each.Answered, each.Failed)
	}
	if s.Nobody > 0 {
		row(" %s  %9s  %9d", pad("nobody", laneWidth), "", s.Nobody)
	}
	row(" %s  %9d  %9d", pad("total", laneWidth), s.Total-s.Failed, s.Failed)
	b.WriteString("\n")
	if s.Total > 0 {
		row(" %.0f requests/s for %.1fs; half of the short ones took at most %s, 99 of 100 at most %s",
			s.PerSecond, s.Sending.Length().Seconds(), brief(s.P50), brief(s.P99))
		outcome := ""
		if s.Longest.Failed {
			outcome = ", in vain"
		}
		row(" longest wait beyond a request's own work: %s (%s, at %s%s)",
			brief(s.Longest.Took), or(s.Longest.Backend, "nobody"), at(s.Longest.Start), outcome)
		if len(s.Outages) == 0 {
			row(" longest time without an answer to anybody: %s (at %s)", brief(s.Gap.Length()), at(s.Gap.Start))
		}
	}
	shown := 0
	for _, o := range s.Outages {
		if o.Length() < noticed {
			continue
		}
		if shown++; shown > 5 {
			row(" ...")
			break
		}
		row(" outage: from %s to %s nobody who asked was answered (%d requests)", at(o.Start), at(o.End), o.Failed)
	}
	for _, each := range s.Reasons {
		row(" failed: %d, %s", each.Count, fit(printable(each.Reason, style.Unicode), 60))
	}
	colour := colourGreen
	if s.Failed > 0 || s.Total == 0 {
		colour = colourRed
	}
	b.WriteString("\n")
	row("%s", paint(Result(s), colourBold+colour, style))
	_, _ = io.WriteString(w, b.String())
}

// Result says what came out in one line: "5012 requests, 0 failed",
// "5012 requests, 612 failed: nobody answered for 2.1s", or, if others were
// answered meanwhile, the most frequent reason.
func Result(s *Summary) string {
	text := fmt.Sprintf("%d requests, %d failed", s.Total, s.Failed)
	switch longest := s.LongestOutage(); {
	case s.Failed == 0:
	case longest.Length() >= noticed:
		text += ": nobody answered for " + brief(longest.Length())
	case len(s.Reasons) > 0:
		text += ": " + fit(printable(s.Reasons[0].Reason, false), 60)
	}
	return text
}
