package manifests_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// setting is a line of handover.yaml that says a key, or would without its #.
type setting struct {
	key      string // "service.app_id"
	off      bool   // stands behind a #
	line     int    // index of the line
	comments int    // lines of comment directly above it
}

var (
	sectionLine = regexp.MustCompile(`^([a-z]+):$`)
	settingLine = regexp.MustCompile(`^  (#?)([a-z_]+): \S.*$`)
	commentLine = regexp.MustCompile(`^ *# \S.*$`)
)

// parseSettings finds the settings of a file, also those behind a #.
func parseSettings(text string) ([]setting, faults) {
	var all []setting
	var f faults
	section, comments := "", 0
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if commentLine.MatchString(line) {
			comments++
			continue
		}
		if m := sectionLine.FindStringSubmatch(line); m != nil {
			section = m[1]
		} else if m := settingLine.FindStringSubmatch(line); m != nil {
			all = append(all, setting{key: section + "." + m[2], off: m[1] != "", line: i, comments: comments})
		} else if line != "" && line != "#" {
			f.add("line %d is neither a comment nor a setting: %s", i+1, line)
		}
		comments = 0
	}
	return all, f
}

// switchedOn is the text with the # taken away from one setting.
func switchedOn(text string, s setting) string {
	lines := strings.Split(text, "\n")
	lines[s.line] = strings.Replace(lines[s.line], "#", "", 1)
	return strings.Join(lines, "\n")
}

// checkSettings is what is wrong with a file of settings that should say all
// keys with their defaults.
func checkSettings(text string) faults {
	all, f := parseSettings(text)
	defaults, err := load("")
	if err != nil {
		f.add("defaults: %v", err)
		return f
	}
	loaded, err := load(text)
	if err != nil {
		f.add("does not load: %v", err)
		return f
	}
	for _, w := range loaded.Warnings {
		f.add("warning: %s", w)
	}
	if !reflect.DeepEqual(loaded.Config, defaults.Config) {
		f.add("the configuration is not the default one")
	}

	var want, got []string
	for _, s := range all {
		got = append(got, s.key)
	}
	for i, v := range defaults.Values() {
		want = append(want, v.Key)
		if now := loaded.Values()[i]; now.Text != v.Text {
			f.add("%s is %s, its default is %s", v.Key, now.Text, v.Text)
		}
		at := slices.IndexFunc(all, func(s setting) bool { return s.key == v.Key })
		if at < 0 {
			f.add("%s is missing", v.Key)
			continue
		}
		if fixed := v.Text != `""` && v.Computed == ""; fixed == all[at].off {
			f.add("%s must be set if it has a fixed default, and only then", v.Key)
		}
	}
	if !slices.Equal(got, want) {
		f.add("the order is %v, in the table it is %v", got, want)
	}

	for _, s := range all {
		if s.comments < 1 || s.comments > 2 {
			f.add("%s has %d lines of comment, not one or two", s.key, s.comments)
		}
		if !s.off {
			if loaded.Origin(s.key).IsDefault() {
				f.add("%s is not read", s.key)
			}
			continue
		}
		on, err := load(switchedOn(text, s))
		if err != nil {
			f.add("%s without its # does not load: %v", s.key, err)
			continue
		}
		if on.Origin(s.key).IsDefault() {
			f.add("%s without its # is not read", s.key)
		}
		if len(on.Warnings) > 0 && s.key != "process.preflight" { // which needs policy.exclusive
			f.add("%s without its #: %v", s.key, on.Warnings)
		}
	}
	return f
}
