package peer

// DropReason says why a datagram was dropped. It is an error; the reasons are
// comparable, so that errors.Is and a plain == both work. Its String is fit to
// be a metric's label.
type DropReason uint8

// The reasons, about in the order in which they are checked.
const (
	// NotDropped is the zero value: the datagram was accepted.
	NotDropped DropReason = iota
	// DropInterface: it came in on an interface that is not ours, or was not
	// sent to the group.
	DropInterface
	// DropOversized: longer than any datagram of this protocol (511 bytes).
	DropOversized
	// DropShort: fewer than nine bytes.
	DropShort
	// DropVersion: the first byte is not 0x01.
	DropVersion
	// DropUnsigned: without signature though a secret is set; also every
	// nine-byte datagram of handover-lib.
	DropUnsigned
	// DropZero: nine bytes with a start time of zero or less, on which
	// handover-lib never acts.
	DropZero
	// DropMalformed: no extension magic, or fields that are cut off, of a wrong
	// length, out of range, doubled or missing.
	DropMalformed
	// DropDomain: of another service or another device.
	DropDomain
	// DropExtension: an extension version that this program does not know.
	DropExtension
	// DropSignature: signed with none of the secrets.
	DropSignature
	// DropLegacyOff: nine bytes though announce.legacy is false.
	DropLegacyOff
	// DropOwn: this instance's own datagram, or one of its own container.
	DropOwn
	// DropDuplicate: the sequence number was the last one of that instance. One
	// datagram is sent on several interfaces and ways: duplicates are normal.
	DropDuplicate
	// DropReplay: the sequence number is below the last one of that instance,
	// or the instance was replaced by a later one in its container, or it claims to
	// replace one that lives, or to be gone in its name.
	DropReplay
	// DropStale: it was sent more than half a minute ago, by an instance that is not
	// known, or after now. It was recorded and sent again, or the sender's clock is
	// another one.
	DropStale
	// DropTableFull: the table of peers has no room for one more.
	DropTableFull

	dropReasons // the number of reasons, NotDropped included
)

var dropNames = [dropReasons]string{
	"none", "interface", "oversized", "short", "version", "unsigned", "zero", "malformed", "domain",
	"extension", "signature", "legacy_off", "own", "duplicate", "replay", "stale", "table_full",
}

// DropReasons returns all reasons for which a datagram can be dropped, so that
// metrics can be set to 0 before anything happens.
func DropReasons() []DropReason {
	all := make([]DropReason, 0, dropReasons-1)
	for r := NotDropped + 1; r < dropReasons; r++ {
		all = append(all, r)
	}
	return all
}

// String returns the reason as a metric's label: lower case and underscores.
func (r DropReason) String() string {
	if r < dropReasons {
		return dropNames[r]
	}
	return "other"
}

// Error returns "peer: datagram dropped: " and the reason.
func (r DropReason) Error() string { return "peer: datagram dropped: " + r.String() }
