package peer_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

var testDomain = peer.NewDomain("6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", "1234", "main")

// sample returns an announcement with every field set.
func sample() peer.Announcement {
	a := peer.Announcement{
		StartMilli: 1665000000123, Domain: testDomain, Instance: peer.NewInstanceID(), Phase: peer.PhaseServing,
		Told: true, Ask: true, FirstStart: peer.FirstStart{Boot: [4]byte{1, 2, 3, 4}, Since: time.Hour},
		Container: peer.ContainerID("c0b32e9d619f").Digits(), Release: 1001, Sequence: 1 << 40, ForgetAfter: 35 * time.Second,
	}
	a.SetAcks([]peer.InstanceID{peer.NewInstanceID(), peer.NewInstanceID()})
	return a
}

func encode(a peer.Announcement, keys *peer.Keyring) []byte {
	raw, err := a.Append(nil, keys)
	if err != nil {
		panic(err)
	}
	return raw
}

// reasonOf returns the reason of a drop, failing on any other kind of error.
func reasonOf(err error) peer.DropReason {
	GinkgoHelper()
	var reason peer.DropReason
	if err != nil {
		Expect(errors.As(err, &reason)).To(BeTrue(), "%v is no DropReason", err)
	}
	return reason
}

var _ = Describe("Decoding", func() {
	signed := encode(sample(), mustKeys("k"))
	plain := encode(sample(), nil)

	It("reads back what was encoded", func() {
		for _, secret := range [][]string{nil, {"a"}, {"a", "b"}} {
			a := sample()
			var got peer.Announcement
			Expect(got.Decode(encode(a, keyring(secret...)), testDomain, keyring(secret...))).To(Succeed())
			Expect(got).To(Equal(a))
		}
	})

	It("survives every length from 0 to 2000, with every kind of content", func() {
		keys := keyring("k")
		var a peer.Announcement
		for length := range 2001 {
			for _, content := range [][]byte{{0}, {0xff}, {1}, plain, signed} {
				raw := bytes.Repeat(content, length/len(content)+1)[:length]
				for _, k := range []*peer.Keyring{nil, keys} {
					reason := reasonOf(a.Decode(raw, testDomain, k))
					switch {
					case length < 9:
						Expect(reason).To(Equal(peer.DropShort))
					case length > peer.MaxDatagram:
						Expect(reason).To(Equal(peer.DropOversized))
					}
				}
			}
		}
	})

	It("drops every version byte but 0x01", func() {
		var a peer.Announcement
		for _, raw := range [][]byte{bytes.Clone(plain), bytes.Clone(plain[:9])} {
			for version := range 256 {
				raw[0] = byte(version)
				reason := reasonOf(a.Decode(raw, testDomain, nil))
				Expect(reason == peer.NotDropped).To(Equal(version == 1))
				Expect(reason == peer.DropVersion).To(Equal(version != 1))
			}
		}
	})

	It("drops everything that is cut off anywhere", func() {
		var a peer.Announcement
		for n := range plain {
			reason := reasonOf(a.Decode(plain[:n], testDomain, nil))
			// Nine bytes are handover-lib's; between two fields nothing seems amiss
			// unless a required one is missing.
			if n == 9 || n >= 9+3+8+18+3+3+10 {
				continue
			}
			Expect(reason).NotTo(Equal(peer.NotDropped), "%d bytes", n)
		}
		keys := keyring("k")
		for n := range signed {
			Expect(a.Decode(signed[:n], testDomain, keys)).NotTo(Succeed(), "%d bytes", n)
		}
	})

	It("drops a signed datagram with any one bit changed", func() {
		keys := keyring("k")
		var a peer.Announcement
		for i := range signed {
			for bit := range 8 {
				raw := bytes.Clone(signed)
				raw[i] ^= 1 << bit
				Expect(a.Decode(raw, testDomain, keys)).NotTo(Succeed(), "byte %d bit %d", i, bit)
			}
		}
	})

	It("survives random and mutated datagrams", func() {
		random := rand.New(rand.NewPCG(1, 2))
		keys := keyring("k")
		var a peer.Announcement
		for range 100_000 {
			raw := bytes.Clone(plain)
			for range 1 + random.IntN(4) {
				raw[9+random.IntN(len(raw)-9)] = byte(random.Uint32())
			}
			raw = raw[:random.IntN(len(raw)+1)]
			reasonOf(a.Decode(raw, testDomain, nil))
			if err := a.Decode(raw, testDomain, keys); err == nil {
				Fail("an unsigned datagram passed")
			}
		}
	})

	It("accepts what any of several secrets has signed, and nothing else", func() {
		var a peer.Announcement
		Expect(a.Decode(encode(sample(), keyring("old")), testDomain, keyring("new", "old"))).To(Succeed())
		Expect(a.Decode(encode(sample(), keyring("new", "old")), testDomain, keyring("new"))).To(Succeed())
		Expect(a.Decode(encode(sample(), keyring("new", "old")), testDomain, keyring("old"))).To(MatchError(peer.DropSignature))
	})

	It("needs no allocation", func() {
		var a peer.Announcement
		keys := keyring("k")
		decode := func(raw []byte, keys *peer.Keyring) float64 {
			return testing.AllocsPerRun(100, func() { _ = a.Decode(raw, testDomain, keys) })
		}
		Expect(decode(plain[:9], nil)).To(BeZero(), "nine bytes")
		Expect(decode(plain, nil)).To(BeZero(), "extended")
		Expect(decode(signed, keys)).To(BeZero(), "signed")
		Expect(decode(plain[:40], nil)).To(BeZero(), "malformed")
	})
})

