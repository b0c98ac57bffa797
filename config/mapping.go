package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// pairs are the entries of a mapping, with what its merge keys (<<) bring in:
// an entry of its own wins over a merged one, and of several merged ones the
// first. A key that stands there twice is a problem, and the first one counts.
func (d document) pairs(m *yaml.Node, path string) []pair {
	w := walk{document: d, path: path, merged: map[*yaml.Node]bool{}, names: map[string]bool{}}
	w.mapping(m)
	return w.pairs
}

// walk collects the entries of one mapping.
type walk struct {
	document
	path   string
	merged map[*yaml.Node]bool // mappings already taken in: each once, so that no cycle and no bomb matters
	names  map[string]bool     // of pairs
	pairs  []pair
}

func (w *walk) mapping(m *yaml.Node) {
	if w.merged[m] {
		return
	}
	w.merged[m] = true
	lines := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(m.Content) && !w.problems.full(); i += 2 {
		k, v := resolve(m.Content[i]), resolve(m.Content[i+1])
		line := m.Content[i].Line
		if k.Kind != yaml.ScalarNode {
			w.add(Problem{Line: line, Key: w.path, Message: "a key is not plain text"})
			continue
		}
		if first, twice := lines[k.Value]; twice {
			w.add(Problem{Line: line, Key: shorten(w.full(k.Value)),
				Message: fmt.Sprintf("stands there twice, first on line %d", first), Hint: "take one of them out"})
			continue
		}
		lines[k.Value] = line
		if k.ShortTag() == "!!merge" {
			merges = append(merges, v)
		} else if !w.names[k.Value] {
			w.names[k.Value] = true
			w.pairs = append(w.pairs, pair{name: k.Value, line: line, value: v})
		}
	}
	for _, n := range merges {
		w.merge(n)
	}
}

// merge takes in what a merge key names: a mapping, or a list of them.
func (w *walk) merge(n *yaml.Node) {
	mappings := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		mappings = n.Content
	}
	for _, m := range mappings {
		m = resolve(m)
		if m.Kind != yaml.MappingNode {
			w.add(Problem{Line: m.Line, Key: w.full("<<"), Message: "does not merge a mapping",
				Allowed: "an alias (*name) of a mapping, or a list of such aliases"})
			continue
		}
		w.mapping(m)
	}
}

func (w *walk) full(name string) string {
	if w.path == "" {
		return name
	}
	return w.path + "." + name
}
