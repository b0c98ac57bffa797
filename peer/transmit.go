package peer

import (
	"errors"
	"time"
)

// transmit sends what is due.
func (n *Node) transmit(now time.Time) {
	send, repeat := n.announcer.take(now)
	if send {
		n.announce(n.announcer.said, repeat, n.asks(n.announcer.said, repeat, now))
	}
	if !n.cfg.StatusMessages {
		n.beat.due = time.Time{}
		return
	}
	if send, down := n.beat.take(now, send && !repeat); send {
		n.sendStatus(down)
	}
}

// announce sends one datagram, the same by every way. ask makes it one that no
// Asker skips.
func (n *Node) announce(s Statement, repeat, ask bool) {
	n.sequence++
	now := uint64(max(0, n.cfg.Uptime()))
	timed := now > 0
	if timed {
		n.sequence = max(n.sequence, now)
	}
	a := Announcement{
		Domain:      n.cfg.Domain,
		Instance:    n.cfg.Self.Instance,
		Phase:       s.Phase,
		Told:        s.Told,
		Ask:         s.Ask,
		FirstStart:  n.cfg.Self.FirstStart,
		Container:   n.cfg.Self.Container.Digits(),
		Release:     s.Release,
		Timed:       timed,
		Listens:     s.Listens,
		Sequence:    n.sequence,
		ForgetAfter: n.cfg.ExpireAfter,
	}
	if n.cfg.Legacy && s.Phase.legacyServing() {
		a.StartMilli = n.cfg.Self.StartMilli
	}
	a.SetAcks(s.Acks)
	buf, err := a.Append(n.buf[:0], n.keys)
	if err != nil { // only for an identity that Start should have refused
		n.cfg.Logger.Error("cannot encode the announcement", "error", err)
		return
	}
	n.buf = buf
	for i, w := range n.cfg.Ways {
		asker := n.askers[i]
		var err error
		if asker != nil && ask {
			err = asker.Ask(buf)
		} else if err = w.Send(buf, repeat); errors.Is(err, ErrSkipped) {
			continue
		}
		n.counters.sent(i, err)
	}
}

// sendStatus sends one status message by every way that can.
func (n *Node) sendStatus(down bool) {
	m := StatusMessage{StartMilli: n.cfg.Self.StartMilli, Service: n.cfg.ServiceName, Down: down}
	for i, w := range n.cfg.Ways {
		if s, ok := w.(StatusSender); ok && s.SendStatus(m) == nil {
			n.counters.ways[i].status.Add(1)
		}
	}
}

// farewell says that this instance ends, and ends the node.
func (n *Node) farewell() {
	last := n.announcer.said
	if last.Phase.said() {
		last.Phase, last.Ask, last.Eager, last.Acks = PhaseGone, false, false, nil
		n.sayGone(last)
	}
	close(n.quit)
	var errs []error
	for _, w := range n.cfg.Ways {
		errs = append(errs, w.Close())
	}
	n.readers.Wait()
	n.closeErr = errors.Join(errs...)
}

func (n *Node) sayGone(last Statement) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	alone := !n.accompanied()
	for i, at := range goneAt {
		if alone {
			at = 0 // nobody is known who is worth waiting for
		}
		timer.Reset(time.Until(start.Add(at)))
		select {
		case <-timer.C:
		case <-n.hurry:
		}
		if i > 0 && isClosed(n.hurry) {
			return
		}
		n.announce(last, i > 0, false)
		if n.cfg.StatusMessages && (statusUpPhase(n.beat.phase) || statusDownPhase(n.beat.phase)) {
			n.sendStatus(true)
		}
	}
}

// accompanied reports whether a peer is known that has not ended.
func (n *Node) accompanied() bool {
	for _, e := range n.table.entries {
		if !e.peer.Ended() {
			return true
		}
	}
	return false
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
