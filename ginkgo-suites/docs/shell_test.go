package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
)

// parsedOnly are commands that are only parsed, and why.
var parsedOnly = map[string]string{
	"docker":          "needs an engine",
	"balena":          "needs an account, and a device",
	"journalctl":      "needs a device",
	".ci/with-docker": "starts an engine: .ci/run has it",
	"bash":            ".ci/run is what runs this suite",
	"git":             "writes to a repository",
	"kill":            "ends processes",
	"curl":            "needs an instance",
}

// cheap are commands of handover that are run for real, in a folder with the
// files of manifests: they say something and end.
var cheap = map[string]bool{"config": true, "version": true, "completion": true, "help": true}

// checkShell wants what sh parses, in commands that exist.
func checkShell(b block) faults {
	var f faults
	parse := exec.Command("/bin/sh", "-n")
	parse.Stdin = strings.NewReader(b.text)
	if out, err := parse.CombinedOutput(); err != nil {
		f.add("sh does not parse it: %s", out)
		return f
	}
	for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
		f = append(f, checkLine(line)...)
	}
	return f
}

// checkLine looks at each command of a line.
func checkLine(line string) faults {
	var f faults
	words, ok := splitWords(line)
	if !ok {
		f.add("quotes that do not end: %s", line)
		return f
	}
	for len(words) > 0 {
		end := slices.IndexFunc(words, func(w word) bool { return w.operator })
		command := words
		if end >= 0 {
			command, words = words[:end], words[end+1:]
		} else {
			words = nil
		}
		var plain []string
		for _, w := range command {
			plain = append(plain, w.text)
		}
		if len(plain) > 0 {
			f = append(f, checkCommand(plain)...)
		}
	}
	return f
}

type word struct {
	text     string
	operator bool
}

// splitWords splits a line as a shell does, as far as that is used here. What is
// behind a # is left out, and so are redirections.
func splitWords(line string) (words []word, ok bool) {
	var b strings.Builder
	quote, in := rune(0), false
	end := func() {
		if in {
			words = append(words, word{text: b.String()})
		}
		b.Reset()
		in = false
	}
	for _, r := range strings.TrimSpace(line) + "\n" {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			b.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == '#' && !in:
			return words, true
		case r == ' ' || r == '\t' || r == '\n':
			end()
		case strings.ContainsRune("|&;", r):
			end()
			words = append(words, word{operator: true})
		default:
			b.WriteRune(r)
			in = true
		}
	}
	return words, quote == 0
}

var assignment = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// checkCommand looks at one command with its arguments.
func checkCommand(words []string) faults {
	var f faults
	var variables []string
	for len(words) > 0 {
		m := assignment.FindStringSubmatch(words[0])
		if m == nil {
			break
		}
		variables, words = append(variables, m[1]), words[1:]
	}
	if at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, ">") }); at >= 0 {
		words = words[:at]
	}
	if len(words) == 0 {
		return f
	}
	switch name := words[0]; {
	case filepath.Base(name) == "handover":
		return checkHandover(words[1:])
	case name == "go":
		return checkGoCommand(words[1:], variables)
	case name == "timeout" && len(words) > 2:
		return checkCommand(words[2:])
	case name == ".ci/with-docker":
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			f.add("%v", err)
		}
		return append(f, checkCommand(words[1:])...)
	case parsedOnly[name] == "":
		f.add("no rule for command %s", name)
	case name == "docker":
		// What is run in the container is this program again.
		if at := slices.IndexFunc(words, func(w string) bool { return w == "go" || w == "handover" }); at > 0 {
			return checkCommand(words[at:])
		}
	}
	return f
}

