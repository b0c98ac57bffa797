package controller

import (
	"time"

	"github.com/handover-controller/handover/peer"
)

// Handover is what this instance has seen of one hand-over: who took part, what
// each said of itself and when, and what happened. It begins when another
// instance is heard or this one is told to stop, and ends when no other one is
// left, or with this one. A container that ends and is back within 90 s, as in a
// crash loop, goes on with the same hand-over. Times are the local wall clock's.
type Handover struct {
	Began time.Time `json:"began"`
	// Ended is missing while it goes on.
	Ended *time.Time `json:"ended,omitempty"`
	// Lanes are the instances, this instance's first, the others in the order in which
	// they were heard; at most 8.
	Lanes []Lane `json:"lanes"`
	// Marks are in the order of their times; at most 40.
	Marks []Mark `json:"marks"`
}

// Lane is one container in a hand-over.
type Lane struct {
	// Instance is the id of its last process.
	Instance  string `json:"instance"`
	Container string `json:"container,omitempty"`
	Release   uint64 `json:"release,omitempty"`
	Own       bool   `json:"own"`
	Legacy    bool   `json:"legacy"`
	// Age is younger, older or unknown: than this instance; missing for this instance's own.
	Age string `json:"age,omitempty"`
	// Spans are what it said, one after the other, with gaps while it did not run;
	// at most 24, the first one and the last ones.
	Spans []Span `json:"spans"`

	id   peer.InstanceID
	told bool // its last process was
}

// Span is a time in which an instance said the same of itself. The first one of
// this instance's lane may have begun long before the hand-over.
type Span struct {
	Phase string    `json:"phase"`
	Told  bool      `json:"told"`
	From  time.Time `json:"from"`
	// To is missing while it goes on.
	To *time.Time `json:"to,omitempty"`
}

// MarkKind says what a mark is.
type MarkKind string

// The kinds of marks.
const (
	MarkAnnounced  MarkKind = "announced"  // the first signal: a younger instance, or a successor, serves
	MarkRunning    MarkKind = "running"    // the second signal: it is reported running
	MarkTold       MarkKind = "told"       // SIGTERM
	MarkHoldEnds   MarkKind = "holdEnds"   // the hold must end, or had to
	MarkDeferred   MarkKind = "deferred"   // the end of the time that the workload asked for
	MarkStopSignal MarkKind = "stopSignal" // the stop signal to the workload
	MarkReleased   MarkKind = "released"   // the workload has ended
	MarkMarker     MarkKind = "marker"     // handover-complete was written
)

// Mark is something that happened at a moment, or is to come.
type Mark struct {
	Time time.Time `json:"time"`
	Kind MarkKind  `json:"kind"`
	// Lost: the signal of that kind was lost again.
	Lost bool `json:"lost"`
	// Lane is the index of the lane to which it belongs.
	Lane int    `json:"lane"`
	Text string `json:"text"`
}
