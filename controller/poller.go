package controller

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/handover-controller/handover/supervisor"
)

// Supervisor is what the controller asks. *supervisor.Client is one.
type Supervisor interface {
	// View returns the containers of the device.
	View(ctx context.Context) (supervisor.View, error)
	// Releases returns the release of each image of the application. It only
	// serves to explain.
	Releases(ctx context.Context, appID string) (supervisor.Releases, error)
	// Target returns the release that the service should run. It only serves to
	// explain.
	Target(ctx context.Context, appID, service string) (supervisor.Target, error)
}

// Bounds on requests. Each one makes the Supervisor inspect every container of
// the device.
const (
	// burstAtMost requests may follow each other at once, because of something
	// heard or a signal; after that, one more each poll interval.
	burstAtMost = 5
	// introductions is how often an instance asks at its start, until the
	// Supervisor answers once.
	introductions = 5
	// pauseAtMost is the longest pause between requests that fail.
	pauseAtMost = 30 * time.Second
	// impatience is how long an instance that is told waits for an answer before
	// it asks again beside that request: it may hang.
	impatience = time.Second
	// pingEvery is the pause between two pings while this instance is told.
	pingEvery = 250 * time.Millisecond
	// besideAtMost requests may be under way at a time. When another one is due, the
	// second oldest gives way to it. The oldest stays: a Supervisor that is only slow
	// answers that.
	besideAtMost = 3
)

// answer is what one request brought.
type answer struct {
	view supervisor.View
	err  error
	sent time.Time
	took time.Duration
}

// explanation is what the endpoints say that take no part in decisions.
type explanation struct {
	releases supervisor.Releases
	target   supervisor.Target
	err      error
}

// errGivenUp is the error of a request that gave way to a later one: nothing is
// known of what it would have brought.
var errGivenUp = errors.New("controller: the Supervisor has not answered for too long: another request takes the place of this one")

// errPanicked is the error of a request that panicked.
var errPanicked = errors.New("controller: the Supervisor's answer was not understood: a panic, which is a defect of handover")

// absence is the last time in which the Supervisor did not answer, as far as
// requests tell: from the end of the first one that failed to that of the last.
// An answer that is an error is one.
type absence struct{ since, until time.Time }

// absences notes them. Its methods may be called from any goroutine.
type absences struct {
	mu     sync.Mutex
	last   absence
	away   bool
	pinged time.Time // when a ping was last sent that was answered
}

// note takes in how a request ended.
func (a *absences) note(now time.Time, err error) {
	var e *supervisor.Error
	away := errors.As(err, &e) && (e.Kind == supervisor.KindUnreachable || e.Kind == supervisor.KindTimeout)
	a.mu.Lock()
	defer a.mu.Unlock()
	if away && !a.away {
		a.last.since = now
	}
	if away {
		a.last.until = now
	}
	a.away = away
}

func (a *absences) get() absence {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// pong notes that a ping was answered that was sent then.
func (a *absences) pong(sent time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pinged = sent
}

func (a *absences) lastPinged() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pinged
}

// asked is a request that is under way.
type asked struct {
	sent    time.Time
	giveUp  context.CancelCauseFunc
	givenUp bool
}

// poller asks the Supervisor, one request at a time unless this instance is told
// and an answer does not come. Its methods belong to the loop; only the requests
// themselves run beside it.
type poller struct {
	supervisor   Supervisor
	app, service string
	interval     time.Duration

	answers      chan answer
	explanations chan explanation
	asking       sync.WaitGroup

	explaining     bool
	inFlight       []asked   // the oldest first
	uselessAt      time.Time // when the newest request was sent whose answer was useless
	sentAt, doneAt time.Time // of the last request that was sent; doneAt: of any
	newestAt       time.Time // when the newest request was sent that is over
	answeredAt     time.Time // when the newest one was sent that was answered
	away           absences
	watched        bool
	failures       int
	spare          float64 // requests that may be sent out of turn
	spareAt        time.Time
	worked         bool // the key was accepted once
	refused        bool // and was refused since the last answer
	err            error
}

func newPoller(s Supervisor, app, service string, interval time.Duration) *poller {
	return &poller{
		supervisor: s, app: app, service: service, interval: interval,
		answers: make(chan answer, besideAtMost), explanations: make(chan explanation, 1),
		spare: burstAtMost,
	}
}

// step sends a request if one is due, and returns when to step again if
// nothing happens; zero: not before the next decision.
func (p *poller) step(ctx context.Context, now time.Time, poll bool, askSince time.Time, told bool) time.Time {
	if p.supervisor == nil || len(p.inFlight) > 0 && !told {
		return time.Time{}
	}
	if len(p.inFlight) >= besideAtMost {
		if poll || p.sentAt.Before(askSince) {
			return p.makeRoom(now)
		}
		return time.Time{}
	}
	p.spare = min(burstAtMost, p.spare+float64(now.Sub(p.spareAt))/float64(p.interval))
	p.spareAt = now
	if p.sentAt.Before(askSince) {
		if p.spare >= 1 {
			p.spare--
			p.send(ctx, now)
			return time.Time{}
		}
		return now.Add(time.Duration((1 - p.spare) * float64(p.interval)))
	}
	if !poll {
		return time.Time{}
	}
	due := p.doneAt.Add(p.pause(told))
	if p.newestAt.Before(p.sentAt) {
		due = p.sentAt.Add(max(impatience, p.interval)) // the last one has not been answered
	}
	if now.Before(due) {
		return due
	}
	p.send(ctx, now)
	return time.Time{}
}

