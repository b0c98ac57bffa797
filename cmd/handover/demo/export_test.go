package demo

import (
	"io"
	"net/http"
)

// NewScreenOn returns a Screen that draws on something else than a terminal.
func NewScreenOn(w io.Writer, size func() (columns, rows int), style Style) *Screen {
	return newScreen(w, size, style)
}

// ScreenStyle is what NewScreen takes from the environment.
var ScreenStyle = screenStyle

// Over makes a load send by another transport.
func (o LoadOptions) Over(t http.RoundTripper) LoadOptions {
	o.transport = t
	return o
}
