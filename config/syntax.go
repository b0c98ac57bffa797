package config

import (
	"bytes"
	"errors"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/config/yamldoc"
)

// parse returns the root of the first document, nil if there is none. A
// second document is a problem.
func (d document) parse(data []byte) *yaml.Node {
	root, second, err := yamldoc.Read(data)
	if err != nil {
		line, message := syntaxError(data, err)
		p := Problem{Line: line, Message: "is not YAML: " + message, Err: errSyntax}
		switch {
		case strings.HasPrefix(message, "unknown anchor"):
			p.Message = "an alias (*name) stands for no anchor (&name) before it"
			p.Hint = "put a value that begins with * in quotes"
		case bytes.ContainsRune(data, '\t'):
			p.Hint = "indent with spaces: the file has tabs, which YAML does not allow for that"
		}
		d.add(p)
		return root
	}
	if second != nil {
		d.add(Problem{Line: separatorLine(data, second.Line), Message: "a second document begins", Allowed: "one document in a file",
			Hint: "remove the line --- before it, and what follows"})
	}
	return root
}

// separatorLine is the line of the last --- before the line where a document's
// content begins, or that line if there is none.
func separatorLine(data []byte, content int) int {
	found := content
	line := 0
	for text := range bytes.Lines(data) {
		if line++; line > content {
			break
		}
		if bytes.HasPrefix(text, []byte("---")) {
			found = line
		}
	}
	return found
}

var errSyntax = errors.New("config: parse file: not YAML")

// parserMessages are of the parser's second stage, whose lines cannot be
// relied on: they are those of where a collection begins, less one.
var parserMessages = []string{
	"did not find expected key", "did not find expected '-' indicator", "did not find expected ','",
	"did not find expected node content", "did not find expected <", "found undefined tag handle",
}

// syntaxError is the line and the message of an error of the parser. Where
// the parser does not say the line, it is the last of the shortest beginning
// of the file that has the same error.
func syntaxError(data []byte, err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		number, text, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, message = n, text
		}
	}
	reliable := line > 0
	for _, m := range parserMessages {
		reliable = reliable && !strings.HasPrefix(message, m)
	}
	if reliable {
		return line, message
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	ends := make([]int, len(lines))
	end := 0
	for i, l := range lines {
		end += len(l)
		ends[i] = end
	}
	shortest := sort.Search(len(ends)-1, func(i int) bool {
		_, _, prefixErr := yamldoc.Read(data[:ends[i]])
		return prefixErr != nil && prefixErr.Error() == err.Error()
	})
	return shortest + 1, message
}
