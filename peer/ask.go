package peer

import "time"

// Asker is a Way that skips repeats, as a folder does, but can be told to carry
// one: peers that no other way reaches have to be asked by it.
type Asker interface {
	// Ask sends a datagram that asks, as Send does, and never skips it. Who
	// receives it answers by this way.
	Ask(datagram []byte) error
}

// Doubter is a Way that shows who lives, as a folder does, and can look once more.
type Doubter interface {
	// Doubt says that a peer said by another way that it ends, which does not count
	// as long as this way shows that it lives. It does not block. A way that would be
	// told of the end need not do anything.
	Doubt(id InstanceID)
}

const (
	// answersWithin is how long a peer gets to answer by a way that is an Asker,
	// before it is asked there once more.
	answersWithin = 100 * time.Millisecond
	// elsewhereWithin is how long a peer may be silent on all other ways before it
	// is asked by an Asker, too: it was asked at least twice by then.
	elsewhereWithin = 700 * time.Millisecond
)

// asks reports whether this transmission is to be a question to the Askers. One
// that is no repeat goes there anyway.
func (n *Node) asks(s Statement, repeat bool, now time.Time) bool {
	switch {
	case !s.Ask || !repeat || len(n.askers) == 0:
		return false
	case now.Sub(n.askedAt) < answersWithin, !n.table.unheard(now, n.announcer.askingSince):
		return false
	}
	n.askedAt = now
	return true
}

// askersOf returns which of the ways are Askers, and the same as a bit for each.
func askersOf(ways []Way) (askers map[int]Asker, mask uint64) {
	askers = make(map[int]Asker)
	for i, w := range ways {
		if a, ok := w.(Asker); ok {
			askers[i] = a
			mask |= 1 << i
		}
	}
	return askers, mask
}

// unheard reports whether a peer that an Asker reaches is heard by no other way.
func (t *table) unheard(now, askingSince time.Time) bool {
	for _, e := range t.entries {
		if !e.peer.Legacy && !e.peer.Ended() && e.ways&t.askers != 0 && e.unheard(now, askingSince) {
			return true
		}
	}
	return false
}

// unheard reports whether the peer is silent on every way that is not an Asker.
// If its last word came by such a way, this way gets the time to bring an answer.
func (e *entry) unheard(now, askingSince time.Time) bool {
	switch silent := now.Sub(e.elsewhere); {
	case now.Sub(e.peer.LastHeard) < answersWithin, silent < elsewhereWithin:
		return false
	case e.peer.LastHeard.Sub(e.elsewhere) < elsewhereWithin:
		return now.Sub(askingSince) >= elsewhereWithin
	}
	return true
}

// came notes by which way the peer was heard, a duplicate or not.
func (t *table) came(e *entry, way int, at time.Time) {
	e.ways |= 1 << way
	if !t.keeps(way) {
		e.elsewhere = later(e.elsewhere, at)
	} else {
		e.locked = !e.peer.Ended() // a folder hands over nothing of one whose lock is free
	}
}

// keeps reports whether the way is an Asker, and so keeps each peer's last word
// together with its lock.
func (t *table) keeps(way int) bool { return t.askers&(1<<way) != 0 }

// IsQuestion reports whether a datagram asks, and else says the same as the one
// that the same instance said before. By a way that skips repeats it was sent
// for that alone, so it wants an answer by that way.
func IsQuestion(before, now []byte) bool {
	return saysTheSame(before, now) && Asks(now)
}

// Asks reports whether a datagram asks.
func Asks(datagram []byte) bool {
	var a Announcement
	if len(datagram) < fieldsOffset {
		return false
	}
	_, ok := a.readFields(datagram[fieldsOffset:])
	return ok && a.Ask
}
