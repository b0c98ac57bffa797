package peer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// InstanceID names one handover process: 128 random bits, new at every start.
type InstanceID [16]byte

// NewInstanceID draws an instance id from the system's random source.
func NewInstanceID() InstanceID {
	var id InstanceID
	rand.Read(id[:]) // never fails, see crypto/rand
	return id
}

// String returns the id as 32 hexadecimal digits.
func (id InstanceID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText makes JSON and logs show the id as String does.
func (id InstanceID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *InstanceID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return fmt.Errorf("peer: parse instance id %q: want %d hexadecimal digits", text, 2*len(id))
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return fmt.Errorf("peer: parse instance id %q: %w", text, err)
	}
	return nil
}

// ContainerID is the first twelve hexadecimal digits of a container's id, in
// lower case, or empty if unknown. Twelve digits are what goes over the wire
// and what Docker prints.
type ContainerID string

// containerDigits is the length of a ContainerID that is not empty.
const containerDigits = 12

// ShortContainerID shortens a container id of any length from twelve digits on
// to a ContainerID. It fails if the id is shorter or not hexadecimal.
func ShortContainerID(id string) (ContainerID, error) {
	low := strings.ToLower(strings.TrimSpace(id))
	if len(low) < containerDigits || !isHex(low) {
		return "", fmt.Errorf("peer: container id %q: want at least %d hexadecimal digits", id, containerDigits)
	}
	return ContainerID(low[:containerDigits]), nil
}

// isHex reports whether the string consists of lower-case hexadecimal digits.
func isHex[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// FirstStart is the time at which a container's first process started, on the
// kernel's CLOCK_BOOTTIME, together with the boot that clock belongs to. Wall
// clocks take no part in it.
type FirstStart struct {
	// Boot is the first four bytes of SHA-256 of the boot id; all zero means
	// that the first start is unknown.
	Boot [4]byte
	// Since is the time from that boot to the start.
	Since time.Duration
}

// Known reports whether the first start is known.
func (f FirstStart) Known() bool { return f.Boot != [4]byte{} }

// BootHash shortens a boot id to what FirstStart carries. The boot id is the
// text of /proc/sys/kernel/random/boot_id without the line's end; an empty one
// gives the zero hash, "unknown".
func BootHash(bootID string) [4]byte {
	if bootID == "" {
		return [4]byte{}
	}
	sum := sha256.Sum256([]byte(bootID))
	return [4]byte(sum[:4])
}
