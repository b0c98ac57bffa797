package peer

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

const (
	// maxPeers bounds the records of extended peers, tombstones included.
	maxPeers = 64
	// maxLegacyPeers bounds those of handover-lib peers, which anybody can
	// invent with nine bytes.
	maxLegacyPeers = 16
	// tombstoneFor is how long an ended peer's record stays.
	tombstoneFor = 5 * time.Minute
	// reviveAfter: a datagram of a peer that a lock showed dead may still have
	// been on its way. One that comes later than this proves the lock wrong.
	reviveAfter = time.Second
)

// table holds what is known about other instances. It has no clock and no lock
// of its own: one goroutine owns it.
type table struct {
	expireAfter time.Duration
	ways        []string
	askers      uint64 // a bit for every way that is an Asker
	entries     map[InstanceID]*entry
	legacy      int // how many of the entries are of handover-lib peers
	past        *past
	vouched     map[ContainerID]bool
	soonest     time.Time // no entry expires before; zero: none expires
	notBefore   time.Time // nothing expires before: what has arrived was not read yet
	taken       time.Time // when the last datagram was taken in; it may be older than that
}

// entry is the record of one peer. The peer's Ways are in ways.
type entry struct {
	peer     Peer
	sequence uint64
	timed    bool // it is the time of sending, and so are those that follow
	forget   time.Duration
	ended    time.Time // when it was found gone or dead
	ways     uint64    // a bit for every way by which it was heard
	// elsewhere is when it was last heard by a way that is not an Asker.
	elsewhere time.Time
	proven    bool // heard more than once: not what a flood leaves behind
	locked    bool // a folder has shown that it holds a lock there, and not yet that it died
	vouched   bool // its container is one of those vouched for
	// doubted is the last `gone` that came while the folder showed that it lives, and
	// doubtedAt when: it counts once the folder shows the end, too.
	doubted   Announcement
	doubtedAt time.Time
}

// verdict is what became of a datagram.
type verdict struct {
	drop DropReason
	// fresh: this instance was not known. changed: something that matters did.
	fresh, changed bool
	// doubted: it says that an instance ends of which the folder shows that it lives.
	doubted bool
}

func newTable(expireAfter time.Duration, ways []string) *table {
	return &table{
		expireAfter: expireAfter,
		ways:        ways,
		entries:     make(map[InstanceID]*entry),
		past:        newPast(),
	}
}

// expiry is when the entry is to be forgotten: after the silence that the peer
// has named, or after that of the configuration.
func (t *table) expiry(e *entry) time.Time {
	if e.peer.Ended() {
		return e.ended.Add(tombstoneFor)
	}
	silence := e.forget
	if silence == 0 {
		silence = t.expireAfter
	}
	return later(e.peer.LastHeard.Add(silence), e.peer.FreshUntil)
}

// accept takes in a datagram that came by the way of that index.
func (t *table) accept(a *Announcement, from netip.Addr, at time.Time, way int) verdict {
	if a.Legacy {
		return t.acceptLegacy(a, from, at, way)
	}
	e := t.entries[a.Instance]
	if e != nil && a.Sequence == e.sequence {
		t.came(e, way, at) // this way works, too
		return verdict{drop: DropDuplicate}
	}
	if e != nil && (a.Sequence < e.sequence || e.timed && !a.Timed) {
		return verdict{drop: DropReplay}
	}
	var container ContainerID
	if e != nil && e.peer.Container != "" {
		container = e.peer.Container // a fact that never changes
	} else {
		container = a.Container.ID()
	}
	if drop := t.past.check(a.Instance, container, a.Sequence); drop != NotDropped {
		return verdict{drop: drop}
	}
	if !t.keeps(way) && t.lives(container, a.Instance, at) {
		return verdict{drop: DropReplay}
	}
	if !t.keeps(way) && a.Phase == PhaseGone && e.lives(at) {
		e.doubted, e.doubtedAt = *a, at
		return verdict{drop: DropReplay, doubted: true}
	}

	var v verdict
	if e == nil {
		if earlier, ok := t.past.current(container); ok && earlier != a.Instance {
			t.remove(earlier)
		}
		if !t.makeRoom(false, t.vouched[container] || t.keeps(way), at) {
			return verdict{drop: DropTableFull}
		}
		e = t.add(a.Instance, at)
		v.fresh, v.changed = true, true
	}
	e.proven = !v.fresh
	e.sequence, e.timed = a.Sequence, a.Timed
	v.changed = t.update(e, a, container, at) || v.changed
	t.came(e, way, at)
	e.peer.Address = from
	t.past.note(a.Instance, container, a.Sequence, at, t.protected)
	return v
}

