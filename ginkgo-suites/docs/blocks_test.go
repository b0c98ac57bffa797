package docs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	. "github.com/onsi/ginkgo/v2"
	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/config"
)

// kinds are the rules, by the language of a block.
var kinds = map[string]func(block) faults{
	"go":         checkGo,
	"yaml":       checkYAML,
	"Dockerfile": checkDockerfile,
	"json":       checkJSON,
	"sh":         checkShell,
	"js":         checkScript,
	"python":     checkScript,
	"text":       checkText,
	"":           checkText,
}

// elsewhere are blocks that a test of their own package holds to what they
// show, by page, language and mark: the file with that test, and a text of it.
var elsewhere = map[string][2]string{
	"config/README.md yaml good":     {"config/print_test.go", `blocks["yaml good"]`},
	"config/README.md yaml bad":      {"config/print_test.go", `blocks["yaml bad"]`},
	"config/README.md text printed":  {"config/print_test.go", `blocks["text printed"]`},
	"config/README.md text errors":   {"config/print_test.go", `blocks["text errors"]`},
	"manifests/README.md prometheus": {"manifests/metrics_test.go", `promtool("check", "config"`},
}

// plain are blocks of text that nothing can be held to, and why.
var plain = map[string]string{
	"README.md text output": "what was measured once",
	"manifests/README.md ":  "the names of the files in a project",
}

// checkBlock is what is wrong with a block.
func checkBlock(b block) faults {
	if test, ok := elsewhere[b.key()]; ok {
		return checkElsewhere(b.key(), test).at(b.path, b.line)
	}
	rule, ok := kinds[b.language]
	if !ok {
		return faults{fmt.Sprintf("no rule for language %q", b.language)}.at(b.path, b.line)
	}
	return rule(b).at(b.path, b.line)
}

// key names a block in the tables.
func (b block) key() string {
	return strings.TrimSpace(b.path+" "+b.language+" "+b.mark) + map[bool]string{true: " "}[b.language == ""]
}

func checkElsewhere(key string, test [2]string) faults {
	var f faults
	text, err := os.ReadFile(filepath.Join(root, test[0]))
	if err != nil || !strings.Contains(string(text), test[1]) {
		f.add("%s is not tested by %s: %s is missing there", key, test[0], test[1])
	}
	return f
}

func checkText(b block) faults {
	var f faults
	if b.mark == "log" {
		return checkLog(b)
	}
	if plain[b.key()] == "" {
		f.add("text that nothing is held to: say its language, or why in the table plain")
	}
	return f
}

// checkGo wants code that a compiled file has, or a whole file that compiles.
func checkGo(b block) faults {
	var f faults
	if source.has(b.text) != "" {
		return nil
	}
	if !strings.HasPrefix(b.text, "package ") {
		f.add("neither in a Go file of the repository, word for word, nor a file by itself")
		return f
	}
	// In a package that only the compiler sees: nothing is written beside it.
	dir := GinkgoT().TempDir()
	file, overlay := filepath.Join(dir, "snippet.go"), filepath.Join(dir, "overlay.json")
	place, err := filepath.Abs(filepath.Join("testdata", "snippet.go"))
	if err == nil {
		err = os.WriteFile(file, []byte(b.text), 0o600)
	}
	replace, _ := json.Marshal(map[string]any{"Replace": map[string]string{place: file}})
	if err == nil {
		err = os.WriteFile(overlay, replace, 0o600)
	}
	if err != nil {
		f.add("%v", err)
		return f
	}
	if out, err := exec.Command("go", "vet", "-overlay", overlay, "./testdata").CombinedOutput(); err != nil {
		f.add("does not compile: %s", out)
	}
	return f
}

func checkJSON(b block) faults {
	var f faults
	d := json.NewDecoder(strings.NewReader(b.text))
	var any any
	for {
		if err := d.Decode(&any); errors.Is(err, io.EOF) {
			return f
		} else if err != nil {
			f.add("is not JSON: %v", err)
			return f
		}
	}
}

// checkYAML wants a compose file, a Prometheus configuration or settings.
func checkYAML(b block) faults {
	var f faults
	var top map[string]any
	if err := yaml.Unmarshal([]byte(b.text), &top); err != nil {
		f.add("is not YAML: %v", err)
		return f
	}
	switch {
	case top["services"] != nil:
		return checkCompose(b)
	case top["scrape_configs"] != nil:
		test, ok := elsewhere[b.path+" prometheus"]
		if !ok {
			f.add("a Prometheus configuration that no test gives to promtool")
			return f
		}
		return checkElsewhere(b.key(), test)
	}
	return checkSettings(b.text, nil)
}

