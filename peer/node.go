package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// noticeEvery bounds how often a flood of changes wakes the one who waits.
	noticeEvery = 5 * time.Millisecond
	// heardQueue decouples the readers from the node, so that a burst of
	// datagrams is taken from the sockets while the node is at work.
	heardQueue = 64
	// lateWakeUp is how late the node must have been woken to conclude that this
	// process did not run meanwhile.
	lateWakeUp = 500 * time.Millisecond
)

// goneAt is when a closing node says that it ends, counted from Close.
var goneAt = [...]time.Duration{0, 10 * time.Millisecond, 30 * time.Millisecond}

// Node announces this instance and keeps the table of its peers. One goroutine
// owns both; the methods may be called from any.
type Node struct {
	cfg  Config
	keys *Keyring

	mu    sync.Mutex // guards inbox and table
	inbox inbox
	table *table

	announcer announcer
	askers    map[int]Asker // those of the ways
	askedAt   time.Time     // when they were last sent what asks
	beat      statusBeat
	sequence  uint64
	buf       []byte
	noticed   time.Time // when Changed was last woken
	noticeDue time.Time // a change that was not notified yet; zero: none

	counters counters
	refused  atomic.Pointer[time.Time]
	ahead    sync.Once // that something was from the future was logged
	heard    chan heard
	wake     chan struct{}
	changed  chan struct{}
	readers  sync.WaitGroup

	closeOnce, hurryOnce sync.Once
	closing              chan struct{} // closed by Close
	hurry                chan struct{} // closed when Close may wait no longer
	quit                 chan struct{} // closed when readers must end
	done                 chan struct{} // closed when everything has ended
	closeErr             error
}

// inbox is what callers want; the node takes it when it is woken.
type inbox struct {
	statement   Statement
	said        bool
	vouched     []ContainerID
	haveVouched bool
}

// heard is what a reader hands to the node.
type heard struct {
	way          int
	received     Received
	announcement Announcement
	old          bool // too old to introduce its sender
}

// Start starts a Node. It listens at once and says nothing until Say. If it
// fails, the configuration is impossible; the ways are then closed.
func Start(cfg Config) (*Node, error) {
	cfg.Ways = slices.Clone(cfg.Ways)
	if err := cfg.complete(); err != nil {
		for _, w := range cfg.Ways {
			err = errors.Join(err, w.Close())
		}
		return nil, fmt.Errorf("peer: start node: %w", err)
	}
	keys, _ := NewKeyring(cfg.Secrets...) // complete has checked them
	names := make([]string, len(cfg.Ways))
	for i, w := range cfg.Ways {
		names[i] = w.Name()
	}
	n := &Node{
		cfg:       cfg,
		keys:      keys,
		table:     newTable(cfg.ExpireAfter, names),
		announcer: announcer{interval: cfg.Interval, rand: cfg.Rand, step: len(burst)},
		beat:      statusBeat{interval: cfg.Interval},
		sequence:  max(cfg.Self.FirstSequence, 1) - 1,
		counters:  newCounters(names),
		heard:     make(chan heard, heardQueue),
		wake:      make(chan struct{}, 1),
		changed:   make(chan struct{}, 1),
		closing:   make(chan struct{}),
		hurry:     make(chan struct{}),
		quit:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	n.askers, n.table.askers = askersOf(cfg.Ways)
	for i, w := range cfg.Ways {
		r := newReader(n, i, w)
		n.readers.Go(r.run)
	}
	go n.run()
	return n, nil
}

// Say sets what this instance says of itself. It never blocks and can be
// called with the same statement as often as one likes: only changes are
// said. Of several statements in quick succession only the last may be said.
func (n *Node) Say(s Statement) {
	s.Acks = slices.Clone(s.Acks)
	slices.SortStableFunc(s.Acks, func(a, b InstanceID) int { return slices.Compare(a[:], b[:]) })
	n.mu.Lock()
	n.inbox.statement, n.inbox.said = s, true
	n.mu.Unlock()
	n.rouse()
}

// Vouch names the containers that are known to exist, by their full or short
// ids, in place of those named before. Peers in them are never evicted from a
// full table, and get into it. It never blocks.
func (n *Node) Vouch(containers []ContainerID) {
	short := make([]ContainerID, 0, len(containers))
	for _, c := range containers {
		if c, err := ShortContainerID(string(c)); err == nil {
			short = append(short, c)
		}
	}
	n.mu.Lock()
	n.inbox.vouched, n.inbox.haveVouched = short, true
	n.mu.Unlock()
	n.rouse()
}

// rouse wakes the node's goroutine.
func (n *Node) rouse() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Peers returns copies of the records of all peers, tombstones included, those
// known longest first.
func (n *Node) Peers() []Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.table.peers()
}

