package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Escape sequences of colours, ECMA-48, 8.3.117.
const (
	colourNone   = "\x1b[0m"
	colourBold   = "\x1b[1m"
	colourRed    = "\x1b[31m"
	colourGreen  = "\x1b[32m"
	colourYellow = "\x1b[33m"
	colourBlue   = "\x1b[34m"
	colourCyan   = "\x1b[36m"
	colourGrey   = "\x1b[90m"
)

// shade is how a phase is drawn.
type shade struct {
	phase   string
	ascii   rune
	unicode rune
	colour  string
}

var shades = []shade{
	{PhaseStarting, '.', '░', colourYellow},
	{"prepared", ':', '░', colourCyan},
	{PhaseServing, '#', '█', colourGreen},
	{PhaseHolding, '=', '▓', colourYellow},
	{PhaseDraining, '~', '▒', colourBlue},
	{PhaseReleased, '_', '·', colourGrey},
}

// shadeOf returns how a phase is drawn, and false if its bar ends there.
func shadeOf(phase string) (shade, bool) {
	if phase == PhaseGone || phase == PhaseEnded || phase == "" {
		return shade{}, false
	}
	for _, s := range shades {
		if s.phase == phase {
			return s, true
		}
	}
	return shade{phase, '-', '─', colourGrey}, true
}

func (s shade) cell(style Style) rune {
	if style.Unicode {
		return s.unicode
	}
	return s.ascii
}

func paint(text, colour string, style Style) string {
	if !style.Colour || colour == "" || text == "" {
		return text
	}
	return colour + text + colourNone
}

// line is a line of a picture: how it is written, and how many columns it
// takes, which escape sequences do not.
type line struct {
	text    string
	columns int
}

func plainLine(text string) line { return line{text, len([]rune(text))} }

// picture draws lanes over a time axis.
type picture struct {
	span    time.Duration // what the whole width stands for
	now     time.Duration // bars end here
	labels  int           // columns for the lanes' names
	columns int           // columns for the bars
	style   Style
}

const (
	widthAtLeast = 10
	widthAtMost  = 400
)

func newPicture(lanes []lane, now, span time.Duration, width int, style Style) *picture {
	width = min(max(width, widthAtLeast), widthAtMost)
	labels := 1
	for _, l := range lanes {
		labels = max(labels, len([]rune(printable(l.name, style.Unicode))))
	}
	labels = min(labels, laneWidth, width/3)
	return &picture{
		span: max(span, 1), now: min(max(now, 0), max(span, 1)),
		labels: labels, columns: max(1, width-labels-3), style: style,
	}
}

// column returns the cell of a time.
func (p *picture) column(at time.Duration) int {
	return min(p.columns-1, max(0, int(float64(at)/float64(p.span)*float64(p.columns))))
}

func (p *picture) label(name string) string {
	return " " + pad(fit(printable(name, p.style.Unicode), p.labels), p.labels) + "  "
}

// bar draws the phases of a lane. Each phase gets at least one cell, so that
// short ones are seen too; what follows is then late by as much.
func (p *picture) bar(l *lane) line {
	cells := make([]int, p.columns) // index of the phase, 0: none
	from := 0
	for i, ph := range l.phases {
		if ph.at > p.now || from >= p.columns {
			break
		}
		from = max(from, p.column(ph.at))
		for c := from; c < p.columns && c <= p.column(p.now); c++ {
			cells[c] = i + 1
		}
		from++
	}
	var b strings.Builder
	for c := 0; c < p.columns; {
		end := c
		for end < p.columns && cells[end] == cells[c] {
			end++
		}
		cell, colour := " ", ""
		if cells[c] > 0 {
			if s, drawn := shadeOf(l.phases[cells[c]-1].phase); drawn {
				cell, colour = string(s.cell(p.style)), s.colour
			}
		}
		b.WriteString(paint(strings.Repeat(cell, end-c), colour, p.style))
		c = end
	}
	return line{p.label(l.name) + b.String(), p.labels + 3 + p.columns}
}

// shifted is how many cells a mark can be drawn too late because another one
// is in its place.
const shifted = 4

// marks draws the marks of a lane. One that finds no place is left out.
func (p *picture) marks(l *lane, name string) line {
	cells := []rune(strings.Repeat(" ", p.columns))
	for _, e := range l.marks {
		at := p.column(e.At)
		for c := at; c < min(p.columns, at+shifted); c++ {
			if cells[c] == ' ' {
				cells[c] = []rune(e.Mark.letter())[0]
				break
			}
		}
	}
	text := strings.TrimRight(p.label(name)+string(cells), " ")
	return line{paint(text, colourBold, p.style), len([]rune(text))}
}

// axis writes the seconds below the bars.
func (p *picture) axis() line {
	step := time.Second
	for _, longer := range []int{2, 5, 10, 20, 30, 60, 120, 300, 600, 3600} {
		if p.column(step) >= 8 || step >= p.span {
			break
		}
		step = time.Duration(longer) * time.Second
	}
	cells := []rune(strings.Repeat(" ", p.columns))
	for at := time.Duration(0); at <= p.span && p.column(step) > 0; at += step {
		text := fmt.Sprintf("%ds", int(at.Seconds()))
		if c := int(float64(at) / float64(p.span) * float64(p.columns)); c+len(text) <= p.columns {
			copy(cells[c:], []rune(text))
		}
	}
	text := strings.TrimRight(p.label("")+string(cells), " ")
	return line{paint(text, colourGrey, p.style), len([]rune(text))}
}

// DrawTimeline draws what happened: for each instance a row with its phases as
// a bar over time, and below it a row with marks; then the axis and a legend of
// what occurs. It takes at most width columns, of which there are 10 at least.
// Without Colour and Unicode it is ASCII.
func DrawTimeline(w io.Writer, t *Timeline, end time.Duration, width int, style Style) {
	width = min(max(width, widthAtLeast), widthAtMost)
	lanes := t.snapshot()
	p := newPicture(lanes, end, end, width, style)
	var b strings.Builder
	for i := range lanes {
		l, name := &lanes[i], lanes[i].name
		if len(l.phases) > 0 {
			b.WriteString(p.bar(l).text + "\n")
			name = ""
		}
		if len(l.marks) > 0 {
			b.WriteString(p.marks(l, name).text + "\n")
		}
	}
	b.WriteString(p.axis().text + "\n")
	for _, row := range legend(lanes, width, style) {
		b.WriteString(row + "\n")
	}
	_, _ = io.WriteString(w, b.String())
}

// legend says what is drawn, and of that only what occurs.
func legend(lanes []lane, width int, style Style) []string {
	phases, seen := map[string]bool{}, map[Mark]bool{}
	for _, l := range lanes {
		for _, ph := range l.phases {
			phases[ph.phase] = true
		}
		for _, e := range l.marks {
			seen[e.Mark] = true
		}
	}
	var rows []string
	taken := width // columns of the last row
	add := func(cell, colour, says string) {
		says = fit(says, width-3)
		columns := 3 + len(says)
		if taken+1+columns > width {
			rows, taken = append(rows, ""), 0
		} else {
			rows[len(rows)-1] += " "
			taken++
		}
		rows[len(rows)-1] += " " + paint(cell, colour, style) + " " + says
		taken += columns
	}
	for _, s := range shades {
		if phases[s.phase] {
			add(string(s.cell(style)), s.colour, s.phase)
		}
	}
	for m := range marks {
		if seen[m] {
			add(m.letter(), colourBold, letters[m].says)
		}
	}
	return rows
}