// mustKeys is keyring for use while specs are built.
func mustKeys(secret string) *peer.Keyring {
	keys, err := peer.NewKeyring([]byte(secret))
	if err != nil {
		panic(err)
	}
	return keys
}

var _ = Describe("Encoding", func() {
	DescribeTable("refuses what receivers would drop",
		func(spoil func(*peer.Announcement)) {
			a := sample()
			spoil(&a)
			got, err := a.Append([]byte("x"), nil)
			Expect(err).To(MatchError(HavePrefix("peer: encode announcement: ")))
			Expect(got).To(Equal([]byte("x")))
		},
		Entry("no instance id", func(a *peer.Announcement) { a.Instance = peer.InstanceID{} }),
		Entry("no phase", func(a *peer.Announcement) { a.Phase = peer.PhaseUnknown }),
		Entry("an unknown phase", func(a *peer.Announcement) { a.Phase = 8 }),
		Entry("no sequence number", func(a *peer.Announcement) { a.Sequence = 0 }),
		Entry("a start before the boot", func(a *peer.Announcement) { a.FirstStart.Since = -1 }),
		Entry("a container id that is not hexadecimal", func(a *peer.Announcement) { a.Container[0] = 'x' }),
	)

	DescribeTable("says forget-after in whole seconds, rounded up",
		func(say, want time.Duration) {
			a := sample()
			a.ForgetAfter = say
			var got peer.Announcement
			Expect(got.Decode(encode(a, nil), testDomain, nil)).To(Succeed())
			Expect(got.ForgetAfter).To(Equal(want))
		},
		Entry(nil, time.Duration(0), time.Duration(0)),
		Entry(nil, time.Nanosecond, 3*time.Second),
		Entry(nil, 35*time.Second, 35*time.Second),
		Entry(nil, 35*time.Second+1, 36*time.Second),
		Entry(nil, time.Hour, time.Hour),
		Entry(nil, 1000*time.Hour, time.Hour),
	)

	It("names at most eight acks, each once", func() {
		var ids []peer.InstanceID
		for range 12 {
			id := peer.NewInstanceID()
			ids = append(ids, id, id)
		}
		a := sample()
		a.SetAcks(ids)
		Expect(a.Acks()).To(HaveLen(peer.MaxAcks))
		Expect(a.Acks()[1]).To(Equal(ids[2]))
		Expect(len(encode(a, keyring("k")))).To(BeNumerically("<=", peer.MaxDatagram))
	})
})

var _ = Describe("Names", func() {
	It("of drop reasons are distinct and fit as labels", func() {
		seen := map[string]bool{}
		for _, r := range peer.DropReasons() {
			Expect(r.String()).To(MatchRegexp(`^[a-z_]+$`))
			Expect(seen).NotTo(HaveKey(r.String()))
			seen[r.String()] = true
		}
		Expect(seen).To(HaveLen(16))
		Expect(peer.DropReason(200).String()).To(Equal("other"))
	})
	It("of phases can be read back", func() {
		for p := peer.PhaseUnknown; p <= peer.PhaseGone; p++ {
			text, err := p.MarshalText()
			Expect(err).NotTo(HaveOccurred())
			var got peer.Phase
			Expect(got.UnmarshalText(text)).To(Succeed())
			Expect(got).To(Equal(p))
		}
		var p peer.Phase
		Expect(p.UnmarshalText([]byte("flying"))).NotTo(Succeed())
		Expect(peer.Phase(77).String()).To(Equal("phase(77)"))
	})
	It("of instances can be read back", func() {
		id := peer.NewInstanceID()
		text, _ := id.MarshalText()
		var got peer.InstanceID
		Expect(got.UnmarshalText(text)).To(Succeed())
		Expect(got).To(Equal(id))
		Expect(got.UnmarshalText([]byte("abc"))).NotTo(Succeed())
		Expect(got.UnmarshalText(bytes.Repeat([]byte("x"), 32))).NotTo(Succeed())
	})
	DescribeTable("of containers are shortened to twelve digits",
		func(id string, want peer.ContainerID, ok bool) {
			got, err := peer.ShortContainerID(id)
			Expect(got).To(Equal(want))
			Expect(err == nil).To(Equal(ok))
		},
		Entry(nil, "C0B32E9D619Fabcdef", peer.ContainerID("c0b32e9d619f"), true),
		Entry(nil, " c0b32e9d619f\n", peer.ContainerID("c0b32e9d619f"), true),
		Entry(nil, "c0b32e9d619", peer.ContainerID(""), false),
		Entry(nil, "c0b32e9d619fg", peer.ContainerID(""), false),
		Entry(nil, "", peer.ContainerID(""), false),
	)
	It("of domains do not run together", func() {
		Expect(peer.NewDomain("b", "12", "3")).NotTo(Equal(peer.NewDomain("b", "1", "23")))
	})
})

var _ = Describe("A keyring", func() {
	It("refuses an empty secret", func() {
		_, err := peer.NewKeyring([]byte("a"), nil)
		Expect(err).To(HaveOccurred())
	})
	It("without secrets is nil", func() {
		keys, err := peer.NewKeyring()
		Expect(err).NotTo(HaveOccurred())
		Expect(keys).To(BeNil())
	})
})
