package compose

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar is one value of a file.
type scalar struct {
	text    string
	line    int  // 0: it is not there
	null    bool // it is there, and says nothing
	unknown bool // it has a ${VARIABLE}, or is no plain value
}

// set reports whether there is a value, known or not.
func (v *scalar) set() bool { return v.line > 0 && !v.null }

// known reports whether there is a value that can be judged.
func (v *scalar) known() bool { return v.set() && !v.unknown }

// isTrue reports whether it is a boolean that is true, for certain.
func (v *scalar) isTrue() bool { return v.known() && oneOf(strings.ToLower(v.text), yes) }

// yes is what is true.
const yes = "true yes on 1"

// oneOf reports whether a word is among others, which stand between blanks.
func oneOf(word, words string) bool {
	return word != "" && strings.Contains(" "+words+" ", " "+word+" ") && !strings.Contains(word, " ")
}

// newScalar reads a node. Numbers and booleans become what Compose makes of
// them: 0x10 is 16.
func newScalar(n *yaml.Node, line int) *scalar {
	v := &scalar{line: line}
	switch {
	case n.Kind != yaml.ScalarNode:
		v.unknown = true
		return v
	case isNull(n):
		v.null = true
		return v
	}
	v.text = n.Value
	if oneOf(n.ShortTag(), "!!int !!float !!bool") {
		var plain any
		if err := n.Decode(&plain); err == nil {
			v.text = fmt.Sprint(plain)
		}
		return v
	}
	v.text, v.unknown = interpolate(n.Value)
	return v
}

// interpolate takes a text as Compose does: $$ is a dollar sign. If there is a
// $VARIABLE or ${VARIABLE}, nobody knows here what becomes of it.
func interpolate(s string) (text string, unknown bool) {
	text = strings.ReplaceAll(s, "$$", "\x00")
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "$")
		if !found {
			return strings.ReplaceAll(text, "\x00", "$"), unknown
		}
		unknown = unknown || after != "" && (after[0] == '{' || isLetter(after[0]))
		rest = after
	}
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// variable is a label or a variable of the environment.
type variable struct {
	scalar
	name string
	file string // empty: the compose file
}

func (v *variable) place() place { return place{v.file, v.line} }

// variables reads what may be a mapping or a list of NAME=value. Of a name that
// stands twice in a list, the last one counts.
func (d *document) variables(n *yaml.Node) []*variable {
	var all variables
	switch n.Kind {
	case yaml.MappingNode:
		for _, p := range d.pairs(n) {
			if p.value.Kind != yaml.ScalarNode {
				d.wrong(p.line, "an entry of a list of variables or labels is not NAME=value", "it means nothing to Compose", "")
			}
			all.set(&variable{name: p.name, scalar: *newScalar(p.value, p.line)})
		}
	case yaml.SequenceNode:
		for _, item := range d.items(n, n.Line) {
			name, value, ok := strings.Cut(item.value.Value, "=")
			if item.value.Kind != yaml.ScalarNode || isNull(item.value) || strings.ContainsAny(name, " :") {
				d.wrong(item.line, "an entry of a list of variables or labels is not NAME=value", "it means nothing to Compose",
					"write - NAME=value, or a mapping without the dash: NAME: value")
				for _, p := range d.pairs(item.value) { // as it was meant
					all.set(&variable{name: p.name, scalar: *newScalar(p.value, p.line)})
				}
				continue
			}
			// A name alone: the value is not in the file.
			v := &variable{name: name, scalar: scalar{line: item.line, null: !ok}}
			v.text, v.unknown = interpolate(value)
			all.set(v)
		}
	}
	return all.list
}

// variables are variables of different names, in order.
type variables struct {
	list []*variable
	at   map[string]int
}

// set adds a variable, or replaces the one of that name.
func (a *variables) set(v *variable) {
	if i, known := a.at[v.name]; known {
		a.list[i] = v
		return
	}
	if a.at == nil {
		a.at = map[string]int{}
	}
	a.at[v.name] = len(a.list)
	a.list = append(a.list, v)
}

// lookup finds a variable by its name; one that is not there has no line.
func lookup(all []*variable, name string) *variable {
	for _, v := range all {
		if v.name == name {
			return v
		}
	}
	return &variable{}
}
