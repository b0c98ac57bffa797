package compose

import (
	"path"
	"strings"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// program looks at which program hands over, and how it is started.
func (l *linter) program(s *service) {
	if !s.usesHandover {
		l.obeys(s)
		return
	}
	if s.lib.line > 0 {
		l.sayAt(s, check.Warning, checkLib, s.lib, "the service depends on handover-lib, and handover guards it",
			"handover-lib within the service ends it as soon as a new container announces itself, ready or not, and handover takes its announcements for another instance's",
			"take handover-lib out of the service")
	}
	if s.has("extends") && !s.entrypoint.set() && !s.command.set() && len(s.images) == 0 {
		return
	}
	for _, st := range s.starts() {
		l.start(s, st)
	}
}

// obeys: Supervisors send SIGTERM long before a new container can serve.
func (l *linter) obeys(s *service) {
	const why = "Supervisors from v14.13.10 on send the old container SIGTERM about 25 ms after the new one has started: it ends long before that can serve"
	const do = `let handover guard the service: ENTRYPOINT ["/usr/bin/handover", "run", "--"]`
	switch {
	case s.usesLib:
		l.sayAt(s, check.Warning, checkProgram, s.lib, "the service hands over by handover-lib, which obeys SIGTERM at once", why, do)
	case len(s.images) == 0 && !s.entrypoint.set() && !s.command.set():
		// Nobody knows what it starts. That has been said.
	default:
		l.say(s, check.Warning, checkProgram, s.line, "neither handover nor handover-lib hands the service over", why, do)
	}
}

// start looks at one way in which the container is started.
func (l *linter) start(s *service, st *start) {
	at := st.at.place()
	say := func(level check.Level, found, why, do string) {
		l.sayAt(s, level, checkEntrypoint, at, found, why, do)
	}
	const example = `ENTRYPOINT ["/usr/bin/handover", "run", "--"] and CMD ["node", "server.js"]`
	switch {
	case !st.known:
	case !st.found:
		l.notStarted(s, st, say)
	case st.sub == "":
		say(check.Error, "handover is started without a command: `run` is missing",
			"it prints its help and ends: the service never runs", "write "+example)
	case st.sub != "run":
		say(check.Error, "the container starts `handover "+printable(st.sub)+"`, not `handover run`",
			"the service is not guarded", "write "+example)
	case st.shelled:
		say(check.Error, "handover is started by a shell",
			"the shell is process 1 and gets the SIGTERM in its place: handover does not hear it, and is killed when the grace period is over",
			"write a list: "+example+"; or put exec before handover")
	case len(st.command) == 0:
		say(check.Error, "handover is started without a service to run",
			"a new ENTRYPOINT resets the CMD of the base image: `handover run` ends with status 64",
			`name the service's command: CMD ["node", "server.js"], or command: in the compose file`)
	default:
		l.workload(s, st, say)
	}
}

// workload looks at the command that handover starts.
func (l *linter) workload(s *service, st *start, say func(level check.Level, found, why, do string)) {
	if !st.dashes {
		say(check.Note, "there is no -- between `handover run` and the service's command",
			"a command that begins with a hyphen would be taken for a flag of handover's", "")
	}
	starter := "a shell"
	text, ok := script(st.command)
	if name := programName(st.command); oneOf(name, "npm npx yarn pnpm") {
		starter, ok = name, true
	}
	if all := words(text); !ok || len(all) > 0 && all[0] == "exec" {
		return
	}
	at := st.at
	if st.cmd.set() {
		at = st.cmd
	}
	l.sayAt(s, check.Warning, checkEntrypoint, at.place(), "handover starts the service by "+starter,
		"the stop signal goes to "+starter+", which ends by it and does not pass it on: the service is killed with its work unfinished",
		`write the command as a list: CMD ["node", "server.js"]; or begin it with exec`)
}

// notStarted: there are settings of handover, or it is in the image, but it is
// not seen to be started.
func (l *linter) notStarted(s *service, st *start, say func(level check.Level, found, why, do string)) {
	for _, img := range s.images {
		if own := findStart(img.entrypoint, img.command); own.found && s.entrypoint.set() && !s.entrypoint.unknown {
			say(check.Error, "entrypoint: takes the place of the Dockerfile's ENTRYPOINT, which starts handover",
				"handover is not started: nothing is handed over", "take entrypoint: away, and put what it says into command:")
			return
		}
	}
	program := programName(st.at.argv())
	if strings.HasPrefix(st.at.shell, "[") {
		say(check.Error, "the command looks like a list, and is none",
			"a list is one in JSON, with double quotes; this is given to a shell as it is, which does not find it", `write ["/usr/bin/handover", "run", "--"]`)
		return
	}
	if strings.Contains(strings.Join(st.at.argv(), " "), ".sh") || strings.Contains(program, "entrypoint") || strings.HasPrefix(st.at.shell, ".") {
		say(check.Note, "there are settings of handover; that "+quoted(program)+" starts it is not seen here", "",
			"if it does, it must do so with exec, so that handover becomes process 1")
		return
	}
	say(check.Warning, "there are settings of handover, and nothing starts it",
		"the container starts "+quoted(program)+": nothing is handed over", "write ENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]")
}

// programName is what a command runs. What is no program may be a secret that
// got there by mistake.
func programName(argv []string) string {
	if len(argv) == 0 || strings.Contains(argv[0], "=") {
		return "…"
	}
	return path.Base(argv[0])
}

// printable is a word for a message; what is no plain word may be a secret that
// got there by mistake.
func printable(word string) string {
	if len(word) > 20 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return "…"
	}
	return word
}
