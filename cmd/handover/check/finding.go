// Package check looks for what would make a hand-over go wrong before it does:
// on a device (package live), and in a compose file (package compose).
//
// A finding says what was found, why it matters and what to do. That there is
// none worse than a note means that nothing known is wrong, not that a hand-over
// will go well: nobody sees the proxy in front of the service, or what its
// readiness check is worth.
package check

import (
	"fmt"
	"slices"
)

// Level says how bad a finding is.
type Level int

// The levels, from good to bad.
const (
	OK      Level = iota // looked at, and as it should be
	Note                 // worth knowing; nothing to do
	Warning              // a hand-over may go wrong, or costs more than it should
	Error                // a hand-over cannot work, or interrupts the service
)

var levelNames = [...]string{OK: "ok", Note: "note", Warning: "warning", Error: "error"}

func (l Level) String() string { return levelNames[l] }

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(text []byte) error {
	i := slices.Index(levelNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("check: %q is no level", text)
	}
	*l = Level(i)
	return nil
}

// Finding is one thing that was looked at.
type Finding struct {
	Level Level `json:"level"`
	// Check names what was looked at, such as "network.multicast" or
	// "compose.strategy". Names stay the same over versions.
	Check string `json:"check"`
	// Service is the service of the compose file that it is about, if it is about one.
	Service string `json:"service,omitempty"`
	// File and Line, from 1, say where it was found, if it was found in a file.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Found says what was found, Why why it matters, and Do what to do. Of a finding
	// that is OK there is only the first.
	Found string `json:"found"`
	Why   string `json:"why,omitempty"`
	Do    string `json:"do,omitempty"`
}

// Where is the place of the finding as editors understand it, empty if it has none.
func (f Finding) Where() string {
	switch {
	case f.File == "":
		return ""
	case f.Line == 0:
		return f.File
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}

// Exit statuses of a report. 1 is that of every command that did not succeed.
const (
	exitError   = 1
	exitWarning = 2
)

// Report is what was found, in the order in which it was looked at.
type Report []Finding

// Add appends findings.
func (r *Report) Add(f ...Finding) { *r = append(*r, f...) }

// Worst is the level of the worst finding.
func (r Report) Worst() Level {
	worst := OK
	for _, f := range r {
		worst = max(worst, f.Level)
	}
	return worst
}

// Count is how many findings are of that level.
func (r Report) Count(l Level) int {
	n := 0
	for _, f := range r {
		if f.Level == l {
			n++
		}
	}
	return n
}

// ExitStatus is 1 if there is an error, 2 if there is a warning and no error,
// and 0 if nothing is worse than a note.
func (r Report) ExitStatus() int {
	switch r.Worst() {
	case Error:
		return exitError
	case Warning:
		return exitWarning
	}
	return 0
}
