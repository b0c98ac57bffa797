package explorer_test

import (
	"fmt"
	"os"
	"time"

	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"

	"github.com/handover-controller/handover/controller/decide"
)

// violation is something that must never be.
type violation struct {
	at        time.Duration
	invariant string
	text      string
}

func (v violation) String() string { return fmt.Sprintf("%v (%s) %s", v.at, v.invariant, v.text) }

// known are the violations that are reported and not mended yet. They count
// only with EXPLORE_KNOWN=1.
var known = map[string]string{}

var withKnown = os.Getenv("EXPLORE_KNOWN") != ""

// violate notes a violation. The caller holds the lock.
func (w *world) violate(invariant, format string, args ...any) {
	if w.over || len(w.wrong) >= 5 || known[invariant] != "" && !withKnown {
		return
	}
	v := violation{w.now(), invariant, fmt.Sprintf(format, args...)}
	w.wrong = append(w.wrong, v)
	w.say("!!! %v", v)
}

// slack is for what an instance does between two looks: it is woken within
// 5 ms.
const slack = 60 * time.Millisecond

// stamp makes the story's mark another one.
func (w *world) stamp(p *process, what uint64) {
	w.mark = (w.mark ^ uint64(w.now()) ^ what<<56 ^ uint64(p.box.n)<<48) * 0x9e3779b97f4a7c15
}

// serve notes that a workload begins or ends to serve.
func (w *world) serve(p *process, yes bool, why cause) {
	if p.serves == yes {
		return
	}
	p.serves = yes
	w.changes++
	w.stamp(p, 100)
	if yes {
		w.serving++
		p.since = time.Now()
		p.say("SERVES")
		return
	}
	w.serving--
	p.served, p.why = time.Now(), why
	p.say("serves no more")
	if w.serving == 0 && !w.excused(p, 0) {
		w.violate("a", "nobody serves since %s stopped to, by its own decision: %s", p.name(), why.drain.text())
	}
}

func (d *drain) text() string {
	if d == nil {
		return "none"
	}
	text := string(d.reason)
	if d.whom != nil {
		text += " for " + d.whom.name()
	}
	return text
}

// excused reports whether it is no instance's decision that this process does
// not serve any more.
func (w *world) excused(p *process, depth int) bool {
	d := p.why.drain
	switch {
	case p.why.outside:
		return true
	case d == nil:
		return false
	}
	switch d.reason {
	case decide.ReasonHoldEnded, decide.ReasonHurried, decide.ReasonNoSuccessor:
		return true // where it is not, checkDrain says so
	}
	next := d.whom
	if d.stranger {
		return true // where it is not, checkStranger says so
	}
	if next != nil && next.release.Exclusive && time.Since(d.at) < time.Minute {
		return true // it waits until this one has ended, and nobody serves until it is ready
	}
	if next == nil || depth > 8 {
		return next == nil
	}
	// It stepped down for one that served then; what became of that one?
	return !next.serves && !next.served.Before(d.at.Add(-w.window(next))) && w.excused(next, depth+1)
}

// window is how old the truth may be that an instance acts upon: what a peer
// said holds for a second. A folder that cannot be written keeps the old word,
// and a process whose loop hangs is not heard of its state.
func (w *world) window(p *process) time.Duration {
	d := time.Second + w.delay + slack
	for _, a := range w.plan.Actions {
		switch a.Do {
		case doReadOnly, doFull:
			d = max(d, 16*time.Second)
		}
	}
	if p.legacy != nil {
		d = max(d, 11*time.Second+w.delay+slack)
	}
	return d + w.stalls()
}

// stalls is for how long an instance's loop may hang in this plan.
func (w *world) stalls() (d time.Duration) {
	for _, a := range w.plan.Actions {
		if a.Do == doFreeze {
			d += time.Duration(a.For)
		}
	}
	for i := range w.plan.Releases {
		d += time.Duration(w.plan.Releases[i].Slow)
	}
	return d
}

// servedLately reports whether a workload serves, or did when its word was
// given.
func (w *world) servedLately(p *process) bool {
	if !p.prepared.IsZero() && (p.phase == peer.PhasePrepared || time.Since(p.prepared) <= w.window(p)) {
		return true
	}
	return p.serves || !p.served.IsZero() && time.Since(p.served) <= w.window(p)
}

