package peer

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A try of the network", func() {
	onLo := func() MulticastConfig {
		return MulticastConfig{
			Group: netip.AddrFrom4([4]byte{239, 192, byte(rand.IntN(256)), byte(rand.IntN(256))}),
			Port:  20000 + rand.IntN(12000), Mode: ModeHost, Interface: "lo",
		}
	}

	It("tells that a datagram came back, by which interface, and with which addresses", func(ctx SpecContext) {
		mode, trips, err := TryMulticast(ctx, onLo())
		Expect(err).NotTo(HaveOccurred())
		Expect(mode).To(Equal(ModeHost))
		Expect(trips).To(HaveLen(1))
		Expect(trips[0].Interface).To(Equal("lo"))
		Expect(trips[0].Addresses).To(ContainElement(netip.MustParseAddr("127.0.0.1")))
		Expect(trips[0].Err).NotTo(HaveOccurred())
	}, SpecTimeout(10*time.Second))

	It("says one thing once, on which nobody acts", func(ctx SpecContext) {
		cfg := onLo()
		ear, err := OpenMulticast(cfg) // hears every domain
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(ear.Close)
		heard := make(chan []byte, 8)
		go func() {
			for {
				buf := make([]byte, MaxDatagram+1)
				r, err := ear.Receive(buf)
				if err != nil {
					close(heard)
					return
				}
				if r.Event == EventDatagram {
					heard <- buf[:r.N]
				}
			}
		}()
		for range 2 {
			_, _, err = TryMulticast(ctx, cfg)
			Expect(err).NotTo(HaveOccurred())
		}
		var first, second []byte
		Eventually(heard).WithContext(ctx).Should(Receive(&first))
		Eventually(heard).WithContext(ctx).Should(Receive(&second))
		Expect(first[:9]).To(Equal([]byte{0x01, 0, 0, 0, 0, 0, 0, 0, 0}), "handover-lib ignores a start time of 0")
		domain := Domain(first[domainOffset : domainOffset+8])
		var a Announcement
		Expect(a.Decode(first, domain, nil)).To(Succeed())
		Expect(a.Phase).To(Equal(PhaseGone))
		Expect(a.Told).To(BeFalse())
		Expect(a.Container).To(BeZero())
		Expect(domain).NotTo(BeZero())
		Expect(second[domainOffset:domainOffset+8]).NotTo(Equal(domain[:]), "each try has a domain of its own")
		Expect(heard).To(BeEmpty(), "one datagram for each interface")
	}, SpecTimeout(10*time.Second))

	It("ends with its context if nothing comes back", func(ctx SpecContext) {
		cfg := onLo()
		cfg.system = realSystem()
		cfg.system.attach = func(_ Filter, fd int) error { return Filter{}.attach(fd) } // the kernel drops it
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		_, trips, err := TryMulticast(short, cfg)
		Expect(err).NotTo(HaveOccurred())
		Expect(trips).To(HaveLen(1))
		Expect(trips[0].Err).To(MatchError(ErrNotBack))
	}, SpecTimeout(10*time.Second))

	It("tells which interface cannot join, and still tries the others", func(ctx SpecContext) {
		f := &fakeSystem{addresses: map[string][]netip.Addr{
			"lo": {netip.MustParseAddr("127.0.0.1")}, "odd": {netip.MustParseAddr("10.0.0.1")},
		}}
		lo, err := net.InterfaceByName("lo")
		Expect(err).NotTo(HaveOccurred())
		f.set(nil, net.Interface{Index: lo.Index, Name: "lo", Flags: upMulticast}, net.Interface{Index: 1 << 20, Name: "odd", Flags: upMulticast})
		cfg := onLo()
		cfg.Mode, cfg.system = ModeBridge, f.system()
		_, trips, err := TryMulticast(ctx, cfg)
		Expect(err).NotTo(HaveOccurred())
		Expect(trips).To(HaveLen(2))
		Expect(trips[0].Err).NotTo(HaveOccurred())
		Expect(trips[1].Interface).To(Equal("odd"))
		Expect(trips[1].Err).To(MatchError(ContainSubstring("join the group: ")))
	}, SpecTimeout(10*time.Second))

	It("has no trip where the interface of host mode is missing", func(ctx SpecContext) {
		cfg := onLo()
		cfg.Interface = "none0"
		mode, trips, err := TryMulticast(ctx, cfg)
		Expect(err).NotTo(HaveOccurred())
		Expect(mode).To(Equal(ModeHost))
		Expect(trips).To(BeEmpty())
	}, SpecTimeout(10*time.Second))

	It("fails where the port is taken by somebody who does not share it", func(ctx SpecContext) {
		taken, err := net.ListenUDP("udp4", &net.UDPAddr{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(taken.Close)
		cfg := onLo()
		cfg.Port = taken.LocalAddr().(*net.UDPAddr).Port
		_, _, err = TryMulticast(ctx, cfg)
		Expect(err).To(MatchError(ContainSubstring("address already in use")))
	}, SpecTimeout(10*time.Second))
})

var _ = Describe("The record of a first start", func() {
	const id = ContainerID("0123456789ab")

	It("can be read without being changed", func() {
		dir := GinkgoT().TempDir()
		_, err := ReadFirstStart(dir, id)
		Expect(errors.Is(err, fs.ErrNotExist)).To(BeTrue())
		Expect(os.ReadDir(dir)).To(BeEmpty())

		self := Identify(IdentifyOptions{ContainerID: string(id), StateDir: dir})
		Expect(self.FirstStart.Known()).To(BeTrue())
		Expect(ReadFirstStart(dir, id)).To(Equal(self.FirstStart))
	})

	It("says that it is not known, or what is wrong with it, and stays as it is", func() {
		dir := GinkgoT().TempDir()
		path := filepath.Join(dir, string(id)+".json")
		Expect(os.WriteFile(path, []byte("nonsense"), 0o644)).To(Succeed())
		_, err := ReadFirstStart(dir, id)
		Expect(err).To(MatchError(ContainSubstring("not the record of a first start")))
		Expect(os.ReadFile(path)).To(BeEquivalentTo("nonsense"))

		Identify(IdentifyOptions{ContainerID: string(id), StateDir: dir}) // replaces it
		_, err = ReadFirstStart(dir, id)
		Expect(err).To(MatchError(ErrStartUnknown))
	})
})
