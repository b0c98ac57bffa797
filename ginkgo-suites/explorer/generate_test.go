package explorer_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// chance makes plans.
type chance struct{ *rand.Rand }

func (c chance) one(in int) bool { return c.IntN(in) == 0 }

// between is a duration in a range, to the nanosecond: nothing happens at the
// same time as something else.
func (c chance) between(least, most time.Duration) dur {
	return dur(least + time.Duration(c.Int64N(int64(most-least)+1)))
}

func pick[T any](c chance, all ...T) T { return all[c.IntN(len(all))] }

// generate makes the plan of a seed.
func generate(seed uint64) plan {
	c := chance{rand.New(rand.NewPCG(seed, 77))}
	versions := simulator.Versions()
	p := plan{Seed: seed, Version: versions[c.IntN(len(versions))].Name}
	if c.one(4) {
		p.BeforeStop = c.between(10*time.Millisecond, 3*time.Second)
	}
	common := c.configuration()
	recommended := c.one(3) // a long grace period, and releases that need it
	if recommended {
		common.Grace = dur(time.Minute)
	}
	n := pick(c, 2, 2, 2, 3, 3)
	for i := range n {
		r := c.release(common, i == 0)
		if recommended {
			r.Grace = dur(time.Minute)
			if i == 1 && r.Ready >= 0 && !r.Legacy {
				r.Ready = c.between(8*time.Second, 30*time.Second)
			}
		}
		p.Releases = append(p.Releases, r)
	}
	last := c.release(common, false)
	last.Ready, last.Crash, last.Hangs, last.Legacy, last.KillFirst = c.between(0, 3*time.Second), 0, false, false, false
	p.Releases = append(p.Releases, last)
	first := &p.Releases[0]
	first.Ready, first.Crash = c.between(0, 2*time.Second), 0
	if c.one(6) {
		p.Created = pick(c, createdEqual, createdMissing, createdReversed)
	}

	p.Actions = append(p.Actions, action{At: c.between(0, 10*time.Millisecond), Do: doDeploy})
	at := first.Boot + first.Ready + c.between(700*time.Millisecond, 6*time.Second)
	updates := pick(c, 0, 1, 1, 1, 1, 2, 2, 3)
	from := at
	if c.one(15) { // the updates come in the next boot
		p.Actions = append(p.Actions, action{At: at, Do: doReboot, For: c.between(0, 2*time.Second)})
		at += c.between(time.Second, 8*time.Second)
	}
	for i := range updates {
		p.Actions = append(p.Actions, c.update(at, i, n))
		at += pick(c, c.between(50*time.Millisecond, 2*time.Second), c.between(time.Second, 12*time.Second))
	}
	until := at + c.between(2*time.Second, 10*time.Second)
	if recommended {
		until += p.Releases[1].Ready
	}
	for range pick(c, 0, 1, 1, 2, 2, 3, 4, 6) {
		if a := c.fault(from, until); a.Do != doStranger || !believes(p.Releases) {
			p.Actions = append(p.Actions, a)
		}
	}
	if c.one(4) {
		p.Actions = append(p.Actions, c.disturbed(from)...)
	}
	slices.SortStableFunc(p.Actions, func(a, b action) int { return cmp.Compare(a.At, b.At) })
	p.End = until + c.between(0, 5*time.Second)
	p.Finale = pick(c, "", "", "", "", "", "", "renew", "renew", "stop", "shutdown")
	p.Quiet = c.between(12*time.Second, 15*time.Second)
	if c.one(40) {
		p.Quiet = c.between(200*time.Second, 400*time.Second)
	}
	return p
}

// believes reports whether a release believes whoever announces itself: with
// supervisor.mode off it steps down for another service's handover-lib for ever.
func believes(all []release) bool {
	return slices.ContainsFunc(all, func(r release) bool { return r.Off && !r.NoLegacy })
}

// configuration is what all releases have in common, mostly.
func (c chance) configuration() release {
	r := release{Timeout: c.between(3*time.Second, 15*time.Second)}
	if c.one(10) {
		r.Timeout = 0
	}
	r.Off = c.one(12)
	r.NoLegacy = c.one(4)
	r.NoFolder = c.one(2)
	r.NoNetwork = !r.NoFolder && c.one(12)
	if c.one(5) {
		r.Grace = dur(pick(c, 5*time.Second, 20*time.Second, 60*time.Second))
	}
	if c.one(4) {
		r.Settle = c.between(100*time.Millisecond, 3*time.Second)
	}
	if c.one(5) {
		r.DrainDelay = c.between(100*time.Millisecond, 1400*time.Millisecond)
	}
	if c.one(4) {
		r.DrainLimit = dur(5 * time.Second)
	}
	if c.one(6) {
		r.Standby = c.between(time.Second, 20*time.Second)
	}
	r.Exclusive = c.one(12)
	if c.one(8) {
		r.Poll = dur(pick(c, 500*time.Millisecond, 3*time.Second))
	}
	return r
}

