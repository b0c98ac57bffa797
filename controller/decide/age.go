package decide

import (
	"bytes"

	"github.com/handover-controller/handover/peer"
)

// Age orders a peer against this instance.
type Age int8

// The ages.
const (
	Older      Age = -1
	AgeUnknown Age = 0
	Younger    Age = 1
)

// String is older, unknown or younger.
func (a Age) String() string {
	switch a {
	case Younger:
		return "younger"
	case Older:
		return "older"
	}
	return "unknown"
}

// Age tells whether the peer is younger or older than this instance.
func (s *Snapshot) Age(p *peer.Peer) Age {
	w := &world{Snapshot: s}
	return w.relate(p)
}

// relate tells whether the peer is younger or older than this instance. It
// uses only facts that never change, so that wall clocks that jump, processes
// that restart and releases that are pinned back do not matter.
func (w *world) relate(p *peer.Peer) Age {
	if r := relateStarts(w.Self.FirstStart, p.FirstStart, w.Self.Boot); r != AgeUnknown {
		return r
	}
	if r := w.relateTwins(p); r != AgeUnknown {
		return r
	}
	if r := w.relateListed(p); r != AgeUnknown {
		return r
	}
	return w.relateLegacy(p)
}

// relateStarts compares first starts: of the same boot the later one is
// younger; one of the present boot is younger than one of an earlier boot. Of
// two different earlier boots nothing is known.
func relateStarts(self, other peer.FirstStart, boot [4]byte) Age {
	switch {
	case !self.Known() || !other.Known():
		return AgeUnknown
	case self.Boot == other.Boot && other.Since > self.Since:
		return Younger
	case self.Boot == other.Boot && other.Since < self.Since:
		return Older
	case self.Boot == other.Boot:
		return AgeUnknown
	case other.Boot == boot:
		return Younger
	case self.Boot == boot:
		return Older
	}
	return AgeUnknown
}

// relateTwins orders two processes outside of containers that were started within
// the same hundredth of a second: any order will do, if it is the same for both.
func (w *world) relateTwins(p *peer.Peer) Age {
	if w.Self.Container != "" || p.Container != "" || !p.FirstStart.Known() || p.FirstStart != w.Self.FirstStart {
		return AgeUnknown
	}
	return Age(bytes.Compare(p.Instance[:], w.Self.Instance[:]))
}

// relateListed compares the times of creation, if both containers are listed.
func (w *world) relateListed(p *peer.Peer) Age {
	own, other := w.own(), w.find(p.Container)
	if own == nil || other == nil || own.CreatedAt.IsZero() || other.CreatedAt.IsZero() {
		return AgeUnknown
	}
	switch c := other.CreatedAt.Compare(own.CreatedAt); {
	case c > 0, c == 0 && other.ID > own.ID:
		return Younger
	case c < 0, other.ID < own.ID:
		return Older
	}
	return AgeUnknown
}

// relateLegacy compares what handover-lib compares. That its clock says so is
// not enough unless nothing else can be known: its container must be there,
// created later than this instance's.
func (w *world) relateLegacy(p *peer.Peer) Age {
	switch {
	case !p.Legacy || p.StartMilli == w.Self.StartMilli:
		return AgeUnknown
	case p.StartMilli < w.Self.StartMilli:
		return Older
	case w.Policy.SupervisorOff || w.match(p, 0) != nil:
		return Younger
	}
	return AgeUnknown
}
