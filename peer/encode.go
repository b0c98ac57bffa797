package peer

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Append appends the datagram to dst and returns the extended slice. With a
// Keyring the datagram is signed with its first secret; a nine-byte one is
// never signed. It fails if the announcement says something that receivers
// would drop.
func (a *Announcement) Append(dst []byte, keys *Keyring) ([]byte, error) {
	start := len(dst)
	dst = append(dst, baseVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(a.StartMilli))
	if a.Legacy {
		return dst, nil
	}
	if err := a.check(); err != nil {
		return dst[:start], fmt.Errorf("peer: encode announcement: %w", err)
	}

	dst = append(dst, magicFirst, magicSecond, extensionVersion)
	dst = append(dst, a.Domain[:]...)
	b := cryptobyte.NewBuilder(dst)
	a.addFields(b)
	dst, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("peer: encode announcement: %w", err)
	}
	if keys != nil {
		// The signature covers its own type and length, but not itself.
		dst = append(dst, fieldSignature, signatureSize)
		dst = append(dst, keys.sign(dst[start:])...)
	}
	return dst, nil
}

func (a *Announcement) check() error {
	switch {
	case a.Instance == InstanceID{}:
		return fmt.Errorf("the instance id is zero")
	case !a.Phase.said():
		return fmt.Errorf("%s is not a phase to announce", a.Phase)
	case a.Sequence == 0:
		return fmt.Errorf("the sequence number is zero")
	case a.FirstStart.Since < 0:
		return fmt.Errorf("the first start is negative")
	case a.Container != ContainerDigits{} && !isHex(a.Container[:]):
		return fmt.Errorf("container id %q is not hexadecimal", a.Container[:])
	}
	return nil
}

func (a *Announcement) addFields(b *cryptobyte.Builder) {
	field := func(kind uint8, value func(b *cryptobyte.Builder)) {
		b.AddUint8(kind)
		b.AddUint8LengthPrefixed(value)
	}
	field(fieldInstance, func(b *cryptobyte.Builder) { b.AddBytes(a.Instance[:]) })
	field(fieldPhase, func(b *cryptobyte.Builder) { b.AddUint8(uint8(a.Phase)) })
	if flags := a.flags(); flags != 0 {
		field(fieldFlags, func(b *cryptobyte.Builder) { b.AddUint8(flags) })
	}
	field(fieldSequence, func(b *cryptobyte.Builder) { b.AddUint64(a.Sequence) })
	if a.ForgetAfter > 0 {
		field(fieldForgetAfter, func(b *cryptobyte.Builder) { b.AddUint16(wholeSeconds(a.ForgetAfter)) })
	}
	if a.FirstStart.Known() {
		field(fieldFirstStart, func(b *cryptobyte.Builder) {
			b.AddBytes(a.FirstStart.Boot[:])
			b.AddUint64(uint64(a.FirstStart.Since))
		})
	}
	if a.Container != (ContainerDigits{}) {
		field(fieldContainer, func(b *cryptobyte.Builder) { b.AddBytes(a.Container[:]) })
	}
	if a.Release != 0 {
		field(fieldRelease, func(b *cryptobyte.Builder) { b.AddUint64(a.Release) })
	}
	for _, ack := range a.Acks() {
		field(fieldAck, func(b *cryptobyte.Builder) { b.AddBytes(ack[:]) })
	}
}

func (a *Announcement) flags() uint8 {
	var flags uint8
	if a.Told {
		flags |= flagTold
	}
	if a.Ask {
		flags |= flagAsk
	}
	if a.Timed {
		flags |= flagTimed
	}
	if a.Listens {
		flags |= flagListens
	}
	return flags
}

// wholeSeconds rounds up, and down to what two bytes can say.
func wholeSeconds(d time.Duration) uint16 {
	seconds := int64(d / time.Second)
	if d%time.Second != 0 {
		seconds++
	}
	return uint16(min(seconds, math.MaxUint16))
}
