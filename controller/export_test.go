package controller

import "github.com/handover-controller/handover/controller/decide"

// What tests look at from outside.

type History = history

var (
	NewHistory = newHistory
	RenderPage = renderPage
	PageStyle  = pageStyle
)

const (
	LanesAtMost = lanesAtMost
	SpansAtMost = spansAtMost
	MarksAtMost = marksAtMost
)

func (h *history) Observe(s *decide.Snapshot, d *decide.Decision, release uint64, unwritable bool) []Handover {
	return h.observe(s, d, release, unwritable)
}

// Remembers is of how many peers the history keeps what they said last.
func (h *history) Remembers() int { return len(h.seen) }
