package peer

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ancillary is what the kernel tells about a datagram besides its content.
type ancillary struct {
	// index is the interface on which it came in, 0 if unknown.
	index int
	// to is the address to which it was sent.
	to netip.Addr
	// received is when, by the wall clock; zero if unknown.
	received time.Time
}

// parseAncillary reads the control messages of a datagram. What it does not
// understand stays unknown.
func parseAncillary(oob []byte) ancillary {
	var a ancillary
	for len(oob) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		switch {
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// struct in_pktinfo: interface, local address, destination
			a.index = int(int32(binary.NativeEndian.Uint32(data)))
			a.to = netip.AddrFrom4([4]byte(data[8:12]))
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS:
			a.received = parseTimespec(data)
		}
	}
	return a
}

// parseTimespec reads a struct timespec of two longs, of either size.
func parseTimespec(data []byte) time.Time {
	switch {
	case len(data) >= 16:
		return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
	case len(data) >= 8:
		return time.Unix(int64(int32(binary.NativeEndian.Uint32(data))), int64(int32(binary.NativeEndian.Uint32(data[4:]))))
	}
	return time.Time{}
}

// receiptTime is when the kernel received the datagram, on the monotonic
// clock. If the wall clock is set in between, that may be too early, never
// later than now.
func (a *ancillary) receiptTime(now time.Time) time.Time {
	if a.received.IsZero() {
		return now
	}
	return now.Add(-max(now.Sub(a.received), 0))
}
