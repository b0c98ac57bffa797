package compose

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// healthcheck is a HEALTHCHECK of a Dockerfile, or healthcheck: of a service.
type healthcheck struct {
	disabled bool
	// test is as it is written: [CMD, …], [CMD-SHELL, TEXT] or [NONE]. Not set:
	// that of the image is used.
	test *command
}

func newHealthcheck(line int, file string) *healthcheck {
	return &healthcheck{test: &command{line: line, file: file}}
}

// healthcheck reads the compose file's form.
func (d *document) healthcheck(f pair) *healthcheck {
	h := newHealthcheck(0, "")
	for _, p := range d.pairs(f.value) {
		switch p.name {
		case "disable":
			h.disabled = h.disabled || newScalar(p.value, p.line).isTrue()
		case "test":
			h.test = d.command(p)
			if p.value.Kind == yaml.ScalarNode && h.test.set() {
				h.test.words = []string{"CMD-SHELL", newScalar(p.value, p.line).text}
			}
			h.disabled = h.disabled || len(h.test.words) > 0 && h.test.words[0] == "NONE"
		}
	}
	return h
}

// healthcheck reads the Dockerfile's form: NONE, or CMD and a command.
func (i *instruction) healthcheck(file string) *healthcheck {
	kind, rest := i.args, ""
	if end := strings.IndexAny(i.args, space); end >= 0 {
		kind, rest = i.args[:end], strings.TrimLeft(i.args[end:], space)
	}
	h := newHealthcheck(i.line, file)
	if h.disabled = strings.EqualFold(kind, "NONE"); h.disabled {
		return h
	}
	if c := i.command(file, rest); c.shell != "" {
		h.test.words = []string{"CMD-SHELL", c.shell}
	} else {
		h.test.words = append([]string{"CMD"}, c.words...)
	}
	return h
}

// How a test relates to `handover probe`.
type probe int

const (
	probeOther   probe = iota // something else
	probeOnly                 // handover probe
	probeAndMore              // handover probe, and something else
)

// kind tells what a test runs, and by which program.
func (h *healthcheck) kind() (kind probe, program string) {
	w := h.test.words
	if len(w) < 2 {
		return probeOther, "nothing"
	}
	if w[0] == "CMD-SHELL" {
		return shellProbe(w[1])
	}
	if text, ok := script(w[1:]); ok {
		return shellProbe(text)
	}
	if isProbe(w[1:]) {
		return probeOnly, "handover"
	}
	return probeOther, programName(w[1:])
}

// shellProbe judges a line of shell. `|| exit 1` at its end, which Docker's
// documentation recommends, changes nothing.
func shellProbe(text string) (kind probe, program string) {
	all := words(text)
	end := 0
	for end < len(all) && !isOperator(all[end]) {
		end++
	}
	rest := strings.Join(all[end:], " ")
	switch {
	case len(all) == 0:
		return probeOther, "nothing"
	case isProbe(all[:end]) && (rest == "" || rest == ";" || strings.HasPrefix(rest, "||")):
		return probeOnly, "handover"
	case isProbe(all[:end]):
		return probeAndMore, "handover"
	}
	for i, w := range all {
		if path.Base(w) == "handover" && isProbe(all[i:]) {
			return probeAndMore, "handover"
		}
	}
	return probeOther, programName(all)
}

// isProbe reports whether the words begin with `handover probe`, by itself or
// by a program that runs another one.
func isProbe(argv []string) bool {
	argv = wrapped(argv)
	return len(argv) > 0 && path.Base(argv[0]) == "handover" && newInvocation(argv[1:]).sub == "probe"
}

// wrapped is what exec, env and timeout run, with its own variables or without.
func wrapped(argv []string) []string {
	for len(argv) > 0 {
		name := path.Base(argv[0])
		if !oneOf(name, "exec env timeout") && !isAssignment(argv[0]) {
			return argv
		}
		argv = argv[1:]
		for name == "timeout" && len(argv) > 0 && path.Base(argv[0]) != "handover" {
			argv = argv[1:] // its options and the time
		}
	}
	return argv
}

// health looks at the HEALTHCHECK that counts: the compose file's, else that of
// each image.
func (l *linter) health(s *service) {
	if h := s.healthcheck; h.disabled || h.test.set() {
		l.healthOf(s, h)
		return
	}
	for _, img := range s.images {
		if img.healthcheck.test.set() {
			l.healthOf(s, img.healthcheck)
		}
	}
}

func (l *linter) healthOf(s *service, h *healthcheck) {
	if h.disabled || h.test.unknown {
		return
	}
	at := h.test.place()
	kind, program := h.kind()
	c := s.settings.config
	switch {
	case kind == probeOther:
		l.sayAt(s, check.Error, checkHealth, at, "the HEALTHCHECK runs "+quoted(program)+", not `handover probe`",
			"a container that has handed over does not serve any more: the check fails there, the engine restarts the container in the middle of the hand-over, and it serves again beside the new one",
			`take HEALTHCHECK CMD ["handover", "probe"], or NONE; what tells whether a new container may take over belongs into readiness.…`)
	case kind == probeAndMore:
		l.sayAt(s, check.Error, checkHealth, at, "the HEALTHCHECK runs more than `handover probe`",
			"what else it runs fails in a container that has handed over, and the engine restarts that",
			"let it be `handover probe` alone; what tells whether a new container may take over belongs into readiness.…")
	case c != nil && c.Status.Socket == "" && s.settings.judged("status.socket"):
		l.sayAt(s, check.Error, checkHealth, at, "the HEALTHCHECK is `handover probe`, and status.socket is off",
			"the probe asks over that socket: it always fails, and the engine restarts the container again and again",
			"take status.socket: off away, or the HEALTHCHECK")
	}
}
