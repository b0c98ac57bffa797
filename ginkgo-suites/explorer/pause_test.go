package explorer_test

import (
	"net/http"
	"time"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// A process that is stopped does nothing, and nothing is taken from it: what
// arrives waits, its lock stays held, its file is what it was. When it goes on,
// all that waited is there at once, and nobody knows what it looks at first.
// That follows from the seed.

// othersWake is when, after a pause, what waited is read, if the loop is not
// first or last.
const othersWake = 2 * time.Nanosecond

// loopWakes is when the loop goes on after a pause: before or after what waited
// was read.
func (p *process) loopWakes() time.Duration {
	if (p.w.plan.Seed+uint64(p.box.n))%2 == 1 {
		return time.Nanosecond
	}
	return 3 * time.Nanosecond
}

// pause stops the process for a while; all tells that its workload is stopped,
// too.
func (p *process) pause(long dur, all bool) {
	w := p.w
	w.mu.Lock()
	if p.dead || p.exited || p.legacy != nil {
		w.mu.Unlock()
		return
	}
	if p.pauses++; p.stopped == nil {
		p.stopped = make(chan struct{})
		p.stalls = append(p.stalls, span{from: time.Now()})
	}
	if all {
		p.halted = true
		w.serve(p, false, cause{outside: true})
	}
	w.mu.Unlock()
	w.later(long, func() {
		w.mu.Lock()
		p.pauses--
		w.mu.Unlock()
		p.goesOn()
	})
}

// goesOn is when a process that was stopped, or has just started, does what has
// waited.
func (p *process) goesOn() {
	w := p.w
	w.mu.Lock()
	if p.pauses > 0 || !p.launched || p.dead {
		w.mu.Unlock()
		return
	}
	if p.stopped != nil {
		for i := range p.stalls {
			if s := &p.stalls[i]; s.to.IsZero() {
				s.to = time.Now()
			}
		}
		close(p.stopped)
		p.stopped = nil
		p.say("goes on")
	}
	due := p.due
	p.due = nil
	if p.halted {
		p.halted = false
		if k := p.work; k.state.Running && k.state.Ready {
			w.serve(p, true, cause{})
		}
	}
	for _, do := range due {
		if !p.dead {
			do()
		}
	}
	pending := p.pending
	p.pending = ""
	w.mu.Unlock()
	if pending != "" {
		p.hears(pending)
	}
}

// whenAwake does something now, or when the process goes on. The caller holds
// the world's lock, and so does what is done.
func (p *process) whenAwake(do func()) {
	if p.stopped != nil && !p.dead {
		p.due = append(p.due, do)
		return
	}
	do()
}

// waits blocks while the process is stopped, and a moment longer.
func (p *process) waits(after time.Duration) {
	for {
		p.w.mu.Lock()
		stopped := p.stopped
		p.w.mu.Unlock()
		if stopped == nil {
			return
		}
		select {
		case <-p.gone:
			return
		case <-stopped:
			time.Sleep(after)
		}
	}
}

// gate is a way that a process uses only while it runs.
type gate struct {
	peer.Way
	p *process
}

func (g gate) Send(datagram []byte, repeat bool) error {
	g.p.waits(othersWake)
	return g.Way.Send(datagram, repeat)
}

// folderGate is the gate of a folder, where peers may be asked in writing.
type folderGate struct{ gate }

// Ask is for folders that know questions; others are not asked.
func (g folderGate) Ask(datagram []byte) error {
	g.p.waits(othersWake)
	if asks, can := g.Way.(interface{ Ask([]byte) error }); can {
		return asks.Ask(datagram)
	}
	return peer.ErrSkipped
}

func (g gate) Receive(buf []byte) (peer.Received, error) {
	r, err := g.Way.Receive(buf)
	g.p.w.mu.Lock()
	stopped := g.p.stopped != nil
	g.p.w.mu.Unlock()
	if stopped {
		g.p.waits(othersWake)
		if r.Event == peer.EventDatagram {
			r.Time = time.Now() // it was not read before
		}
	}
	return r, err
}

// tolerable is how much longer an answer may take and still be one: a request
// ends after 5 s.
const tolerable = 4500 * time.Millisecond

// slowly carries requests, and keeps answers back while the Supervisor is slow.
type slowly struct {
	http.RoundTripper
	w *world
}

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.RoundTripper.RoundTrip(r)
	s.w.mu.Lock()
	wait := time.Duration(0)
	for _, each := range s.w.spells {
		if each.kind == troubleSlow && each.to.IsZero() {
			wait = max(wait, each.by)
		}
	}
	s.w.mu.Unlock()
	if err != nil || wait == 0 {
		return answer, err
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return answer, nil
	case <-r.Context().Done():
		_ = answer.Body.Close()
		return nil, r.Context().Err()
	}
}

// dated shows creation times as the plan wants them.
func (w *world) dated(all []supervisor.Container) []supervisor.Container {
	for i := range all {
		c := &all[i]
		switch w.plan.Created {
		case createdEqual:
			c.CreatedAt = w.began
		case createdMissing:
			c.CreatedAt = time.Time{}
		case createdReversed:
			c.CreatedAt = w.began.Add(w.began.Sub(c.CreatedAt))
		}
	}
	return all
}
