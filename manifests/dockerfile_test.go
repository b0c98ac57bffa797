package manifests_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfile is a Dockerfile as Docker's own parser understands it.
type dockerfile struct {
	ast    *parser.Result
	stages []instructions.Stage
}

func parseDockerfile(text string) (dockerfile, error) {
	ast, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return dockerfile{}, err
	}
	stages, args, err := instructions.Parse(ast.AST, nil)
	switch {
	case err != nil:
		return dockerfile{}, err
	case len(args) > 0:
		return dockerfile{}, fmt.Errorf("ARG %s before the first FROM is not used here", args[0].Args[0].Key)
	case len(stages) == 0:
		return dockerfile{}, fmt.Errorf("there is no FROM")
	}
	return dockerfile{ast, stages}, nil
}

// last is the stage that becomes the image.
func (d dockerfile) last() instructions.Stage { return d.stages[len(d.stages)-1] }

// all are a stage's instructions of one kind.
func all[T instructions.Command](s instructions.Stage) []T {
	var found []T
	for _, c := range s.Commands {
		if t, ok := c.(T); ok {
			found = append(found, t)
		}
	}
	return found
}

// Variables that BuildKit alone sets.
var buildKitVariable = regexp.MustCompile(`\b(TARGET|BUILD)(PLATFORM|OS|OSVERSION|ARCH|VARIANT|STAGE)\b`)

// checkClassic is what a builder without BuildKit, such as balenaEngine's, does
// not understand, or what may surprise.
func (d dockerfile) checkClassic(text string) faults {
	var f faults
	for _, w := range d.ast.Warnings {
		f.add("%s", w.Short)
	}
	if syntax, _, _, ok := parser.DetectSyntax([]byte(text)); ok {
		f.add("syntax=%s needs BuildKit", syntax)
	}
	for _, n := range d.ast.AST.Children {
		if len(n.Heredocs) > 0 {
			f.add("line %d: a heredoc needs BuildKit", n.StartLine)
		}
		for _, flag := range n.Flags {
			if !strings.EqualFold(n.Value, "COPY") || !strings.HasPrefix(flag, "--from=") {
				f.add("line %d: %s needs BuildKit, or is not expected", n.StartLine, flag)
			}
		}
		if v := buildKitVariable.FindString(n.Original); v != "" {
			f.add("line %d: %s is set by BuildKit alone", n.StartLine, v)
		}
	}
	for i, s := range d.stages {
		for _, c := range all[*instructions.CopyCommand](s) {
			if _, ok := instructions.HasStage(d.stages[:i], c.From); c.From != "" && !ok {
				f.add("there is no stage %q before %s", c.From, s.Name)
			}
		}
	}
	return f
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
			b.ldflags = strings.TrimSuffix(value, " -X main.version=$HANDOVER_VERSION") // it changes no code
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
	entryOld = "/usr/bin/entry.sh" // of balena's images
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
	d, err := parseDockerfile(text)
	if err != nil {
		f.add("does not parse: %v", err)
		return f
	}
	f = append(f, d.checkClassic(text)...)
	f = append(f, checkStart(d.last())...)
	f = append(f, d.checkFiles(ci, mod)...)
	if d.last().BaseName == "scratch" {
		f = append(f, d.checkEmpty()...)
	}
	return f
}

// checkStart looks at how the container is started and checked.
func checkStart(s instructions.Stage) faults {
	var f faults
	entries := all[*instructions.EntrypointCommand](s)
	if len(entries) != 1 {
		f.add("the last stage has %d ENTRYPOINTs", len(entries))
		return f
	}
	if !startsHandover(entries[0].ShellDependantCmdLine) {
		f.add("ENTRYPOINT is %q", entries[0].CmdLine)
	}
	commands := all[*instructions.CmdCommand](s)
	place := func(c instructions.Command) int { return slices.Index(s.Commands, c) }
	switch {
	case len(commands) > 1:
		f.add("the last stage has %d CMDs", len(commands))
	case len(commands) == 0 || len(commands[0].CmdLine) == 0 || place(commands[0]) < place(entries[0]):
		f.add("there is no CMD after ENTRYPOINT")
	case commands[0].PrependShell:
		f.add("CMD is not in exec form: %q", commands[0].CmdLine)
	}
	checks := all[*instructions.HealthCheckCommand](s)
	if len(checks) != 1 {
		f.add("the last stage has %d HEALTHCHECKs", len(checks))
		return f
	}
	if !slices.Equal(checks[0].Health.Test, []string{"CMD", binary, "probe"}) {
		f.add("HEALTHCHECK is %q", checks[0].Health.Test)
	}
	return f
}

// startsHandover tells whether an ENTRYPOINT starts handover, after entry.sh if
// there is one; what follows the two dashes belongs to the service.
func startsHandover(c instructions.ShellDependantCmdLine) bool {
	list := c.CmdLine
	if len(list) > 0 && list[0] == entryOld {
		list = list[1:]
	}
	return !c.PrependShell && len(list) >= 3 && slices.Equal(list[:3], []string{binary, "run", "--"})
}

