package explorer_test

import (
	"slices"
	"testing"
	"time"
)

// shrink leaves out of a plan what is not needed to violate that invariant.
func shrink(t *testing.T, p plan, invariant string) plan {
	fails := func(p plan) bool {
		for range 3 {
			o := tell(t, &p, false)
			if slices.ContainsFunc(o.wrong, func(v violation) bool { return v.invariant == invariant }) {
				return true
			}
		}
		return false
	}
	for smaller := true; smaller; {
		smaller = false
		for _, try := range simpler(p) {
			if fails(try) {
				p, smaller = try, true
				break
			}
		}
	}
	return p
}

// simpler are plans with one thing less.
func simpler(p plan) []plan {
	var all []plan
	add := func(change func(*plan)) {
		q := p
		q.Actions, q.Releases = slices.Clone(p.Actions), slices.Clone(p.Releases)
		change(&q)
		if q.String() != p.String() {
			all = append(all, q)
		}
	}
	for i := range p.Actions {
		add(func(q *plan) { q.Actions = slices.Delete(q.Actions, i, i+1) })
	}
	for i := range p.Actions {
		a := &p.Actions[i]
		add(func(q *plan) { q.Actions[i].After = 0 })
		add(func(q *plan) { q.Actions[i].For = round(a.For) })
		add(func(q *plan) { q.Actions[i].Double, q.Actions[i].Reorder = 0, 0 })
		add(func(q *plan) { q.Actions[i].Jitter = 0 })
	}
	for i := range p.Releases {
		for _, normal := range []func(*release){
			func(r *release) { r.Drain = 0 }, func(r *release) { r.Settle = 0 }, func(r *release) { r.DrainDelay = 0 },
			func(r *release) { r.DrainLimit = 0 }, func(r *release) { r.Poll = 0 }, func(r *release) { r.Grace = 0 },
			func(r *release) { r.Slow = 0 }, func(r *release) { r.Boot = 0 }, func(r *release) { r.Hangs = false }, func(r *release) { r.NoFolder = true },
			func(r *release) { r.NoLegacy = false }, func(r *release) { r.Anonymous = false }, func(r *release) { r.NoRecord = false },
			func(r *release) { r.Off = false }, func(r *release) { r.KillFirst = false }, func(r *release) { r.NoNetwork = false },
			func(r *release) { r.Ready = round(r.Ready) },
		} {
			add(func(q *plan) { normal(&q.Releases[i]) })
		}
	}
	add(func(q *plan) { q.BeforeStop = 0 })
	add(func(q *plan) { q.Created = "" })
	add(func(q *plan) { q.Finale = "" })
	add(func(q *plan) { q.Quiet = min(q.Quiet, dur(12*time.Second)) })
	return all
}

// round rounds to a tenth of a second.
func round(d dur) dur { return dur(time.Duration(d).Round(100 * time.Millisecond)) }
