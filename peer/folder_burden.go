package peer

import "time"

const (
	// knownAtMost is how many looks at instances that are followed the kernel can
	// cause in a paceWindow, and strangersAtMost how many at others. Whoever writes
	// faster is looked at in the next one.
	knownAtMost     = maxInstances
	strangersAtMost = 32
	// surveyEvery is the pause between two looks at the whole folder because of
	// events that were lost.
	surveyEvery = time.Second
	// Where no change is told, it is looked every blindEvery for blindQuestion
	// after somebody asked.
	blindEvery    = 250 * time.Millisecond
	blindQuestion = 2 * time.Second
	// An instance of which something could not be read is looked at again rereadAfter
	// later, and if that was no better after longer and longer pauses.
	rereadAfter  = 100 * time.Millisecond
	rereadAtMost = 10 * time.Second
)

// again is when to look at an instance again, of which something could not be read.
type again struct {
	due, since time.Time // what is new was written after since, as in sighting
	pause      time.Duration
}

// burden bounds the work that files of others can cause. What was too much is
// made up for at the end of the window: all that are followed are looked at then.
// So a peer is heard within a window, whatever else happens in the folder.
type burden struct {
	window       time.Time // its beginning
	knowns       int
	strangers    int
	missed, lost bool // instances that are followed, or any, changed unseen
}

// begin begins a new window if the last one is over.
func (b *burden) begin(now time.Time) {
	if b.over(now) {
		b.window, b.knowns, b.strangers = now, 0, 0
	}
}

func (b *burden) over(now time.Time) bool { return now.Sub(b.window) >= paceWindow }

// full reports whether nothing more is to be taken in before the window ends.
func (b *burden) full(now time.Time) bool { return b.knowns >= knownAtMost && !b.over(now) }

// known reports whether there is room for a look at one that is followed, and
// takes it.
func (b *burden) known() bool {
	if b.knowns >= knownAtMost {
		b.missed = true
		return false
	}
	b.knowns++
	return true
}

// stranger reports the same of any other. One that is passed over is found when
// the whole folder is looked at.
func (b *burden) stranger() bool {
	if b.strangers >= strangersAtMost {
		b.missed, b.lost = true, true
		return false
	}
	b.strangers++
	return true
}

// next is when to go on, and to make up for what was too much; zero if there is
// nothing.
func (b *burden) next(surveyed, now time.Time) (due time.Time) {
	if b.missed || b.full(now) {
		due = b.window.Add(paceWindow)
	}
	if b.lost {
		due = sooner(due, surveyed.Add(surveyEvery))
	}
	return due
}