// said sees each statement of an instance, and reports whether that lives.
func (w *world) said(p *process, s *peer.Statement) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.dead {
		return false
	}
	for _, id := range s.Acks {
		known := false
		for _, a := range p.acked {
			known = known || a == id
		}
		if !known {
			p.acked = append(p.acked, id)
		}
	}
	if s.Phase != p.phase {
		w.phase(p, s.Phase)
	}
	return true
}

// phase sees an instance enter another phase.
func (w *world) phase(p *process, now peer.Phase) {
	was := p.phase
	if was == peer.PhasePrepared || now == peer.PhasePrepared {
		p.prepared = time.Now()
	}
	p.phase = now
	w.stamp(p, uint64(now))
	p.say("is %s", now)
	w.happensLocked(p, now.String())
	switch {
	case now == peer.PhaseServing && !p.serves && !p.served.Equal(time.Now()):
		w.violate("word", "%s says that it serves, and does not", p.name())
	case was == peer.PhaseHolding && now != peer.PhaseDraining && now != peer.PhaseGone:
		w.violate("word", "%s went from holding to %s", p.name(), now)
	case now == peer.PhaseReleased && p.work.state.Running:
		w.violate("word", "%s says that it has released while its workload runs", p.name())
	}
}

// find returns the process of an instance.
func (w *world) find(id peer.InstanceID) *process {
	for _, p := range w.processes {
		if p.self.Instance == id {
			return p
		}
	}
	return nil
}

// checkDrain looks at the decision to end a workload, or at a new plan for it.
func (w *world) checkDrain(p *process, plan workload.Plan) {
	k := p.work
	switch {
	case k.state.Draining && k.state.Running:
		if !plan.SignalAt.Equal(k.signal) {
			w.violate("e", "%s drains a second time", p.name())
		}
		return
	case !k.state.Running && k.drained == k.state.Run && k.state.Run > 0:
		w.violate("e", "%s drains once more what has ended", p.name())
		return
	}
	now := time.Now()
	d := &drain{at: now, reason: p.reason}
	p.drain = d
	w.changes++
	told := !p.toldAt.IsZero()
	holds := !told || now.Before(p.toldAt.Add(p.hold()))
	if now.Before(p.deferred) && p.tolds < 2 && holds {
		w.violate("defer", "%s drains (%s) although its workload asked for %v more", p.name(), d.reason, p.deferred.Sub(now))
	}
	if p.forWhom != (peer.InstanceID{}) {
		d.whom = w.find(p.forWhom)
		if d.whom == nil {
			d.whom, d.stranger = w.findLegacy(p.forWhom, p)
		}
	}
	p.say("DRAINS: %s", d.text())
	switch d.reason {
	case decide.ReasonBothSignals, decide.ReasonSuccessorServes, decide.ReasonSuccessorTrusted:
		w.checkFor(p, d)
	case decide.ReasonNoSuccessor:
		w.checkNoSuccessor(p, d)
	case decide.ReasonHoldEnded:
		if now.Before(p.toldAt.Add(p.hold())) {
			w.violate("a", "%s ends its hold before it must", p.name())
		}
		w.checkPatience(p)
	case decide.ReasonHurried:
		if p.tolds < 2 {
			w.violate("a", "%s hurries, told once", p.name())
		}
	default:
		w.violate("a", "%s drains because of %q", p.name(), d.reason)
	}
	if told == (d.reason == decide.ReasonBothSignals) && p.toldAt != now {
		w.violate("c", "%s drains because of %q, told: %v", p.name(), d.reason, told)
	}
}

// ample is more than it takes to say and to ask anything, two polls among it.
const ample = 3 * time.Second

// undisturbed reports whether this story is one without trouble of the network,
// and two instances can hear and find each other.
func (w *world) undisturbed(p, q *process) bool {
	if w.plan.does(doNetwork, doIsolate, doCut, doFreeze, doDefer, doStranger, doTerm, doRotate) {
		return false
	}
	for _, each := range []*process{p, q} {
		r := each.release
		if each.legacy != nil || each.self.Container == "" || r.NoNetwork || r.Slow > 0 || r.Poll > dur(time.Second) {
			return false
		}
	}
	return w.deaf == 0 && time.Since(w.deafEnd) > 2*ample
}

