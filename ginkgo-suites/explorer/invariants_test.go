package explorer_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/handover-controller/handover/controller/decide"

	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
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
		w.checkDark()
		w.dark = nil
		return
	}
	w.serving--
	p.served, p.why = time.Now(), why
	p.say("serves no more")
	if w.serving > 0 {
		return
	}
	if !w.excused(p, 0) {
		w.violate("a", "nobody serves since %s stopped to, by its own decision: %s", p.name(), why.drain.text())
		return
	}
	if d := why.drain; d != nil && !why.outside && !p.toldAt.IsZero() {
		// Whatever came of it is judged when it is over, or when it could not have
		// served any more.
		w.dark = &dark{p: p, drain: d, since: time.Now()}
		current := w.dark
		time.AfterFunc(time.Until(p.mayServe()), func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.dark == current {
				w.checkDark()
				w.dark = nil
			}
		})
	}
}

// dark is a time in which nobody serves, because the last one that did was told
// to stop and decided to.
type dark struct {
	p     *process
	drain *drain
	since time.Time
}

// darkAtMost is for how long nobody may serve where somebody could.
const darkAtMost = time.Second

// mayServe is until when an instance that is told can serve: until its hold must
// end, counted from its first signal.
func (p *process) mayServe() time.Time { return p.toldAt.Add(p.hold()) }

// checkDark looks at such a time, which is over: while its hold had time left,
// and another one was there or on its way, the instance could have served. It is
// excused if it could not know of that one, unless the plan is strict, or if
// somebody wanted it to end sooner.
func (w *world) checkDark() {
	k := w.dark
	if k == nil {
		return
	}
	end := time.Now()
	for _, t := range []time.Time{k.p.mayServe(), w.endsBy(k.p)} {
		if t.Before(end) {
			end = t
		}
	}
	d := k.drain
	lasted := end.Sub(k.since)
	switch {
	case lasted <= darkAtMost, d.whom != nil, len(d.others) == 0:
		return
	case d.knew == "" && !w.plan.Strict:
		return
	}
	how := d.knew
	if how == "" {
		how = "which was there"
	}
	w.violate("dark", "nobody serves for %v, because %s stopped (%s); it had time to wait for %s, %s",
		lasted, k.p.name(), d.text(), d.others[0].name(), how)
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
	if next != nil && next.stopped != nil && next.halted {
		return true // stopped with its workload
	}
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
	return !next.serves && d.at.Sub(next.served)-next.hung(next.served, d.at) <= w.window(next) && w.excused(next, depth+1)
}

// window is how old the truth may be that an instance acts upon: what a peer
// said holds for a second.
func (w *world) window(p *process) time.Duration {
	d := time.Second + w.delay + slack
	if p.legacy != nil {
		d = 11*time.Second + w.delay + slack
	}
	return d
}

// lately reports whether something that ended then may still be believed of a
// process. While its loop hangs, it does not take back its word.
func (w *world) lately(p *process, ended time.Time) bool {
	now := time.Now()
	return now.Sub(ended)-p.hung(ended, now) <= w.window(p)
}

// servedLately reports whether a workload serves, or did when its word was
// given.
func (w *world) servedLately(p *process) bool {
	if !p.prepared.IsZero() && (p.phase == peer.PhasePrepared || w.lately(p, p.prepared)) {
		return true
	}
	return p.serves || !p.served.IsZero() && w.lately(p, p.served)
}

