package config

import (
	"bytes"
	"errors"
	"io"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse returns the root of the first document, nil if there is none. A
// second document is a problem.
func (d document) parse(data []byte) *yaml.Node {
	root, second, err := parseDocuments(data)
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

// parseDocuments returns the roots of the first two documents, nil for one
// that is not there.
func parseDocuments(data []byte) (first, second *yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for _, root := range []**yaml.Node{&first, &second} {
		*root, err = nextDocument(decoder)
		if errors.Is(err, io.EOF) {
			return first, second, nil
		}
		if err != nil {
			return first, second, err
		}
	}
	return first, second, nil
}

// nextDocument makes an error of a panic: the file must not be able to end
// the program, whatever the parser thinks of it.
func nextDocument(decoder *yaml.Decoder) (root *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, errors.New("yaml: the parser gave up")
		}
	}()
	var n yaml.Node
	if err := decoder.Decode(&n); err != nil {
		return nil, err
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) == 0 {
		return nil, io.EOF
	}
	return n.Content[0], nil
}

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
		_, _, prefixErr := parseDocuments(data[:ends[i]])
		return prefixErr != nil && prefixErr.Error() == err.Error()
	})
	return shortest + 1, message
}
