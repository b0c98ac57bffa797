package demo

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// lineWidth is the most columns of a plain line.
const lineWidth = 110

// laneWidth is how many columns the name of a lane gets in a line.
const laneWidth = 10

// Plain shows one line per event, for logs, pipes and terminals that can do no
// more: ASCII without colours and without redrawing.
type Plain struct {
	mu sync.Mutex
	w  io.Writer
}

var _ Printer = (*Plain)(nil)

// NewPlain returns a Plain that writes to w.
func NewPlain(w io.Writer) *Plain { return &Plain{w: w} }

// Event writes a line.
func (p *Plain) Event(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.w, fit(eventLine(e, Style{}), lineWidth)+"\n")
}

// Phase writes nothing.
func (p *Plain) Phase(time.Duration, string, string) {}

// Progress writes nothing.
func (p *Plain) Progress(time.Duration, time.Duration, Counters) {}

// Style returns the plain one.
func (p *Plain) Style() Style { return Style{} }

// Width returns 110: so many columns can be expected of a log.
func (p *Plain) Width() int { return lineWidth }

// Close does nothing.
func (p *Plain) Close() {}

// eventLine is an event as a line of any length, without colours.
func eventLine(e Event, style Style) string {
	lane := fit(printable(e.Lane, style.Unicode), laneWidth)
	return fmt.Sprintf("%7s  %s  %s", seconds(e.At), pad(lane, laneWidth), printable(e.Text, style.Unicode))
}

// seconds writes a time since the demo began, such as 3.42s.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", max(0, d).Seconds()) }

// brief writes a duration with as many digits as people want to read.
func brief(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}
