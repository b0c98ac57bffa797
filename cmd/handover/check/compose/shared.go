package compose

import (
	"slices"
	"strings"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// shareable are devices that several programs can have open.
const shareable = "/dev/dri /dev/fuse /dev/kvm /dev/net/tun /dev/null /dev/random /dev/urandom /dev/vchiq /dev/zero"

func isShareable(device string) bool { return oneOf(device, shareable) || within(device, "/dev/dri") }

// devices looks at what only one container can have.
func (l *linter) devices(s *service) {
	c := s.settings.config
	if c != nil && c.Policy.Exclusive || slices.Contains(s.settings.unknown, "HANDOVER_POLICY_EXCLUSIVE") {
		return
	}
	level := check.Warning
	do := "set policy.exclusive (HANDOVER_POLICY_EXCLUSIVE: \"true\"): the new container then starts the service when the old one's has ended"
	if !s.usesHandover {
		do = "let handover guard the service, with policy.exclusive"
	} else if s.settings.partial {
		do += ", if no configuration that is not seen here does so"
		if s.build.line > 0 {
			level = check.Note
		}
	}
	for _, d := range s.devices {
		if d.unknown || isShareable(d.source) {
			continue
		}
		l.say(s, level, checkDevices, d.line, "both containers have the device "+d.source+" while they run side by side",
			"most devices can be had by one only: the new one's service fails, or both get half of the data", do)
	}
	if v := s.get("privileged"); v.isTrue() && len(s.devices) == 0 {
		l.say(s, check.Note, checkDevices, v.line, "privileged: true gives both containers all devices while they run side by side",
			"if the service has one that can be had by one only, it needs policy.exclusive", "")
	}
}

// volumes looks at what both containers write to.
func (l *linter) volumes(s *service) {
	if c := s.settings.config; c != nil && c.Policy.Exclusive {
		return
	}
	var names []string
	line := 0
	for _, m := range s.mounts {
		if m.kind == "volume" && m.source != "" {
			names = append(names, m.source)
			if line == 0 {
				line = m.line
			}
		}
	}
	if len(names) == 0 {
		return
	}
	l.say(s, check.Note, checkVolumes, line, "both containers use the same volumes while they run side by side: "+strings.Join(names, ", "),
		"what locks or owns a file there (a database, say) needs policy.exclusive; and when a volume's definition changes, the Supervisor stops the old container first", "")
}

// inSupervisorsFolder reports whether a path lies in the folder that the
// Supervisor mounts into the containers of a service.
func inSupervisorsFolder(file string) bool {
	return within(file, "/tmp/balena") || within(file, "/tmp/resin")
}

// folder looks at the folder in which the containers meet.
func (l *linter) folder(s *service) {
	c := s.settings.config
	if c == nil || !s.settings.judged("announce.folder") {
		return
	}
	dir, at := c.Announce.Folder, s.origin("announce.folder")
	exclusive := c.Policy.Exclusive && s.settings.judged("policy.exclusive")
	if dir == "" {
		if exclusive {
			l.sayAt(s, check.Error, checkFolder, at, "policy.exclusive is on, and announce.folder is off",
				"the lock that keeps two containers from running at a time lies there; without it both may run",
				"take announce.folder: off away")
		}
		return
	}
	if inSupervisorsFolder(dir) || s.under(dir).kind == "volume" {
		return
	}
	level, why := check.Warning, "old and new container each have one of their own: nothing is announced there, and multicast alone is left"
	if exclusive {
		level, why = check.Error, "old and new container each have one of their own, and so each its own lock: both run at a time"
	}
	l.sayAt(s, level, checkFolder, at, "announce.folder, "+dir+", is not shared by the containers", why,
		"take announce.folder away: /tmp/balena is shared; or mount a volume there")
}
