package peer

import (
	"slices"
	"time"
)

// Sizes and limits of the wire; README.md specifies it.
const (
	// MaxDatagram is the length that no datagram exceeds, in bytes.
	MaxDatagram = 511
	// MaxAcks is how many acknowledged instances one datagram names.
	MaxAcks = 8
	// MinForgetAfter and MaxForgetAfter bound what a peer can ask for.
	MinForgetAfter = 3 * time.Second
	MaxForgetAfter = time.Hour

	baseSize         = 9 // version byte and start time
	baseVersion      = 0x01
	magicFirst       = 'H'
	magicSecond      = 'O'
	extensionVersion = 0x01
	domainOffset     = 12
	fieldsOffset     = domainOffset + len(Domain{})
)

// The field types of the extension, version 1.
const (
	fieldInstance    = 0x01 // 16 bytes, required
	fieldPhase       = 0x02 // 1 byte, required
	fieldFlags       = 0x03 // 1 byte
	fieldFirstStart  = 0x04 // 4 bytes of hash, 8 bytes of nanoseconds
	fieldContainer   = 0x05 // 12 hexadecimal digits in lower case
	fieldRelease     = 0x06 // 8 bytes
	fieldSequence    = 0x07 // 8 bytes, required
	fieldForgetAfter = 0x08 // 2 bytes, seconds
	fieldAck         = 0x09 // 16 bytes, repeatable
	fieldSignature   = 0xff // 32 bytes, last
)

// The bits of the flags field. Unknown bits are ignored.
const (
	flagTold = 1 << iota
	flagAsk
	flagTimed
	flagListens
)

// Announcement is one datagram. Reading and comparing it needs no allocation.
type Announcement struct {
	// Legacy: only the nine bytes that handover-lib sends; nothing below
	// StartMilli is set.
	Legacy bool
	// StartMilli is the start time in the nine bytes, in milliseconds since the
	// Unix epoch by the sender's clock; 0 means "do not act on this".
	StartMilli int64

	Domain   Domain
	Instance InstanceID
	Phase    Phase
	// Told: the sender has been told to stop. Ask: it wants an answer.
	Told, Ask bool
	// FirstStart, Container and Release are left out when zero.
	FirstStart FirstStart
	Container  ContainerDigits
	Release    uint64
	// Timed: Sequence is the sender's CLOCK_BOOTTIME at the transmission, in
	// nanoseconds. All containers of a device have that clock in common, so the
	// receiver knows how old the datagram is.
	Timed bool
	// Listens: the sender's service is ready, or was, because it listens on a TCP
	// port, with no other readiness check.
	Listens bool
	// Sequence grows with every transmission of an instance; never 0. It is the
	// same on every interface and way.
	Sequence uint64
	// ForgetAfter is how long to remember the sender without hearing it. It is
	// sent in whole seconds, rounded up, and left out when zero. Decode clamps
	// what it finds to MinForgetAfter … MaxForgetAfter.
	ForgetAfter time.Duration

	acks     [MaxAcks]InstanceID
	ackCount int
}

// Acks returns the holding instances that the sender acknowledges, valid as
// long as the announcement is not changed.
func (a *Announcement) Acks() []InstanceID { return a.acks[:a.ackCount] }

// SetAcks sets the acknowledged instances, each named once. What goes beyond
// MaxAcks is left out.
func (a *Announcement) SetAcks(ids []InstanceID) {
	a.acks, a.ackCount = [MaxAcks]InstanceID{}, 0
	for _, id := range ids {
		a.addAck(id)
	}
}

func (a *Announcement) addAck(id InstanceID) {
	if a.ackCount < MaxAcks && !slices.Contains(a.Acks(), id) {
		a.acks[a.ackCount] = id
		a.ackCount++
	}
}

// ContainerDigits is a ContainerID of fixed size, all zero if unknown: reading
// one from a datagram takes no allocation.
type ContainerDigits [containerDigits]byte

// Digits returns the id in its fixed-size form.
func (c ContainerID) Digits() ContainerDigits {
	var d ContainerDigits
	if len(c) == containerDigits {
		copy(d[:], c)
	}
	return d
}

// ID returns the digits as a ContainerID.
func (d ContainerDigits) ID() ContainerID {
	if d == (ContainerDigits{}) {
		return ""
	}
	return ContainerID(d[:])
}
