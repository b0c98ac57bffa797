package compose

import (
	"slices"
	"strings"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
)

// host reports whether the service shares the host's network.
func (s *service) host() bool { return s.get("network_mode").text == "host" }

// ports looks at published ports, which two containers cannot share.
func (l *linter) ports(s *service) {
	if len(s.ports) == 0 {
		return
	}
	if s.host() {
		l.say(s, check.Note, checkPorts, s.ports[0].line, "ports: does nothing with network_mode: host", "the service's ports are the host's anyway", "")
		return
	}
	var published []string
	for _, p := range s.ports {
		text := p.published
		if text == "" { // balena publishes it under its own number
			text = p.target
		}
		published = append(published, text)
	}
	l.say(s, check.Error, checkPorts, s.ports[0].line, "ports: publishes "+strings.Join(published, ", "),
		"a port of the device can be had by one container only: the new one fails to start, and the Supervisor stops the old one first, so that every update interrupts the service (5.5 s and more on v19.0.5, measured)",
		"take ports: away; let a proxy publish them, a service of its own without the hand-over label, that reaches this one inside the release's network")
}

// addresses looks at addresses of which there can be one only.
func (l *linter) addresses(s *service) {
	var fixed []*variable
	if v := s.get("mac_address"); v.known() && !s.host() {
		fixed = append(fixed, &variable{name: "mac_address", scalar: *v})
	}
	for _, n := range s.networks {
		fixed = append(fixed, n.addresses...)
	}
	for _, v := range fixed {
		why := "the old container has that address: the new one fails to start, and the Supervisor stops the old one first, so that every update interrupts the service"
		if v.name == "mac_address" {
			why = "both containers have it while they run side by side: what is sent to one arrives at the other, or nowhere"
		}
		l.say(s, check.Error, checkAddresses, v.line, v.name+" is fixed", why,
			"take it away; others reach the service by its name")
	}
}

func (l *linter) containerName(s *service) {
	if v := s.get("container_name"); v.set() {
		l.say(s, check.Note, checkContainerName, v.line, "container_name does nothing on balena",
			"the Supervisor names containers itself; with plain Docker two containers cannot have one name", "")
	}
}

// networkNames are those by which services reach each other.
func (s *service) networkNames() []string {
	if mode := s.get("network_mode"); mode.set() && !oneOf(mode.text, "bridge default") {
		return []string{"network_mode " + mode.text}
	}
	if len(s.networks) == 0 {
		return []string{"default"}
	}
	var names []string
	for _, n := range s.networks {
		names = append(names, n.name)
	}
	return names
}

// meets reports whether two services hear each other's announcements.
func (s *service) meets(other *service) bool {
	if s.get("network_mode").unknown || other.get("network_mode").unknown {
		return false
	}
	names := other.networkNames()
	return slices.ContainsFunc(s.networkNames(), func(n string) bool { return slices.Contains(names, n) })
}

// network holds network_mode against network.mode.
func (l *linter) network(s *service) {
	c := s.settings.config
	mode := s.get("network_mode")
	if mode.unknown {
		return
	}
	if !mode.set() || oneOf(mode.text, "bridge default") || s.host() {
		l.networkMode(s)
	}
	if len(s.networks) > 0 {
		l.say(s, check.Note, checkNetwork, s.line, "the service is in networks of the compose file",
			"when the definition of one of them changes, the Supervisor stops the old container first: that update interrupts the service", "")
	}
	exclusive := c != nil && c.Policy.Exclusive
	switch {
	case s.host() && !exclusive:
		l.say(s, check.Note, checkNetwork, mode.line, "old and new container share the host's ports",
			"the new one can listen only on ports that both open with SO_REUSEPORT; if the service cannot, it needs policy.exclusive", "")
	case strings.HasPrefix(mode.text, "service:") && !exclusive:
		l.say(s, check.Note, checkNetwork, mode.line, "old and new container share the ports of another service's container",
			"the new one can listen only on ports that both open with SO_REUSEPORT; if the service cannot, it needs policy.exclusive", "")
	case mode.set() && mode.text == "none":
		l.say(s, check.Warning, checkNetwork, mode.line, "network_mode is none",
			"the two containers hear each other by the shared folder alone, and do not reach the Supervisor: each hand-over waits for policy.unknown_after",
			"take network_mode away")
	}
}

// networkMode holds the two modes against each other.
func (l *linter) networkMode(s *service) {
	c := s.settings.config
	if c == nil || !s.settings.judged("network.mode") {
		return
	}
	at := s.origin("network.mode")
	switch {
	case s.host() && c.Network.Mode == config.NetworkBridge:
		l.sayAt(s, check.Error, checkNetwork, at, "network.mode is bridge, and network_mode is host",
			"the announcements go to every interface of the device, out into its network, where those of other devices come in",
			"take network.mode away: auto finds out")
	case !s.host() && c.Network.Mode == config.NetworkHost && c.Network.Interface == "supervisor0" &&
		s.settings.judged("network.interface", "NETWORK_INTERFACE"):
		l.sayAt(s, check.Error, checkNetwork, at, "network.mode is host, and network_mode is not",
			"handover waits for the interface supervisor0, which only the host has: it never announces itself by multicast",
			"take network.mode away: auto finds out; or set network_mode: host")
	}
}
