package workload

import "time"

// Plan is when a drain takes its steps.
//
//	Drain      SignalAt                                KillAt
//	  | drain delay | pre-stop command | stop signal      | SIGKILL
//	                |<---- at most 1/2 of this ---------->|
//
// SIGKILL comes at KillAt, or KillAfter after the stop signal if that is
// earlier. The pre-stop command may take KillAfter, and at most half of the time
// from its start to KillAt; then it is killed, and the stop signal is sent. So
// the workload itself always has the other half.
type Plan struct {
	// SignalAt ends the drain delay. Zero, or past, is at once; a time after
	// KillAt counts as KillAt.
	SignalAt time.Time
	// KillAt is when SIGKILL is sent to the process group at the latest. Zero:
	// KillAfter alone counts.
	KillAt time.Time
	// KillAfter is counted from the stop signal. Zero: KillAt alone counts; if
	// that is zero, too, SIGKILL follows at once.
	KillAfter time.Duration
}

// progress is how far a drain has got.
type progress struct {
	hasPreStop                   bool
	preStopStarted, preStopEnded time.Time
	signalled                    time.Time
	killed                       bool
}

type step int

const (
	stepWait step = iota
	stepPreStop
	stepAbortPreStop
	stepSignal
	stepKill
)

// next returns what is due now, and if nothing is, until when to wait; zero is
// for the end of the workload or of the pre-stop command only.
func (p Plan) next(now time.Time, at progress) (step, time.Time) {
	due := func(s step, when time.Time) (step, time.Time) {
		if now.Before(when) {
			return stepWait, when
		}
		return s, when
	}
	switch {
	case at.killed:
		return stepWait, time.Time{}
	case !at.signalled.IsZero():
		return due(stepKill, p.KillBy(at.signalled))
	case !at.preStopEnded.IsZero():
		return stepSignal, now
	case !at.preStopStarted.IsZero():
		return due(stepAbortPreStop, p.preStopUntil(at.preStopStarted))
	case at.hasPreStop:
		return due(stepPreStop, p.signalAt())
	default:
		return due(stepSignal, p.signalAt())
	}
}

func (p Plan) signalAt() time.Time {
	if !p.KillAt.IsZero() && p.KillAt.Before(p.SignalAt) {
		return p.KillAt
	}
	return p.SignalAt
}

// late is how late a step must be for this process to have been stopped, or not to
// have been given the processor, meanwhile.
const late = 300 * time.Millisecond

// postpone begins the drain delay anew if its end is missed by so much: nobody who
// asked was answered meanwhile, so nobody can have looked away. The workload keeps
// half of the time that is left.
func (p *Plan) postpone(now time.Time, delay time.Duration) {
	if now.Sub(p.SignalAt) <= late {
		return
	}
	if !p.KillAt.IsZero() {
		delay = min(delay, p.KillAt.Sub(now)/2)
	}
	p.SignalAt = now.Add(max(0, delay))
}

// KillBy is when SIGKILL is due, if the stop signal is sent at that time.
func (p Plan) KillBy(signalled time.Time) time.Time {
	return p.bounded(signalled, p.KillAt)
}

func (p Plan) preStopUntil(started time.Time) time.Time {
	half := p.KillAt
	if !half.IsZero() {
		half = started.Add(half.Sub(started) / 2)
	}
	return p.bounded(started, half)
}

// bounded is KillAfter after a time, or the limit if that is earlier.
func (p Plan) bounded(from, limit time.Time) time.Time {
	after := from.Add(p.KillAfter)
	if limit.IsZero() || p.KillAfter > 0 && after.Before(limit) {
		return after
	}
	return limit
}
