package explorer_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handover-controller/handover/peer"

	"github.com/handover-controller/handover/controller/decide"
)

// play plays the plan to its end and returns what must never be and was.
func (w *world) play() []violation {
	defer w.tidy()
	for i := range w.plan.Actions {
		a := w.plan.Actions[i]
		time.Sleep(time.Until(w.began.Add(time.Duration(a.At))))
		if a.On == "" {
			w.do(a)
			continue
		}
		w.mu.Lock()
		w.armed = append(w.armed, a)
		w.mu.Unlock()
	}
	time.Sleep(time.Until(w.began.Add(time.Duration(w.plan.End))))
	w.heal()
	switch w.plan.Finale {
	case "stop":
		w.sim.Stop()
		w.empties(w.stopBound())
	case "shutdown":
		w.watchShutdown()
		go w.sim.Shutdown()
		w.empties(w.stopBound())
	default:
		w.converges()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wrong)
}

// watchShutdown looks after the stop of the device, where all hear each other
// and the Supervisor is gone at once: each is told, so nobody is a successor of
// another one, which takes the time for discovery.
func (w *world) watchShutdown() {
	const within = 3*time.Second + time.Second + 250*time.Millisecond
	const listCounts = 7 * time.Second // two of the longest poll intervals, and more
	key := w.sim.APIKey()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.legacies) > 0 {
		return
	}
	for _, b := range w.boxes {
		p := b.last
		if !b.gone.IsZero() && time.Since(b.gone) > listCounts {
			continue
		}
		if !b.gone.IsZero() || p.dead || p.legacy != nil || p.release.NoNetwork || p.release.Anonymous || p.refused || p.key != key ||
			time.Since(p.awakeSince()) < time.Second || p.signals > 0 || p.exited || time.Since(p.deferred) < 0 {
			return // it may not be heard, or may wait for a good reason
		}
	}
	for _, p := range w.processes {
		if p.dead || p.exited {
			continue
		}
		time.AfterFunc(within, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if !p.dead && !p.exited && p.drain == nil && !p.toldAt.IsZero() {
				w.violate("f", "%s has not begun to drain %v after the device was told to stop, as all others were", p.name(), within)
			}
		})
	}
}

// heal ends all faults.
func (w *world) heal() {
	w.mu.Lock()
	w.ending = true
	w.armed = nil
	undo := slices.Clone(w.undo)
	w.say("*** all faults end")
	w.mu.Unlock()
	for _, each := range undo {
		each()
	}
}

// converges waits until exactly one serves, and sees that it stays so.
func (w *world) converges() {
	w.mu.Lock()
	healthy := w.target >= 0 && w.plan.Releases[w.target].healthy()
	w.mu.Unlock()
	if !healthy || w.plan.Finale == "renew" {
		w.deploy(len(w.plan.Releases)-1, 0)
	}
	bound := w.bound()
	const look = 251 * time.Millisecond
	converged := false
	for waited := time.Duration(0); waited < bound && !converged; waited += look {
		time.Sleep(look)
		w.mu.Lock()
		one := w.serving == 1 && !w.leaving()
		hopeless := len(w.wrong) > 0
		w.mu.Unlock()
		if hopeless {
			return
		}
		converged = one && w.sim.Settled()
	}
	if !converged {
		w.mu.Lock()
		locked := w.locked
		w.mu.Unlock()
		if locked {
			return
		}
		settled := w.sim.Settled()
		w.mu.Lock()
		defer w.mu.Unlock()
		if settled && w.waitsForWord() {
			return
		}
		invariant := "g"
		if slices.ContainsFunc(w.processes, func(p *process) bool {
			return !p.dead && !p.exited && p.reason == decide.ReasonOccupied
		}) {
			invariant = "g-occupied"
		}
		w.violate(invariant, "%v after all faults have ended not exactly one serves, or the Supervisor is not done: %s", bound, w.state())
		return
	}
	w.mu.Lock()
	before := w.changes
	w.mu.Unlock()
	time.Sleep(time.Duration(w.plan.Quiet))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changes != before || w.serving != 1 {
		w.violate("g", "one served, and it did not stay so for %v: %s", time.Duration(w.plan.Quiet), w.state())
	}
}

// waitsForWord reports whether the only one that lives waits for a word that
// cannot come. Exclusive, without a lock and with supervisor.mode off, it has
// released for a handover-lib of its service that had become the younger one, by
// a clock or because it says when its process started, and which has ended.
// Silence frees the resource for nobody there, since the other one may live and
// have it, and handover-lib never says that it ends.
func (w *world) waitsForWord() bool {
	var only *process
	for _, p := range w.processes {
		if p.dead || p.exited {
			continue
		}
		if only != nil {
			return false
		}
		only = p
	}
	if only == nil {
		return false
	}
	r, lib := only.release, only.lib
	return r.Exclusive && r.Off && only.owner == nil && only.toldAt.IsZero() && only.reason == decide.ReasonOccupied &&
		lib != nil && lib.dead && (lib.run > 1 || w.plan.does(doClock) || w.plan.does(doReboot))
}