// servesOn reports whether a process serves, and was not told to stop.
func (w *world) servesOn(p *process) bool { return p.serves && p.signals == 0 }

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
		// A drain delay in which it was stopped begins anew.
		anew := plan.SignalAt.After(k.signal) && p.drain != nil && p.stalled(p.drain.at, time.Now()) > 0
		// Nor is it one that was decided at the moment of the stop signal, which came first.
		crossed := k.state.SignalledAt.Equal(time.Now())
		if !plan.SignalAt.Equal(k.signal) && !anew && !crossed {
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
	holds := !told || now.Before(p.mayServe())
	if now.Before(p.deferred) && len(p.tolds) < 2 && holds {
		w.violate("defer", "%s drains (%s) although its workload asked for %v more", p.name(), d.reason, p.deferred.Sub(now))
	}
	if p.forWhom != (peer.InstanceID{}) {
		d.whom = w.find(p.forWhom)
		if d.whom == nil {
			d.whom, d.stranger = w.findLegacy(p.forWhom, p)
		}
	}
	if told && d.whom == nil && !d.stranger {
		d.others, d.knew = w.others(p)
	}
	p.say("DRAINS: %s", d.text())
	if d.whom == nil && !d.stranger && plan.SignalAt.After(now) && !w.othersServe(p) {
		w.violate("delay", "%s drains (%s) and waits %v for its stop signal, but nobody else serves", p.name(), d.reason, plan.SignalAt.Sub(now))
	}
	switch d.reason {
	case decide.ReasonBothSignals, decide.ReasonSuccessorServes, decide.ReasonSuccessorTrusted:
		w.checkFor(p, d)
		if told {
			w.checkPatience(p)
		}
	case decide.ReasonNoSuccessor:
		w.checkNoSuccessor(p, d)
	case decide.ReasonHoldEnded:
		if now.Before(w.endsBy(p)) {
			w.violate("a", "%s ends its hold %v before it must", p.name(), w.endsBy(p).Sub(now))
		}
		w.checkPatience(p)
	case decide.ReasonHurried:
		switch by := w.endsBy(p); {
		case len(p.tolds) < 2:
			w.violate("a", "%s hurries, told once", p.name())
		case d.knew != "" && now.Before(by):
			w.violate("a", "%s hurries %v before it must, and knew of %s: %s", p.name(), by.Sub(now), d.others[0].name(), d.knew)
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
	if w.plan.does(doNetwork, doIsolate, doCut, doFreeze, doPause, doSlow, doDefer, doStranger, doTerm, doRotate) {
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

// checkPatience looks at the end of a hold: nobody was there for whom the instance
// could have stepped down long before, and that has not begun to drain for a third
// one.
func (w *world) checkPatience(p *process) {
	now := time.Now()
	how := "waited on"
	if p.drain.whom == nil {
		how = "holds to the end"
	}
	if p.release.Off || p.self.Container == "" || w.was(troubleTime, p.box.n, p.toldAt, now) || !p.keyLost.IsZero() {
		return
	}
	all := []trouble{troubleNetwork, troubleFolder, troubleDeaf, troubleLies}
	for _, q := range w.processes {
		if q == p || !q.serves || q.drain != nil || q.signals > 0 || q.legacy != nil || q.self.Container == "" || !w.reach(p, q) {
			continue
		}
		from := later(q.since, p.toldAt)
		enough := ample + time.Duration(p.release.Settle) + 2*p.release.poll() + 4*w.slowest(from, now)
		if w.calm(from, now, all, p, q) > enough {
			w.violate("f", "%s %s, although %s serves since %v", p.name(), how, q.name(), now.Sub(q.since))
		}
	}
}

// othersServe reports whether another instance serves, or may be taken for one.
// Another service's handover-lib may be.
func (w *world) othersServe(p *process) bool {
	return len(w.legacies) > 0 || slices.ContainsFunc(w.processes, func(q *process) bool {
		return q != p && w.servedLately(q)
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// reach reports whether two instances have a way in common.
func (w *world) reach(p, q *process) bool {
	network := func(r *release) bool { return !r.NoNetwork || r.NoFolder }
	return network(p.release) && network(q.release) || !p.release.NoFolder && !q.release.NoFolder
}

// others are the instances that may serve after one that is told to stop: those
// that run, or start, or have ended since it was told and will be started again,
// and were not told. It tells how it could know of the first one of which it
// could.
func (w *world) others(p *process) (all []*process, knew string) {
	for _, q := range w.processes {
		if q == p || q.box == p.box || q.signals > 0 || q.legacy != nil || q != q.box.last || !q.box.gone.IsZero() {
			continue
		}
		ended := q.dead || q.exited
		if ended && q.endedAt.Before(p.toldAt) {
			continue
		}
		if knew == "" {
			if ended {
				knew = w.knewEnded(p, q)
			} else {
				knew = w.knew(p, q)
			}
			if knew != "" {
				all = append([]*process{q}, all...)
				continue
			}
		}
		all = append(all, q)
	}
	return all, knew
}

// heardWithin is for how long a peer's word beats the list.
const heardWithin = 950 * time.Millisecond

// knew tells how an instance that was told could know of another one that runs:
// it has heard it just now, the Supervisor has told, or both could have been
// asked for long enough. Empty: it could not.
func (w *world) knew(p, q *process) string {
	const (
		asks      = 1200 * time.Millisecond
		remembers = 3900 * time.Millisecond
	)
	now := time.Now()
	for _, each := range p.node.Peers() {
		if each.Instance == q.self.Instance && !each.Told && !each.Ended() && now.Sub(each.LastHeard) < heardWithin {
			return fmt.Sprintf("heard %v ago", now.Sub(each.LastHeard))
		}
	}
	speaks := q.awakeSince().Add(600 * time.Millisecond)
	ways := []trouble{troubleNetwork, troubleFolder}
	absent := !p.view.requested.Before(p.toldAt) && p.view.find(q.box) == nil // the list counts, true or not, once it is silent
	if from := later(speaks, later(p.toldAt, now.Add(-remembers))); !absent && q.launched && w.reach(p, q) && w.calm(from, now, ways, p, q) > asks {
		return "with whom it could have spoken"
	}
	if p.release.Off || p.self.Container == "" || !p.keyLost.IsZero() || p.key != w.sim.APIKey() {
		return ""
	}
	for _, each := range p.node.Peers() {
		if each.Told && each.Container == q.self.Container {
			return "" // until it is heard, the list may mean the process that was told
		}
	}
	if c := p.view.find(q.box); c != nil && c.Status.MayServe() && p.view.truthful && !p.view.requested.Before(later(p.toldAt, q.began)) {
		return "listed as " + string(c.Status)
	}
	from := later(q.began, p.toldAt)
	if w.calm(from, now, []trouble{troubleDeaf, troubleLies}, p) > asks+2*w.slowest(from, now)+p.release.poll() {
		return "of whom it could have asked"
	}
	return ""
}

// knewEnded tells how an instance that was told could know of another one that
// has ended without having been told: it has heard it since, and the Supervisor
// lists the container as one that nobody stopped.
func (w *world) knewEnded(p, q *process) string {
	c := p.view.find(q.box)
	if p.release.Off || p.self.Container == "" || !p.view.truthful || p.view.requested.Before(q.endedAt) || c == nil || strings.EqualFold(string(c.Status), "stopping") {
		return ""
	}
	for _, each := range p.node.Peers() {
		if each.Instance == q.self.Instance && !each.Told && !each.LastHeard.Before(p.toldAt) {
			return fmt.Sprintf("which ended %v ago, untold, and is listed as %s", time.Since(q.endedAt), c.Status)
		}
	}
	return ""
}

// endsBy is when an instance that was told may end its hold. A Supervisor that
// was restarted repeats itself, which changes nothing if the instance could see
// that it was away. Who else repeats it may have a time-out of 10 s, which cannot
// be seen; a third signal leaves no time.
func (w *world) endsBy(p *process) time.Time {
	const unseen = 10 * time.Second
	end := p.mayServe()
	presses := 0
	for i := 1; i < len(p.tolds); i++ {
		t, before := &p.tolds[i], p.tolds[i-1].at
		if t.by == bySupervisor && w.sawAway(p, before, t.at) {
			continue
		}
		presses++
		by := t.at
		if presses == 1 {
			by = t.at.Add(unseen - reserve)
		}
		if by.Before(end) {
			end = by
		}
	}
	return end
}

// sawAway reports whether an instance that asks could see that the Supervisor
// did not run, and nothing else can be meant.
func (w *world) sawAway(p *process, from, to time.Time) bool {
	if p.release.Off || !p.keyLost.IsZero() {
		return false
	}
	for _, s := range w.spells {
		if s.kind == troubleAway && s.overlap(from, to)-p.stalled(later(s.from, from), to) > p.release.poll()+500*time.Millisecond {
			return true
		}
	}
	return false
}

// checkNeed looks at a start that is not the first one of a container: no
// younger instance served already, nor does the one for which the workload was
// ended. One that drains for a third one has left serving, and is not waited for
// in standby; until the third one's word is there, or that it has taken its drain
// back, it may be taken for lost.
func (w *world) checkNeed(p *process) {
	if d := p.drain; d != nil && d.whom != nil {
		if q := d.whom; q.serves && q.drain == nil && q.since.Before(d.at) && q.toldAt.IsZero() && w.undisturbed(p, q) && time.Since(q.backAt) > slack {
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

// reserve is what a drain needs before SIGKILL: drain_reserve, and the exit.
const reserve = 3*time.Second + 500*time.Millisecond

// hold is how long an instance that is told may wait.
func (p *process) hold() time.Duration { return p.release.grace() - reserve }

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
	// Who cannot write to the folder cannot ask there.
	if now := time.Now(); q.legacy == nil && q.stopped != nil && now.Sub(q.awakeFrom()) > w.window(q) &&
		!w.was(troubleFolder, everybody, q.awakeFrom(), q.awakeFrom().Add(w.window(q))) {
		w.violate("c", "%s steps down for %s, which has been stopped for %v and can say nothing", p.name(), q.name(), now.Sub(q.awakeFrom()))
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
	if !q.toldAt.IsZero() && !w.lately(q, q.toldAt) {
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
	now := time.Now()
	took := p.view.received.Sub(p.view.requested)
	fresh := now.Sub(p.view.requested)-p.hung(p.view.requested, now) < max(2*p.release.poll(), p.release.poll()+3*took)+slack
	switch {
	case d.reason == decide.ReasonSuccessorTrusted:
		least := min(5*time.Second, w.endsBy(p).Sub(p.toldAt)/3)
		if now.Sub(p.toldAt) < least {
			w.violate("c", "%s trusts its successor %v after it was told", p.name(), now.Sub(p.toldAt))
		}
		silent := p.toldAt
		if p.self.Container != "" && q.self.Container != "" {
			silent = later(silent, p.view.received) // else no answer can tell
		}
		if silent != p.toldAt && now.Sub(silent) < least {
			w.violate("c", "%s trusts its successor although the Supervisor answers", p.name())
		}
		if !p.looksAgain(silent, least) {
			w.violate("c", "%s trusts its successor as soon as it goes on after a stall", p.name())
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
// and else where a container of this service fits from which nobody was
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
	if d.knew != "" {
		w.violate("a", "%s takes it that there is no successor %v after SIGTERM, but there is %s, %s",
			p.name(), since, d.others[0].name(), d.knew)
		return
	}
	answered := !p.release.Off && !p.view.requested.Before(p.toldAt) && (p.self.Container == "" || p.view.find(p.box) != nil)
	if !answered && since < 3*time.Second {
		w.violate("a", "%s takes it that there is no successor %v after SIGTERM, without an answer", p.name(), since)
	}
	if !answered && !p.looksAgain(p.toldAt, 3*time.Second) {
		w.violate("a", "%s takes it that there is no successor as soon as it goes on after a stall", p.name())
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
		gone := q.Container != "" && answered && p.view.find(w.boxOf(q.Instance)) == nil && q.LastHeard.Before(p.view.requested) &&
			(p.view.truthful || d.at.Sub(q.LastHeard) >= heardWithin)
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
	// Docker does not restart what crashes while it is being stopped.
	crashed := p.work.state.Run > 0 && p.work.drained != p.work.state.Run
	if !p.toldAt.IsZero() && p.release.Standby == 0 && !crashed && p.awake(p.toldAt, time.Now()) > 0 {
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
	case !p.toldAt.IsZero() && p.toldAt.Before(time.Now()) && p.awake(p.toldAt, time.Now()) > 0:
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
	now := time.Now()
	clear := w.deaf == 0 && w.plan.Finale != "shutdown" && time.Since(w.deafEnd) > 6*time.Second && w.plan.Created == "" &&
		w.slowest(now.Add(-6*time.Second), now) == 0 && time.Since(p.awakeSince()) > time.Second
	within := p.release.poll() + 150*time.Millisecond
	if alone && clear && !p.dead {
		boxes := len(w.boxes)
		time.AfterFunc(within, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if p.dead || p.exited || p.drain != nil || p.deferred.After(p.toldAt) || len(w.boxes) > boxes || w.deaf > 0 || w.deafEnd.After(p.toldAt) ||
				p.stalled(p.toldAt, time.Now()) > 0 || w.slowest(p.toldAt, time.Now()) > 0 {
				return
			}
			w.violate("f", "%s is stopped alone, and has not begun to drain %v later", p.name(), within)
		})
	}
	held := p.hold() + slack
	time.AfterFunc(held, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if p.dead || p.exited || p.drain != nil || !p.work.state.Running || p.stopped != nil || p.awakeSince().After(time.Now().Add(-slack)) {
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
	if p.dead || p.exited || p.legacy != nil || !p.launched {
		return
	}
	// A stall may have taken all that was left, and a signal that came while it
	// was stopped it got later.
	if now := time.Now(); p.stopped != nil || p.awakeSince().After(now.Add(-reserve)) || p.toldAt.After(p.ordered) {
		return
	}
	w.violate("h", "%s is killed at the end of its grace period", p.name())
}
