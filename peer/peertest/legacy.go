package peertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/handover-controller/handover/peer"
)

// legacyInterval is how often handover-lib repeats its announcement.
const legacyInterval = 10 * time.Second

// maxHeard bounds what a LegacyPeer remembers.
const maxHeard = 1000

// LegacyPeer does to datagrams what handover-lib 0.0.10 does: it announces its
// start time in nine bytes, at once and then every ten seconds; it reads nine
// bytes of whatever comes, and a start time later than its own makes it shut
// down: it stops announcing, ends the service, and stops listening. On a
// datagram of fewer than nine bytes or with another version byte it crashes.
type LegacyPeer struct {
	way        peer.Way
	startMilli int64
	stop       chan struct{}
	once       sync.Once
	running    sync.WaitGroup

	mu      sync.Mutex
	heard   []int64
	crash   error
	younger int64
}

// NewLegacyPeer starts a peer that speaks by the way, which it closes in the
// end. It announces nothing before StartBroadcasting, as handover-lib.
func NewLegacyPeer(way peer.Way, startMilli int64) *LegacyPeer {
	p := &LegacyPeer{way: way, startMilli: startMilli, stop: make(chan struct{})}
	p.running.Go(p.listen)
	return p
}

// StartBroadcasting announces the peer from now on. It must be called at most
// once.
func (p *LegacyPeer) StartBroadcasting() { p.running.Go(p.broadcast) }

// Crashed returns why the process would have ended, nil if it would not.
func (p *LegacyPeer) Crashed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crash
}

// ShuttingDown returns the start time that made the peer shut down, 0 if none
// did.
func (p *LegacyPeer) ShuttingDown() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.younger
}

// Heard returns the start times read so far, its own among them; the first
// thousand at most.
func (p *LegacyPeer) Heard() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]int64(nil), p.heard...)
}

// Close ends the peer. Later calls do nothing.
func (p *LegacyPeer) Close() error {
	p.end()
	err := p.way.Close()
	p.running.Wait()
	return err
}

func (p *LegacyPeer) end() { p.once.Do(func() { close(p.stop) }) }

func (p *LegacyPeer) broadcast() {
	datagram := binary.BigEndian.AppendUint64([]byte{1}, uint64(p.startMilli))
	ticker := time.NewTicker(legacyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		_ = p.way.Send(datagram, false)
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
	}
}

func (p *LegacyPeer) listen() {
	buf := make([]byte, 2048)
	for {
		r, err := p.way.Receive(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || r.Event != peer.EventDatagram || r.Drop == peer.DropInterface {
			continue
		}
		if !p.hear(buf[:r.N]) {
			p.end()
			_ = p.way.Close()
			return
		}
	}
}

// hear reads a datagram, and reports whether the peer goes on listening.
func (p *LegacyPeer) hear(datagram []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(datagram) == 0 || datagram[0] != 1:
		p.crash = fmt.Errorf("version mismatch: %.20x", datagram)
		return false
	case len(datagram) < 9:
		p.crash = fmt.Errorf("read beyond the end: %x", datagram)
		return false
	}
	start := int64(binary.BigEndian.Uint64(datagram[1:]))
	if len(p.heard) < maxHeard {
		p.heard = append(p.heard, start)
	}
	if start > p.startMilli {
		p.younger = start
		return false
	}
	return true
}
