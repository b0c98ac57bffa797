package compose

import (
	"bytes"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config/yamldoc"
)

// maxEntries bounds how many entries of mappings and lists are looked at:
// aliases can make very much of a small file.
const maxEntries = 200_000

// document is the tree of YAML nodes. Only nodes know lines and what was
// written.
type document struct {
	*linter
	left int // entries that may still be looked at
}

func (d *document) wrong(line int, found, why, do string) {
	d.add(check.Finding{Level: check.Error, Check: checkFile, Line: line, Found: found, Why: why, Do: do})
}

// parse returns the mapping at the top, nil if there is none.
func (d *document) parse(data []byte) *yaml.Node {
	root, second, err := documents(data)
	if err != nil {
		line, message := syntaxError(data, err)
		do := ""
		if bytes.ContainsRune(data, '\t') {
			do = "indent with spaces: the file has tabs, which YAML does not allow for that"
		}
		d.wrong(line, "is not YAML: "+message, "", do)
	}
	if root == nil {
		if err == nil {
			d.wrong(0, "the file is empty", "", "begin with services:")
		}
		return nil
	}
	if root.Kind != yaml.MappingNode {
		d.wrong(root.Line, "is not a compose file: there is no mapping at the top", "", "begin with services:")
		return nil
	}
	d.duplicates(root)
	if second != nil {
		d.wrong(second.Line, "a second document begins", "balena reads one; this one is not looked at",
			"remove the line --- before it, and what follows")
	}
	return root
}

// documents are the first two documents of a file. One that says nothing is
// none, and ends the file.
func documents(data []byte) (first, second *yaml.Node, err error) {
	first, second, err = yamldoc.Read(data)
	if first != nil && isNull(first) {
		return nil, nil, nil
	}
	if second != nil && isNull(second) {
		second = nil
	}
	return first, second, err
}

// syntaxError is the line and the message of an error of the parser. Its own
// line is often that of where something begins; the last line of the shortest
// beginning of the file that has the same error is where it goes wrong.
func syntaxError(data []byte, err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, cut := strings.Cut(rest, ": "); cut && strings.Trim(number, "0123456789") == "" {
			message = text
		}
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	ends := make([]int, len(lines))
	end := 0
	for i, l := range lines {
		end += len(l)
		ends[i] = end
	}
	return 1 + sort.Search(len(ends)-1, func(i int) bool {
		_, _, prefixErr := documents(data[:ends[i]])
		return prefixErr != nil && prefixErr.Error() == err.Error()
	}), message
}

// duplicates finds keys that stand twice in a mapping, anywhere in the file.
func (d *document) duplicates(n *yaml.Node) {
	lines := map[string]int{}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if first, twice := lines[c.Value]; twice && c.Kind == yaml.ScalarNode {
				d.wrong(c.Line, "the key "+quoted(c.Value)+" stands there twice, first on line "+strconv.Itoa(first),
					"balena and Compose refuse the file", "take one of them out")
			}
			lines[c.Value] = c.Line
		}
		if c.Kind != yaml.AliasNode {
			d.duplicates(c)
		}
	}
}

// pair is one entry of a mapping, its alias resolved.
type pair struct {
	name  string
	line  int // of the key
	value *yaml.Node
}

// pairs are the entries of a mapping, with what its merge keys (<<) bring in:
// an entry of its own wins over a merged one, and of several merged ones the
// first.
func (d *document) pairs(m *yaml.Node) []pair {
	w := walk{document: d, merged: map[*yaml.Node]bool{}, names: map[string]bool{}}
	w.mapping(m)
	return w.pairs
}

// walk collects the entries of one mapping.
type walk struct {
	*document
	merged map[*yaml.Node]bool // each once, so that no cycle matters
	names  map[string]bool     // of pairs
	pairs  []pair
}

func (w *walk) mapping(m *yaml.Node) {
	if m.Kind != yaml.MappingNode || w.merged[m] {
		return
	}
	w.merged[m] = true
	var merges []*yaml.Node
	for i := 0; i+1 < len(m.Content) && w.look(); i += 2 {
		k, v := resolve(m.Content[i]), resolve(m.Content[i+1])
		switch {
		case k.Kind != yaml.ScalarNode:
		case k.ShortTag() == "!!merge":
			merges = append(merges, v)
		case !w.names[k.Value]:
			w.names[k.Value] = true
			w.pairs = append(w.pairs, pair{name: k.Value, line: m.Content[i].Line, value: v})
		}
	}
	for _, n := range merges {
		if n.Kind != yaml.SequenceNode {
			w.mapping(n)
			continue
		}
		for _, c := range n.Content {
			if !w.look() {
				return
			}
			w.mapping(resolve(c))
		}
	}
}

// look counts an entry; false: that is enough.
func (d *document) look() bool {
	if d.left--; d.left == -1 {
		d.wrong(0, "has too many entries, once its aliases are followed", "the rest is not looked at", "")
	}
	return d.left >= 0
}

// items are the elements of a list, aliases resolved, with the line on which
// each stands; a single value is a list of one.
func (d *document) items(n *yaml.Node, line int) []pair {
	if n.Kind != yaml.SequenceNode {
		if isNull(n) {
			return nil
		}
		return []pair{{line: line, value: n}}
	}
	var items []pair
	for _, c := range n.Content {
		if !d.look() {
			break
		}
		items = append(items, pair{line: c.Line, value: resolve(c)})
	}
	return items
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// quoted shows a text from a file: short, on one line, in quotes.
func quoted(s string) string {
	const most = 60
	runes := 0
	for i := range s {
		if runes == most {
			s = s[:i] + "…"
			break
		}
		runes++
	}
	return strconv.Quote(s)
}
