package peer

import (
	"math/rand/v2"
	"slices"
	"time"
)

// burst is when a changed statement is said, counted from the change. Most of
// the steps lie in the first 150 ms: a lost datagram costs milliseconds.
var burst = [...]time.Duration{
	0, 10 * time.Millisecond, 30 * time.Millisecond, 70 * time.Millisecond,
	150 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond,
}

const (
	eagerEvery   = 250 * time.Millisecond
	eagerFor     = time.Minute
	askEvery     = 300 * time.Millisecond
	askSpacing   = 50 * time.Millisecond // however often asking is switched on and off
	answerJitter = 30 * time.Millisecond // one answer serves all who ask meanwhile
	answerEvery  = 50 * time.Millisecond // however many ask
	metEvery     = time.Second           // however many come
)

// announcer decides when to send. It is a state machine without a clock: the
// Node tells it what happened and when, and asks it what is due. Zero times
// mean "never".
type announcer struct {
	interval time.Duration
	rand     *rand.Rand

	said    Statement
	phaseAt time.Time // last change of phase or told

	burstAt time.Time
	step    int // the next step of the burst; past the end: no burst
	stepDue time.Time

	news        bool      // the statement changed and was not sent since
	nextNews    time.Time // the next regular announcement
	lastSent    time.Time
	askingSince time.Time
	askDue      time.Time
	lastAsk     time.Time
	answerDue   time.Time
	lastAnswer  time.Time
	lastMet     time.Time
}

// say takes over a new statement. Its acks must be sorted, and not change.
func (a *announcer) say(s Statement, now time.Time) {
	if s.AskEvery <= 0 {
		s.AskEvery = askEvery
	}
	s.AskEvery = max(s.AskEvery, askSpacing)
	old := a.said
	a.said = s
	if !s.Phase.said() {
		a.step, a.stepDue, a.news = len(burst), time.Time{}, false
		a.nextNews, a.askDue, a.answerDue = time.Time{}, time.Time{}, time.Time{}
		return
	}
	stepped := s.Phase != old.Phase || s.Told != old.Told
	if stepped {
		a.phaseAt = now
	}
	if stepped || !slices.Equal(s.Acks, old.Acks) {
		a.news = true
		a.startBurst(now)
	}
	if s.Ask && !old.Ask {
		a.askingSince = now
	}
	switch {
	case !s.Ask:
		a.askDue = time.Time{}
	case a.askDue.IsZero():
		a.askDue = later(now, a.lastAsk.Add(askSpacing))
	default:
		a.askDue = sooner(a.askDue, later(now, a.lastAsk.Add(s.AskEvery)))
	}
}

// startBurst says the same statement in a burst from now on.
func (a *announcer) startBurst(now time.Time) {
	a.burstAt, a.step, a.stepDue = now, 0, now
}

// reached says the statement again because somebody new can hear it.
func (a *announcer) reached(now time.Time) {
	if a.said.Phase.said() {
		a.startBurst(now)
	}
}

// met answers somebody who was not there before with a burst: that of the last
// change may have been over before anybody listened. That is how it goes with an
// instance that is told to stop while its successor is still starting.
func (a *announcer) met(now time.Time) {
	a.asked(now)
	if !a.answerDue.IsZero() && !now.Before(a.lastMet.Add(metEvery)) {
		a.lastMet = now
		a.startBurst(sooner(a.answerDue, a.stepDue))
	}
}

// asked notes that somebody is owed an answer. Any transmission is one.
func (a *announcer) asked(now time.Time) {
	if !a.said.Phase.said() || !a.answerDue.IsZero() {
		return
	}
	due := now.Add(time.Duration(a.rand.Int64N(int64(answerJitter))))
	a.answerDue = later(due, a.lastAnswer.Add(answerEvery))
}

// eagerDue is when an eager statement is to be repeated.
func (a *announcer) eagerDue() time.Time {
	if !a.said.Eager || !a.said.Phase.said() {
		return time.Time{}
	}
	due := a.lastSent.Add(eagerEvery)
	if due.After(a.phaseAt.Add(eagerFor)) {
		return time.Time{}
	}
	return due
}

// next is when something is due; zero if nothing ever is.
func (a *announcer) next() time.Time {
	due := sooner(a.stepDue, a.nextNews)
	due = sooner(due, a.eagerDue())
	due = sooner(due, a.askDue)
	return sooner(due, a.answerDue)
}

// take reports whether to send now, and whether that is a mere repeat. It
// counts on being obeyed.
func (a *announcer) take(now time.Time) (send, repeat bool) {
	next := a.next()
	if next.IsZero() || now.Before(next) {
		return false, false
	}
	repeat = !a.news && !passed(a.nextNews, now)
	a.lastSent = now
	if !repeat {
		a.news = false
		a.nextNews = now.Add(a.interval)
	}
	if a.said.Ask {
		a.lastAsk, a.askDue = now, now.Add(a.said.AskEvery)
	}
	if !a.answerDue.IsZero() {
		a.lastAnswer, a.answerDue = now, time.Time{}
	}
	for passed(a.stepDue, now) {
		a.advanceBurst()
	}
	return true, repeat
}

// advanceBurst sets the time of the next step, up to a quarter of the pause
// before it late: instances that started together do not stay in step.
func (a *announcer) advanceBurst() {
	a.step++
	if a.step >= len(burst) {
		a.stepDue = time.Time{}
		return
	}
	pause := burst[a.step] - burst[a.step-1]
	jitter := time.Duration(a.rand.Int64N(int64(pause / 4)))
	a.stepDue = a.burstAt.Add(burst[a.step] + jitter)
}

// passed reports whether the time is set and not in the future.
func passed(due, now time.Time) bool { return !due.IsZero() && !now.Before(due) }

// sooner is the earlier of two times; zero means never.
func sooner(a, b time.Time) time.Time {
	if b.IsZero() || (!a.IsZero() && a.Before(b)) {
		return a
	}
	return b
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
