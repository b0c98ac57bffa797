package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode"
)

// Error is everything that is wrong with a configuration. errors.Is and
// errors.As reach the problems and their causes.
type Error struct {
	Problems []Problem // at least one
	// Warnings are those of [Loaded.Warnings]: a misspelled variable may be the
	// reason of a problem.
	Warnings []string
}

// Error returns all problems, then all warnings, each beginning on a line of
// its own with its place; further lines of a problem are indented.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+len(e.Warnings))
	for _, p := range e.Problems {
		lines = append(lines, p.Error())
	}
	for _, w := range e.Warnings {
		lines = append(lines, "warning: "+w)
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		errs[i] = p
	}
	return errs
}

// Problem is one thing that is wrong. Empty fields do not apply.
type Problem struct {
	// File and Line say where in a file, Source which variable it came from.
	// For a file named by a variable, both are set.
	File   string
	Line   int // from 1; 0: unknown, or the file as a whole
	Source string
	// Key is the key ("policy.drain_delay"), known or not.
	Key string
	// Value is the value as it was written, shortened if it is long, and
	// "[redacted]" for a secret.
	Value   string
	Message string // what is wrong
	Allowed string // what may be written
	Nearest string // the nearest known key
	Hint    string // what to do
	Why     string // what follows; of those that are no error
	Err     error  // the cause, if there is one; it is not printed
}

// Error returns the problem, on one line, and what is allowed, the nearest
// known key and what to do on indented lines of their own.
func (p Problem) Error() string {
	var b strings.Builder
	if where := p.Where(); where != "" {
		b.WriteString(where + ": ")
	}
	if p.Key != "" && !strings.HasPrefix(p.Message, p.Key+" ") {
		b.WriteString(printable(p.Key) + ": ")
	}
	if p.Value != "" {
		b.WriteString(p.quotedValue() + " ")
	}
	b.WriteString(p.Message)
	for _, line := range []struct{ label, text string }{
		{"allowed", p.Allowed}, {"nearest known key", p.Nearest}, {"to do", p.Hint},
	} {
		if line.text != "" {
			fmt.Fprintf(&b, "\n    %s: %s", line.label, line.text)
		}
	}
	return b.String()
}

// Unwrap returns the cause.
func (p Problem) Unwrap() error { return p.Err }

// Where says where the problem is: "handover.yaml:3", a variable's name, or
// nothing.
func (p Problem) Where() string {
	file := Origin{File: p.File, Line: p.Line}
	switch {
	case p.File == "":
		return printable(p.Source)
	case p.Source == "":
		return file.String()
	}
	return file.String() + " (from " + printable(p.Source) + ")"
}

func (p Problem) quotedValue() string {
	if p.Value == redacted {
		return redacted
	}
	return strconv.Quote(p.Value)
}

// Origin says where a value came from. The zero Origin is the default.
type Origin struct {
	Variable string // the variable's name
	File     string
	Line     int // from 1, in File
}

// IsDefault reports whether nothing set the value.
func (o Origin) IsDefault() bool { return o == Origin{} }

// String returns "default", the variable's name, or "handover.yaml:12".
func (o Origin) String() string {
	switch {
	case o.Variable != "":
		return printable(o.Variable)
	case o.File == "":
		return "default"
	case o.Line == 0:
		return printable(o.File)
	}
	return fmt.Sprintf("%s:%d", printable(o.File), o.Line)
}

// maxProblems bounds what a file that is not a configuration at all brings up.
const maxProblems = 100

// problems collects problems, each of them once.
type problems struct {
	list []Problem
	seen map[string]bool
}

func (ps *problems) add(p Problem) {
	text := p.Error()
	if ps.full() || ps.seen[text] {
		return
	}
	if ps.seen == nil {
		ps.seen = map[string]bool{}
	}
	ps.seen[text] = true
	ps.list = append(ps.list, p)
}

func (ps *problems) full() bool { return len(ps.list) >= maxProblems }

// sorted puts those of the file first, by line; the rest stays in the order in
// which it came up.
func (ps *problems) sorted() []Problem {
	sort.SliceStable(ps.list, func(i, j int) bool {
		a, b := &ps.list[i], &ps.list[j]
		if of := a.File != ""; of != (b.File != "") {
			return of
		}
		return a.Line < b.Line
	})
	if ps.full() {
		message := fmt.Sprintf("there are %d problems or more; the rest is not shown", maxProblems)
		return append(ps.list, Problem{Message: message})
	}
	return ps.list
}

// shorten cuts a text to what a message can hold.
func shorten(s string) string {
	const most = 60
	runes := 0
	for i := range s {
		if runes == most {
			return s[:i] + "…"
		}
		runes++
	}
	return s
}

// printable is a name as it is, or shortened and in quotes if it would spoil a
// line.
func printable(name string) string {
	ok := !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r) || r == unicode.ReplacementChar
	})
	if !ok {
		return strconv.Quote(shorten(name))
	}
	return name
}
