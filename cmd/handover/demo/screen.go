package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/handover-controller/handover/cmd/handover/terminal"
)

// redrawEvery is the shortest time between two redraws.
const redrawEvery = 100 * time.Millisecond

// Escape sequences of ECMA-48, and those of DEC for the cursor.
const (
	cursorHide = "\x1b[?25l"
	cursorShow = "\x1b[?25h"
	cursorUp   = "\x1b[%dA"
	eraseDown  = "\x1b[J" // from the cursor to the end of the screen
)

// Screen shows a run on a terminal: events as ordinary lines, which stay in the
// scroll-back, and below them a block that is drawn again in place: a bar for
// each lane, the rate, the failed requests, and how long it still takes.
//
// It draws when it is called, and not more often than ten times a second. What
// comes in between is shown by the next call of Progress, or by Close.
type Screen struct {
	w     io.Writer
	size  func() (columns, rows int)
	style Style

	mu       sync.Mutex
	timeline Timeline
	pending  []Event // not shown yet
	block    []line  // that is on the screen
	drawn    time.Time
	now      time.Duration
	expected time.Duration
	counters Counters
	closed   bool
}

var _ Printer = (*Screen)(nil)

// NewScreen returns a Screen on the terminal, whose cursor is hidden until
// Close. The environment says what it can do: see terminal.Interactive.
func NewScreen(f *os.File, environ []string) *Screen {
	return newScreen(f, func() (int, int) { return terminal.Size(f) }, screenStyle(environ))
}

// screenStyle says what the terminal is to be given.
func screenStyle(environ []string) Style {
	return Style{Unicode: terminal.Unicode(environ), Colour: terminal.Colour(environ)}
}

func newScreen(w io.Writer, size func() (columns, rows int), style Style) *Screen {
	s := &Screen{w: w, size: size, style: style}
	_, _ = io.WriteString(w, cursorHide)
	return s
}

// Style returns what the terminal can do.
func (s *Screen) Style() Style { return s.style }

// Width returns the terminal's columns.
func (s *Screen) Width() int {
	columns, _ := s.size()
	return columns
}

// Event shows a line, now or with the next redraw.
func (s *Screen) Event(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timeline.Event(e)
	s.now = max(s.now, e.At)
	s.pending = append(s.pending, e)
	s.redraw()
}

// Phase draws the lane's bar on in another way.
func (s *Screen) Phase(at time.Duration, lane, phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timeline.Phase(at, lane, phase)
	s.now = max(s.now, at)
	s.redraw()
}

// Progress draws the block again, if it was not drawn just before.
func (s *Screen) Progress(now, expected time.Duration, c Counters) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.expected, s.counters = now, expected, c
	s.redraw()
}

// Close shows what is outstanding, takes the block away and shows the cursor
// again. Events that come later are ordinary lines.
func (s *Screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	columns, _ := s.size()
	var b strings.Builder
	s.erase(&b, columns)
	s.lines(&b, columns)
	b.WriteString(colourNone + cursorShow)
	_, _ = io.WriteString(s.w, b.String())
}

// redraw writes everything that changed with one write, so that the terminal
// never shows half of it. The caller holds the lock.
func (s *Screen) redraw() {
	if !s.closed && time.Since(s.drawn) < redrawEvery {
		return
	}
	s.drawn = time.Now()
	columns, rows := s.size()
	var b strings.Builder
	s.erase(&b, columns)
	s.lines(&b, columns)
	if !s.closed {
		s.block = s.live(columns)
		// What does not fit on the screen cannot be drawn over.
		s.block = s.block[max(0, len(s.block)-max(1, rows-1)):]
		for _, each := range s.block {
			b.WriteString(each.text + "\n")
		}
	}
	_, _ = io.WriteString(s.w, b.String())
}

// erase goes to the beginning of the block and takes it away. Lines that no
// longer fit, because the window became smaller, take more than one row.
func (s *Screen) erase(b *strings.Builder, columns int) {
	up := 0
	for _, each := range s.block {
		up += max(1, (each.columns+columns-1)/max(1, columns))
	}
	if up > 0 {
		fmt.Fprintf(b, "\r"+cursorUp+eraseDown, up)
	}
	s.block = nil
}

// lines writes the pending events.
func (s *Screen) lines(b *strings.Builder, columns int) {
	for _, e := range s.pending {
		text := fit(eventLine(e, s.style), s.usable(columns))
		colour := ""
		switch e.Mark {
		case MarkFault:
			colour = colourRed
		case MarkSignalAnnounced, MarkSignalRunning:
			colour = colourGreen
		case MarkSigterm, MarkMarker:
			colour = colourYellow
		case MarkResult:
			colour = colourBold
		}
		b.WriteString(paint(text, colour, s.style) + "\n")
	}
	s.pending = nil
}

// usable is how many columns are written to: never the last one, after which
// some terminals begin a new line at once.
func (s *Screen) usable(columns int) int { return max(widthAtLeast, columns-1) }

// live draws the block.
func (s *Screen) live(columns int) []line {
	width := s.usable(columns)
	lanes := s.timeline.snapshot()
	p := newPicture(lanes, s.now, max(s.now, s.expected), width, s.style)
	block := []line{plainLine("")}
	for i := range lanes {
		if len(lanes[i].phases) > 0 {
			block = append(block, p.bar(&lanes[i]))
		}
	}
	block = append(block, p.axis(), s.load(width))
	if s.expected > 0 {
		block = append(block, s.progress(width))
	}
	return block
}

// load is the line with the rates and the failed requests.
func (s *Screen) load(width int) line {
	c := &s.counters
	failed, colour := fmt.Sprintf(" %d failed", c.Failed), colourGreen
	if c.Failed > 0 {
		colour = colourRed
	}
	text := fmt.Sprintf(", %d requests, %d/s", c.Total, c.PerSecond)
	for i, b := range c.Backends {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		text += fmt.Sprintf("%s%s %d/s", sep, printable(b.Name, s.style.Unicode), b.PerSecond)
	}
	failed = fit(failed, width)
	text = fit(text, width-len(failed))
	return line{paint(failed, colour, s.style) + text, len(failed) + len([]rune(text))}
}

// progress is the line that says how long it still takes.
func (s *Screen) progress(width int) line {
	says := fmt.Sprintf(" %.1f s of about %.0f s", s.now.Seconds(), max(s.now, s.expected).Seconds())
	full, empty := "#", "-"
	if s.style.Unicode {
		full, empty = "━", "─"
	}
	columns := min(40, width-len(says)-1)
	if columns < 5 {
		return plainLine(fit(says, width))
	}
	done := min(columns, int(float64(columns)*float64(s.now)/float64(max(s.now, s.expected, 1))))
	done = max(0, done)
	text := " " + paint(strings.Repeat(full, done), colourCyan, s.style) +
		paint(strings.Repeat(empty, columns-done), colourGrey, s.style) + says
	return line{text, 1 + columns + len(says)}
}
