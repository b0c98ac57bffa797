package peer

import "sync/atomic"

// Stats counts what a Node did since its start.
type Stats struct {
	// Ways has one element for each way, in the order of Config.Ways.
	Ways []WayStats
	// WakeUps counts how often a timer woke the node: an idle one has one per
	// announce interval.
	WakeUps uint64
	// Peers and LegacyPeers count the records held now, tombstones included.
	Peers, LegacyPeers int
}

// WayStats counts what went through one way.
type WayStats struct {
	Name string
	// Sent counts announcements, SendErrors those that reached nobody.
	Sent, SendErrors uint64
	// StatusSent counts handover-lib status messages.
	StatusSent uint64
	// Received counts all datagrams, dropped ones included.
	Received uint64
	// Throttled counts how often reading was paused because of a flood.
	Throttled uint64
	// Kernel is what the kernel does for the way; nil for one without a socket.
	Kernel *KernelStats

	dropped [dropReasons]uint64
}

// Dropped returns how many datagrams were dropped for the reason.
func (s WayStats) Dropped(r DropReason) uint64 {
	if r >= dropReasons {
		return 0
	}
	return s.dropped[r]
}

// DroppedTotal returns how many datagrams were dropped for any reason.
func (s WayStats) DroppedTotal() uint64 {
	var sum uint64
	for _, n := range s.dropped {
		sum += n
	}
	return sum
}

// Way returns the counters of the way with that name, zeros if there is none.
func (s Stats) Way(name string) WayStats {
	for _, w := range s.Ways {
		if w.Name == name {
			return w
		}
	}
	return WayStats{Name: name}
}

// Stats returns the counters as they are now. It is cheap: one system call for
// each way that has a socket.
func (n *Node) Stats() Stats {
	s := Stats{Ways: make([]WayStats, len(n.counters.ways)), WakeUps: n.counters.wakeUps.Load()}
	for i := range n.counters.ways {
		s.Ways[i] = n.counters.ways[i].copy()
		if way, ok := n.cfg.Ways[i].(KernelCounter); ok {
			kernel := way.Kernel()
			s.Ways[i].Kernel = &kernel
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.LegacyPeers = n.table.legacy
	s.Peers = len(n.table.entries) - n.table.legacy
	return s
}

// counters are written by the node and its readers.
type counters struct {
	ways    []wayCounters
	wakeUps *atomic.Uint64
}

type wayCounters struct {
	name                                          string
	sent, sendErrors, status, received, throttled atomic.Uint64
	dropped                                       [dropReasons]atomic.Uint64
}

func newCounters(names []string) counters {
	c := counters{ways: make([]wayCounters, len(names)), wakeUps: new(atomic.Uint64)}
	for i, name := range names {
		c.ways[i].name = name
	}
	return c
}

func (c *counters) drop(way int, r DropReason) { c.ways[way].dropped[r%dropReasons].Add(1) }

func (c *counters) sent(way int, err error) {
	if err != nil {
		c.ways[way].sendErrors.Add(1)
		return
	}
	c.ways[way].sent.Add(1)
}

func (c *wayCounters) copy() WayStats {
	s := WayStats{
		Name: c.name, Sent: c.sent.Load(), SendErrors: c.sendErrors.Load(), StatusSent: c.status.Load(),
		Received: c.received.Load(), Throttled: c.throttled.Load(),
	}
	for r := range s.dropped {
		s.dropped[r] = c.dropped[r].Load()
	}
	return s
}
