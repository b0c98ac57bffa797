package peer

import (
	"encoding/binary"
	"net/netip"
)

// StatusMessage is a status message of handover-lib 0.2, which its proxy
// helpers listen to on a port of their own: where a service can be reached,
// and whether to send it anything.
type StatusMessage struct {
	// StartMilli is the service's start, in milliseconds since the Unix epoch.
	StartMilli int64
	// Service is the service's name; the first 63 bytes are sent.
	Service string
	// Addresses are the service's IPv4 addresses; the first ten are sent.
	Addresses []netip.Addr
	// Down says "DOWN" instead of "UP".
	Down bool
}

// The layout of a status message, byte for byte that of handover-lib 0.2.3.
const (
	// StatusMessageSize is the length of every status message.
	StatusMessageSize = 120

	statusVersion      = 0x02
	statusService      = 9
	statusAddresses    = 72
	statusWord         = 112
	statusMaxService   = statusAddresses - statusService
	statusMaxAddresses = (statusWord - statusAddresses) / 4
	statusUp           = "UP"
	statusDown         = "DOWN"
)

// Append appends the message to dst and returns the extended slice. Addresses
// that are not IPv4 are left out.
func (m *StatusMessage) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, StatusMessageSize)...)
	b := dst[start:]
	b[0] = statusVersion
	binary.BigEndian.PutUint64(b[1:], uint64(m.StartMilli))
	copy(b[statusService:statusService+statusMaxService], m.Service)
	n := 0
	for _, address := range m.Addresses {
		if address = address.Unmap(); address.Is4() && n < statusMaxAddresses {
			four := address.As4()
			copy(b[statusAddresses+4*n:], four[:])
			n++
		}
	}
	word := statusUp
	if m.Down {
		word = statusDown
	}
	copy(b[statusWord:], word)
	return dst
}