// Refused is when an announcement of this service was last dropped because its
// signature is missing or wrong; zero if there was none. This instance's own do not
// count, nor those of who ends or is told to. Somebody is there who cannot be
// understood, or pretends to be.
func (n *Node) Refused() time.Time {
	if at := n.refused.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Changed is woken when Peers may say something new that matters to a
// decision: a new peer, another phase, told, gone, dead, other acks, a peer
// forgotten; and, while this instance asks, whenever anybody is heard. The
// channel is never closed.
func (n *Node) Changed() <-chan struct{} { return n.changed }

// Close says that this instance is gone (if it said anything before), closes
// the ways and waits for the node's end. That takes about 30 ms, less when the
// context ends before or no peer is known. Later calls wait for the first one's end.
func (n *Node) Close(ctx context.Context) error {
	n.closeOnce.Do(func() { close(n.closing) })
	select {
	case <-n.done:
	case <-ctx.Done():
		n.hurryOnce.Do(func() { close(n.hurry) })
		<-n.done
	}
	return n.closeErr
}

// run is the goroutine that owns the announcer and the table.
func (n *Node) run() {
	defer close(n.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due time.Time // when the node wanted to go on, whatever it hears; zero: never
	for {
		now := time.Now()
		if !due.IsZero() && now.Sub(due) > lateWakeUp {
			n.table.woken(now)
		}
		n.takeInbox(now)
		n.transmit(now)
		n.notify(now)
		if due = n.nextWakeUp(); due.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(due))
		}
		select {
		case <-n.closing:
			n.takeInbox(time.Now())
			n.farewell()
			return
		case <-n.wake:
		case h := <-n.heard:
			n.take(h)
		case <-timer.C:
			n.counters.wakeUps.Add(1)
		}
	}
}

// takeInbox takes over what callers want, and forgets silent peers.
func (n *Node) takeInbox(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	in := n.inbox
	n.inbox = inbox{}
	if in.said {
		n.announcer.say(in.statement, now)
		n.beat.say(in.statement.Phase, now)
	}
	if in.haveVouched {
		n.table.vouch(in.vouched)
	}
	if n.table.ripe(now) && n.table.expire(now) {
		n.changeAt(now)
	}
}

// take handles what a reader heard. What the table knows counts from when it was
// said, what is to be done about it from now.
func (n *Node) take(h heard) {
	at, now := h.received.Time, time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.received.Event == EventReach {
		n.announcer.reached(now)
		return
	}
	asking := n.announcer.said.Ask
	if h.received.Event != EventDatagram {
		if n.table.event(h.received, at) || (asking && h.received.Event == EventFresh) {
			n.changeAt(now)
		}
		return
	}
	if h.old && !n.table.knows(h.announcement.Instance) {
		n.counters.drop(h.way, DropStale)
		return
	}
	n.table.taken = now
	v := n.table.accept(&h.announcement, h.received.From.Addr(), at, h.way)
	if v.drop != NotDropped {
		n.counters.drop(h.way, v.drop)
		if v.doubted {
			n.doubt(h.announcement.Instance)
		}
		if v.drop == DropDuplicate && h.announcement.Ask && n.askers[h.way] != nil {
			n.announcer.asked(now) // the answer may have to go by this way
		}
		return
	}
	if v.changed || asking {
		n.changeAt(now)
	}
	switch {
	case v.fresh && h.announcement.Phase != PhaseGone:
		n.announcer.met(now)
	case h.announcement.Ask:
		n.announcer.asked(now)
	}
}

// doubt has the ways look again that show who lives.
func (n *Node) doubt(id InstanceID) {
	for _, w := range n.cfg.Ways {
		if d, ok := w.(Doubter); ok {
			d.Doubt(id)
		}
	}
}

// changeAt notes that the one who waits on Changed is to be woken.
func (n *Node) changeAt(at time.Time) {
	if n.noticeDue.IsZero() {
		n.noticeDue = later(at, n.noticed.Add(noticeEvery))
	}
}

// notify wakes the one who waits on Changed, if that is due.
func (n *Node) notify(now time.Time) {
	if !passed(n.noticeDue, now) {
		return
	}
	n.noticed, n.noticeDue = now, time.Time{}
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// nextWakeUp is when the node has something to do without being told; zero for
// never.
func (n *Node) nextWakeUp() time.Time {
	next := sooner(n.announcer.next(), n.beat.next())
	next = sooner(next, n.noticeDue)
	return sooner(next, n.table.nextExpiry(next))
}
