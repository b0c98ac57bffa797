package config

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	variablePrefix = "HANDOVER_"
	// fileVariable names the file; it belongs to no key.
	fileVariable = "HANDOVER_CONFIG"
)

// parseEnviron takes NAME=value strings apart. Of a name that stands there
// twice the first counts, as with os.Getenv; an empty value is none.
func parseEnviron(environ []string) map[string]string {
	variables := make(map[string]string, len(environ))
	for _, e := range environ {
		name, value, ok := strings.Cut(e, "=")
		if _, known := variables[name]; ok && !known {
			variables[name] = value
		}
	}
	for name, value := range variables {
		if value == "" {
			delete(variables, name)
		}
	}
	return variables
}

// fromEnvironment reads the variables of all keys.
func (l *loader) fromEnvironment() {
	for _, k := range l.keys {
		for _, name := range k.variables() {
			text, ok := l.environment[name]
			if !ok {
				continue
			}
			l.take(k, variableValue(k, text), Origin{Variable: name})
			break // the others have lost, and are not looked at
		}
	}
}

// variableValue is the text, or a list if that is allowed and the text is one
// in JSON. What only begins like one stays a text, because a line of shell may
// well begin with a bracket, unless it can only have been meant as a list.
func variableValue(k key, text string) raw {
	if k.kind.parseList == nil || !strings.HasPrefix(text, "[") || !utf8.ValidString(text) {
		return raw{text: text}
	}
	var elements []*string // pointers, to tell null from empty
	if err := json.Unmarshal([]byte(text), &elements); err == nil && !slices.Contains(elements, nil) {
		list := make([]string, len(elements))
		for i, e := range elements {
			list[i] = *e
		}
		return raw{list: list, isList: true}
	}
	if json.Valid([]byte(text)) || strings.HasPrefix(text, `["`) {
		return raw{text: text, badList: true}
	}
	return raw{text: text}
}

// unknownVariables warns of variables that look like ours and are not.
func (l *loader) unknownVariables() {
	known := []string{fileVariable}
	for _, k := range l.keys {
		for _, name := range k.variables() {
			if strings.HasPrefix(name, variablePrefix) {
				known = append(known, name)
			}
		}
	}
	short := make([]string, len(known))
	for i, name := range known {
		short[i] = strings.TrimPrefix(name, variablePrefix)
	}
	var unknown []string
	for name := range l.environment {
		if strings.HasPrefix(name, variablePrefix) && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		warning := printable(name) + " is no variable of handover and is ignored"
		if n := nearest(strings.TrimPrefix(name, variablePrefix), short, "_"); n != "" {
			warning += "; the nearest known one is " + variablePrefix + n
		}
		l.warnings = append(l.warnings, warning)
	}
}
