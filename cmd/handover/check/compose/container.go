package compose

import (
	"strings"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// plain is a rule about one field that needs to know nothing else.
type plain struct {
	field, values  string // any of these values; none: every value
	level          check.Level
	check          string
	found, why, do string
}

var plainRules = [...]plain{
	{"restart", "no false", check.Warning, checkRestart, `restart is "no"`,
		"a service that crashes stays down, and if it does so after the old container has ended, nobody serves; a container whose HEALTHCHECK fails is not restarted either",
		"write restart: always, balena's default"},
	{"restart", "on-failure", check.Note, checkRestart, "restart is on-failure",
		"after a hand-over handover ends with 0, which is final, as it should be; so is it when the service itself ends with 0, and nobody starts it again", ""},
	{"init", yes, check.Warning, checkInit, "init: true puts docker-init before handover", otherInit, "take init: away"},
	{"tty", "false no off 0", check.Note, checkTerminal, "tty is false: the service gets no terminal",
		"balena gives one by default, which handover hands to the service; without one, many programs write their log in blocks instead of lines", ""},
	{"stdin_open", yes, check.Note, checkTerminal, "stdin_open does nothing on balena",
		"the Supervisor does not know it, and newer versions of balena's command line refuse it", "take it away"},
	{"pid", "host", check.Note, checkPID, "pid is host: handover is not process 1 of its container",
		"it sees the processes of the device, too, and looks through them all; it ends only those of its service", ""},
}

const otherInit = "handover passes signals on and reaps by itself; as another one's child it is only a process more, and what is stopped on the terminal is not woken"

// plainFields applies the rules that are about one field alone.
func (l *linter) plainFields(s *service) {
	for i := range plainRules {
		r := &plainRules[i]
		if v := s.get(r.field); v.known() && oneOf(strings.ToLower(strings.TrimSpace(v.text)), r.values) {
			l.say(s, r.level, r.check, v.line, r.found, r.why, r.do)
		}
	}
	if v := s.get("restart"); v.known() && !oneOf(strings.ToLower(strings.TrimSpace(v.text)), "always unless-stopped on-failure no false") {
		l.say(s, check.Note, checkRestart, v.line, "restart is "+quoted(v.text)+", which the Supervisor does not know", "it takes always for it", "")
	}
	for _, st := range s.starts() {
		if st.found && st.wrapper != "" {
			l.sayAt(s, check.Warning, checkInit, st.at.place(), st.wrapper+" stands before handover", otherInit, "let handover be the first")
		}
	}
}

// stateDir looks at where the record of the container's first start is kept.
func (l *linter) stateDir(s *service) {
	c := s.settings.config
	if c == nil || !s.settings.judged("service.state_dir") {
		return
	}
	dir := c.Service.StateDir
	m := s.under(dir)
	readOnly := s.get("read_only")
	switch {
	case m.kind == "tmpfs":
		l.say(s, check.Error, checkStateDir, m.line, "service.state_dir, "+dir+", is on a tmpfs",
			"it is empty again when the container is restarted: an old container then takes itself for the youngest, and ends the new one",
			"take the tmpfs away there, or set service.state_dir to a folder in the container's own file system")
	case m.kind != "":
		l.say(s, check.Warning, checkStateDir, m.line, "service.state_dir, "+dir+", is on a volume",
			"it holds a file for each container, which goes away with the container: on a volume they stay for ever",
			"set service.state_dir to a folder in the container's own file system")
	case readOnly.isTrue():
		l.say(s, check.Warning, checkStateDir, readOnly.line, "read_only: true: service.state_dir, "+dir+", cannot be written",
			"the container's first start is not recorded: after a restart only the Supervisor's list tells which container is younger",
			"take read_only away")
	}
}

// user looks at who handover runs as.
func (l *linter) user(s *service) {
	users := []*variable{{scalar: *s.get("user")}}
	if !users[0].set() {
		users = nil
		for _, img := range s.images {
			users = append(users, img.user)
		}
	}
	for _, u := range users {
		if !u.known() || isRoot(u.text) {
			continue
		}
		c := s.settings.config
		if c != nil && !inSupervisorsFolder(c.Announce.Folder) {
			continue // it has a folder of its own, or none
		}
		if c != nil && c.Policy.Exclusive {
			l.sayAt(s, check.Error, checkUser, u.place(), "handover runs as "+quoted(u.text)+", not as root, and policy.exclusive is on",
				"/tmp/balena belongs to root: the lock that keeps two containers from running at a time cannot be taken",
				"set announce.folder to a folder on a volume that this user can write to, or run handover as root")
			continue
		}
		l.sayAt(s, check.Warning, checkUser, u.place(), "handover runs as "+quoted(u.text)+", not as root",
			"/tmp/balena belongs to root: the second way of announcing, by the shared folder, does not work, nor does the file by which Supervisors up to v14.13.9 are told",
			"let handover start as root and change the user in the command that it runs (setpriv, su-exec, gosu)")
	}
}

func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || oneOf(name, "0 root")
}

// imageSignal is what well-known images end by, empty for SIGTERM.
func imageSignal(name string) string {
	switch name {
	case "nginx", "nginxinc/nginx-unprivileged", "openresty/openresty", "php-fpm":
		return "SIGQUIT"
	case "httpd":
		return "SIGWINCH"
	case "haproxy":
		return "SIGUSR1"
	}
	return ""
}

// stopSignal looks at the signal by which the container is told to stop.
func (l *linter) stopSignal(s *service) {
	if v := s.get("stop_signal"); v.set() {
		l.stopSignalIs(s, &variable{scalar: *v})
		return
	}
	for _, img := range s.images {
		signal := imageSignal(img.base)
		if img.stopSignal.line > 0 {
			l.stopSignalIs(s, img.stopSignal)
		} else if signal != "" {
			l.sayAt(s, check.Warning, checkStopSignal, place{img.file, img.baseLine}, "the base image, "+img.base+", has the stop signal "+signal,
				"the container is told to stop by that: handover passes it on to the service, which ends at once, and nothing is handed over",
				"write STOPSIGNAL SIGTERM; process.stop_signal: "+signal+" tells handover how to end the service")
		}
	}
}

func (l *linter) stopSignalIs(s *service, v *variable) {
	name := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(v.text)), "SIG")
	switch {
	case !v.known(), oneOf(name, "TERM INT 15 2"):
	case oneOf(name, "KILL 9"):
		l.sayAt(s, check.Error, checkStopSignal, v.place(), "the stop signal is SIGKILL",
			"the old container is killed at once: nobody serves until the new one is ready", "take it away: SIGTERM is the default")
	default:
		l.sayAt(s, check.Error, checkStopSignal, v.place(), "the stop signal is "+quoted(v.text)+", not SIGTERM",
			"handover passes it on to the service, which ends at once or does not care: nothing is handed over",
			"take it away, or write SIGTERM; process.stop_signal tells handover how to end the service")
	}
}
