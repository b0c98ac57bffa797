package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

var filterDomain = NewDomain("6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", "1234", "main")

// filterCase is a filter with what a node beside it would be set to.
type filterCase struct {
	filter Filter
	keys   *Keyring
	vm     *bpf.VM
}

// filterCases are all settings: with and without handover-lib, with a secret.
func filterCases() []filterCase {
	keys, err := NewKeyring([]byte("k"))
	if err != nil {
		panic(err)
	}
	all := []filterCase{
		{filter: Filter{Domain: filterDomain}},
		{filter: Filter{Domain: filterDomain, Legacy: true}},
		{filter: Filter{Domain: filterDomain}, keys: keys},
	}
	for i := range all {
		if all[i].vm, err = bpf.NewVM(all[i].filter.program()); err != nil {
			panic(err)
		}
	}
	return all
}

// passes runs the program in the virtual machine of package bpf.
func (c filterCase) passes(datagram []byte) bool {
	kept, err := c.vm.Run(append([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"), datagram...))
	if err != nil || (kept > 0 && kept < udpHeader+len(datagram)) {
		panic(fmt.Sprintf("the filter cuts %x to %d bytes: %v", datagram, kept, err))
	}
	return kept > 0
}

// disagrees compares the filter with the decoder.
func (c filterCase) disagrees(datagram []byte) error {
	var a Announcement
	passes, reason, nine := c.passes(datagram), a.decode(datagram, filterDomain, c.keys), len(datagram) == baseSize
	if nine && reason == NotDropped && !c.filter.Legacy {
		reason = DropLegacyOff
	}
	must := false
	switch reason {
	case NotDropped:
		if !passes {
			return fmt.Errorf("%+v: drops %x, which is accepted", c.filter, datagram)
		}
	case DropOversized, DropShort, DropVersion, DropZero, DropDomain, DropExtension, DropLegacyOff:
		must = true
	case DropMalformed:
		must = len(datagram) < minExtended || datagram[9] != 'H' || datagram[10] != 'O'
	case DropUnsigned:
		must = nine
	}
	if must && passes {
		return fmt.Errorf("%+v: passes %x, which is dropped as %s", c.filter, datagram, reason)
	}
	return nil
}

// signedSample is a valid announcement, signed.
func signedSample() []byte {
	keys, _ := NewKeyring([]byte("k"))
	a := Announcement{
		StartMilli: 1665000000123, Domain: filterDomain, Instance: InstanceID{1}, Phase: PhaseServing,
		Container: ContainerID("c0b32e9d619f").Digits(), Sequence: 1 << 40, ForgetAfter: 35 * time.Second,
	}
	raw, err := a.Append(nil, keys)
	if err != nil {
		panic(err)
	}
	return raw
}

// leastSample is the shortest announcement that is accepted.
func leastSample() []byte {
	raw, err := (&Announcement{Domain: filterDomain, Instance: InstanceID{1}, Phase: PhaseServing, Sequence: 1}).Append(nil, nil)
	if err != nil {
		panic(err)
	}
	return bytes.Replace(raw, []byte{fieldFlags, 1, 0}, nil, 1)
}

// nineBytes is what handover-lib would send at that time.
func nineBytes(start int64) []byte { return binary.BigEndian.AppendUint64([]byte{1}, uint64(start)) }

// hostile returns datagrams of every length, and good ones with every bit of
// their header turned over.
func hostile() [][]byte {
	var all [][]byte
	long := append(signedSample(), make([]byte, 2000)...)
	random := make([]byte, 2000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for n := range 2001 {
		all = append(all, make([]byte, n), long[:n], random[:n], append([]byte{1}, random[:n]...))
	}
	for version := range 256 {
		for _, good := range [][]byte{signedSample(), leastSample(), nineBytes(1)} {
			good[0] = byte(version)
			all = append(all, good)
		}
	}
	for bit := range 8 * fieldsOffset {
		for _, good := range [][]byte{signedSample(), leastSample(), nineBytes(1)} {
			if bit/8 < len(good) {
				good[bit/8] ^= 1 << (bit % 8)
			}
			all = append(all, good)
		}
	}
	for _, start := range []int64{0, 1, -1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<62 + 1, 1<<63 - 1, -1 << 63, -1<<63 + 1, -1 << 32} {
		all = append(all, nineBytes(start))
	}
	return append(all, signedSample(), leastSample(), append(leastSample(), make([]byte, 60000)...))
}

var _ = Describe("The filter", func() {
	It("passes what the decoder accepts, and drops other versions, domains and lengths", func() {
		for _, c := range filterCases() {
			for _, datagram := range hostile() {
				Expect(c.disagrees(datagram)).To(Succeed())
			}
		}
	})

	It("agrees with the decoder about datagrams changed at random", func() {
		cases := filterCases()
		for range 20000 {
			raw := [][]byte{signedSample(), leastSample(), nineBytes(rand.Int64())}[rand.IntN(3)]
			for range rand.IntN(3) {
				raw[rand.IntN(len(raw))] = byte(rand.Uint32())
			}
			switch rand.IntN(4) {
			case 0:
				raw = raw[:rand.IntN(len(raw)+1)]
			case 1:
				raw = append(raw, make([]byte, rand.IntN(600))...)
			}
			for _, c := range cases {
				Expect(c.disagrees(raw)).To(Succeed())
			}
		}
	})

	It("is as strict about the length as can be", func() {
		var a Announcement
		Expect(leastSample()).To(HaveLen(minExtended))
		Expect(a.Decode(leastSample(), filterDomain, nil)).To(Succeed())
		c := filterCases()[0]
		Expect(c.passes(leastSample())).To(BeTrue())
		longest := append(leastSample(), make([]byte, MaxDatagram-minExtended)...)
		Expect(c.passes(longest)).To(BeTrue())
		Expect(c.passes(append(longest, 0))).To(BeFalse())
	})

	It("has the number of instructions that the README names", func() {
		Expect(Filter{}.program()).To(HaveLen(15))
		Expect(Filter{Legacy: true}.program()).To(HaveLen(24))
	})

	It("does in the kernel what it does in the virtual machine, and is counted there", func() {
		for _, c := range filterCases()[:2] {
			conn, err := listen(0, append(groupOptions(), sockopt{"SO_ATTACH_FILTER", c.filter.attach}))
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(conn.Close)
			sender, err := net.Dial("udp4", fmt.Sprint("127.0.0.1:", conn.LocalAddr().(*net.UDPAddr).Port))
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(sender.Close)
			Expect(conn.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
			dropped, buf := uint32(0), make([]byte, 1<<16)
			for _, datagram := range hostile() {
				_, err := sender.Write(datagram)
				Expect(err).NotTo(HaveOccurred())
				if !c.passes(datagram) {
					dropped++
					continue
				}
				n, err := conn.Read(buf)
				Expect(err).NotTo(HaveOccurred(), "%d bytes: %x", len(datagram), datagram)
				Expect(buf[:n]).To(Equal(datagram), "the one before should not have passed")
			}
			Eventually(func() (uint32, error) { return socketDrops(conn) }).Should(Equal(dropped))
		}
	})
})

var _ = Describe("Multicast whose filter the kernel does not take", func() {
	DescribeTable("goes on without, and says so once", func(errno syscall.Errno) {
		var log bytes.Buffer
		cfg := MulticastConfig{
			Port: 20000 + rand.IntN(12000), Mode: ModeHost, Interface: "lo",
			Filter: &Filter{Domain: filterDomain}, Logger: slog.New(slog.NewTextHandler(&log, nil)), system: realSystem(),
		}
		cfg.system.attach = func(Filter, int) error { return errno }
		m, err := OpenMulticast(cfg)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(m.Close)
		Expect(m.Kernel().Filter).To(BeFalse())
		Expect(strings.Count(log.String(), "no packet filter")).To(Equal(1))
		Expect(log.String()).To(ContainSubstring(errno.Error()))
		Expect(m.Send(nineBytes(1), false)).To(Succeed())
		r, err := m.Receive(make([]byte, MaxDatagram+1))
		Expect(err).NotTo(HaveOccurred())
		Expect(r.N).To(Equal(baseSize))
	},
		Entry("because it knows none", unix.ENOPROTOOPT),
		Entry("because it may not", unix.EPERM),
		Entry("because it does not like it", unix.EINVAL),
		Entry("for want of memory", unix.ENOMEM),
		Entry("because it has no such call", unix.ENOSYS),
	)

	It("keeps its count of drops when it is closed", func() {
		m, err := OpenMulticast(MulticastConfig{Port: 20000 + rand.IntN(12000), Mode: ModeHost, Interface: "lo", Filter: &Filter{}})
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Send(nineBytes(1), false)).To(Succeed())
		Eventually(func() uint64 { return m.Kernel().Drops }).Should(BeEquivalentTo(1))
		Expect(m.Close()).To(Succeed())
		Expect(m.Kernel()).To(Equal(KernelStats{Filter: true, DropsKnown: true, Drops: 1}))
	})
})

var _ = DescribeTable("A node does not start with a filter that hides its peers", func(f Filter, spoil func(*Config), message string) {
	m, err := OpenMulticast(MulticastConfig{Port: 20000 + rand.IntN(12000), Mode: ModeHost, Interface: "lo", Filter: &f})
	Expect(err).NotTo(HaveOccurred())
	cfg := Config{Self: Identity{Instance: NewInstanceID()}, Domain: filterDomain, Ways: []Way{m}}
	spoil(&cfg)
	_, err = Start(cfg)
	Expect(err).To(MatchError(ContainSubstring(message)))
	Expect(errors.Is(m.Send(nineBytes(1), false), net.ErrClosed)).To(BeTrue())
},
	Entry("those of its domain", Filter{}, func(*Config) {}, "is for domain 0000000000000000"),
	Entry("those of handover-lib", Filter{Domain: filterDomain}, func(c *Config) { c.Legacy = true }, "nine bytes"),
)

// FuzzFilter: what the decoder accepts passes; another version, domain or
// length does not.
func FuzzFilter(f *testing.F) {
	seedVectors(f, "testdata/announcements.json")
	seedVectors(f, "testdata/dropped.json")
	cases := filterCases()
	f.Fuzz(func(t *testing.T, datagram []byte) {
		for _, c := range cases {
			if err := c.disagrees(datagram); err != nil {
				t.Fatal(err)
			}
		}
	})
}
