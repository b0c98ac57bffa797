package peer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Domain keeps the instances of one service on one device apart from all
// others: only instances with equal domains can be peers.
type Domain [8]byte

// NewDomain computes the domain of a service on a device. The boot id is the
// text of /proc/sys/kernel/random/boot_id without the line's end: it is the
// same in all containers of a device and differs between devices.
//
// It is the first eight bytes of SHA-256 over the three strings, each with its
// length before it as a big-endian uint16. Of a string longer than that can
// count, which no identifier is, the first 65535 bytes are taken.
func NewDomain(bootID, appID, service string) Domain {
	var text []byte
	for _, s := range []string{bootID, appID, service} {
		s = s[:min(len(s), 1<<16-1)]
		text = binary.BigEndian.AppendUint16(text, uint16(len(s)))
		text = append(text, s...)
	}
	sum := sha256.Sum256(text)
	return Domain(sum[:8])
}

// String returns the domain as 16 hexadecimal digits.
func (d Domain) String() string { return hex.EncodeToString(d[:]) }
