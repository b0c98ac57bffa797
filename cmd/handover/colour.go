package main

import (
	"os"
	"strings"

	"github.com/handover-controller/handover/cmd/handover/terminal"

	"github.com/handover-controller/handover/controller/decide"
)

// painter colours text for a terminal, or leaves it as it is.
type painter bool

// colour is a number of two digits: all escape sequences are of the same length,
// so that a column in which each cell is painted stays one.
type colour string

const (
	plain  colour = "39"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	purple colour = "35"
	cyan   colour = "36"
	grey   colour = "90"
)

// coloured reports whether the output is a terminal that wants colours: not with
// NO_COLOR (no-color.org) nor with TERM=dumb.
func coloured(out *os.File, environ []string) bool {
	return terminal.Colour(environ) && terminal.Interactive(out, environ)
}

// paint is not inlined, for the size of the binary: it has many callers.
func (p painter) paint(c colour, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// phase paints a phase, which may be padded.
func (p painter) phase(text string) string {
	c := plain
	switch strings.TrimSpace(text) {
	case "starting", "prepared":
		c = cyan
	case "serving":
		c = green
	case "holding", "draining":
		c = yellow
	case "released":
		c = purple
	case "gone", "ended":
		c = grey
	}
	return p.paint(c, text)
}

// kind paints an event's type, which may be padded.
func (p painter) kind(text string) string {
	if strings.TrimSpace(text) == "Warning" {
		return p.paint(yellow, text)
	}
	return p.paint(plain, text)
}

// condition paints a condition's status. That there is no younger instance is
// nothing to worry about, that the workload is not ready may be.
func (p painter) condition(c decide.Condition) string {
	switch {
	case c.Status == decide.True:
		return p.paint(green, string(c.Status))
	case c.Type == decide.Ready && c.Status == decide.False, c.Status == decide.Unknown && c.Reason != "NoPeer":
		return p.paint(yellow, string(c.Status))
	}
	return p.paint(plain, string(c.Status))
}
