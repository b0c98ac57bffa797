package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// textWidth is where texts are wrapped, in columns.
const textWidth = 100

// WriteJSON writes the report for programs: the worst level, and the findings.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	findings := r
	if findings == nil {
		findings = Report{}
	}
	return e.Encode(struct {
		Worst    Level  `json:"worst"`
		Findings Report `json:"findings"`
	}{r.Worst(), findings})
}

// WriteText writes the report for people. Paint colours a level's name, which
// may be padded.
func (r Report) WriteText(w io.Writer, paint func(l Level, text string) string) error {
	var b strings.Builder
	for _, f := range r {
		head := f.Found
		if f.Service != "" {
			head = "service " + f.Service + ": " + head
		}
		if where := f.Where(); where != "" {
			head = where + ": " + head
		}
		b.WriteString(paint(f.Level, fmt.Sprintf("%-8s", f.Level)))
		b.WriteString(wrap(head, len("warning ")) + "\n")
		for _, part := range []struct{ name, text string }{{"why: ", f.Why}, {"do:  ", f.Do}} {
			if part.text != "" {
				const indent = len("warning ")
				b.WriteString(strings.Repeat(" ", indent) + part.name + wrap(part.text, indent+len(part.name)) + "\n")
			}
		}
	}
	fmt.Fprintf(&b, "\n%s, %s, %s\n", count(r.Count(Error), Error), count(r.Count(Warning), Warning), count(r.Count(Note), Note))
	_, err := io.WriteString(w, b.String())
	return err
}

func count(n int, l Level) string {
	if n == 1 {
		return "1 " + l.String()
	}
	return fmt.Sprintf("%d %ss", n, l)
}

// wrap breaks a text that begins at that column into lines, each indented to it.
// Words are not broken. What would control a terminal is left out: names come
// from files.
func wrap(text string, indent int) string {
	var b strings.Builder
	column := indent
	printable := func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}
	for i, word := range strings.Fields(strings.Map(printable, text)) {
		if i > 0 && column+1+len(word) > textWidth {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		} else if i > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