// checkPatience looks at a hold that was used up: nobody was there for whom the
// instance could have stepped down long before, and that has not begun to drain
// for a third one.
func (w *world) checkPatience(p *process) {
	for _, q := range w.processes {
		if q != p && q.serves && q.drain == nil && q.toldAt.IsZero() && w.undisturbed(p, q) && !p.refused && !p.release.Off &&
			time.Since(q.since) > ample+time.Duration(p.release.Settle) && time.Since(p.toldAt) > ample {
			w.violate("f", "%s holds to the end, although %s serves since %v", p.name(), q.name(), time.Since(q.since))
		}
	}
}

// checkNeed looks at a start that is not the first one of a container: no
// younger instance served already, nor does the one for which the workload was
// ended. One that drains for a third one has left serving, and is not waited for
// in standby; until the third one's word is there it may be taken for lost.
func (w *world) checkNeed(p *process) {
	if d := p.drain; d != nil && d.whom != nil {
		if q := d.whom; q.serves && q.drain == nil && q.since.Before(d.at) && q.toldAt.IsZero() && w.undisturbed(p, q) {
			w.violate("needless", "%s takes the service back, although %s has served since %v", p.name(), q.name(), time.Since(q.since))
		}
		return
	}
	if p.run == 1 || p.work.state.Run > 0 {
		return
	}
	for _, q := range w.processes {
		if q != p && q.serves && time.Since(q.since) > ample && q.toldAt.IsZero() && p.toldAt.IsZero() && w.older(p, q) &&
			w.undisturbed(p, q) {
			w.violate("word", "%s starts its workload, although %s serves since %v", p.name(), q.name(), time.Since(q.since))
		}
	}
}

// findLegacy returns the handover-lib process that a peer knows by that id.
// stranger tells that it is one of another service.
func (w *world) findLegacy(id peer.InstanceID, by *process) (p *process, stranger bool) {
	for _, q := range by.node.Peers() {
		if q.Instance != id || !q.Legacy {
			continue
		}
		for _, p := range w.processes {
			if p.legacy != nil && p.endpoint.Address().Addr() == q.Address {
				return p, false
			}
		}
		return nil, true
	}
	return nil, false
}

// hold is how long an instance that is told may wait.
func (p *process) hold() time.Duration {
	r := p.release
	return r.grace() - time.Duration(r.DrainDelay) - 3*time.Second - 500*time.Millisecond
}

// checkFor looks at a step down for another instance.
func (w *world) checkFor(p *process, d *drain) {
	q := d.whom
	if d.stranger {
		w.checkStranger(p, d)
		return
	}
	if q == nil {
		w.violate("c", "%s steps down for an instance that does not exist: %.8s", p.name(), p.forWhom)
		return
	}
	// One that has released and says that it is prepared means to serve again.
	if q.drain != nil && q.drain.whom == p && !q.serves && q.phase != peer.PhasePrepared {
		w.violate("b", "%s and %s step down for each other", p.name(), q.name())
	}
	if !w.servedLately(q) {
		w.violate("c", "%s steps down for %s, which has not served within %v", p.name(), q.name(), w.window(q))
	}
	told := !p.toldAt.IsZero()
	if told && q.legacy == nil {
		acked := false
		for _, id := range q.acked {
			acked = acked || id == p.self.Instance
		}
		if !acked {
			w.violate("c", "%s steps down for %s, which has not acknowledged it", p.name(), q.name())
		}
	}
	if !q.toldAt.IsZero() && time.Since(q.toldAt) > w.window(q) {
		w.violate("c", "%s steps down for %s, which was told to stop %v ago", p.name(), q.name(), time.Since(q.toldAt))
	}
	const mistrust = 10 * time.Second
	if p.tookBack && !told && q.serves && time.Since(q.since) < mistrust-slack && w.undisturbed(p, q) && !w.plan.does(doUnready) {
		w.violate("turns", "%s steps down for %s, which serves since %v, although it had to take the service back before",
			p.name(), q.name(), time.Since(q.since))
	}
	if p.release.Off {
		return
	}
	listed := p.view.find(q.box)
	if q.legacy != nil { // matched to any container that can be it
		listed = p.view.other(p.box)
	}
	fresh := time.Since(p.view.requested) < 2*p.release.poll()+w.stalls()
	switch {
	case d.reason == decide.ReasonSuccessorTrusted:
		least := min(5*time.Second, p.hold()/3)
		if time.Since(p.toldAt) < least {
			w.violate("c", "%s trusts its successor %v after it was told", p.name(), time.Since(p.toldAt))
		}
		if p.self.Container != "" && q.self.Container != "" && !p.view.requested.IsZero() && w.stalls() == 0 && time.Since(p.view.requested) < least {
			w.violate("c", "%s trusts its successor although the Supervisor answers", p.name())
		}
	case p.self.Container == "" || q.self.Container == "" && q.legacy == nil:
		w.violate("c", "%s steps down for %s, but does not know both containers", p.name(), q.name())
	case !fresh || listed == nil || !listed.Status.Running():
		w.violate("c", "%s steps down for %s, which the Supervisor did not report running within two poll intervals (fresh %v, %v)",
			p.name(), q.name(), fresh, listed)
	}
	if !told && w.older(q, p) {
		w.violate("c", "%s steps down for %s, which is older", p.name(), q.name())
	}
}

