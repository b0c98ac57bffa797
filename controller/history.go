package controller

import (
	"slices"
	"sort"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
)

// Bounds on what is kept: whoever speaks on the network cannot make it grow.
const (
	lanesAtMost = 8
	spansAtMost = 24
	marksAtMost = 40
	// resumesWithin: Docker starts a container that ends again and again after
	// pauses of up to a minute.
	resumesWithin = 90 * time.Second
)

// history keeps the present hand-over and the last one. The loop owns it; what
// it hands out is never written to again. While there is no hand-over, looking
// costs nothing.
type history struct {
	current, last      *Handover
	changed            bool // since the last publish
	own                Span // what this instance says, since when
	before             Span // what it said before that
	seen               map[peer.InstanceID]heardSay
	announced, running bool
	told, stopped      bool
	released, marked   bool
	published          []Handover
}

// heardSay is what a peer said last, and when it was heard.
type heardSay struct {
	spoken
	at time.Time
}

func newHistory() *history { return &history{seen: map[peer.InstanceID]heardSay{}} }

// observe takes in a round of the loop, and returns the hand-overs, the last one
// first. It returns the same slice as before if nothing is new. The release is
// this instance's one; unwritable tells that the marker could not be written.
func (h *history) observe(s *decide.Snapshot, d *decide.Decision, release uint64, unwritable bool) []Handover {
	h.observeOwn(s, d)
	under := s.Self.Told() || someoneLives(s)
	if h.current == nil && under {
		h.begin(s)
	}
	if h.current != nil {
		h.changed = h.changed || h.current.Lanes[0].Release != release
		h.current.Lanes[0].Release = release
		h.observeLanes(s)
		h.observeSignals(s, d)
		h.observeSteps(s, d, unwritable)
		if d.Exit || !under {
			h.end(s.Now)
		}
	}
	if h.changed {
		h.publish()
	}
	return h.published
}

// someoneLives reports whether another instance is heard that has not ended.
func someoneLives(s *decide.Snapshot) bool {
	for i := range s.Peers {
		if !s.Peers[i].Ended() {
			return true
		}
	}
	return false
}

// observeOwn keeps what this instance says. It matters to others only while
// there is a hand-over.
func (h *history) observeOwn(s *decide.Snapshot, d *decide.Decision) {
	now := Span{Phase: d.Phase.String(), Told: s.Self.Told(), From: s.Now}
	if now.Phase == h.own.Phase && now.Told == h.own.Told {
		return
	}
	h.before, h.own = h.own, now
	if h.current != nil {
		h.current.Lanes[0].say(now)
		h.changed = true
	}
}

// begin begins a hand-over, or goes on with the last one.
func (h *history) begin(s *decide.Snapshot) {
	h.changed = true
	clear(h.seen)
	if h.resumes(s) {
		h.current, h.last = h.last, nil
		h.current.Ended = nil
		own := &h.current.Lanes[0]
		if last := &own.Spans[len(own.Spans)-1]; last.Phase == h.own.Phase && last.Told == h.own.Told {
			last.To = nil
		} else {
			own.say(h.own)
		}
		return
	}
	spans := []Span{h.own}
	if h.own.From.Equal(s.Now) && h.before.Phase != "" { // it changed with what begins here
		until := s.Now
		h.before.To = &until
		spans = []Span{h.before, h.own}
	}
	began := s.Now
	if s.Self.Told() && s.Self.ToldAt.Before(began) {
		began = s.Self.ToldAt
	}
	h.current = &Handover{Began: began, Lanes: []Lane{{
		Instance: s.Self.Instance.String(), Container: string(s.Self.Container), Own: true, id: s.Self.Instance,
		Spans: spans,
	}}}
	h.announced, h.running = false, false
	drain := s.Memory.Drain
	h.stopped, h.released = drain != nil, drain != nil && !drain.ReleasedAt.IsZero()
}

// resumes reports whether the last hand-over goes on: one of its containers is
// back, or this instance is told before it could be.
func (h *history) resumes(s *decide.Snapshot) bool {
	if h.last == nil || s.Now.Sub(*h.last.Ended) > resumesWithin {
		return false
	}
	if s.Self.Told() {
		return true
	}
	for i := range s.Peers {
		if p := &s.Peers[i]; !p.Ended() && h.last.laneOf(p) > 0 {
			return true
		}
	}
	return false
}

func (h *history) end(now time.Time) {
	h.changed = true
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
	n := len(l.Spans)
	if n == 0 || l.Spans[n-1].To != nil {
		return
	}
	if at.Before(l.Spans[n-1].From) {
		at = l.Spans[n-1].From
	}
	l.Spans[n-1].To = &at
}

