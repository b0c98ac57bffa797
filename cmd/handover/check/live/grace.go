package live

import (
	"time"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
)

func (f *facts) judgeGrace(r *report) {
	const key = "service.stop_grace_period"
	grace, p := f.cfg.Service.StopGracePeriod, &f.cfg.Policy
	if from := f.loaded.Origin(key); from.IsDefault() {
		r.note(gracePeriod, "%s is not set: it is taken to be %s, as with Docker. The compose file must not say anything else as stop_grace_period", key, grace.String())
	} else {
		r.ok(gracePeriod, "%s is %s (%s); the compose file must say the same as stop_grace_period, which cannot be seen from inside", key, grace.String(), from.String())
	}
	if len(f.loaded.Gaps) == 0 {
		r.ok(graceHold, "an instance that is told to stop can serve on for up to %s: %s − policy.drain_reserve (%s) − %s", f.cfg.Hold().String(), grace.String(), p.DrainReserve.String(), config.DrainMargin.String())
	}
	f.judgeGaps(r)
	f.judgeReadiness(r)
	f.judgeDrain(r)
}

// judgeGaps: what the configuration says of the new instance must fit into the
// hold of the old one.
func (f *facts) judgeGaps(r *report) {
	does, _ := behaviourOf(f.supervisor.version)
	for _, g := range f.loaded.Gaps {
		if does == polls {
			r.note(graceHold, "%s; this Supervisor does not stop the old one before the time-out of the label io.balena.update.handover-timeout", g.Message)
			continue
		}
		found := r.fail(graceHold, "%s", g.Message)
		found.File, found.Line = g.File, g.Line
		found.because(g.Why, g.Hint)
	}
}

// judgeReadiness compares the hold with how long releases took so far.
func (f *facts) judgeReadiness(r *report) {
	longest, known := f.instance.longestReadiness(f.cfg.Policy.Exclusive)
	if !known {
		r.note(graceReadiness, "how long the service takes to become ready was not seen yet: run handover check again when it has")
		return
	}
	hold, settle := f.cfg.Hold(), f.cfg.Policy.Settle
	need := longest.took + settle
	found := "the longest time to readiness that was seen is " + longest.String()
	if longest.atLeast {
		found = longest.String()
	}
	if settle > 0 {
		found += ", and policy.settle is " + settle.String()
	}
	does, _ := behaviourOf(f.supervisor.version)
	enough := (2*need + f.cfg.Service.StopGracePeriod - hold).Truncate(time.Second) + time.Second
	do := "lengthen the grace period, as stop_grace_period in the compose file and in service.stop_grace_period, to at least " + enough.String()
	var level check.Level
	var why string
	switch {
	case need >= hold:
		level = check.Error
		found += ": that does not fit into the " + hold.String() + " for which the old instance can serve on"
		why = "the old instance ends before the new one is ready, and nobody serves in between"
	case need > hold/2:
		level = check.Warning
		found += ": of the " + hold.String() + " for which the old instance can serve on less than half is left"
		why = "during an update a device is busier, and starts take longer; when it does not fit, nobody serves in between"
	default:
		r.ok(graceReadiness, "%s: that fits into the %s for which the old instance can serve on", found, hold.String())
		return
	}
	if does == polls {
		level = check.Note
		found += "; this Supervisor does not stop the old one before the time-out of the label io.balena.update.handover-timeout"
		why, do = "", ""
	}
	r.add(level, graceReadiness, "%s", found).because(why, do)
}

// judgeDrain: at the end of a hold only the reserve is left for the drain.
func (f *facts) judgeDrain(r *report) {
	p := &f.cfg.Policy
	longest, known := f.instance.longestDrain()
	does, _ := behaviourOf(f.supervisor.version)
	switch took := longest.took - p.DrainDelay; {
	case known && took > p.DrainReserve && does != polls:
		r.warn(graceDrain, "a drain took %s, policy.drain_delay included, and policy.drain_reserve is %s", longest.String(), p.DrainReserve.String()).because(
			"after a hold that lasts until its end only the reserve is left: what is in flight then is cut off",
			"set policy.drain_reserve to more than the longest drain, and lengthen the grace period by as much")
	case p.DrainTimeout > p.DrainReserve:
		r.note(graceDrain, "policy.drain_timeout, %s, is longer than policy.drain_reserve: after a hold that lasts until its end, a drain has %s", p.DrainTimeout.String(), p.DrainReserve.String())
	default:
		r.ok(graceDrain, "a drain has %s (policy.drain_timeout), also after a hold that lasts until its end", p.DrainTimeout.String())
	}
}