// checkStranger looks at a step down for another service's handover-lib. Nine
// bytes do not tell who sent them: with supervisor.mode off they are believed,
// and else where a container of the own service fits from which nobody was
// heard. But an instance that hears a successor of its own kind has no reason
// to.
func (w *world) checkStranger(p *process, d *drain) {
	if p.release.Off || w.serving > 1 {
		return
	}
	for _, q := range p.node.Peers() {
		o := w.find(q.Instance)
		if o != nil && !o.dead && !o.exited && o.toldAt.IsZero() && !q.Told && !q.Ended() && d.at.Sub(q.LastHeard) < 3900*time.Millisecond {
			w.violate("c-stranger", "%s steps down (%s) for another service's handover-lib, and hears %s", p.name(), d.reason, o.name())
			return
		}
	}
}

// older reports whether the container of p is known to have been started
// before that of q.
func (w *world) older(p, q *process) bool {
	return p.self.FirstStart.Known() && q.self.FirstStart.Known() && p.box.n < q.box.n
}

// checkNoSuccessor looks at a plain stop: nobody must be there of whom the
// instance could know.
func (w *world) checkNoSuccessor(p *process, d *drain) {
	if p.toldAt.IsZero() {
		w.violate("a", "%s stops, but was not told to", p.name())
		return
	}
	since := d.at.Sub(p.toldAt)
	if since >= p.hold() {
		return
	}
	answered := !p.release.Off && !p.view.requested.Before(p.toldAt) && (p.self.Container == "" || p.view.find(p.box) != nil)
	if !answered && since < 3*time.Second {
		w.violate("a", "%s takes it that there is no successor %v after SIGTERM, without an answer", p.name(), since)
	}
	if !answered && p.refused {
		w.violate("a", "%s takes it that there is no successor, but its key was rotated", p.name())
	}
	told := map[peer.ContainerID]bool{}
	for _, q := range p.node.Peers() {
		told[q.Container] = told[q.Container] || q.Told
		if q.Legacy || q.Told || q.Ended() || d.at.Sub(q.LastHeard) > 3900*time.Millisecond {
			continue
		}
		o := w.find(q.Instance)
		gone := q.Container != "" && answered && p.view.find(w.boxOf(q.Instance)) == nil && q.LastHeard.Before(p.view.requested)
		if o != nil && !o.dead && !o.exited && o.toldAt.IsZero() && !gone {
			w.violate("a", "%s takes it that there is no successor, but heard %s %v ago", p.name(), o.name(), d.at.Sub(q.LastHeard))
		}
	}
	if !answered || !p.view.truthful {
		return
	}
	for _, b := range w.boxes {
		c, q := p.view.find(b), b.last
		if b == p.box || c == nil || q.dead || q.exited || !q.toldAt.IsZero() || !c.Status.MayServe() {
			continue
		}
		if p.self.Container == "" || told[peer.ContainerID(b.id[:12])] {
			continue // it may take that one for itself; another process spoke from there and was told
		}
		w.violate("a", "%s takes it that there is no successor, but %s is listed as %s", p.name(), q.name(), c.Status)
	}
}

