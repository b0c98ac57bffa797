package controller

import (
	"slices"
	"time"

	"github.com/handover-controller/handover/peer"
)

// Handover is what this instance has seen of one hand-over: who took part, what
// each said of itself and when, and what happened. Times are the local wall
// clock's.
type Handover struct {
	Began time.Time `json:"began"`
	// Ended is null while it goes on.
	Ended *time.Time `json:"ended,omitempty"`
	// Lanes are the instances, the own one first.
	Lanes []Lane `json:"lanes"`
	Marks []Mark `json:"marks"`
}

// Lane is one instance in a hand-over; a container whose process was started
// again keeps its lane.
type Lane struct {
	Instance  string `json:"instance"`
	Container string `json:"container,omitempty"`
	Release   uint64 `json:"release,omitempty"`
	Own       bool   `json:"own"`
	Legacy    bool   `json:"legacy"`
	// Age is younger, older or unknown: than this instance; empty for the own one.
	Age   string `json:"age,omitempty"`
	Spans []Span `json:"spans"`

	id peer.InstanceID
}

// Span is a time in which an instance said the same of itself.
type Span struct {
	Phase string    `json:"phase"`
	Told  bool      `json:"told"`
	From  time.Time `json:"from"`
	// To is null while it goes on.
	To *time.Time `json:"to,omitempty"`
}

// Mark is something that happened at a moment.
type Mark struct {
	Time time.Time `json:"time"`
	// Kind is announced, running, told, holdEnds, deferred, stopSignal, released or marker.
	Kind string `json:"kind"`
	// Lost: the signal of that kind was lost again.
	Lost bool `json:"lost"`
	// Lane is the index of the lane to which it belongs.
	Lane int    `json:"lane"`
	Text string `json:"text"`
}

// Bounds on what is kept: whoever speaks on the network cannot make it grow.
const (
	lanesAtMost = 8
	spansAtMost = 24
	marksAtMost = 40
)

// history keeps the present hand-over and the last one. The loop owns it; what
// it hands out is never written to again.
type history struct {
	current, last *Handover
	own           Span // what this instance says, since when
	conditions    map[ConditionType]bool
	seen          peerPhases
	told          bool
	drained       bool
	released      bool
	deferred      time.Time
	published     []Handover
}

// peerPhases is what each peer said last.
type peerPhases map[peer.InstanceID]spoken

func newHistory() *history {
	return &history{conditions: map[ConditionType]bool{}, seen: peerPhases{}}
}

// observe takes in a round of the loop, and returns the hand-overs, the last one
// first. It returns the same slice as before if nothing is new.
func (h *history) observe(s *Snapshot, d *Decision) []Handover {
	changed := h.observeOwn(s, d)
	if h.current == nil && (s.Self.Told() || slices.ContainsFunc(s.Peers, func(p peer.Peer) bool { return !p.Ended() })) {
		h.begin(s)
		changed = true
	}
	if h.current != nil {
		changed = h.observeLanes(s) || changed
		changed = h.observeMarks(s, d) || changed
		if d.Exit || !s.Self.Told() && !slices.ContainsFunc(s.Peers, func(p peer.Peer) bool { return !p.Ended() }) {
			h.end(s.Now)
			changed = true
		}
	}
	if changed {
		h.publish()
	}
	return h.published
}

// observeOwn keeps what this instance says. It matters to others only while
// there is a hand-over.
func (h *history) observeOwn(s *Snapshot, d *Decision) bool {
	now := Span{Phase: d.Phase.String(), Told: s.Self.Told(), From: s.Now}
	if now.Phase == h.own.Phase && now.Told == h.own.Told {
		return false
	}
	h.own = now
	if h.current != nil {
		h.current.Lanes[0].say(now)
	}
	return h.current != nil
}

func (h *history) begin(s *Snapshot) {
	h.current = &Handover{Began: s.Now, Lanes: []Lane{{
		Instance: s.Self.Instance.String(), Container: string(s.Self.Container), Own: true, id: s.Self.Instance,
		Spans: []Span{h.own},
	}}}
	h.seen = peerPhases{}
	clear(h.conditions)
	h.drained, h.released = s.Memory.Drain != nil, s.Memory.Drain != nil
}

func (h *history) end(now time.Time) {
	h.current.Ended = &now
	for i := range h.current.Lanes {
		h.current.Lanes[i].stop(now)
	}
	h.last, h.current = h.current, nil
}

// say adds a span, after the last one.
func (l *Lane) say(s Span) {
	l.stop(s.From)
	if len(l.Spans) == spansAtMost { // the first one tells how it began, the last ones how it goes
		l.Spans = slices.Delete(l.Spans, 1, 2)
	}
	l.Spans = append(l.Spans, s)
}

