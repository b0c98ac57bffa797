package config

import (
	"fmt"
	"slices"
	"strings"
)

// relations checks what holds between values. A relation is left out if one
// of its keys already has a problem.
func (l *loader) relations(c *Config) {
	l.grace(c)
	l.expiry(c)
	l.ports(c)
	l.readinessKinds(c)
	l.supervisorAddress(c)
	if !c.Process.Preflight.IsZero() && !c.Policy.Exclusive && l.good("process.preflight", "policy.exclusive") {
		l.warnings = append(l.warnings, fmt.Sprintf("process.preflight (%s) is never run: policy.exclusive is false (%s)",
			l.origins["process.preflight"], l.origins["policy.exclusive"]))
	}
}

// grace: a drain must fit into the time between SIGTERM and SIGKILL.
func (l *loader) grace(c *Config) {
	const delay, reserve, period = "policy.drain_delay", "policy.drain_reserve", "service.stop_grace_period"
	if !l.good(delay, reserve, period) {
		return
	}
	sum := c.Policy.DrainDelay + c.Policy.DrainReserve + DrainMargin
	if sum < c.Service.StopGracePeriod {
		return
	}
	l.broken(
		fmt.Sprintf("%s + %s + %s = %s must be less than %s",
			l.with(delay, showDuration(c.Policy.DrainDelay)), l.with(reserve, showDuration(c.Policy.DrainReserve)),
			showDuration(DrainMargin), showDuration(sum), l.with(period, showDuration(c.Service.StopGracePeriod))),
		"shorten the drain, or lengthen the grace period both here and as stop_grace_period in the compose file",
		delay, reserve, period)
}

// gaps: a new instance must be ready, and have been so for policy.settle, while
// the old one still holds on.
func (l *loader) gaps(c *Config) []Problem {
	const after, settle, reserve, period = "readiness.after", "policy.settle", "policy.drain_reserve", "service.stop_grace_period"
	hold, need := c.Hold(), c.Policy.Settle
	var takes []string
	if !c.Readiness.AfterAuto && c.Readiness.After > 0 {
		need += c.Readiness.After
		takes = append(takes, l.with(after, showDuration(c.Readiness.After)))
	}
	if c.Policy.Settle > 0 {
		takes = append(takes, l.with(settle, showDuration(c.Policy.Settle)))
	}
	if need < hold || c.Policy.Exclusive {
		return nil // an exclusive one is not started before the old one has ended
	}
	p := l.placed(
		fmt.Sprintf("%s must be less than the hold, which is %s: %s − %s − %s", strings.Join(takes, " + "), showDuration(hold),
			l.with(period, showDuration(c.Service.StopGracePeriod)), l.with(reserve, showDuration(c.Policy.DrainReserve)), showDuration(DrainMargin)),
		fmt.Sprintf("shorten it, or raise stop_grace_period in the compose file and service.stop_grace_period alike to more than %s",
			showDuration(need+c.Policy.DrainReserve+DrainMargin)),
		after, settle, reserve, period)
	p.Why = "told to stop, the old instance ends before the new one counts as ready, and nobody is ready in between, at each update"
	return []Problem{p}
}

// expiry: some announcements may get lost.
func (l *loader) expiry(c *Config) {
	const after, interval = "announce.expire_after", "announce.interval"
	if !l.good(after, interval) || c.Announce.ExpireAfter >= minIntervals*c.Announce.Interval {
		return
	}
	l.broken(
		fmt.Sprintf("%s must be at least %d × %s = %s", l.with(after, showDuration(c.Announce.ExpireAfter)), minIntervals,
			l.with(interval, showDuration(c.Announce.Interval)), showDuration(minIntervals*c.Announce.Interval)),
		"lengthen announce.expire_after, or leave it out to get 3.5 × announce.interval", after, interval)
}

// The ports of handover-lib where nothing says another: of its announcements and of
// its status messages. Under Node.js, what belongs to the other one ends its process.
const (
	libPort       = 1536
	libStatusPort = 1537
)

// ports: handover-lib ends itself when a status message comes in on the port of the
// announcements, or an announcement on that of status messages.
func (l *loader) ports(c *Config) {
	const status, port = "announce.status_port", "network.port"
	switch {
	case !l.good(status, port):
		return
	case c.Announce.StatusPort == c.Network.Port:
		l.broken(
			fmt.Sprintf("%s must differ from %s", l.with(status, c.Announce.StatusPort), l.with(port, c.Network.Port)),
			"choose another port: status messages on the port of announcements crash handover-lib", status, port)
		return
	}
	if c.Announce.StatusPort == libPort {
		l.broken(fmt.Sprintf("%s must not be %d, where handover-lib listens for announcements", l.with(status, libPort), libPort),
			"choose another port: status messages there crash it; or 0 to send none", status)
	}
	if c.Network.Port == libStatusPort {
		l.broken(fmt.Sprintf("%s must not be %d, where handover-lib listens for status messages", l.with(port, libStatusPort), libStatusPort),
			"choose another port: announcements there crash it", port)
	}
}

// readinessKinds: one way at most to tell that the workload is ready.
func (l *loader) readinessKinds(c *Config) {
	r := c.Readiness
	var set []string
	for _, kind := range []struct {
		key string
		set bool
	}{
		{"readiness.http", r.HTTP != ""}, {"readiness.tcp", r.TCP != ""},
		{"readiness.command", !r.Command.IsZero()}, {"readiness.file", r.File != ""},
		{"readiness.notify", r.Notify}, {"readiness.after", !r.AfterAuto},
	} {
		if kind.set && l.good(kind.key) {
			set = append(set, kind.key)
		}
	}
	if len(set) < 2 {
		return
	}
	named := make([]string, len(set))
	for i, key := range set {
		named[i] = fmt.Sprintf("%s (%s)", key, l.origins[key])
	}
	last := len(named) - 1
	l.broken(strings.Join(named[:last], ", ")+" and "+named[last]+" are set: only one kind of readiness can be",
		"keep one of them; readiness.after: auto goes with each", set...)
}

// supervisorAddress: what is required must be reachable.
func (l *loader) supervisorAddress(c *Config) {
	const mode, address = "supervisor.mode", "supervisor.address"
	if !l.good(mode, address) || c.Supervisor.Mode != SupervisorRequired || c.Supervisor.Address != "" {
		return
	}
	l.broken(l.with(mode, SupervisorRequired)+" needs supervisor.address, which is not set",
		"set supervisor.address; on balena, the label io.balena.features.supervisor-api: '1' sets BALENA_SUPERVISOR_ADDRESS",
		mode)
}

// broken adds a relation that does not hold. It is put where the first of its
// keys was set.
func (l *loader) broken(message, hint string, keys ...string) {
	l.problems.add(l.placed(message, hint, keys...))
}

func (l *loader) placed(message, hint string, keys ...string) Problem {
	p := Problem{Key: keys[0], Message: message, Hint: hint}
	if i := slices.IndexFunc(keys, func(k string) bool { return !l.origins[k].IsDefault() }); i >= 0 {
		from := l.origins[keys[i]]
		p.Key, p.File, p.Line, p.Source = keys[i], from.File, from.Line, from.Variable
	}
	return p
}

// good reports whether none of the keys has a problem.
func (l *loader) good(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { return l.bad[k] })
}

// with is a key with its value and its origin.
func (l *loader) with(key string, value any) string {
	return fmt.Sprintf("%s (%v, %s)", key, value, l.origins[key])
}
