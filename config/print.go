package config

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Print writes all effective values as YAML, each with a comment that says
// where it came from. What it writes can be loaded again and gives the same
// configuration, but for secrets, which are masked, and which Load refuses in
// that form.
func (l *Loaded) Print(w io.Writer) error {
	const widest = 40 // a longer value does not move the comments of all others
	column := 0
	lines := make([]string, len(l.values))
	for i, v := range l.values {
		lines[i] = fmt.Sprintf("  %s: %s", key{name: v.Key}.leaf(), v.Text)
		if n := utf8.RuneCountInString(lines[i]); n <= widest {
			column = max(column, n)
		}
	}
	file := "none"
	if l.File != "" {
		file = printable(l.File)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# configuration file: %s\n", file)
	section := ""
	for i, v := range l.values {
		if s := (key{name: v.Key}).section(); s != section {
			section = s
			fmt.Fprintf(&b, "%s:\n", section)
		}
		pad := max(column-utf8.RuneCountInString(lines[i]), 0)
		fmt.Fprintf(&b, "%s%s  # %s\n", lines[i], strings.Repeat(" ", pad), v.comment())
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("config: print: %w", err)
	}
	return nil
}

// comment says where the value came from.
func (v Value) comment() string {
	if v.Computed != "" {
		return v.Origin.String() + ": " + strings.ReplaceAll(v.Computed, "`", "")
	}
	return v.Origin.String()
}

// flowList writes a list of texts on one line.
func flowList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, s := range texts {
		quoted[i] = yamlQuoted(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// yamlText writes a text as one line of YAML that reads as the same text.
func yamlText(s string) string {
	if !strings.Contains(s, "\n") {
		if out, err := yaml.Marshal(s); err == nil {
			if line := strings.TrimSuffix(string(out), "\n"); !strings.Contains(line, "\n") {
				return line
			}
		}
	}
	return yamlQuoted(s)
}

// yamlQuoted writes a text in double quotes.
func yamlQuoted(s string) string {
	out, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s})
	if err != nil {
		return `""`
	}
	return strings.TrimSuffix(string(out), "\n")
}
