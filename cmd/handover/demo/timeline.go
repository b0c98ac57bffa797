package demo

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Mark says what kind of event an event is.
type Mark int

// The marks. All but notes, phases and results are drawn into the picture.
const (
	MarkNote            Mark = iota // nothing but text
	MarkStart                       // a container or a release was started
	MarkPhase                       // an instance says another phase
	MarkSignalAnnounced             // first signal: the new instance announced that it is ready
	MarkSignalRunning               // second signal: the Supervisor reports it running
	MarkSigterm                     // the instance was told to stop
	MarkMarker                      // the file handover-complete was written
	MarkDrained                     // the workload has finished everything in flight
	MarkExit                        // the process has ended
	MarkFault                       // something went wrong, or was made to
	MarkResult                      // what came out in the end
	marks
)

// letters are how marks are drawn, and what the legend says of them. Those
// without a letter are not.
var letters = [marks]struct{ letter, says string }{
	MarkStart:           {"S", "started"},
	MarkSignalAnnounced: {"a", "announced"},
	MarkSignalRunning:   {"r", "reported running"},
	MarkSigterm:         {"T", "SIGTERM"},
	MarkMarker:          {"M", "marker written"},
	MarkDrained:         {"d", "drained"},
	MarkExit:            {"E", "ended"},
	MarkFault:           {"!", "fault"},
}

func (m Mark) letter() string {
	if m < 0 || m >= marks {
		return ""
	}
	return letters[m].letter
}

// Event is something that happened.
type Event struct {
	At   time.Duration // since the demo began
	Lane string        // whom it is about: an instance, Supervisor, front, or nobody
	Mark Mark
	Text string
}

// Phases that a lane can be in. They are drawn as bars; PhaseGone and
// PhaseEnded end a bar.
const (
	PhaseStarting = "starting"
	PhaseServing  = "serving"
	PhaseHolding  = "holding"
	PhaseDraining = "draining"
	PhaseReleased = "released"
	PhaseGone     = "gone"
	PhaseEnded    = "ended"
)

// Printer shows a run while it goes on. It is safe for concurrent use.
type Printer interface {
	// Event shows a line.
	Event(Event)
	// Phase notes that a lane is in another phase. It shows no line: an Event
	// with MarkPhase does.
	Phase(at time.Duration, lane, phase string)
	// Progress is to be called some ten times a second: now and expected are
	// times since the demo began.
	Progress(now, expected time.Duration, c Counters)
	// Style says what may be written after Close, where the printer wrote.
	Style() Style
	// Width returns how many columns there are now.
	Width() int
	// Close shows what is outstanding and leaves the terminal as it was. It may
	// be called more than once.
	Close()
}

// Style says how to draw.
type Style struct {
	Unicode bool // else ASCII
	Colour  bool // with escape sequences
}

// Timeline collects what is drawn in the end. It is safe for concurrent use.
// The zero Timeline is empty.
type Timeline struct {
	mu    sync.Mutex
	lanes []lane // in the order of first use
}

// lane is one row of the picture.
type lane struct {
	name   string
	phases []phaseAt // sorted
	marks  []Event   // sorted
}

type phaseAt struct {
	at    time.Duration
	phase string
}

// Event keeps the event, if it is one that is drawn.
func (t *Timeline) Event(e Event) {
	if e.Mark.letter() == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lane(e.Lane)
	e.At, e.Text = max(0, e.At), ""
	l.marks = append(l.marks, e)
	sort.SliceStable(l.marks, func(i, j int) bool { return l.marks[i].At < l.marks[j].At })
}

// Phase notes that a lane is in a phase from then on.
func (t *Timeline) Phase(at time.Duration, lane, phase string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lane(lane)
	l.phases = append(l.phases, phaseAt{max(0, at), phase})
	sort.SliceStable(l.phases, func(i, j int) bool { return l.phases[i].at < l.phases[j].at })
}

// lane finds or adds a lane. The caller holds the lock.
func (t *Timeline) lane(name string) *lane {
	i := slices.IndexFunc(t.lanes, func(l lane) bool { return l.name == name })
	if i < 0 {
		i = len(t.lanes)
		t.lanes = append(t.lanes, lane{name: name})
	}
	return &t.lanes[i]
}

// snapshot returns a copy of the lanes in the order of first use, those with
// marks only before those with bars.
func (t *Timeline) snapshot() []lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	lanes := make([]lane, 0, len(t.lanes))
	for _, l := range t.lanes {
		lanes = append(lanes, lane{l.name, slices.Clone(l.phases), slices.Clone(l.marks)})
	}
	sort.SliceStable(lanes, func(i, j int) bool { return len(lanes[i].phases) == 0 && len(lanes[j].phases) > 0 })
	return lanes
}

// printable makes text fit for one line of a terminal: every rune takes one
// column and none does anything. White space becomes a blank, everything else
// that is not fit becomes a question mark. Without Unicode, only ASCII is fit.
func printable(text string, unicode bool) string {
	text = strings.TrimSpace(text)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r', r == 0xa0:
			return ' '
		case r >= ' ' && r <= '~', unicode && oneColumn(r):
			return r
		case r == '…' || r == '–' || r == '—':
			return '-'
		}
		return '?'
	}, text)
}

// oneColumn reports whether terminals draw the rune, beyond ASCII, in exactly
// one column. It knows few alphabets: what is not known is not drawn.
func oneColumn(r rune) bool {
	switch {
	case r == 0xad: // soft hyphen
		return false
	case r >= 0xa1 && r <= 0x2ff, r >= 0x391 && r <= 0x3c9, r >= 0x400 && r <= 0x45f: // Latin, Greek, Cyrillic
		return true
	case r >= 0x2010 && r <= 0x2027, r >= 0x2030 && r <= 0x205e: // punctuation
		return true
	case r >= 0x2190 && r <= 0x21ff, r >= 0x2200 && r <= 0x22ff, r >= 0x2500 && r <= 0x25a0: // arrows, operators, blocks
		return true
	}
	return false
}

// fit cuts text that is printable to so many columns.
func fit(text string, columns int) string {
	if columns <= 0 {
		return ""
	}
	runes := []rune(text)
	if len(runes) <= columns {
		return text
	}
	if columns <= 3 {
		return string(runes[:columns])
	}
	return string(runes[:columns-3]) + "..."
}

// pad fills text that is printable with blanks to so many columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-len([]rune(text))))
}
