package peer

import (
	"errors"
	"net/netip"
	"time"
)

// Way carries datagrams between the instances of a service: the multicast
// group, a shared folder, or memory in tests. A Node merges several of them.
//
// A Way promises nothing: datagrams may be lost, doubled, reordered, forged.
// Send and Receive are called from one goroutine each, Close from any.
type Way interface {
	// Name is short, unique within a Node, and fit to be a metric's label.
	Name() string
	// Send hands the datagram to everybody who can hear this way, without
	// keeping the slice and without blocking for long. It fails if nobody could
	// be reached; the caller counts that and goes on.
	//
	// A repeat says nothing new: it is against loss, or answers somebody. A way
	// that loses nothing, as a folder, may skip it, and returns ErrSkipped. What
	// is not a repeat comes at every change and once every announce interval.
	Send(datagram []byte, repeat bool) error
	// Receive blocks for the next datagram or event. It fails with
	// net.ErrClosed after Close; any other error is transient.
	Receive(buf []byte) (Received, error)
	// Close ends Receive and frees everything. Further calls do nothing.
	Close() error
}

// ErrSkipped is what Send returns for a repeat that the way had no use for. It
// is no failure, and the datagram is not counted.
var ErrSkipped = errors.New("peer: send datagram: skipped, it says nothing new")

// Received is one datagram, in the buffer given to Receive, or one event.
type Received struct {
	// N is the length of the datagram; 0 with an Event other than EventDatagram.
	N int
	// Time is the local time of receipt, with a reading of the monotonic clock.
	// Freshness is judged by it: it must not be later than the truth.
	Time time.Time
	// From is the sender's address; not valid for ways that have none.
	From netip.AddrPort
	// Interface is the name of the network interface, empty if there is none.
	Interface string
	// Drop tells that the way itself found the datagram to be unacceptable:
	// it is counted by this reason and not looked at.
	Drop DropReason

	// Event says what was received. The fields below belong to events.
	Event Event
	// Instance is the peer that the event is about.
	Instance InstanceID
	// Until is the end of what EventFresh vouches for.
	Until time.Time
	// Mute belongs to EventFresh, too: this instance cannot speak by this way, so it
	// cannot ask there. If the peer is heard by no other way, its last word counts
	// as heard now, unless this instance has asked since: Asked is when a word that
	// asks last got through by this way, zero if none did.
	Mute  bool
	Asked time.Time
}

// Event is what a Way can tell besides datagrams. Events about a peer that was
// never heard are ignored: a folder hands over the peer's datagram first.
type Event uint8

const (
	// EventDatagram is no event, but a datagram.
	EventDatagram Event = iota
	// EventReach says that the way reaches more listeners than before (an
	// interface came up, or its carrier came). The node repeats its announcement; who hears it for
	// the first time answers.
	EventReach
	// EventFresh says that the process of Instance lives, and that this way
	// would have told if it said anything new; true until Until unless revoked
	// by EventDied or by an Until in the past. A folder says so while the
	// peer's lock is held and its file is recent. It does not say that the process
	// runs: one that is frozen lives, too. Whether it does only its answer tells.
	EventFresh
	// EventDied says that the process of Instance has ended, for certain.
	EventDied
)

// StatusSender is a Way that can also send handover-lib status messages.
type StatusSender interface {
	// SendStatus sends the message, with the way's own addresses filled in, to
	// the port for status messages. It does nothing if that is switched off.
	SendStatus(m StatusMessage) error
}
