package peer

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("What the kernel tells about a datagram", func() {
	It("is unknown where there is nothing or nonsense", func() {
		now := time.Now()
		for _, oob := range [][]byte{nil, {1}, make([]byte, 128), unix.UnixRights(1, 2)} {
			a := parseAncillary(oob)
			Expect(a).To(Equal(ancillary{}))
			Expect(a.receiptTime(now)).To(Equal(now))
		}
	})
	It("is the interface and the destination", func() {
		info := &unix.Inet4Pktinfo{Ifindex: 7, Spec_dst: [4]byte{1, 2, 3, 4}, Addr: [4]byte{239, 1, 2, 3}}
		a := parseAncillary(unix.PktInfo4(info))
		Expect(a.index).To(Equal(7))
		Expect(a.to).To(Equal(netip.MustParseAddr("239.1.2.3")))
	})
	It("is a time, with words of 32 or 64 bits", func() {
		long := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 1_700_000_000), 5)
		Expect(parseTimespec(long)).To(Equal(time.Unix(1_700_000_000, 5)))
		short := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 1_700_000_000), 5)
		Expect(parseTimespec(short)).To(Equal(time.Unix(1_700_000_000, 5)))
		Expect(parseTimespec(short[:7])).To(BeZero())
	})
	It("is never later than now", func() {
		now := time.Now()
		a := ancillary{received: now.Add(time.Hour)}
		Expect(a.receiptTime(now)).To(Equal(now))
		a.received = now.Add(-time.Second)
		Expect(a.receiptTime(now)).To(Equal(now.Add(-time.Second)))
	})
})

// FuzzAncillary: nothing in a control message crashes the reader.
func FuzzAncillary(f *testing.F) {
	f.Add(unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 1}))
	f.Fuzz(func(_ *testing.T, oob []byte) { parseAncillary(oob) })
}