// silence is after how long it is news that a peer is heard again which was told
// to stop. It speaks all the time, waiting to be acknowledged; who took it for
// silent meanwhile must look once more.
const silence = 3 * time.Second

// add makes an empty entry. There is room.
func (t *table) add(id InstanceID, at time.Time) *entry {
	e := &entry{peer: Peer{Instance: id, FirstHeard: at, LastHeard: at}}
	t.entries[id] = e
	return e
}

// update writes into the entry what the datagram says, and reports whether
// that differs from what was known in anything that matters to a decision.
func (t *table) update(e *entry, a *Announcement, container ContainerID, at time.Time) bool {
	p := &e.peer
	before := *p
	if a.Phase != p.Phase {
		p.Phase, p.PhaseSince = a.Phase, at
	}
	p.Told = a.Told
	p.Gone = a.Phase == PhaseGone
	p.Drained = a.Phase == PhaseDraining || a.Phase == PhaseReleased || p.Gone && p.Drained
	if p.Gone {
		p.Told = p.Told || before.Told
		p.FreshUntil = time.Time{}
		if !before.Ended() {
			e.ended = at
		}
	}
	if p.Dead && at.After(e.ended.Add(reviveAfter)) && !p.Gone {
		p.Dead = false
	}
	if !slices.Equal(p.Acks, a.Acks()) {
		p.Acks = slices.Clone(a.Acks())
	}
	if p.Container == "" && container != "" {
		p.Container = container
		e.vouched = t.vouched[container]
		if earlier, ok := t.past.current(container); ok && earlier != p.Instance {
			t.remove(earlier)
		}
	}
	p.FirstStart, p.Release, p.StartMilli, p.Listens = a.FirstStart, a.Release, a.StartMilli, a.Listens
	p.LastHeard = later(p.LastHeard, at)
	e.forget = a.ForgetAfter
	t.expires(e)
	return p.Phase != before.Phase || p.Told != before.Told || p.Gone != before.Gone || p.Dead != before.Dead ||
		p.Container != before.Container || p.FirstStart != before.FirstStart || p.Release != before.Release ||
		!slices.Equal(p.Acks, before.Acks) || p.Told && t.heardAgain(before.LastHeard, p.LastHeard)
}

// heardAgain reports whether a peer was silent until this word of it, which may have
// waited unread: of many that have, the first one that is recent is the news.
func (t *table) heardAgain(before, last time.Time) bool {
	now := later(t.taken, last)
	return now.Sub(before) >= silence && now.Sub(last) < silence
}

// acceptLegacy takes in nine bytes. They have no sequence number: every one
// refreshes its sender's record, and a replay cannot be told apart.
func (t *table) acceptLegacy(a *Announcement, from netip.Addr, at time.Time, way int) verdict {
	id := legacyID(from, a.StartMilli)
	e := t.entries[id]
	var v verdict
	if e == nil {
		if !t.makeRoom(true, false, at) {
			return verdict{drop: DropTableFull}
		}
		e = t.add(id, at)
		e.peer.Legacy, e.peer.Address, e.peer.StartMilli = true, from, a.StartMilli
		e.peer.Phase, e.peer.PhaseSince = PhaseServing, at
		t.legacy++
		v.fresh, v.changed = true, true
	}
	e.proven = !v.fresh
	e.ways |= 1 << way
	e.peer.LastHeard = later(e.peer.LastHeard, at)
	t.expires(e)
	return v
}

// knows reports whether there is a record of the instance.
func (t *table) knows(id InstanceID) bool { return t.entries[id] != nil }

// lives reports whether the folder shows that the present process of a container
// is another one, and lives: whoever says by the network that it has taken its place
// does not tell the truth. A process that really has is found in the folder itself.
func (t *table) lives(c ContainerID, id InstanceID, at time.Time) bool {
	current, ok := t.past.current(c)
	if !ok || current == id {
		return false
	}
	return t.entries[current].lives(at)
}

