package explorer_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// timeline is what happened in a story, for people.
type timeline struct{ text strings.Builder }

func (l *timeline) add(at time.Duration, line string) {
	fmt.Fprintf(&l.text, "%12.6f  %s\n", at.Seconds(), line)
}

// outcome is what came of a story.
type outcome struct {
	wrong []violation
	lines string
	took  time.Duration // of virtual time
	mark  uint64        // differs where the story went differently
}

// tell plays a plan in a bubble of virtual time.
func tell(t *testing.T, p *plan, told bool) (o outcome) {
	synctest.Test(t, func(*testing.T) {
		var lines *timeline
		if told {
			lines = &timeline{}
		}
		w, err := newWorld(p, lines)
		if err != nil {
			o.wrong = []violation{{invariant: "plan", text: err.Error()}}
			return
		}
		o.wrong = w.play()
		o.took, o.mark = w.now(), w.mark
		if told {
			o.lines = lines.text.String()
		}
	})
	return o
}

// retell plays a plan that fails until it fails again, and tells it.
func retell(t *testing.T, p *plan, first outcome) outcome {
	for range 20 {
		if o := tell(t, p, true); len(o.wrong) > 0 || len(first.wrong) == 0 {
			return o
		}
	}
	first.lines = "It did not fail again in 20 runs: it depends on the order of what happens at the same time.\n"
	return first
}

// report says all about a failing plan.
func report(p *plan, o outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, plan:\n%v\n\n%s\nseed %d: ", p.Seed, *p, o.lines, p.Seed)
	if len(o.wrong) == 0 {
		b.WriteString("all is well\n")
	}
	for _, v := range o.wrong {
		fmt.Fprintf(&b, "\n  %v", v)
	}
	return b.String()
}
