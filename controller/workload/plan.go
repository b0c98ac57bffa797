package workload

import "time"

// Plan is when a drain takes its steps.
//
//	Drain      SignalAt                                KillAt
//	  | drain delay | pre-stop command | stop signal      | SIGKILL
//	                |<---- at most 1/2 of this ---------->|
//
// The pre-stop command may take at most half of the time from its start to
// KillAt (without KillAt: KillAfter); then it is killed, and the stop signal
// is sent. So the workload itself always has the other half.
type Plan struct {
	// SignalAt ends the drain delay. Zero, or past, is at once; a time after
	// KillAt counts as KillAt.
	SignalAt time.Time
	// KillAt is when SIGKILL is sent to the process group. Zero: KillAfter
	// counts.
	KillAt time.Time
	// KillAfter is counted from the stop signal. Zero is at once, so one of
	// the two should be set.
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
		return due(stepKill, p.killAt(at.signalled))
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

func (p Plan) killAt(signalled time.Time) time.Time {
	if p.KillAt.IsZero() {
		return signalled.Add(p.KillAfter)
	}
	return p.KillAt
}

func (p Plan) preStopUntil(started time.Time) time.Time {
	if p.KillAt.IsZero() {
		return started.Add(p.KillAfter)
	}
	return started.Add(p.KillAt.Sub(started) / 2)
}