// legacyID makes an instance id for a handover-lib peer of what it is known by.
func legacyID(from netip.Addr, startMilli int64) InstanceID {
	text := binary.BigEndian.AppendUint64([]byte("handover-lib"), uint64(startMilli))
	text = append(text, from.Unmap().AsSlice()...)
	sum := sha256.Sum256(text)
	return InstanceID(sum[:len(InstanceID{})])
}

// event takes in what a way told about a peer, and reports whether that
// matters. Peers that were never heard are not known by events.
func (t *table) event(r Received, at time.Time) (changed bool) {
	e := t.entries[r.Instance]
	if e == nil {
		return false
	}
	switch p := &e.peer; r.Event {
	case EventFresh:
		if p.Dead {
			return false
		}
		e.locked = e.locked || r.Until.After(at)
		if p.Gone {
			return false
		}
		changed = p.FreshUntil.Before(at) != r.Until.Before(at)
		p.FreshUntil = r.Until
		// A word that was asked about, and not confirmed, is no word of now.
		asked := r.Asked.After(p.LastHeard.Add(answersWithin))
		if r.Mute && !asked && r.Until.After(at) && p.LastHeard.Sub(e.elsewhere) >= elsewhereWithin {
			p.LastHeard = later(p.LastHeard, at)
		}
		t.expires(e)
	case EventDied:
		changed = !p.Dead
		if e.doubted.Sequence > e.sequence { // it was true
			e.sequence = e.doubted.Sequence
			t.update(e, &e.doubted, p.Container, e.doubtedAt)
		}
		if !p.Ended() {
			e.ended = at
		}
		p.Dead, p.FreshUntil, e.locked = true, time.Time{}, false
		t.expires(e)
	}
	return changed
}

// expires notes that the entry's expiry may have moved forward.
func (t *table) expires(e *entry) { t.soonest = sooner(t.soonest, t.expiry(e)) }

// nextExpiry is when the next entry expires, zero if there is none. Its result
// is exact if it lies before the given time, which may be zero for never.
func (t *table) nextExpiry(before time.Time) time.Time {
	if t.soonest.IsZero() || (!before.IsZero() && t.soonest.After(before)) {
		return t.soonest
	}
	t.soonest = time.Time{}
	for _, e := range t.entries {
		t.soonest = sooner(t.soonest, t.expiry(e))
	}
	if !t.soonest.IsZero() {
		t.soonest = later(t.soonest, t.notBefore)
	}
	return t.soonest
}

// woken notes that this process did not run for a while. What was silent
// meanwhile gets a moment to be heard before it is forgotten.
func (t *table) woken(now time.Time) { t.notBefore = now.Add(hearAgainFor) }

// hearAgainFor is that moment.
const hearAgainFor = time.Second

// ripe reports whether it is time to expire. When somebody's silence has lasted long
// enough, the same moment passes first: perhaps this process did not run until just
// now, and what that peer has said waits to be read.
func (t *table) ripe(now time.Time) bool {
	if !passed(t.soonest, now) {
		return false
	}
	if t.notBefore.Before(t.soonest) {
		t.woken(now)
	}
	return !now.Before(t.notBefore)
}

// expire forgets who was silent for too long, and reports whether it did.
func (t *table) expire(now time.Time) (changed bool) {
	if !passed(t.soonest, now) {
		return false
	}
	for id, e := range t.entries {
		if passed(t.expiry(e), now) {
			if e.proven && !e.peer.Legacy && e.peer.Container == "" {
				t.past.forgotten(id, e.sequence)
			}
			t.remove(id)
			changed = true
		}
	}
	t.nextExpiry(time.Time{})
	return changed
}

func (t *table) remove(id InstanceID) {
	if e := t.entries[id]; e != nil {
		if e.peer.Legacy {
			t.legacy--
		}
		delete(t.entries, id)
	}
}

// peers returns copies of all records, those known longest first.
func (t *table) peers() []Peer {
	all := make([]Peer, 0, len(t.entries))
	for _, e := range t.entries {
		p := e.peer
		p.Acks = slices.Clone(p.Acks)
		for i, name := range t.ways {
			if e.ways&(1<<i) != 0 {
				p.Ways = append(p.Ways, name)
			}
		}
		slices.Sort(p.Ways)
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b Peer) int {
		return cmp.Or(a.FirstHeard.Compare(b.FirstHeard), bytes.Compare(a.Instance[:], b.Instance[:]))
	})
	return all
}