// checkSettings is what handover says of this file and environment.
func checkSettings(text string, environ []string) faults {
	var f faults
	loaded, err := config.Load(config.Options{Environ: environ, Open: func(path string) (io.ReadCloser, error) {
		if path != "handover.yaml" {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}})
	if err != nil {
		f.add("settings that are refused: %v", err)
		return f
	}
	for _, w := range loaded.Warnings {
		f.add("settings with a warning: %s", w)
	}
	return f
}

// checkCompose wants what compose-go loads, with variables that handover
// understands and the grace period in both places.
func checkCompose(b block) faults {
	var f faults
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "/project",
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(b.text)}},
	}, func(o *loader.Options) {
		o.SetProjectName("project", true)
		o.SkipResolveEnvironment = true
	})
	if err != nil {
		f.add("compose-go does not load it: %v", err)
		return f
	}
	for name, service := range project.Services {
		if service.Labels["io.balena.update.strategy"] != "hand-over" {
			continue
		}
		var environ []string
		for k, v := range service.Environment {
			if v != nil {
				environ = append(environ, k+"="+*v)
			}
		}
		f = append(f, checkSettings("", environ)...)
		loaded, err := config.Load(config.Options{Environ: environ, Dir: "/nowhere"})
		if err != nil {
			continue
		}
		grace := 10 * time.Second
		if service.StopGracePeriod != nil {
			grace = time.Duration(*service.StopGracePeriod)
		}
		if got := loaded.Config.Service.StopGracePeriod; got != grace {
			f.add("service %s: stop_grace_period is %v, handover is told %v", name, grace, got)
		}
		if len(service.Ports) > 0 {
			f.add("service %s: two containers cannot publish the same ports", name)
		}
	}
	return f
}

// checkDockerfile wants what BuildKit parses; a part of one is put behind a FROM.
func checkDockerfile(b block) faults {
	var f faults
	text := b.text
	if !strings.Contains("\n"+text, "\nFROM ") {
		text = "FROM scratch\n" + text
	}
	result, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		f.add("BuildKit does not parse it: %v", err)
		return f
	}
	stages, _, err := instructions.Parse(result.AST, nil)
	if err != nil {
		f.add("BuildKit does not parse it: %v", err)
		return f
	}
	for _, s := range stages {
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.EntrypointCommand:
				f = append(f, checkEntry("ENTRYPOINT", c.ShellDependantCmdLine)...)
			case *instructions.HealthCheckCommand:
				if test := c.Health.Test; len(test) > 1 && test[0] == "CMD" {
					f = append(f, checkProgram(test[1:])...)
				} else {
					f.add("HEALTHCHECK is for a shell: %v", test)
				}
			}
		}
	}
	return f
}

// checkEntry wants handover in exec form with what is run behind --.
func checkEntry(name string, c instructions.ShellDependantCmdLine) faults {
	var f faults
	if c.PrependShell {
		f.add("%s is for a shell: %v", name, c.CmdLine)
		return f
	}
	for i, word := range c.CmdLine {
		if filepath.Base(word) != "handover" {
			continue
		}
		if words := c.CmdLine[i:]; len(words) == 2 && words[1] == "run" {
			f.add("%s: handover run without -- before the service's command, which CMD says", name)
		}
		return append(f, checkProgram(c.CmdLine[i:])...)
	}
	f.add("%s has no handover in it: %v", name, c.CmdLine)
	return f
}

// checkProgram is checkHandover of a program with its path.
func checkProgram(words []string) faults {
	var f faults
	if len(words) < 2 || filepath.Base(words[0]) != "handover" {
		f.add("%q is not handover with a command", words)
		return f
	}
	return checkHandover(words[1:])
}

// interpreters are the programs that parse a language.
var interpreters = map[string]string{"js": "node", "python": "python3"}

// checkScript wants what the language's own parser takes.
func checkScript(b block) faults {
	var f faults
	program, arguments, extension := interpreters[b.language], []string{"--check"}, ".js"
	if b.language == "python" {
		arguments, extension = []string{"-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"}, ".py"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		AddReportEntry(b.path + ": " + program + " is not installed; the code is not looked at")
		return f
	}
	file := filepath.Join(GinkgoT().TempDir(), "snippet"+extension)
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		f.add("%v", err)
		return f
	}
	if out, err := exec.Command(path, append(arguments, file)...).CombinedOutput(); err != nil {
		f.add("%s does not parse it: %s", program, out)
	}
	return f
}
