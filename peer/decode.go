package peer

import (
	"encoding/binary"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Decode reads a datagram of this domain into a, overwriting what was there.
// Any bytes of any length are safe. A datagram that must be dropped gives a
// DropReason as error, and leaves a in an undefined state. With a Keyring,
// only datagrams signed with one of its secrets pass; without one, signatures
// are not looked at, so that secrets can be introduced.
//
// Decode judges the datagram alone. Whether nine-byte datagrams are welcome,
// whether it is a replay or this instance's own, is for the caller to say.
func (a *Announcement) Decode(datagram []byte, domain Domain, keys *Keyring) error {
	if reason := a.decode(datagram, domain, keys); reason != NotDropped {
		return reason
	}
	return nil
}

func (a *Announcement) decode(datagram []byte, domain Domain, keys *Keyring) DropReason {
	*a = Announcement{}
	switch {
	case len(datagram) > MaxDatagram:
		return DropOversized
	case len(datagram) < baseSize:
		return DropShort
	case datagram[0] != baseVersion:
		return DropVersion
	}
	a.StartMilli = int64(binary.BigEndian.Uint64(datagram[1:baseSize]))
	if len(datagram) == baseSize {
		a.Legacy = true
		if keys != nil {
			return DropUnsigned
		}
		if a.StartMilli <= 0 {
			return DropZero
		}
		return NotDropped
	}
	switch {
	case len(datagram) < fieldsOffset,
		datagram[baseSize] != magicFirst, datagram[baseSize+1] != magicSecond:
		return DropMalformed
	case Domain(datagram[domainOffset:fieldsOffset]) != domain:
		return DropDomain
	case datagram[baseSize+2] != extensionVersion:
		return DropExtension
	}
	a.Domain = domain

	signature, ok := a.readFields(datagram[fieldsOffset:])
	if !ok {
		return DropMalformed
	}
	if keys == nil {
		return NotDropped
	}
	if signature == nil {
		return DropUnsigned
	}
	if !keys.verify(datagram[:len(datagram)-signatureSize], signature) {
		return DropSignature
	}
	return NotDropped
}

// readFields reads all fields. It returns the signature, nil if there is none,
// and whether the fields are well-formed and complete.
func (a *Announcement) readFields(fields cryptobyte.String) (signature []byte, ok bool) {
	var seen uint32 // a bit for every singleton field
	for !fields.Empty() {
		var kind uint8
		var value cryptobyte.String
		if !fields.ReadUint8(&kind) || !fields.ReadUint8LengthPrefixed(&value) {
			return nil, false
		}
		if kind == fieldSignature {
			// Nothing may follow: it would not be signed.
			return value, len(value) == signatureSize && fields.Empty() && complete(seen)
		}
		if kind >= fieldInstance && kind < fieldAck {
			if seen&(1<<kind) != 0 {
				return nil, false
			}
			seen |= 1 << kind
		}
		if !a.readField(kind, value) {
			return nil, false
		}
	}
	return nil, complete(seen)
}

// complete reports whether the fields that every datagram needs were seen.
func complete(seen uint32) bool {
	const required = 1<<fieldInstance | 1<<fieldPhase | 1<<fieldSequence
	return seen&required == required
}

// readField reads one field's value and reports whether it is of the right
// length and in range. Unknown types are skipped.
func (a *Announcement) readField(kind uint8, value cryptobyte.String) bool {
	switch kind {
	case fieldInstance:
		return value.CopyBytes(a.Instance[:]) && value.Empty() && a.Instance != InstanceID{}
	case fieldPhase:
		var phase uint8
		ok := value.ReadUint8(&phase) && value.Empty()
		a.Phase = Phase(phase)
		return ok && a.Phase.said()
	case fieldFlags:
		var flags uint8
		ok := value.ReadUint8(&flags) && value.Empty()
		a.Told, a.Ask = flags&flagTold != 0, flags&flagAsk != 0
		a.Timed, a.Listens = flags&flagTimed != 0, flags&flagListens != 0
		return ok
	case fieldFirstStart:
		var since uint64
		ok := value.CopyBytes(a.FirstStart.Boot[:]) && value.ReadUint64(&since) && value.Empty()
		a.FirstStart.Since = time.Duration(since)
		return ok && a.FirstStart.Known() && a.FirstStart.Since >= 0
	case fieldContainer:
		return value.CopyBytes(a.Container[:]) && value.Empty() && isHex(a.Container[:])
	case fieldRelease:
		return value.ReadUint64(&a.Release) && value.Empty()
	case fieldSequence:
		return value.ReadUint64(&a.Sequence) && value.Empty() && a.Sequence != 0
	case fieldForgetAfter:
		var seconds uint16
		ok := value.ReadUint16(&seconds) && value.Empty()
		a.ForgetAfter = min(max(time.Duration(seconds)*time.Second, MinForgetAfter), MaxForgetAfter)
		return ok
	case fieldAck:
		var id InstanceID
		ok := value.CopyBytes(id[:]) && value.Empty()
		if ok {
			a.addAck(id)
		}
		return ok
	}
	return true
}
