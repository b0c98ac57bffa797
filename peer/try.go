package peer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// RoundTrip is what became of a datagram that was sent to the group on one
// interface.
type RoundTrip struct {
	Interface string
	// Addresses are this host's IPv4 addresses on it.
	Addresses []netip.Addr
	// Took is the time until it came back; Err says why it did not.
	Took time.Duration
	Err  error
}

// ErrNotBack is the Err of a RoundTrip that went out and did not come back.
var ErrNotBack = errors.New("peer: try multicast: it was sent and did not come back")

// TryMulticast sends one datagram on each interface that the configuration
// chooses, and waits until it came in there again, or until ctx is done. It
// tells which mode was chosen; without an interface to use there is no trip.
//
// Nobody acts on the datagram: its domain is random, so that peers drop it, its
// phase is gone, and its start time is 0, which handover-lib ignores. That it
// comes back shows that this side can send and receive, and not that anybody
// else does. Of the configuration, Filter and StatusPort are not used.
func TryMulticast(ctx context.Context, cfg MulticastConfig) (Mode, []RoundTrip, error) {
	said := Announcement{Instance: NewInstanceID(), Phase: PhaseGone}
	_, _ = rand.Read(said.Domain[:]) // never fails, see crypto/rand
	cfg.Filter, cfg.StatusPort = &Filter{Domain: said.Domain}, 0
	m, err := OpenMulticast(cfg)
	if err != nil {
		return "", nil, err
	}
	over := context.AfterFunc(ctx, func() { _ = m.Close() })
	defer func() { over(); _ = m.Close() }()
	links, err := m.cfg.system.choose(m.mode, m.cfg.Interface)
	if err != nil {
		return m.mode, nil, fmt.Errorf("peer: try multicast: list interfaces: %w", err)
	}
	trips := make([]RoundTrip, len(links))
	sent := make([]time.Time, len(links)) // zero: it was not sent
	for i, l := range links {
		trips[i] = RoundTrip{Interface: l.name, Addresses: l.addresses}
		if !slices.ContainsFunc(*m.used.Load(), l.same) {
			// It was refused, which is in the log; the reason is wanted here.
			if err := m.packet.JoinGroup(&net.Interface{Index: l.index}, &m.group); err != nil {
				trips[i].Err = fmt.Errorf("peer: try multicast: join the group: %s", rootCause(err))
				continue
			}
		}
		said.Sequence = uint64(i + 1) // tells by which interface it went out
		datagram, err := said.Append(nil, nil)
		if err != nil {
			return m.mode, nil, err
		}
		now := time.Now()
		if err := m.sendOn(l, datagram, &m.group); err != nil {
			trips[i].Err = fmt.Errorf("peer: try multicast: %w", err)
			continue
		}
		trips[i].Err, sent[i] = ErrNotBack, now
	}
	m.await(trips, sent, &said)
	return m.mode, trips, nil
}

// await takes in what comes back, until all of it has, or m is closed.
func (m *Multicast) await(trips []RoundTrip, sent []time.Time, said *Announcement) {
	var buf [MaxDatagram + 1]byte
	var heard Announcement
	for slices.ContainsFunc(trips, func(t RoundTrip) bool { return errors.Is(t.Err, ErrNotBack) }) {
		r, err := m.Receive(buf[:])
		if err != nil { // closed, as a rule
			return
		}
		if r.Event != EventDatagram || r.Drop != NotDropped ||
			heard.Decode(buf[:r.N], said.Domain, nil) != nil || heard.Instance != said.Instance {
			continue
		}
		i := int(heard.Sequence) - 1
		if i >= 0 && i < len(trips) && trips[i].Interface == r.Interface && errors.Is(trips[i].Err, ErrNotBack) {
			trips[i].Err, trips[i].Took = nil, max(0, r.Time.Sub(sent[i]))
		}
	}
}