// checkHandover wants a command of the program with flags that it has; cheap
// ones are run.
func checkHandover(args []string) faults {
	var f faults
	if len(args) == 0 {
		f.add("handover without a command")
		return f
	}
	name := args[0]
	if name == "--help" || name == "--version" {
		return f
	}
	help := helpOf(name)
	if !strings.Contains(help, "\n  handover "+name) {
		f.add("handover %s: unknown command", name)
		return f
	}
	rest := args[1:]
	if at := slices.Index(rest, "--"); at >= 0 {
		rest = rest[:at]
	} else if name == "run" && len(rest) > 0 {
		f.add("handover run without -- before the service's command: %q", args)
	}
	for _, a := range rest {
		flag, _, _ := strings.Cut(a, "=")
		if strings.HasPrefix(flag, "-") && !regexp.MustCompile(`(?m)(^|\s)`+regexp.QuoteMeta(flag)+`[\s,]`).MatchString(help) {
			f.add("handover %s has no flag %s", name, flag)
		}
	}
	runs := cheap[name] || name == "demo" && slices.Contains(args, "--list")
	if len(f) > 0 || !runs {
		return f
	}
	dir := GinkgoT().TempDir()
	for _, file := range []string{"handover.yaml", "docker-compose.yml"} {
		text, err := os.ReadFile(filepath.Join(root, "manifests", file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), text, 0o600)
		}
		if err != nil {
			f.add("%v", err)
		}
	}
	run := exec.Command(binary, args...)
	run.Dir, run.Env = dir, []string{"PATH=" + filepath.Dir(binary)}
	if out, err := run.CombinedOutput(); err != nil || len(out) == 0 {
		f.add("handover %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return f
}

var helps sync.Map

// helpOf is what a command says of itself; empty if it fails.
func helpOf(name string) string {
	if known, ok := helps.Load(name); ok {
		return known.(string)
	}
	help, err := exec.Command(binary, name, "--help").Output()
	if err != nil {
		help = nil
	}
	helps.Store(name, string(help))
	return string(help)
}

// valued are flags of go test that have a value. The others have none.
var valued = map[string]bool{
	"-run": true, "-bench": true, "-benchtime": true, "-fuzz": true, "-fuzztime": true, "-count": true, "-timeout": true,
	"-tags": true, "-ldflags": true, "-o": true, "-ginkgo.focus": true, "-exec": true,
}

var switches = []string{"-v", "-race", "-short", "-trimpath", "-ginkgo.v", "-json", "-all"}

// checkGoCommand wants packages, flags, benchmarks and tests that exist.
func checkGoCommand(args, variables []string) faults {
	var f faults
	if len(args) == 0 || !slices.Contains([]string{"run", "test", "build", "vet", "install", "doc"}, args[0]) {
		f.add("no rule for go %q", args)
		return f
	}
	flags, patterns := map[string]string{}, []string{}
	rest := args[1:]
	for len(rest) > 0 {
		name, value, attached := strings.Cut(rest[0], "=")
		rest = rest[1:]
		switch {
		case !strings.HasPrefix(name, "-"):
			patterns = append(patterns, name)
			name = ""
		case valued[name] && !attached:
			if len(rest) == 0 {
				f.add("go %s: %s without a value", args[0], name)
				return f
			}
			value, rest = rest[0], rest[1:]
		case !valued[name] && !slices.Contains(switches, name):
			f.add("go %s: no rule for flag %s", args[0], name)
		}
		if name != "" {
			flags[name] = value
		} else if args[0] == "run" {
			break // the rest is the program's
		}
	}
	if args[0] == "doc" {
		return f
	}
	packages := map[string]*folder{}
	for _, p := range patterns {
		found := source.match(p)
		if len(found) == 0 || !strings.HasPrefix(p, "./") {
			f.add("go %s: there is no package %s", args[0], p)
		}
		for name, one := range found {
			packages[name] = one
		}
	}
	switch {
	case len(f) > 0:
	case len(patterns) == 0:
		f.add("go %s: no package is named", args[0])
	case args[0] == "run" && patterns[0] == "./cmd/handover":
		return checkHandover(rest)
	case args[0] == "run":
		return checkMain(patterns[0], rest)
	case args[0] == "test":
		return checkTest(flags, packages, variables)
	}
	return f
}

// checkMain wants a program with these flags.
func checkMain(pattern string, args []string) faults {
	var f faults
	for _, p := range source.match(pattern) {
		if !p.main {
			f.add("go run: %s is no program", pattern)
		}
		for _, a := range args {
			name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
			if strings.HasPrefix(a, "-") && !slices.Contains(p.literals, name) {
				f.add("%s has no flag %s", pattern, a)
			}
		}
	}
	return f
}

// checkTest wants tests of these names.
func checkTest(flags map[string]string, packages map[string]*folder, variables []string) faults {
	var f faults
	for flag, prefix := range map[string]string{"-run": "Test", "-bench": "Benchmark", "-fuzz": "Fuzz"} {
		value, ok := flags[flag]
		if !ok || flag == "-run" && (value == "^$" || value == "-") {
			continue
		}
		if !testsMatch(packages, prefix, value) {
			f.add("go test %s %s: there is no such function", flag, value)
		}
	}
	var literals []string
	for _, p := range packages {
		literals = append(literals, p.literals...)
	}
	for _, name := range variables {
		if !slices.Contains(literals, name) {
			f.add("go test: nothing reads the variable %s", name)
		}
	}
	if focus, ok := flags["-ginkgo.focus"]; ok && !slices.ContainsFunc(literals, func(l string) bool { return strings.Contains(l, focus) }) {
		f.add("go test -ginkgo.focus %s: there is no such text", focus)
	}
	return f
}
