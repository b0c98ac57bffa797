package peer_test

import (
	"encoding/hex"
	"net/netip"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

// recorded is one datagram that handover-lib itself has made.
type recorded struct {
	Library     string       `json:"library"`
	Timestamp   int64        `json:"timestamp"`
	ServiceName string       `json:"serviceName"`
	Addresses   []netip.Addr `json:"addresses"`
	Status      string       `json:"status"`
	Hex         string       `json:"hex"`
}

var _ = Describe("What handover-lib sends", func() {
	var all []recorded
	load("testdata/handover-lib.json", &all)

	for _, r := range all {
		if r.Status != "" {
			It("is what we send as status message: "+r.Status+" of "+r.ServiceName, func() {
				m := peer.StatusMessage{
					StartMilli: r.Timestamp, Service: r.ServiceName, Addresses: r.Addresses, Down: r.Status == "DOWN",
				}
				Expect(hex.EncodeToString(m.Append(nil))).To(Equal(r.Hex))
			})
			It("as status message never passes for an announcement", func() {
				var a peer.Announcement
				Expect(a.Decode(unhex(r.Hex), peer.Domain{}, nil)).To(MatchError(peer.DropVersion))
			})
			continue
		}
		It("is what we send and understand as nine bytes: "+r.Hex, func() {
			a := peer.Announcement{Legacy: true, StartMilli: r.Timestamp}
			Expect(a.Append(nil, nil)).To(Equal(unhex(r.Hex)))
			var got peer.Announcement
			err := got.Decode(unhex(r.Hex), peer.Domain{}, nil)
			if r.Timestamp == 0 {
				Expect(err).To(MatchError(peer.DropZero))
				return
			}
			Expect(err).NotTo(HaveOccurred())
			Expect(got).To(Equal(a))
		})
	}
})

var _ = Describe("A status message", func() {
	It("cuts off what has no room, and stays 120 bytes", func() {
		m := peer.StatusMessage{StartMilli: 1, Service: strings.Repeat("é", 60)}
		for i := range 20 {
			m.Addresses = append(m.Addresses, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
		}
		raw := m.Append(nil)
		Expect(raw).To(HaveLen(peer.StatusMessageSize))
		Expect(raw[112:]).To(Equal([]byte("UP\x00\x00\x00\x00\x00\x00")))
		Expect(raw[72+36 : 112]).To(Equal([]byte{10, 0, 0, 10}))
	})
	It("leaves out addresses that are not IPv4", func() {
		m := peer.StatusMessage{Addresses: []netip.Addr{
			{}, netip.MustParseAddr("fe80::1"), netip.MustParseAddr("::ffff:1.2.3.4"), netip.MustParseAddr("5.6.7.8"),
		}}
		Expect(m.Append(nil)[72:84]).To(Equal([]byte{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0}))
	})
	It("appends to what is there", func() {
		m := peer.StatusMessage{Down: true}
		raw := m.Append([]byte("xy"))
		Expect(raw).To(HaveLen(peer.StatusMessageSize + 2))
		Expect(raw[:3]).To(Equal([]byte("xy\x02")))
	})
})
