package config

import (
	"fmt"
	"strings"
)

// KeyNames are all keys, for tests.
func KeyNames() []string {
	var names []string
	for _, k := range keys() {
		names = append(names, k.name)
	}
	return names
}

// BadDefaults are the keys whose default cannot be read.
func BadDefaults() []string {
	var names []string
	for _, k := range keys() {
		if k.def != "" {
			if _, f := k.kind.parse(k.def); f != nil {
				names = append(names, k.name+": "+f.message)
			}
		} else if k.kind.zero == nil && k.computed == "" {
			names = append(names, k.name+": neither a default nor a value for none")
		}
	}
	return names
}

// KeyTable is the table of keys as README.md shows it.
func KeyTable() string {
	var b strings.Builder
	b.WriteString("| key | default | variables | meaning | allowed |\n| --- | --- | --- | --- | --- |\n")
	for _, k := range keys() {
		def := k.computed
		if k.def != "" {
			def = "`" + k.def + "`"
		}
		var variables []string
		for _, v := range k.variables() {
			variables = append(variables, "`"+v+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n",
			k.name, def, strings.Join(variables, ", "), k.meaning, k.kind.allowed)
	}
	return b.String()
}
