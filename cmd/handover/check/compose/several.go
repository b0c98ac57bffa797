package compose

import (
	"slices"
	"strconv"
	"strings"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// handover-lib's defaults, and handover's.
const (
	defaultGroup = "239.192.16.16"
	defaultPort  = "1536"
)

// channel is where handover-lib listens; nothing, if that is not known.
func (s *service) channel() (group, port string) {
	group, port = defaultGroup, defaultPort
	for _, v := range s.variables {
		if !v.set() || v.text == "" && !v.unknown {
			continue
		}
		switch v.name {
		case "SHUTDOWN_BROADCAST_ADDRESS":
			group = v.text
		case "SHUTDOWN_PORT":
			port = v.text
		default:
			continue
		}
		if v.unknown {
			return "", ""
		}
	}
	if len(s.elsewhere) > 0 {
		return "", ""
	}
	return group, port
}

// handoverLibs looks at services with handover-lib that hear others.
func (l *linter) handoverLibs() {
	told := map[*service]bool{}
	for i, s := range l.services {
		if !s.usesLib || s.group == "" {
			continue
		}
		names := []string{s.name}
		var others []*service
		for _, o := range l.services[i+1:] {
			if o.usesLib && o.group == s.group && o.port == s.port && s.meets(o) {
				names, others = append(names, o.name), append(others, o)
			}
		}
		if len(others) > 0 && !told[s] {
			l.sayAt(s, check.Error, checkLib, s.lib,
				"the services "+strings.Join(names, ", ")+" use handover-lib on one group and port ("+s.group+", "+s.port+")",
				"its announcements do not name the service: whichever starts last shuts the others down",
				"give each a SHUTDOWN_PORT of its own, or let handover guard them")
		}
		for _, o := range others {
			told[o] = true
		}
		l.legacy(s)
	}
}

// legacy looks at services with handover that a service with handover-lib takes
// for new instances of its own.
func (l *linter) legacy(lib *service) {
	for _, s := range l.services {
		c := s.settings.config
		if !s.usesHandover || c == nil || !c.Announce.Legacy || !s.meets(lib) ||
			!s.settings.judged("announce.legacy") || !s.settings.judged("network.port", "SHUTDOWN_PORT") ||
			!s.settings.judged("network.group", "SHUTDOWN_BROADCAST_ADDRESS") {
			continue
		}
		if c.Network.Group.String() != lib.group || strconv.Itoa(c.Network.Port) != lib.port {
			continue
		}
		l.say(s, check.Warning, checkLegacy, s.line,
			"the service "+quoted(lib.name)+" uses handover-lib on the same group and port ("+lib.group+", "+lib.port+")",
			"handover-lib takes every later start for its own successor's: when this service starts, that one shuts itself down",
			`give that one another SHUTDOWN_PORT; or set HANDOVER_ANNOUNCE_LEGACY: "false" here, if no release of this service with handover-lib is on a device any more`)
	}
}

// several looks at services that hand over at the same time.
func (l *linter) several() {
	var names []string
	var first *service
	ordered := false
	for _, s := range l.services {
		if !s.wantsHandOver() {
			continue
		}
		names = append(names, s.name)
		if first == nil {
			first = s
		}
	}
	if len(names) < 2 {
		return
	}
	for _, s := range l.services {
		ordered = ordered || s.wantsHandOver() && slices.ContainsFunc(s.dependsOn, func(n string) bool { return slices.Contains(names, n) })
	}
	why := "each hands over by itself, in no order; a release that changes all of them needs the memory of all twice for a while"
	if ordered {
		why += "; with depends_on a new container is started when the new one of the service that it depends on has been started, ready or not"
	}
	l.add(check.Finding{Level: check.Note, Check: checkSeveral, Line: first.line,
		Found: "several services hand over: " + strings.Join(names, ", "), Why: why})
}
