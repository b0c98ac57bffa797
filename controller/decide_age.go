package controller

import (
	"github.com/handover-controller/handover/peer"
)

// relation orders a peer against this instance.
type relation int8

const (
	older     relation = -1
	unordered relation = 0
	younger   relation = 1
)

// relate tells whether the peer is younger or older than this instance. It
// uses only facts that never change, so that wall clocks that jump, processes
// that restart and releases that are pinned back do not matter.
func (w *world) relate(p *peer.Peer) relation {
	if r := relateStarts(w.Self.FirstStart, p.FirstStart, w.Self.Boot); r != unordered {
		return r
	}
	if r := w.relateListed(p); r != unordered {
		return r
	}
	return w.relateLegacy(p)
}

// relateStarts compares first starts: of the same boot the later one is
// younger; one of the present boot is younger than one of an earlier boot. Of
// two different earlier boots nothing is known.
func relateStarts(self, other peer.FirstStart, boot [4]byte) relation {
	switch {
	case !self.Known() || !other.Known():
		return unordered
	case self.Boot == other.Boot && other.Since > self.Since:
		return younger
	case self.Boot == other.Boot && other.Since < self.Since:
		return older
	case self.Boot == other.Boot:
		return unordered
	case other.Boot == boot:
		return younger
	case self.Boot == boot:
		return older
	}
	return unordered
}

// relateListed compares the times of creation, if both containers are listed.
func (w *world) relateListed(p *peer.Peer) relation {
	own, other := w.own(), w.find(p.Container)
	if own == nil || other == nil || own.CreatedAt.IsZero() || other.CreatedAt.IsZero() {
		return unordered
	}
	switch c := other.CreatedAt.Compare(own.CreatedAt); {
	case c > 0, c == 0 && other.ID > own.ID:
		return younger
	case c < 0, other.ID < own.ID:
		return older
	}
	return unordered
}

// relateLegacy compares what handover-lib compares. That its clock says so is
// not enough unless nothing else can be known: its container must be there,
// created later than the own one.
func (w *world) relateLegacy(p *peer.Peer) relation {
	switch {
	case !p.Legacy || p.StartMilli == w.Self.StartMilli:
		return unordered
	case p.StartMilli < w.Self.StartMilli:
		return older
	case w.Policy.SupervisorOff || w.match(p, 0) != nil:
		return younger
	}
	return unordered
}