// pause is the time between two requests: longer with each failure, unless the
// time is short anyway.
func (p *poller) pause(told bool) time.Duration {
	if told {
		return p.interval
	}
	pause := p.interval
	for range p.failures {
		if pause *= 2; pause >= pauseAtMost {
			return max(p.interval, pauseAtMost)
		}
	}
	return pause
}

// makeRoom gives up a request once another one is due. Its end wakes the loop.
func (p *poller) makeRoom(now time.Time) time.Time {
	if due := p.sentAt.Add(max(impatience, p.interval)); now.Before(due) {
		return due
	}
	if slices.ContainsFunc(p.inFlight, func(r asked) bool { return r.givenUp }) {
		return time.Time{}
	}
	r := &p.inFlight[1]
	r.givenUp = true
	r.giveUp(errGivenUp)
	return time.Time{}
}

func (p *poller) send(ctx context.Context, now time.Time) {
	ctx, giveUp := context.WithCancelCause(ctx)
	p.inFlight = append(p.inFlight, asked{sent: now, giveUp: giveUp})
	p.sentAt = now
	p.asking.Go(func() {
		a := answer{err: errPanicked, sent: now}
		defer func() {
			_ = recover() // what the Supervisor says must not end the service
			a.took = time.Since(now)
			if a.err != nil && errors.Is(context.Cause(ctx), errGivenUp) {
				a.err = errGivenUp
			}
			giveUp(nil)
			p.answers <- a
		}()
		a.view, a.err = p.supervisor.View(ctx)
	})
}

// ended takes a request off the list of those under way.
func (p *poller) ended(a *answer) {
	for i := range p.inFlight {
		if p.inFlight[i].sent.Equal(a.sent) {
			p.inFlight = slices.Delete(p.inFlight, i, i+1)
			return
		}
	}
}

// received takes note of an answer, and reports whether it is news: no later
// request was answered before or, if that failed, this one tells more.
func (p *poller) received(now time.Time, a answer) bool {
	p.ended(&a)
	if errors.Is(a.err, errGivenUp) {
		return false // as if it had not been sent: the next one tells
	}
	var e *supervisor.Error
	if useless := errors.As(a.err, &e) && e.Kind != supervisor.KindUnreachable && e.Kind != supervisor.KindTimeout; useless && a.sent.After(p.uselessAt) {
		p.uselessAt = a.sent
	}
	unauthorized := errors.As(a.err, &e) && e.Kind == supervisor.KindUnauthorized
	if a.sent.Before(p.newestAt) {
		if p.err == nil || a.err != nil && !unauthorized || a.sent.Before(p.answeredAt) {
			return false
		}
	} else {
		p.newestAt = a.sent
	}
	p.doneAt, p.err = now, a.err
	p.away.note(now, a.err)
	if a.err != nil {
		p.failures++
		p.refused = p.refused || p.worked && unauthorized
		return true
	}
	p.answeredAt = a.sent
	p.failures, p.worked, p.refused = 0, true, false
	return true
}

// watch sees to it that no absence of the Supervisor is missed from now on: one
// that is restarted is away for less than a second, between two polls. A ping
// costs it almost nothing, unlike those.
func (p *poller) watch(ctx context.Context) {
	pinger, can := p.supervisor.(interface{ Ping(context.Context) error })
	if p.watched || !can {
		return
	}
	p.watched = true
	p.asking.Go(func() {
		defer func() { _ = recover() }() // what the Supervisor says must not end the service
		tick := time.NewTicker(pingEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			sent := time.Now()
			err := pinger.Ping(ctx)
			if ctx.Err() != nil {
				return
			}
			p.away.note(time.Now(), err)
			if err == nil {
				p.away.pong(sent)
			}
		}
	})
}

// aliveAt is when the Supervisor last showed that it lives, by a ping; zero if that
// does not promise a list, since one that was asked for after that time was refused
// or useless.
func (p *poller) aliveAt(since time.Time) time.Time {
	if p.uselessAt.After(since) {
		return time.Time{}
	}
	return p.away.lastPinged()
}

// introduced reports whether the Supervisor has answered once, or was asked
// often enough at the start.
func (p *poller) introduced() bool { return p.worked || p.failures >= introductions }

// rotated reports whether the Supervisor refused a key that it accepted before,
// and has not answered since: that it cannot be reached later changes nothing.
func (p *poller) rotated() bool { return p.refused }

// explain asks for the releases and the target. What fails is asked again with
// the next new container.
func (p *poller) explain(ctx context.Context) {
	if p.supervisor == nil || p.explaining {
		return
	}
	p.explaining = true
	p.asking.Go(func() {
		e := explanation{err: errPanicked}
		defer func() {
			_ = recover()
			p.explanations <- e
		}()
		e.releases, e.err = p.supervisor.Releases(ctx, p.app)
		target, err := p.supervisor.Target(ctx, p.app, p.service)
		e.target, e.err = target, errors.Join(e.err, err)
	})
}
