package compose

import (
	"path"
	"strings"

	"github.com/handover-controller/handover/peer/procfs"
)

// invocation is a command line of handover, taken apart.
type invocation struct {
	config  string // of --config
	sub     string // "run"
	dashes  bool   // "--" before the command
	command []string
}

// newInvocation reads what follows the program's name.
func newInvocation(args []string) *invocation {
	v := &invocation{}
	for len(args) > 0 {
		w := args[0]
		args = args[1:]
		switch {
		case w == "--config" && len(args) > 0:
			v.config, args = args[0], args[1:]
		case strings.HasPrefix(w, "--config="):
			v.config = strings.TrimPrefix(w, "--config=")
		case w == "--" && v.sub != "":
			v.dashes, v.command = true, args
			return v
		case strings.HasPrefix(w, "-"):
		case v.sub == "":
			v.sub = w
		default:
			v.command = append([]string{w}, args...)
			return v
		}
	}
	return v
}

// start is how a container's program is started.
type start struct {
	at      *command // where handover stands, or what is started instead
	cmd     *command // what is given to it as further arguments
	known   bool     // it is known what is started
	found   bool     // handover is
	shelled bool     // by a shell that stays in its place as PID 1
	wrapper string   // an init of another make that stands before it
	*invocation
}

// findStart looks for handover in what a container runs: the entry point with
// the command after it.
func findStart(entrypoint, cmd *command) *start {
	s := &start{invocation: &invocation{}, at: entrypoint, cmd: cmd, known: entrypoint.set() || cmd.set()}
	if !entrypoint.set() {
		s.at = cmd
	}
	if entrypoint.unknown || cmd.unknown {
		s.known = false
	}
	argv := entrypoint.argv()
	own := len(argv)
	if entrypoint.shell == "" {
		argv = append(append([]string{}, argv...), cmd.argv()...)
	}
	for i, w := range argv {
		program := path.Base(w)
		if (procfs.IsInit(program) || program == "s6-svscan") && s.wrapper == "" {
			s.wrapper = program
		}
		if v := newInvocation(argv[i+1:]); program == "handover" && (i == 0 || v.sub == "run") {
			s.found, s.invocation = true, v
		} else if text, ok := script(argv[i:]); ok {
			s.inScript(text)
		} else {
			continue
		}
		if i >= own {
			s.at = cmd
		}
		break
	}
	return s
}

// inScript looks for handover in a line of shell.
func (s *start) inScript(text string) {
	all := words(text)
	begins, execs := true, false
	for i, w := range all {
		switch {
		case isOperator(w):
			begins, execs = true, false
			continue
		case !begins || isAssignment(w):
			continue
		case w == "exec":
			execs = true
			continue
		case path.Base(w) == "handover":
			end := i + 1
			for end < len(all) && !isOperator(all[end]) {
				end++
			}
			v := newInvocation(all[i+1 : end])
			if v.sub == "run" || !s.found {
				s.found, s.shelled, s.invocation = true, !execs, v
			}
			if v.sub == "run" {
				return
			}
		}
		begins = false
	}
}

// starts are the ways in which the service's container may be started: one for
// each image, or one if there are none.
func (s *service) starts() []*start {
	if len(s.images) == 0 {
		return []*start{findStart(s.entrypoint, s.command)}
	}
	var all []*start
	for _, img := range s.images {
		entrypoint, cmd := img.entrypoint, img.command
		if s.entrypoint.set() {
			entrypoint = s.entrypoint
		}
		if s.command.set() {
			cmd = s.command
		}
		all = append(all, findStart(entrypoint, cmd))
	}
	return all
}
