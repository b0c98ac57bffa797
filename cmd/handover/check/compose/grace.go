package compose

import (
	"slices"
	"time"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
)

// defaultGrace is Docker's.
const defaultGrace = 10 * time.Second

// shortToReady is a time in which hardly any service becomes ready.
const shortToReady = 5 * time.Second

// toReady is the time in which a new container must become ready: it must have
// been so for policy.settle when the old one's hold ends.
func toReady(c *config.Config) time.Duration {
	return max(0, c.Hold()-c.Policy.Settle)
}

// gracePeriod is what the engine will take; ok is false if that is not known.
// The Supervisor cuts it to whole seconds.
func (s *service) gracePeriod() (d time.Duration, ok bool) {
	v := s.get("stop_grace_period")
	switch {
	case !v.set():
		return defaultGrace, !s.has("extends")
	case v.unknown:
		return 0, false
	}
	d, ok = parseDuration(v.text)
	return d.Truncate(time.Second), ok
}

const graceVariable = "HANDOVER_SERVICE_STOP_GRACE_PERIOD"

// grace holds the compose file's stop_grace_period against what handover takes
// for it.
func (l *linter) grace(s *service) {
	period, ok := s.gracePeriod()
	v := s.get("stop_grace_period")
	if v.known() && !ok {
		do := "write a number with its unit: 60s, 1m30s"
		if _, isNumber := wholeNumber(v.text); isNumber {
			do = "write " + v.text + "s if seconds are meant"
		}
		l.say(s, check.Error, checkGrace, v.line, "stop_grace_period is "+quoted(v.text)+", which is no duration",
			"balena and Compose refuse the file", do)
		return
	}
	if ok && period < time.Second {
		l.say(s, check.Error, checkGrace, v.line, "stop_grace_period is "+v.text+": there is no time at all",
			"the Supervisor counts in whole seconds: the old container is killed (SIGKILL) with the SIGTERM, and nobody serves until the new one is ready",
			"write the longest time that a new container needs to become ready, and 4 s more")
		return
	}
	c := s.settings.config
	if !ok || c == nil {
		return
	}
	if !s.settings.judged("service.stop_grace_period") {
		if period != defaultGrace && !slices.Contains(s.settings.unknown, graceVariable) {
			l.say(s, check.Note, checkGrace, v.line, "stop_grace_period is "+short(period)+", and nothing here says so to handover",
				"handover takes 10s for it, if the configuration in the image does not say otherwise: it cannot be seen from inside the container",
				"set "+graceVariable+" to "+short(period))
		}
		l.gaps(s, check.Warning) // the image may say more
		return
	}
	l.compareGrace(s, period, c.Service.StopGracePeriod)
	if l.gaps(s, check.Error) {
		return
	}
	if left := toReady(c); left <= shortToReady {
		l.say(s, check.Warning, checkGrace, v.line,
			"a new container has only "+short(left)+" to become ready",
			"so long the old one holds on: "+short(c.Service.StopGracePeriod)+", less policy.settle, policy.drain_reserve and 500ms; then it ends, ready or not",
			"raise stop_grace_period and "+graceVariable)
	} else if !v.set() && period == c.Service.StopGracePeriod {
		l.say(s, check.Note, checkGrace, s.line, "stop_grace_period is not said: it is 10 s",
			"a new container has "+short(left)+" to become ready; then the old one ends, ready or not",
			"raise stop_grace_period and "+graceVariable+" if it may need longer")
	}
}

// gaps are settings for which the hold is too short. Where a variable that counts
// is not known here, nothing is said.
func (l *linter) gaps(s *service, level check.Level) bool {
	for _, name := range []string{"SERVICE_STOP_GRACE_PERIOD", "READINESS_AFTER", "POLICY_SETTLE", "POLICY_DRAIN_RESERVE", "POLICY_EXCLUSIVE"} {
		if slices.Contains(s.settings.unknown, "HANDOVER_"+name) {
			return false
		}
	}
	for _, g := range s.settings.loaded.Gaps {
		l.sayAt(s, level, checkGrace, s.origin(g.Key), g.Message, g.Why, g.Hint)
	}
	return len(s.settings.loaded.Gaps) > 0
}

func (l *linter) compareGrace(s *service, engine, handover time.Duration) {
	v := s.get("stop_grace_period")
	at := place{line: v.line}
	if !v.set() {
		at = s.origin("service.stop_grace_period")
	}
	said := "stop_grace_period is " + short(engine)
	if !v.set() {
		said = "stop_grace_period is not said, so it is 10s"
	}
	said += ", and handover takes it for " + short(handover)
	switch {
	case engine < handover:
		l.sayAt(s, check.Error, checkGrace, at,
			said,
			"the old container is killed (SIGKILL) while it still waits for the new one or finishes its work",
			"write stop_grace_period: "+short(handover)+", or set "+graceVariable+" to "+short(engine))
	case engine > handover:
		l.sayAt(s, check.Warning, checkGrace, at,
			said,
			"the old container ends though it had time left: a new one that needs longer leaves a gap",
			"set "+graceVariable+" to "+short(engine)+": it cannot be seen from inside the container")
	}
}
