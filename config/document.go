package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document turns a tree of YAML nodes into settings. It works on nodes, never
// on decoded values, because only they know lines and what was written.
type document struct {
	*loader
	file string
}

// pair is one entry of a mapping, its alias resolved.
type pair struct {
	name  string
	line  int // of the key
	value *yaml.Node
}

// fromFile reads all keys of the file.
func (l *loader) fromFile(s source) {
	d := document{loader: l, file: s.name}
	root := d.parse(s.data)
	if root == nil || isNull(root) {
		return
	}
	if root.Kind != yaml.MappingNode {
		d.add(Problem{Line: root.Line, Message: "the file does not hold a mapping", Allowed: list(d.sections())})
		return
	}
	for _, p := range d.pairs(root, "") {
		if d.problems.full() {
			return
		}
		d.section(p)
	}
}

// section reads what stands under one of the top keys.
func (d document) section(p pair) {
	if !slices.Contains(d.sections(), p.name) {
		d.unknown(p, "", d.sections())
		return
	}
	if isNull(p.value) {
		return
	}
	leaves := d.leaves(p.name)
	if p.value.Kind != yaml.MappingNode {
		d.add(Problem{Line: p.line, Key: p.name, Value: d.sectionValue(p), Message: "stands where a mapping is wanted",
			Allowed: "a mapping with " + list(leaves), Hint: "put the keys below " + p.name + ":, indented"})
		return
	}
	for _, entry := range d.pairs(p.value, p.name) {
		if d.problems.full() {
			return
		}
		if slices.Contains(leaves, entry.name) {
			d.setting(d.key(p.name+"."+entry.name), entry)
		} else {
			d.unknown(entry, p.name, leaves)
		}
	}
}

// sectionValue is what stands in the place of a section, if it may be shown.
func (d document) sectionValue(p pair) string {
	for _, k := range d.keys {
		if k.secret && k.section() == p.name {
			return redacted
		}
	}
	return shown(p.value)
}

// setting reads the value of one key.
func (d document) setting(k key, p pair) {
	v := p.value
	origin := Origin{File: d.file, Line: p.line}
	fail := func(line int, message, hint string) {
		d.bad[k.name] = true
		d.add(Problem{Line: line, Key: k.name, Message: message, Allowed: k.kind.allowed, Hint: hint})
	}
	switch {
	case isNull(v):
	case tagged(v):
		fail(p.line, "has a YAML tag (!…), which is not understood here", "take the tag out, or put the value in quotes")
	case v.Kind == yaml.ScalarNode:
		if v.Value != "" || !k.optional() {
			d.take(k, raw{text: v.Value}, origin)
		}
	case v.Kind == yaml.SequenceNode && k.kind.parseList == nil:
		fail(p.line, "a list is not allowed here", "")
	case v.Kind == yaml.SequenceNode:
		elements := make([]string, 0, len(v.Content))
		for _, n := range v.Content {
			e := resolve(n)
			if e.Kind != yaml.ScalarNode || isNull(e) || tagged(e) {
				fail(n.Line, "has an element that is not a string", "put the element in quotes")
				return
			}
			elements = append(elements, e.Value)
		}
		d.take(k, raw{list: elements, isList: true}, origin)
	default:
		fail(p.line, "a mapping is not allowed here", "")
	}
}

// unknown adds a key that is none.
func (d document) unknown(p pair, section string, siblings []string) {
	name := p.name
	problem := Problem{Line: p.line, Message: "is not a known key", Allowed: list(siblings)}
	// {api_key:abc} is the key "api_key:abc": what follows could be a secret.
	glued := strings.IndexAny(name, ":=")
	if glued >= 0 {
		name = name[:glued]
	}
	if section != "" {
		name = section + "." + name
	}
	problem.Nearest = nearest(name, d.names(), ".")
	if at, leaf, ok := strings.Cut(problem.Nearest, "."); ok {
		if at != section {
			problem.Hint = fmt.Sprintf("put %s below %s:, indented", leaf, at)
		}
		if glued < 0 && !d.key(problem.Nearest).secret && !suspicious(p.name) {
			problem.Value = shown(p.value)
		}
	}
	problem.Key = shorten(name)
	if glued >= 0 {
		problem.Key += p.name[glued:glued+1] + "…"
		problem.Hint = "put a colon and a space between a key and its value"
	}
	d.add(problem)
}

// names are all that a key could have been meant to be.
func (d document) names() []string {
	names := slices.Clone(d.sections())
	for _, k := range d.keys {
		names = append(names, k.name)
	}
	return names
}

// suspicious reports whether a name that is unknown could be that of a secret.
func suspicious(name string) bool {
	name = fold(name)
	for _, part := range []string{"secret", "key", "pass", "token", "auth", "cred", "hmac", "sign"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// add adds a problem of this file.
func (d document) add(p Problem) {
	p.File = d.file
	d.problems.add(p)
}

// shown is a node's text for a message, empty if it is not a plain one.
func shown(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		return ""
	}
	return shorten(n.Value)
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// tagged reports whether an explicit tag makes something else of the text.
func tagged(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return false
	}
	return n.Kind == yaml.ScalarNode && n.ShortTag() != "!!str" ||
		n.Kind == yaml.SequenceNode && n.ShortTag() != "!!seq"
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// list is "a, b, c".
func list(words []string) string { return strings.Join(words, ", ") }