// over reports whether nothing is said in it any more.
func (l *Lane) over() bool { return len(l.Spans) > 0 && l.Spans[len(l.Spans)-1].To != nil }

// observeLanes takes in what the peers say.
func (h *history) observeLanes(s *decide.Snapshot) {
	for i := range s.Peers {
		p := &s.Peers[i]
		now := heardSay{spoken{p.Phase, p.Told, p.Ended()}, p.LastHeard}
		was, known := h.seen[p.Instance]
		if known && was.spoken == now.spoken {
			h.seen[p.Instance] = now
			continue
		}
		if !known && p.Ended() {
			continue
		}
		at := h.lane(s, p)
		if at < 0 {
			continue
		}
		l := &h.current.Lanes[at]
		h.seen[p.Instance] = now
		h.changed = true
		if p.Ended() {
			l.stop(s.Now)
			continue
		}
		from := s.Now
		if since := p.PhaseSince; (!known || was.phase != p.Phase) && since.Before(from) && since.After(h.current.Began) {
			from = since // the loop may have been busy
		}
		if n := len(l.Spans); n > 0 && l.Spans[n-1].From.After(from) {
			from = s.Now
		}
		l.say(Span{Phase: p.Phase.String(), Told: p.Told, From: from})
		if p.Told && !l.told {
			l.told = true
			h.mark(Mark{Time: from, Kind: MarkTold, Lane: at, Text: "this one says that it was told to stop"})
		}
	}
	for id, was := range h.seen {
		if !hears(s, id) {
			delete(h.seen, id)
			for i := range h.current.Lanes[1:] {
				if l := &h.current.Lanes[1+i]; l.id == id && !l.over() {
					l.stop(was.at) // nothing is known of the time since
					h.changed = true
				}
			}
		}
	}
}

func hears(s *decide.Snapshot, id peer.InstanceID) bool {
	for i := range s.Peers {
		if s.Peers[i].Instance == id {
			return true
		}
	}
	return false
}

// laneOf returns the index of the peer's lane, -1 if it has none.
func (o *Handover) laneOf(p *peer.Peer) int {
	for i := 1; i < len(o.Lanes); i++ {
		if l := &o.Lanes[i]; l.id == p.Instance || l.Container != "" && l.Container == string(p.Container) {
			return i
		}
	}
	return -1
}

// lane returns the index of the peer's lane, and makes it if there is room: -1
// if there is none.
func (h *history) lane(s *decide.Snapshot, p *peer.Peer) int {
	i := h.current.laneOf(p)
	if i < 0 {
		if len(h.current.Lanes) == lanesAtMost {
			if i = h.room(s, p); i < 0 {
				return -1
			}
		} else {
			h.current.Lanes = append(h.current.Lanes, Lane{})
			i = len(h.current.Lanes) - 1
		}
	}
	l := &h.current.Lanes[i]
	if l.id != p.Instance {
		delete(h.seen, l.id) // its container's earlier process
		l.told = false
	}
	l.id, l.Instance, l.Legacy = p.Instance, p.Instance.String(), p.Legacy
	l.Container, l.Release, l.Age = string(p.Container), p.Release, s.Age(p).String()
	return i
}

// room empties a lane for the peer: one in which nothing is said any more, or,
// for a container that the Supervisor lists, one of a container that it does not
// list. So strangers cannot keep those out that count.
func (h *history) room(s *decide.Snapshot, p *peer.Peer) int {
	found, cost, most := -1, 4, 0
	if s.Supervisor.Find(p.Container) != nil {
		most = 2
	}
	for i := 1; i < len(h.current.Lanes); i++ {
		l, is := &h.current.Lanes[i], 0
		if s.Supervisor.Find(peer.ContainerID(l.Container)) != nil {
			is = 2
		}
		if !l.over() {
			is++
		}
		if is <= most && is < cost {
			found, cost = i, is
		}
	}
	if found > 0 {
		delete(h.seen, h.current.Lanes[found].id)
		h.current.Lanes[found] = Lane{}
		h.current.Marks = slices.DeleteFunc(h.current.Marks, func(m Mark) bool { return m.Lane == found })
	}
	return found
}

// publish makes copies for others to read.
func (h *history) publish() {
	h.changed = false
	h.published = make([]Handover, 0, 2)
	for _, one := range []*Handover{h.last, h.current} {
		if one == nil {
			continue
		}
		c := *one
		c.Marks = slices.Clone(nonNil(c.Marks))
		sort.SliceStable(c.Marks, func(i, j int) bool { return c.Marks[i].Time.Before(c.Marks[j].Time) })
		c.Lanes = slices.Clone(c.Lanes)
		for i := range c.Lanes {
			c.Lanes[i].Spans = slices.Clone(c.Lanes[i].Spans)
		}
		h.published = append(h.published, c)
	}
}