// leaving reports whether an instance lives that was told to stop, or that
// drains.
func (w *world) leaving() bool {
	return slices.ContainsFunc(w.processes, func(p *process) bool {
		return !p.dead && !p.exited && (p.signals > 0 || p.phase == peer.PhaseDraining)
	})
}

// empties waits until nothing runs any more.
func (w *world) empties(bound time.Duration) {
	const look = 97 * time.Millisecond
	for waited := time.Duration(0); waited < bound; waited += look {
		time.Sleep(look)
		if w.alive() == 0 {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plan.Finale == "stop" && w.locked {
		return // it was killed in the middle of a hand-over, and left its own lock
	}
	w.violate("f", "%v after the end of all was ordered, some instance runs: %s", bound, w.state())
}

func (w *world) alive() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.processes {
		if !p.dead && !p.exited {
			n++
		}
	}
	return n
}

// state is who lives and does what, for messages.
func (w *world) state() string {
	var all []string
	for _, p := range w.processes {
		if !p.dead && !p.exited {
			all = append(all, fmt.Sprintf("%s %s (serves: %v, told: %v, %s)", p.name(), p.phase, p.serves, !p.toldAt.IsZero(), p.reason))
		}
	}
	if len(all) == 0 {
		return "no instance runs"
	}
	return strings.Join(all, ", ")
}

// bound is the time from the end of all faults until exactly one serves. Each
// term is the longest that one thing takes which has to happen, and they are
// simply added: most overlap or do not happen at all, so it is generous. What
// matters is that it is finite, and computed from the configuration alone.
func (w *world) bound() time.Duration {
	const (
		// The Supervisor boots (0.7 s), tidies up (0.25 s), and takes up to 2 s
		// to apply a target: download, rename, create, start.
		supervisor = 3 * time.Second
		// An answer that never comes holds the poller up for the time-out of a
		// request; after failures it pauses for at most 30 s.
		poller = 5*time.Second + 30*time.Second
		// A released instance waits so long for a younger one that is silent, or
		// for one that lives and does not serve.
		silence = 10*time.Second + 1500*time.Millisecond
		// handover-lib cannot be asked: it is waited for until it is forgotten.
		legacySilence = 35 * time.Second
		// The settle time grows to that after releases that turned out too early.
		mistrust = 160 * time.Second
		// A restarted process listens before it starts its workload.
		listens = 550 * time.Millisecond
	)
	var grace, ready, drain, timeout, settle, poll, standby, deferred time.Duration
	legacy := false
	for i := range w.plan.Releases {
		r := &w.plan.Releases[i]
		grace = max(grace, r.grace())
		ready = max(ready, time.Duration(r.Ready)+time.Duration(r.Slow)+time.Duration(r.Boot))
		takes := time.Duration(r.Drain)
		if r.Hangs || takes > r.drainLimit() {
			takes = r.drainLimit()
		}
		drain = max(drain, time.Duration(r.DrainDelay)+takes)
		settle = max(settle, time.Duration(r.Settle))
		poll = max(poll, r.poll())
		legacy = legacy || r.Legacy
		standby = max(standby, time.Duration(r.Standby))
		if w.version.Waits {
			timeout = max(timeout, r.timeout())
		}
	}
	stops, held := 0, time.Duration(0)
	for _, a := range w.plan.Actions {
		switch a.Do {
		case doKill, doExit, doTerm, doReboot, doUnready:
			stops++
		case doLock:
			held = max(held, time.Duration(a.For))
		case doDefer:
			deferred = max(deferred, time.Duration(a.For))
		}
	}
	// The engine doubles its pause before each restart, up to a minute. What
	// crashed again and again is not the last release, but may be the old one.
	pause := min(100*time.Millisecond<<min(stops+2, 10), time.Minute)
	// A Supervisor that waits for a lock looks again after 1, 2, 4, … 32 s.
	lock := min(2*held+time.Second, 33*time.Second)

	b := supervisor + lock + // it begins to work
		2*(grace+time.Second) + // what is being stopped goes, once before and once after
		pause + listens + ready + // the last release becomes ready
		poller + 2*poll + max(settle, mistrust) + drain + // the older one sees both signals, and drains
		timeout + grace // or it is only stopped, and holds for as long as it may
	b += silence + standby + deferred + ready // an exclusive workload is started, in vain, on either side
	if legacy {
		b += legacySilence
	}
	return b
}

// stopBound is the time in which everything ends after it was told to: at the
// latest with SIGKILL at the end of the grace period. A Supervisor that waits for
// the end of a hand-over does that first.
func (w *world) stopBound() time.Duration {
	var grace, timeout time.Duration
	for i := range w.plan.Releases {
		r := &w.plan.Releases[i]
		grace = max(grace, r.grace())
		if w.version.Waits && w.plan.Finale == "stop" {
			timeout = max(timeout, r.timeout())
		}
	}
	return timeout + 2*grace + 5*time.Second
}
