package compose

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
)

// settings are those of handover in one service: its handover.yaml, and over it
// the environment.
type settings struct {
	config   *config.Config // nil: there are problems, and nothing is judged by it
	loaded   *config.Loaded
	problems []config.Problem
	warnings []string
	unknown  []string // variables whose value is not known
	partial  bool     // more may come from elsewhere
}

// supervisorAddress stands for the one that the Supervisor sets.
const supervisorAddress = "http://127.0.0.1:48484"

// load reads the settings as handover would in the container.
func (s *service) load() {
	environ := []string{}
	for _, v := range s.variables {
		switch {
		case v.name == "HANDOVER_CONFIG": // context.go has read it
		case v.null && strings.HasPrefix(v.name, "HANDOVER_"), v.unknown && matters(v.name):
			s.settings.unknown = append(s.settings.unknown, v.name)
		case v.set() && !v.unknown:
			environ = append(environ, v.name+"="+v.text)
		}
	}
	// What the Supervisor adds. Of a name that stands there twice the first
	// counts, so that one from the compose file wins.
	environ = append(environ, "BALENA_APP_ID=1", "BALENA_SERVICE_NAME=service",
		"BALENA_SUPERVISOR_ADDRESS="+supervisorAddress, "BALENA_SUPERVISOR_API_KEY=key")
	s.settings.partial = len(s.elsewhere) > 0 || s.named != "" || s.build.line == 0
	loaded, err := config.Load(config.Options{Path: s.fileName, Environ: environ, Open: func(name string) (io.ReadCloser, error) {
		if name != s.fileName || name == "" {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(bytes.NewReader(s.file)), nil
	}})
	var bad *config.Error
	if errors.As(err, &bad) {
		s.settings.problems, s.settings.warnings = bad.Problems, bad.Warnings
		return
	}
	if err == nil {
		s.settings.loaded, s.settings.config, s.settings.warnings = loaded, &loaded.Config, loaded.Warnings
	}
}

// judged reports whether the value of a key is known: no ${VARIABLE}, and if it
// is the default, nothing that was not read.
func (s *settings) judged(key string, also ...string) bool {
	if s.config == nil {
		return false
	}
	own := "HANDOVER_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
	for _, name := range append([]string{own}, also...) {
		if slices.Contains(s.unknown, name) {
			return false
		}
	}
	return !s.partial || !s.loaded.Origin(key).IsDefault()
}

// origin is where the value of a key stands: no line, if nothing sets it.
func (s *service) origin(key string) place {
	if s.settings.loaded == nil {
		return place{}
	}
	from := s.settings.loaded.Origin(key)
	if from.Variable != "" {
		return lookup(s.variables, from.Variable).place()
	}
	return place{from.File, from.Line}
}

// problems are those of the configuration: handover would not start.
func (l *linter) problems(s *service) {
	for _, p := range s.settings.problems {
		if (s.settings.partial || len(s.settings.unknown) > 0) && p.Value == "" && p.Err == nil {
			continue // a relation: what is not known here may make it hold
		}
		at := place{p.File, p.Line}
		if v := lookup(s.variables, p.Source); p.Source != "" && v.line > 0 {
			at = v.place()
		}
		text, _, _ := strings.Cut(p.Error(), "\n")
		text = strings.TrimPrefix(text, p.Where()+": ")
		if p.Source != "" {
			text = p.Source + ": " + text
		}
		l.sayAt(s, check.Error, checkConfig, at, text,
			"handover refuses its configuration: it ends with status 78 before it starts the service, again and again",
			advice(p))
	}
	for _, w := range s.settings.warnings {
		name, _, _ := strings.Cut(w, " ")
		do := "correct the name, or take it out"
		if lookup(s.variables, name).line == 0 {
			do = "take it out, or set what it needs"
		}
		l.sayAt(s, check.Warning, checkConfig, lookup(s.variables, name).place(), w, "what it was to change stays as it is", do)
	}
}

// advice is what a problem of the configuration says to do.
func advice(p config.Problem) string {
	var parts []string
	if p.Hint != "" {
		parts = append(parts, p.Hint)
	}
	if p.Allowed != "" {
		parts = append(parts, "allowed: "+p.Allowed)
	}
	if p.Nearest != "" {
		parts = append(parts, "nearest known key: "+p.Nearest)
	}
	return strings.Join(parts, "; ")
}
