package peer

import (
	"slices"
	"time"
)

const (
	// maxLineages bounds the containers of which the past is remembered. It
	// exceeds maxPeers: a container with an entry is always remembered.
	maxLineages = 2 * maxPeers
	// maxEarlier bounds the earlier instances remembered of one container.
	maxEarlier = 8
	// maxForgotten bounds the remembered instances without a container.
	maxForgotten = maxPeers
	// clocked is where sequence numbers begin that were started from the boot
	// clock in nanoseconds: they are ordered within a whole container, not
	// only within one instance. Lower ones belong to senders without a clock.
	clocked = 1 << 32
)

// past remembers the sequence numbers of instances that the table no longer
// holds, so that late or replayed datagrams do not bring them back. Its size
// is bounded.
type past struct {
	lineages map[ContainerID]*lineage
	lost     map[InstanceID]uint64 // without a container
	order    []InstanceID          // of lost, oldest first
}

// lineage is the succession of instances (processes) of one container.
type lineage struct {
	current  InstanceID
	sequence uint64
	earlier  []lastWord // oldest first
	touched  time.Time
}

type lastWord struct {
	instance InstanceID
	sequence uint64
}

func newPast() *past {
	return &past{lineages: make(map[ContainerID]*lineage), lost: make(map[InstanceID]uint64)}
}

// current returns the instance that a container was last heard as.
func (p *past) current(c ContainerID) (InstanceID, bool) {
	l := p.lineages[c]
	if l == nil {
		return InstanceID{}, false
	}
	return l.current, true
}

// check judges a datagram by what is remembered. A new instance of a container
// takes the place of the one before; an earlier one does not come back, unless
// the boot clock shows that it spoke last.
func (p *past) check(id InstanceID, c ContainerID, sequence uint64) DropReason {
	if last, ok := p.lost[id]; ok && sequence <= last {
		return DropReplay
	}
	l := p.lineages[c]
	if l == nil {
		return NotDropped
	}
	if l.current == id {
		if sequence <= l.sequence {
			return DropReplay
		}
		return NotDropped
	}
	byClock := sequence >= clocked && l.sequence >= clocked
	if byClock && sequence <= l.sequence {
		return DropReplay
	}
	for _, e := range l.earlier {
		if e.instance == id && (!byClock || sequence <= e.sequence) {
			return DropReplay
		}
	}
	return NotDropped
}

// note remembers an accepted datagram. protected tells which containers must
// not be forgotten to make room.
func (p *past) note(id InstanceID, c ContainerID, sequence uint64, at time.Time,
	protected func(ContainerID, InstanceID) bool,
) {
	if c == "" {
		return
	}
	l := p.lineages[c]
	if l == nil {
		p.makeRoom(protected)
		l = &lineage{current: id}
		p.lineages[c] = l
	}
	if l.current != id {
		l.retire(id)
	}
	l.sequence, l.touched = sequence, at
}

// retire moves the current instance to the earlier ones.
func (l *lineage) retire(next InstanceID) {
	l.earlier = slices.DeleteFunc(l.earlier, func(e lastWord) bool { return e.instance == next })
	if len(l.earlier) == maxEarlier {
		l.earlier = slices.Delete(l.earlier, 0, 1)
	}
	l.earlier = append(l.earlier, lastWord{l.current, l.sequence})
	l.current = next
}

// makeRoom forgets the containers that were silent for longest, many at once:
// under a flood that is cheaper than one by one.
func (p *past) makeRoom(protected func(ContainerID, InstanceID) bool) {
	if len(p.lineages) < maxLineages {
		return
	}
	spare := make([]ContainerID, 0, maxLineages)
	for c, l := range p.lineages {
		if !protected(c, l.current) {
			spare = append(spare, c)
		}
	}
	slices.SortStableFunc(spare, func(a, b ContainerID) int {
		return p.lineages[a].touched.Compare(p.lineages[b].touched)
	})
	for _, c := range spare[:(len(spare)+1)/2] {
		delete(p.lineages, c)
	}
}

// forgotten remembers the last word of an instance without a container.
func (p *past) forgotten(id InstanceID, sequence uint64) {
	if _, ok := p.lost[id]; !ok {
		if len(p.order) == maxForgotten {
			delete(p.lost, p.order[0])
			p.order = slices.Delete(p.order, 0, 1)
		}
		p.order = append(p.order, id)
	}
	p.lost[id] = sequence
}
