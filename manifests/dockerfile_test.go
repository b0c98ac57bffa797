package manifests_test

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// instruction is one instruction of a Dockerfile.
type instruction struct {
	line  int
	name  string   // in capitals
	flags []string // "--from=handover"
	args  string   // what follows, on one line
}

// list is the argument in exec form: a list in JSON.
func (i instruction) list() ([]string, bool) { return execForm(i.args) }

func execForm(args string) ([]string, bool) {
	var list []string
	err := json.Unmarshal([]byte(args), &list)
	return list, err == nil && len(list) > 0
}

// flag is the value of a flag, empty if there is none.
func (i instruction) flag(name string) string {
	for _, f := range i.flags {
		if value, ok := strings.CutPrefix(f, name+"="); ok {
			return value
		}
	}
	return ""
}

// stage is a FROM and what follows it.
type stage struct {
	name, image  string
	instructions []instruction
}

// all are the stage's instructions of one name.
func (s stage) all(name string) []instruction {
	return slices.DeleteFunc(slices.Clone(s.instructions), func(i instruction) bool { return i.name != name })
}

// Of which the example needs no others.
var instructionNames = []string{
	"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "WORKDIR",
}

// parseDockerfile takes a Dockerfile apart. Comments and empty lines may stand
// within an instruction that goes on over several lines.
func parseDockerfile(text string) ([]stage, error) {
	var stages []stage
	var begun []string
	first := 0
	finish := func() error {
		i, err := parseInstruction(first, strings.Join(begun, " "))
		begun = nil
		switch {
		case err != nil:
			return err
		case i.name == "FROM":
			words := strings.Fields(i.args)
			if len(words) != 1 && (len(words) != 3 || !strings.EqualFold(words[1], "AS")) {
				return fmt.Errorf("line %d: FROM %s", i.line, i.args)
			}
			s := stage{image: words[0], name: strconv.Itoa(len(stages))}
			if len(words) == 3 {
				s.name = words[2]
			}
			stages = append(stages, s)
		case len(stages) == 0:
			return fmt.Errorf("line %d: %s before the first FROM", i.line, i.name)
		default:
			last := &stages[len(stages)-1]
			last.instructions = append(last.instructions, i)
		}
		return nil
	}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if begun == nil {
			first = n + 1
		}
		part, more := strings.CutSuffix(line, `\`)
		begun = append(begun, strings.TrimSpace(part))
		if more {
			continue
		}
		if err := finish(); err != nil {
			return nil, err
		}
	}
	if begun != nil {
		return nil, fmt.Errorf("line %d: does not end", first)
	}
	return stages, nil
}

func parseInstruction(line int, text string) (instruction, error) {
	name, args, _ := strings.Cut(text, " ")
	i := instruction{line: line, name: strings.ToUpper(name), args: strings.TrimSpace(args)}
	if !slices.Contains(instructionNames, i.name) {
		return i, fmt.Errorf("line %d: %s is no instruction that is used here", line, name)
	}
	for strings.HasPrefix(i.args, "--") {
		flag, rest, _ := strings.Cut(i.args, " ")
		i.flags, i.args = append(i.flags, flag), strings.TrimSpace(rest)
	}
	if i.args == "" {
		return i, fmt.Errorf("line %d: %s says nothing", line, name)
	}
	return i, nil
}

// goBuild is what a shell script builds with go build.
type goBuild struct {
	cgo, tags, ldflags, pkg string
	trimpath                bool
	output                  string
}

// parseGoBuild finds the go build with linker flags.
func parseGoBuild(script string) (goBuild, bool) {
	for _, line := range strings.Split(strings.ReplaceAll(script, "\\\n", " "), "\n") {
		if !strings.Contains(line, "go build ") || !strings.Contains(line, "-ldflags") {
			continue
		}
		words := shellWords(line)
		at := 0
		for at+1 < len(words) && (words[at] != "go" || words[at+1] != "build") {
			at++
		}
		if at+1 >= len(words) {
			continue
		}
		var b goBuild
		for i := at - 1; i >= 0 && strings.Contains(words[i], "="); i-- {
			if value, ok := strings.CutPrefix(words[i], "CGO_ENABLED="); ok {
				b.cgo = value
			}
		}
		b.arguments(words[at+2:])
		return b, true
	}
	return goBuild{}, false
}

// arguments reads what follows "go build".
func (b *goBuild) arguments(words []string) {
	for i := 0; i < len(words) && !slices.Contains([]string{"&&", "||", ";", "|"}, words[i]); i++ {
		name, value, attached := strings.Cut(words[i], "=")
		if !strings.HasPrefix(name, "-") {
			b.pkg = words[i]
			continue
		}
		if name != "-trimpath" && !attached && i+1 < len(words) {
			i++
			value = words[i]
		}
		switch name {
		case "-trimpath":
			b.trimpath = true
		case "-tags":
			b.tags = value
		case "-ldflags":
			b.ldflags = value
		case "-o":
			b.output = value
		}
	}
}

// shellWords splits a line at blanks that do not stand in quotes.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	in := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ' || r == '\t':
			if in {
				words = append(words, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words
}

var (
	templateVariable = regexp.MustCompile(`%%[^%\s]*%%`)
	goVersion        = regexp.MustCompile(`(?m)^go (\d+\.\d+)`)
)

// What balena puts in the place of the variables of a template: for a
// Raspberry Pi 4, say.
var templateValues = map[string]string{
	"%%BALENA_ARCH%%": "aarch64", "%%BALENA_MACHINE_NAME%%": "raspberrypi4-64",
}

const (
	binary   = "/usr/bin/handover"
	settings = "/etc/handover/handover.yaml"
)

// checkDockerfile is what is wrong with a template, besides the .ci/run and
// the go.mod that it must go along with.
func checkDockerfile(text, ci, mod string) faults {
	var f faults
	text = templateVariable.ReplaceAllStringFunc(text, func(v string) string {
		if templateValues[v] == "" {
			f.add("%s is no variable of balena's", v)
		}
		return templateValues[v]
	})
	stages, err := parseDockerfile(text)
	if err != nil {
		f.add("does not parse: %v", err)
		return f
	}
	if len(stages) == 0 {
		f.add("there is no FROM")
		return f
	}
	for i, s := range stages {
		for _, c := range s.instructions {
			for _, flag := range c.flags {
				if !strings.HasPrefix(flag, "--from=") {
					f.add("line %d: %s needs BuildKit, or is not expected", c.line, flag)
				}
			}
		}
		for _, c := range s.all("COPY") {
			from := c.flag("--from")
			if from != "" && !slices.ContainsFunc(stages[:i], func(s stage) bool { return s.name == from }) {
				f.add("line %d: there is no stage %q before it", c.line, from)
			}
		}
	}
	last := stages[len(stages)-1]
	f = append(f, last.checkStart()...)
	f = append(f, last.checkFiles(stages, ci, mod)...)
	return f
}

// checkStart looks at how the container is started and checked.
func (s stage) checkStart() faults {
	var f faults
	at := slices.IndexFunc(s.instructions, func(i instruction) bool { return i.name == "ENTRYPOINT" })
	if len(s.all("ENTRYPOINT")) != 1 {
		f.add("the last stage has %d ENTRYPOINTs", len(s.all("ENTRYPOINT")))
		return f
	}
	if list, ok := s.instructions[at].list(); !ok || !slices.Equal(list, []string{binary, "run", "--"}) {
		f.add("ENTRYPOINT is %s", s.instructions[at].args)
	}
	cmd := slices.IndexFunc(s.instructions, func(i instruction) bool { return i.name == "CMD" })
	if cmd < at {
		f.add("there is no CMD after ENTRYPOINT")
	} else if _, ok := s.instructions[cmd].list(); !ok {
		f.add("CMD is not in exec form: %s", s.instructions[cmd].args)
	}
	checks := s.all("HEALTHCHECK")
	if len(checks) != 1 {
		f.add("the last stage has %d HEALTHCHECKs", len(checks))
		return f
	}
	command, isCommand := strings.CutPrefix(checks[0].args, "CMD ")
	if list, ok := execForm(command); !isCommand || !ok || !slices.Equal(list, []string{binary, "probe"}) {
		f.add("HEALTHCHECK is %s", checks[0].args)
	}
	return f
}

// checkFiles looks at where the binary and the settings come from.
func (s stage) checkFiles(stages []stage, ci, mod string) faults {
	var f faults
	from, source, hasSettings := "", "", false
	for _, c := range s.all("COPY") {
		words := strings.Fields(c.args)
		switch words[len(words)-1] {
		case binary:
			from, source = c.flag("--from"), words[0]
		case settings:
			hasSettings = c.flag("--from") == "" && words[0] == path.Base(settings)
		}
	}
	if !hasSettings {
		f.add("handover.yaml is not copied to %s", settings)
	}
	if source == "" {
		f.add("%s, the entry point, is not copied", binary)
		return f
	}
	at := slices.IndexFunc(stages, func(s stage) bool { return s.name == from })
	if at < 0 {
		f.add("%s comes from no stage", binary)
		return f
	}
	return append(f, stages[at].checkBuild(source, ci, mod)...)
}

// checkBuild looks at how the binary is built.
func (s stage) checkBuild(output, ci, mod string) faults {
	var f faults
	want, ok := parseGoBuild(ci)
	if !ok {
		f.add("there is no go build in .ci/run")
	}
	want.output = output
	run, ok := s.buildCommand()
	if !ok {
		f.add("stage %s builds nothing", s.name)
		return f
	}
	if got, _ := parseGoBuild(run); got != want {
		f.add("stage %s builds with %+v, .ci/run says %+v", s.name, got, want)
	}
	version := goVersion.FindStringSubmatch(mod)
	if version == nil || !regexp.MustCompile(`^golang:`+regexp.QuoteMeta(version[1])+`(\.\d+)?(-|$)`).MatchString(s.image) {
		f.add("stage %s builds in %s, go.mod wants %v", s.name, s.image, version)
	}
	return f
}

// buildCommand is the RUN with the go build.
func (s stage) buildCommand() (string, bool) {
	for _, i := range s.all("RUN") {
		if _, ok := parseGoBuild(i.args); ok {
			return i.args, true
		}
	}
	return "", false
}