// checkFiles looks at where the binary and the settings come from.
func (d dockerfile) checkFiles(ci, mod string) faults {
	var f faults
	from, source, hasSettings := "", "", false
	for _, c := range all[*instructions.CopyCommand](d.last()) {
		switch c.DestPath {
		case binary:
			from, source = c.From, c.SourcePaths[0]
		case settings:
			hasSettings = c.From == "" && slices.Equal(c.SourcePaths, []string{path.Base(settings)})
		}
	}
	if !hasSettings {
		f.add("handover.yaml is not copied to %s", settings)
	}
	if source == "" {
		f.add("%s, the entry point, is not copied", binary)
		return f
	}
	at, ok := instructions.HasStage(d.stages, from)
	if !ok {
		f.add("%s comes from no stage", binary)
		return f
	}
	return append(f, checkBuild(d.stages[at], source, ci, mod)...)
}

// checkBuild looks at how the binary is built.
func checkBuild(s instructions.Stage, output, ci, mod string) faults {
	var f faults
	want, ok := parseGoBuild(ci)
	if !ok {
		f.add("there is no go build in .ci/run")
	}
	want.output = output
	run := buildCommands(s)
	if len(run) != 1 {
		f.add("stage %s builds %d times", s.Name, len(run))
		return f
	}
	if got, _ := parseGoBuild(run[0]); got != want {
		f.add("stage %s builds with %+v, .ci/run says %+v", s.Name, got, want)
	}
	version := goVersion.FindStringSubmatch(mod)
	if version == nil || !regexp.MustCompile(`^golang:`+regexp.QuoteMeta(version[1])+`(\.\d+)?(-|$)`).MatchString(s.BaseName) {
		f.add("stage %s builds in %s, go.mod wants %v", s.Name, s.BaseName, version)
	}
	return f
}

// buildCommands are the scripts of RUNs with a go build.
func buildCommands(s instructions.Stage) []string {
	return scripts(s, func(script string) bool {
		_, ok := parseGoBuild(script)
		return ok
	})
}

func scripts(s instructions.Stage, matches func(string) bool) []string {
	var found []string
	for _, c := range all[*instructions.RunCommand](s) {
		if script := strings.Join(c.CmdLine, " "); c.PrependShell && matches(script) {
			found = append(found, script)
		}
	}
	return found
}

// root is the folder that becomes the root of an image that begins empty.
const root = "/rootfs"

// checkEmpty looks at an image without a base: it has no shell, no libraries,
// and no folders but those that it is given.
func (d dockerfile) checkEmpty() faults {
	var f faults
	if _, ok := d.rootScript(); !ok {
		f.add("no stage makes the folders of the image that begins empty")
	}
	for _, c := range all[*instructions.RunCommand](d.last()) {
		f.add("there is nothing to run in an empty image: %q", c.CmdLine)
	}
	for _, s := range d.stages[:len(d.stages)-1] {
		for _, script := range buildCommands(s) {
			if b, _ := parseGoBuild(script); b.cgo != "0" {
				f.add("what stage %s builds needs a C library", s.Name)
			}
		}
	}
	copied := func(c *instructions.CopyCommand) bool {
		return c.From != "" && slices.ContainsFunc(all[*instructions.CmdCommand](d.last()), func(command *instructions.CmdCommand) bool {
			return slices.Contains(command.CmdLine, c.DestPath)
		})
	}
	if !slices.ContainsFunc(all[*instructions.CopyCommand](d.last()), copied) {
		f.add("the program that CMD names is not copied")
	}
	return f
}

// rootScript is what makes the folders that the last stage copies to its root.
func (d dockerfile) rootScript() (string, bool) {
	for _, c := range all[*instructions.CopyCommand](d.last()) {
		at, ok := instructions.HasStage(d.stages, c.From)
		if !ok || c.DestPath != "/" || !slices.Equal(c.SourcePaths, []string{root + "/"}) {
			continue
		}
		found := scripts(d.stages[at], func(script string) bool { return strings.Contains(script, root) })
		if len(found) == 1 {
			return found[0], true
		}
	}
	return "", false
}

var otherLine = regexp.MustCompile(`(?m)^#((?:FROM|ENTRYPOINT) .*)$`)

// others are the text with one of the lines behind a # in the place of the last
// one of its kind.
func others(text string) map[string]string {
	found := map[string]string{}
	for _, m := range otherLine.FindAllStringSubmatch(text, -1) {
		kind, _, _ := strings.Cut(m[1], " ")
		active := regexp.MustCompile(`(?m)^`+kind+` .*$`).FindAllStringIndex(text, -1)
		last := active[len(active)-1]
		found[m[1]] = text[:last[0]] + m[1] + text[last[1]:]
	}
	return found
}
