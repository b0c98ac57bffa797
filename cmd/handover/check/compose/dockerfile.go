package compose

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// instruction is one instruction of a Dockerfile.
type instruction struct {
	line  int
	name  string   // in capitals
	flags []string // "--from=handover", quotes taken away
	args  string   // what follows, on one line
}

// parseDockerfile takes a Dockerfile apart, as BuildKit does: comments and empty
// lines may stand within an instruction that goes on over several lines, the
// escape character can be another one, RUN, COPY and ADD can have documents
// (<<EOF) of their own.
func parseDockerfile(text string) ([]*instruction, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	lines := strings.Split(text, "\n")
	escape := escapeCharacter(lines)
	var all []*instruction
	for at := 0; at < len(lines); {
		first := at
		line, more := continued(comment(strings.TrimLeft(trimEnd(lines[at]), space)), escape)
		at++
		if !more && line == "" {
			continue
		}
		for more && at < len(lines) {
			raw := trimEnd(lines[at])
			at++
			trimmed := strings.TrimLeft(raw, space)
			if trimmed == "" || trimmed[0] == '#' {
				continue
			}
			var part string
			part, more = continued(raw, escape)
			line += part
		}
		i := newInstruction(first+1, line, escape)
		if i.name == "" {
			continue
		}
		for _, h := range i.documents() {
			end := h.skip(lines, at)
			if end < 0 {
				return nil, errors.New("line " + strconv.Itoa(first+1) + ": the document " + quoted(h.end) + " does not end")
			}
			at = end
		}
		all = append(all, i)
	}
	return all, nil
}

// space is what BuildKit takes for it.
const space = " \t\v\f\r\n\u0085\u00a0"

func trimEnd(line string) string { return strings.TrimRight(line, "\r\n") }

func comment(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	return line
}

// continued takes the character away that says that the next line belongs to
// this one. Two of them mean nothing.
func continued(line string, escape byte) (string, bool) {
	end := strings.TrimRight(line, " \t")
	if end == "" || end[len(end)-1] != escape || len(end) > 1 && end[len(end)-2] == escape {
		return line, false
	}
	return end[:len(end)-1], true
}

// escapeCharacter reads the comments at the top: # escape=`
func escapeCharacter(lines []string) byte {
	for _, line := range lines {
		directive, ok := strings.CutPrefix(strings.TrimLeft(trimEnd(line), space), "#")
		name, value, assigned := strings.Cut(directive, "=")
		name = strings.ToLower(strings.Trim(name, space))
		if !ok || !assigned || !oneOf(name, "syntax escape check") {
			break
		}
		if name == "escape" && strings.Trim(value, space) == "`" {
			return '`'
		}
	}
	return '\\'
}

func newInstruction(line int, text string, escape byte) *instruction {
	text = strings.Trim(text, space)
	name, rest := text, ""
	if end := strings.IndexAny(text, "\t\v\f\r "); end >= 0 {
		name, rest = text[:end], strings.TrimLeft(text[end:], "\t\v\f\r ")
	}
	i := &instruction{line: line, name: strings.ToUpper(name)}
	for strings.HasPrefix(rest, "--") {
		flag, after := flagWord(rest, escape)
		rest = strings.TrimLeft(after, space)
		if flag == "--" {
			break
		}
		i.flags = append(i.flags, flag)
	}
	i.args = strings.Trim(rest, space)
	return i
}

// flagWord takes one word off, without its quotes.
func flagWord(text string, escape byte) (word, rest string) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && strings.IndexByte(" \t\v\f\r\n", c) >= 0:
			return b.String(), text[i:]
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == escape:
			if i++; i < len(text) {
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// heredoc is a document within a Dockerfile.
type heredoc struct {
	end  string
	tabs bool // before the end are allowed
}

// documents are those that begin with the instruction.
func (i *instruction) documents() []heredoc {
	name, args := i.name, i.args
	if name == "ONBUILD" {
		inner := newInstruction(i.line, args, '\\')
		name, args = inner.name, inner.args
	}
	if !oneOf(name, "RUN COPY ADD") || !strings.Contains(args, "<<") {
		return nil
	}
	if _, list := execForm(args); list {
		return nil
	}
	var all []heredoc
	for _, w := range rawWords(args) {
		w = strings.TrimLeft(w, "0123456789")
		end, ok := strings.CutPrefix(w, "<<")
		if !ok {
			continue
		}
		h := heredoc{}
		end, h.tabs = strings.CutPrefix(end, "-")
		if strings.Contains(end, "<") {
			continue
		}
		if parts := words(end); len(parts) == 1 && parts[0] != "" {
			h.end = parts[0]
			all = append(all, h)
		}
	}
	return all
}

// rawWords splits at blanks outside of quotes, and keeps the quotes.
func rawWords(text string) []string {
	var all []string
	start, quote := -1, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if start < 0 {
			if strings.IndexByte(" \t\v\f\r\n", c) >= 0 {
				continue
			}
			start = i
		}
		switch {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case strings.IndexByte(" \t\v\f\r\n", c) >= 0:
			all = append(all, text[start:i])
			start = -1
		}
	}
	if start >= 0 {
		all = append(all, text[start:])
	}
	return all
}

// skip returns the line after the document that begins at a line, -1 if it does
// not end.
func (h heredoc) skip(lines []string, at int) int {
	for ; at < len(lines); at++ {
		line := trimEnd(lines[at])
		if h.tabs {
			line = strings.TrimLeft(line, "\t")
		}
		if line == h.end {
			return at + 1
		}
	}
	return -1
}

// execForm reads a list of strings in JSON.
func execForm(args string) ([]string, bool) {
	if !strings.HasPrefix(args, "[") {
		return nil, false
	}
	var list []*string // pointers, to tell null from empty
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		return nil, false
	}
	words := make([]string, len(list))
	for i, w := range list {
		if w == nil {
			return nil, false
		}
		words[i] = *w
	}
	return words, true
}

// command reads the argument of ENTRYPOINT, CMD or HEALTHCHECK CMD.
func (i *instruction) command(file, args string) *command {
	c := &command{line: i.line, file: file}
	if list, ok := execForm(args); ok {
		c.words = list
	} else {
		c.shell = args
	}
	return c
}