func (w *world) boxOf(id peer.InstanceID) *box {
	if p := w.find(id); p != nil {
		return p.box
	}
	return &box{}
}

// checkStart looks at the start of a workload.
func (w *world) checkStart(p *process) {
	w.changes++
	if p.work.state.Running {
		w.violate("e", "%s starts a workload that runs", p.name())
	}
	w.checkNeed(p)
	for _, q := range w.processes {
		if q != p && q.owner != nil && p.owner != nil && q.work.state.Running {
			w.violate("x", "%s starts its exclusive workload while that of %s runs", p.name(), q.name())
		}
	}
	if !p.toldAt.IsZero() && p.release.Standby == 0 && time.Since(p.toldAt) > time.Duration(p.release.Slow) && p.frozen.Before(p.toldAt) {
		w.violate("word", "%s starts its workload although it was told to stop", p.name())
	}
}

// checkExit looks at the end of a controller.
func (w *world) checkExit(p *process, err error) {
	if err != nil {
		w.violate("word", "%s ends with an error: %v", p.name(), err)
	}
	if p.work.state.Running {
		w.violate("a", "%s ends while its workload runs", p.name())
	}
	if p.toldAt.IsZero() && p.work.drained == p.work.state.Run && p.work.state.Run > 0 {
		w.violate("word", "%s ends after its release, but was not told to", p.name())
	}
}

// checkMarker looks at the writing of the marker.
func (w *world) checkMarker(p *process) {
	p.say("writes the marker")
	switch {
	case p.work.state.Running:
		w.violate("d", "%s writes the marker while its workload runs", p.name())
	case !p.toldAt.IsZero() && p.toldAt.Before(time.Now()) && p.frozen.Before(p.toldAt):
		w.violate("d", "%s writes the marker, but was told to stop", p.name())
	case p.work.drained != p.work.state.Run:
		w.violate("d", "%s writes the marker without a release", p.name())
	case time.Since(p.released) < time.Duration(p.release.Standby):
		w.violate("d", "%s writes the marker while it stands by", p.name())
	case p.self.FirstStart.Known() && p.self.FirstStart.Boot != peer.BootHash(w.boot):
		w.violate("d", "%s writes the marker, but is from before the last boot", p.name())
	}
}

// watchStop looks after the stop of an instance: it must end before SIGKILL,
// and fast if nobody is there.
func (w *world) watchStop(p *process, bySupervisor bool) {
	alone := bySupervisor && !p.release.Off && len(w.sim.Containers()) == 1 && w.sim.APIKey() == p.key
	w.mu.Lock()
	defer w.mu.Unlock()
	clear := w.deaf == 0 && w.plan.Finale != "shutdown" && time.Since(w.deafEnd) > 6*time.Second && p.frozen.IsZero() && p.release.Slow == 0 &&
		time.Since(p.began) > time.Second
	within := p.release.poll() + 150*time.Millisecond
	if alone && clear && !p.dead {
		boxes := len(w.boxes)
		time.AfterFunc(within, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if p.dead || p.exited || p.drain != nil || p.deferred.After(p.toldAt) || len(w.boxes) > boxes || w.deaf > 0 || w.deafEnd.After(p.toldAt) || p.frozen.After(p.toldAt) {
				return
			}
			w.violate("f", "%s is stopped alone, and has not begun to drain %v later", p.name(), within)
		})
	}
	held := p.hold() + slack + time.Duration(p.release.Slow)
	time.AfterFunc(held, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if p.dead || p.exited || p.drain != nil || !p.work.state.Running || p.frozen.After(p.toldAt) {
			return
		}
		w.violate("h", "%s holds longer than it may", p.name())
	})
}

// overdue looks at a SIGKILL at the end of the grace period.
func (p *process) overdue() {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.dead || p.exited || p.legacy != nil || !p.frozen.IsZero() || p.release.Slow > 0 {
		return
	}
	w.violate("h", "%s is killed at the end of its grace period", p.name())
}
