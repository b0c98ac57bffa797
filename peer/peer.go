package peer

import (
	"net/netip"
	"slices"
	"time"
)

// Peer is what this instance knows about another one, merged from every way
// by which it was heard. It is a copy: nothing changes it after it was handed
// out.
type Peer struct {
	// Instance is the random id of the peer's process. For a handover-lib
	// peer, which has none, it is made from its address and start time.
	Instance InstanceID
	// Legacy tells that this is a handover-lib peer: nine bytes, no extension.
	Legacy bool
	// Address is where the last datagram came from. It is not valid for ways
	// that have no addresses.
	Address netip.Addr
	// Container is the peer's container, empty if it did not say.
	Container ContainerID
	// FirstStart is the first start of the peer's container; it is not Known
	// for legacy peers and for peers without a record.
	FirstStart FirstStart
	// StartMilli is the start time in the nine bytes, in milliseconds since
	// the Unix epoch by the peer's clock. Extended peers send 0 unless serving.
	StartMilli int64
	// Release is the peer's release id, 0 if it did not say.
	Release uint64

	Phase Phase
	// Told tells that the peer has been told to stop.
	Told bool
	// Drained tells that the peer drains or has released, or did so before it ended.
	Drained bool
	// Gone tells that the peer said that it ends. The record stays for a while,
	// with what was last known, Told among it; Phase is then PhaseGone.
	Gone bool
	// Dead tells that a way with a lock saw the peer's process end, said or
	// not. The record stays as it does with Gone; Phase is the last one said.
	Dead bool
	// Listens tells that the peer's service is ready because it listens on a TCP
	// port, and by no other readiness check.
	Listens bool
	// Acks are the holding instances that the peer acknowledges.
	Acks []InstanceID

	// FirstHeard and LastHeard are when this instance id was heard, by the local
	// clock: when the datagram was sent, if it says so, else when it was received
	// or, in a folder, written. What waited unread is as old as it is.
	FirstHeard, LastHeard time.Time
	// PhaseSince is when the first announcement of Phase was heard, in that sense.
	PhaseSince time.Time
	// FreshUntil is set by ways that know, without asking, that the peer's process
	// lives, until then, and that it has said nothing since. Zero otherwise. It may
	// be frozen: that it serves only LastHeard tells.
	FreshUntil time.Time
	// Ways names the ways by which the peer was heard, sorted.
	Ways []string
}

// Acknowledges reports whether the peer names the instance id in its acks.
func (p *Peer) Acknowledges(id InstanceID) bool { return slices.Contains(p.Acks, id) }

// Ended reports whether the peer's process is known to have ended.
func (p *Peer) Ended() bool { return p.Gone || p.Dead }

// Statement is what this instance wants to say of itself. The announcer says
// it: in a burst when it changed, and again as often as README.md's rules on
// sending want.
type Statement struct {
	// Phase: while it is PhaseUnknown, nothing is said.
	Phase Phase
	// Told: this instance has been told to stop.
	Told bool
	// Ask wants an answer from peers, repeated about every 300 ms while set.
	Ask bool
	// AskEvery is the pause between two requests for an answer; 0 means 300 ms,
	// and less than 50 ms means 50 ms.
	AskEvery time.Duration
	// Eager repeats the statement every 250 ms (for at most a minute after the
	// last change of phase): a hand-over is under way.
	Eager bool
	// Acks names the holding instances that this one acknowledges; the first
	// MaxAcks are said.
	Acks []InstanceID
	// Listens: the service is ready because it listens on a TCP port.
	Listens bool
	// Release is this instance's release id, if known by now; 0 otherwise.
	Release uint64
}