// stop ends the last span.
func (l *Lane) stop(at time.Time) {
	if n := len(l.Spans); n > 0 && l.Spans[n-1].To == nil {
		l.Spans[n-1].To = &at
	}
}

// observeLanes takes in what the peers say.
func (h *history) observeLanes(s *Snapshot) (changed bool) {
	w := &world{Snapshot: s}
	for i := range s.Peers {
		p := &s.Peers[i]
		now := spoken{p.Phase, p.Told, p.Ended()}
		was, known := h.seen[p.Instance]
		if known && was == now || !known && p.Ended() {
			continue
		}
		lane := h.lane(w, p)
		if lane == nil {
			continue
		}
		h.seen[p.Instance] = now
		changed = true
		if p.Ended() {
			lane.stop(s.Now)
			continue
		}
		at := s.Now
		if !known && !p.PhaseSince.IsZero() && p.PhaseSince.After(h.current.Began) {
			at = p.PhaseSince
		}
		lane.say(Span{Phase: p.Phase.String(), Told: p.Told, From: at})
	}
	for id := range h.seen {
		if !slices.ContainsFunc(s.Peers, func(p peer.Peer) bool { return p.Instance == id }) {
			delete(h.seen, id)
			if i := slices.IndexFunc(h.current.Lanes, func(l Lane) bool { return l.id == id }); i > 0 {
				h.current.Lanes[i].stop(s.Now)
				changed = true
			}
		}
	}
	return changed
}

// lane returns the peer's lane, and makes it if there is room.
func (h *history) lane(w *world, p *peer.Peer) *Lane {
	i := slices.IndexFunc(h.current.Lanes, func(l Lane) bool {
		return !l.Own && (l.id == p.Instance || l.Container != "" && l.Container == string(p.Container))
	})
	if i < 0 {
		if len(h.current.Lanes) == lanesAtMost {
			return nil
		}
		h.current.Lanes = append(h.current.Lanes, Lane{})
		i = len(h.current.Lanes) - 1
	}
	l := &h.current.Lanes[i]
	l.id, l.Instance, l.Legacy = p.Instance, p.Instance.String(), p.Legacy
	l.Container, l.Release, l.Age = string(p.Container), p.Release, w.relate(p).String()
	return l
}

// mark notes that something happened in the own lane.
func (h *history) mark(at time.Time, kind, text string, lost bool) {
	if len(h.current.Marks) == marksAtMost {
		h.current.Marks = slices.Delete(h.current.Marks, 0, 1)
	}
	h.current.Marks = append(h.current.Marks, Mark{Time: at, Kind: kind, Text: text, Lost: lost})
}

func (h *history) observeMarks(s *Snapshot, d *Decision) bool {
	before := len(h.current.Marks)
	for _, c := range d.Conditions {
		kind := map[ConditionType]string{YoungerAnnounced: "announced", YoungerRunning: "running"}[c.Type]
		if now := c.Status == True; kind != "" && now != h.conditions[c.Type] {
			h.conditions[c.Type] = now
			h.mark(s.Now, kind, c.Message, !now)
		}
	}
	if s.Self.Told() && !h.told {
		h.told = true
		h.mark(s.Self.ToldAt, "told", "told to stop", false)
		if !d.HoldEnds.IsZero() {
			h.mark(d.HoldEnds, "holdEnds", "the hold must end", false)
		}
	}
	if until := s.deferredUntil(); until != h.deferred {
		if h.deferred = until; !until.IsZero() {
			h.mark(until, "deferred", "the workload asked for time until then", false)
		}
	}
	drain := d.Memory.Drain
	if drain != nil && !drain.Aside && !h.drained {
		h.mark(d.SignalAt, "stopSignal", "the workload is told to finish", false)
	}
	h.drained = drain != nil
	if released := drain != nil && !drain.ReleasedAt.IsZero(); released != h.released {
		if h.released = released; released {
			h.mark(drain.ReleasedAt, "released", "the workload has ended", false)
		}
	}
	if d.Marker == MarkerWrite {
		h.mark(s.Now, "marker", "the marker tells the Supervisor that everything is released", false)
	}
	return len(h.current.Marks) != before
}

// publish makes copies for others to read.
func (h *history) publish() {
	h.published = nil
	for _, one := range []*Handover{h.last, h.current} {
		if one == nil {
			continue
		}
		c := *one
		c.Marks = slices.Clone(nonNil(c.Marks))
		c.Lanes = slices.Clone(c.Lanes)
		for i := range c.Lanes {
			c.Lanes[i].Spans = slices.Clone(c.Lanes[i].Spans)
		}
		h.published = append(h.published, c)
	}
}