// release is a release: now and then its configuration is another one.
func (c chance) release(common release, first bool) release {
	r := common
	if c.one(5) {
		r = c.configuration()
		r.Timeout, r.Exclusive = common.Timeout, common.Exclusive
	}
	r.Ready = pick(c, 0, c.between(0, 300*time.Millisecond), c.between(0, 4*time.Second), c.between(0, 14*time.Second))
	switch {
	case first:
	case c.one(12):
		r.Ready = -1
	case c.one(10):
		r.Crash = c.between(10*time.Millisecond, 6*time.Second)
	}
	r.Drain = pick(c, 0, c.between(0, 500*time.Millisecond), c.between(0, 4*time.Second))
	r.Hangs = c.one(16)
	if c.one(20) {
		r.Slow = c.between(0, 700*time.Millisecond)
	}
	if c.one(3) {
		r.Boot = c.between(0, 1500*time.Millisecond)
	}
	r.Legacy = c.one(16)
	r.KillFirst = !first && c.one(25)
	r.Anonymous = c.one(14)
	r.NoRecord = c.one(10)
	return r
}

// update is what makes the Supervisor replace a container.
func (c chance) update(at dur, i, releases int) action {
	switch {
	case c.one(12):
		return action{At: at, Do: doRotate}
	case c.one(12): // the same release with another variable
		return action{At: at, Do: doDeploy, Who: 0, Env: i + 1}
	case i > 0 && c.one(2): // back
		return action{At: at, Do: doDeploy, Who: c.IntN(releases)}
	}
	return action{At: at, Do: doDeploy, Who: (i + 1) % releases}
}

// disturbed is one trouble or several in the middle of a hand-over: when the old
// instance was told, or the new one has started or serves.
func (c chance) disturbed(from dur) []action {
	a := action{
		At: c.between(0, time.Duration(from)), On: pick(c, "0 told", "0 told", "1 starting", "1 serving"),
		After: pick(c, c.between(0, 20*time.Millisecond), c.between(0, 3*time.Second)),
	}
	var all []action
	for range pick(c, 1, 1, 2, 3) {
		a.Do, a.Who, a.By, a.For = pick(c, doPause, doPause, doPause, doSlow, doStall, doCrash, doKill, doIsolate, doStale, doEmpty), 1, 0, 0
		switch a.Do {
		case doPause:
			a.Who, a.For = pick(c, 0, 0, 1), c.between(2*time.Second, 12*time.Second)
		case doSlow:
			a.By, a.For = c.between(200*time.Millisecond, 4*time.Second), c.between(20*time.Second, 60*time.Second)
		case doStall:
			a.For = c.between(100*time.Millisecond, 4*time.Second)
		case doKill:
		default:
			a.For = c.between(time.Second, 6*time.Second)
		}
		all = append(all, a)
		a.After += c.between(0, 500*time.Millisecond)
	}
	return all
}

// fault is something that goes wrong.
func (c chance) fault(from, until dur) action {
	a := action{
		At: c.between(time.Duration(from)-500*time.Millisecond, time.Duration(until)), Who: pick(c, 0, 0, 1, 1, 1, 2),
		For: pick(c, c.between(50*time.Millisecond, time.Second), c.between(500*time.Millisecond, 8*time.Second)),
	}
	if c.one(2) { // in the middle of something
		a.At = c.between(0, time.Duration(from))
		a.On = fmt.Sprintf("%d %s", pick(c, 0, 1, 1, 2),
			pick(c, "start", "starting", "serving", "serving", "holding", "draining", "released", "gone", "told", "told"))
		a.After = pick(c, 0, c.between(0, 20*time.Millisecond), c.between(0, 400*time.Millisecond), c.between(0, 3*time.Second))
	}
	a.Do = pick(c,
		doDown, doDown, doCrash, doLock, doError, doRefuse, doForbid, doStall, doStall, doStale, doHalf, doPartial, doEmpty, doRotate,
		doNetwork, doNetwork, doNetwork, doNetwork, doIsolate, doIsolate, doCut, doStranger,
		doDefer, doDefer, doKill, doKill, doKill, doExit, doExit, doUnready, doUnready, doTerm, doFreeze, doPause, doPause, doPause, doSlow, doSlow, doReboot, doClock,
		doReadOnly, doFull, doBlind, doDeploy)
	switch a.Do {
	case doNetwork:
		a.Loss = pick(c, 0, 0.3, 0.5, 0.9, 1)
		a.Double = pick(c, 0, 0, 0.3)
		a.Reorder = pick(c, 0, 0, 0.3)
		a.Jitter = pick(c, 0, c.between(0, 300*time.Millisecond))
	case doCut:
		a.Other = pick(c, 0, 1, 2)
	case doFreeze:
		a.For = c.between(50*time.Millisecond, 1500*time.Millisecond)
	case doPause:
		a.For = pick(c, c.between(50*time.Millisecond, 2*time.Second), c.between(time.Second, 8*time.Second), c.between(time.Second, 30*time.Second))
		a.All = c.one(4)
	case doSlow:
		a.By = pick(c, c.between(200*time.Millisecond, 3*time.Second), c.between(200*time.Millisecond, 6*time.Second))
		a.For = c.between(time.Second, 30*time.Second)
	case doClock, doStranger:
		a.By = dur(pick(c, -time.Hour, -10*time.Second, 10*time.Second, time.Hour))
	case doReboot:
		a.Env = c.IntN(2)
	case doDeploy:
		a.Who = pick(c, 0, 1)
	}
	return a
}
