package peer

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// flood makes the table hear n datagrams of as many invented instances.
func (h *hears) flood(from, n int) {
	for i := from; i < from+n; i++ {
		h.after(time.Microsecond).hear(word(i, i, 1, PhaseServing))
	}
}

var _ = Describe("Under a flood, the table", func() {
	var h *hears
	BeforeEach(func() { h = newHears() })

	known := func(n int) bool { return h.entries[instance(n)] != nil }

	It("stays bounded, whatever is invented", func() {
		for i := 1; i < 20_000; i++ {
			h.after(time.Microsecond)
			h.hear(word(i, i, 1, PhaseServing))
			h.hear(word(i, i, 2, PhaseGone))
			h.hear(word(-i, 0, 1, PhaseServing))
			h.hear(word(1_000_000+i, 1, uint64(i), PhaseServing)) // ever new ones in one container
			h.hearLegacy("10.0.0.1", int64(i))
			if i%1000 == 0 {
				h.after(time.Hour).expire(h.now)
			}
		}
		h.flood(1_000_000_000, 100)
		Expect(len(h.entries)).To(BeNumerically("<=", maxPeers+maxLegacyPeers))
		Expect(h.legacy).To(BeNumerically("<=", maxLegacyPeers))
		Expect(len(h.past.lineages)).To(BeNumerically("<=", maxLineages))
		Expect(len(h.past.lost)).To(BeNumerically("<=", maxForgotten))
		Expect(len(h.past.order)).To(BeNumerically("<=", maxForgotten))
		for _, l := range h.past.lineages {
			Expect(len(l.earlier)).To(BeNumerically("<=", maxEarlier))
		}
	})

	It("keeps who is vouched for, and lets them in", func() {
		h.vouch([]ContainerID{container(1), container(2)})
		h.hear(word(1, 1, 1, PhaseServing))
		h.flood(1000, 1000)
		Expect(known(1)).To(BeTrue())
		Expect(h.hear(word(2, 2, 1, PhaseStarting)).drop).To(Equal(NotDropped))
		h.flood(3000, 1000)
		Expect(known(1) && known(2)).To(BeTrue())
	})

	It("keeps who holds a lock in the folder, and lets them in, although the Supervisor lists nobody", func() {
		h.askers = 1 << 1 // the second way is a folder
		h.hear(word(1, 1, 1, PhaseServing))
		h.event(Received{Event: EventFresh, Instance: instance(1), Until: h.now.Add(15 * time.Second)}, h.now)
		for round := range uint64(20) {
			for i := range maxPeers {
				h.after(time.Millisecond).hear(word(1000+i, 1000+i, 2+round, PhaseServing))
			}
		}
		Expect(known(1)).To(BeTrue())
		late := word(2, 2, 1, PhaseServing)
		Expect(h.accept(late, netip.Addr{}, h.now, 1).drop).To(Equal(NotDropped), "it was found in the folder")
		Expect(known(2)).To(BeTrue())
	})

	// folder says by the folder what the announcement says.
	folder := func(a *Announcement) verdict { return h.accept(a, netip.Addr{}, h.now, 1) }

	It("keeps who is found in the folder from the first word on, and until its end is seen there", func() {
		h.askers = 1 << 1
		folder(word(1, 1, 1, PhaseServing))
		h.flood(1000, 1000)
		Expect(known(1)).To(BeTrue(), "before the folder has said that it lives")
		h.event(Received{Event: EventFresh, Instance: instance(1), Until: h.now.Add(time.Second)}, h.now)
		h.after(10*time.Second).flood(3000, 1000)
		Expect(known(1)).To(BeTrue(), "it is not heard, but holds its lock")
		h.event(Received{Event: EventFresh, Instance: instance(1), Until: h.now.Add(-1)}, h.now)
		h.flood(5000, 1000)
		Expect(known(1)).To(BeTrue(), "its words cannot be read")
		h.event(Received{Event: EventDied, Instance: instance(1)}, h.now)
		h.flood(7000, 1000)
		Expect(known(1)).To(BeFalse())
	})

	It("lets nobody take the container of one whose lock is held, but by the folder", func() {
		h.askers = 1 << 1
		h.hear(word(1, 1, 10, PhaseServing))
		folder(word(1, 1, 11, PhaseServing))
		h.event(Received{Event: EventFresh, Instance: instance(1), Until: h.now.Add(15 * time.Second)}, h.now)
		for i := range uint64(100) {
			Expect(h.after(time.Millisecond).hear(word(2, 1, clocked+i, PhaseStarting)).drop).To(Equal(DropReplay))
		}
		By("not by an instance that says only later in which container it is")
		h.hear(word(3, 0, 1, PhaseServing))
		Expect(h.hear(word(3, 1, 2, PhaseServing)).drop).To(Equal(DropReplay))
		Expect(known(1)).To(BeTrue())

		By("but by the container's next process")
		Expect(folder(word(4, 1, clocked+200, PhaseStarting)).drop).To(Equal(NotDropped))
		Expect(known(1)).To(BeFalse())
		By("which is heard by the network alone, where the end of the one before is seen")
		h.event(Received{Event: EventFresh, Instance: instance(4), Until: h.now.Add(15 * time.Second)}, h.now)
		h.event(Received{Event: EventDied, Instance: instance(4)}, h.now)
		Expect(h.hear(word(5, 1, clocked+300, PhaseStarting)).drop).To(Equal(NotDropped))
	})

	Describe("of one whose lock is held", func() {
		fresh := Received{Event: EventFresh, Instance: instance(1), Until: epoch.Add(15 * time.Second)}
		died := Received{Event: EventDied, Instance: instance(1)}
		BeforeEach(func() {
			h.askers = 1 << 1
			folder(word(1, 1, clocked+1, PhaseServing))
			h.event(fresh, h.now)
		})

		It("does not believe by the network that it ends", func() {
			Expect(h.hear(word(1, 1, clocked+10, PhaseGone))).To(Equal(verdict{drop: DropReplay, doubted: true}))
			Expect(h.entries[instance(1)].peer.Ended()).To(BeFalse())
			Expect(h.hear(word(2, 1, clocked+11, PhaseServing)).drop).To(Equal(DropReplay), "nor that another took its place")
			h.flood(1000, 1000)
			Expect(known(1)).To(BeTrue(), "nor does it give way")
			fresh := fresh
			fresh.Until = fresh.Until.Add(time.Second)
			h.event(fresh, h.now)
			Expect(h.entries[instance(1)].peer.FreshUntil).To(Equal(fresh.Until))
			Expect(folder(word(1, 1, clocked+5, PhaseHolding)).drop).To(Equal(NotDropped), "it is heard as ever")
		})
		It("believes it by the folder, with the same number", func() {
			h.hear(word(1, 1, clocked+10, PhaseGone))
			Expect(folder(word(1, 1, clocked+10, PhaseGone))).To(Equal(verdict{changed: true}))
			Expect(h.only().Gone).To(BeTrue())
			h.hear(word(1, 1, clocked+11, PhaseGone))
			h.flood(1000, 1000)
			Expect(known(1)).To(BeFalse(), "it has ended")
		})
		It("believes it once its end is seen there, if it has said nothing since", func() {
			last := word(1, 1, clocked+10, PhaseGone)
			last.Told = true
			h.hear(last)
			Expect(h.event(died, h.now)).To(BeTrue())
			p := h.only()
			Expect([]bool{p.Gone, p.Told, p.Dead}).To(Equal([]bool{true, true, true}))
		})
		It("does not believe it, when it dies, if it has said something since", func() {
			h.hear(word(1, 1, clocked+10, PhaseGone))
			folder(word(1, 1, clocked+20, PhaseHolding))
			h.event(died, h.now)
			p := h.only()
			Expect(p.Phase).To(Equal(PhaseHolding))
			Expect([]bool{p.Gone, p.Dead}).To(Equal([]bool{false, true}))
		})
		It("believes it where the folder does not show its life any more, and keeps it until it dies", func() {
			h.after(15 * time.Second)
			Expect(h.hear(word(1, 1, clocked+10, PhaseGone)).changed).To(BeTrue())
			Expect(h.only().Gone).To(BeTrue())
			h.flood(1000, 1000)
			Expect(known(1)).To(BeTrue())
			h.event(died, h.now)
			h.flood(3000, 1000)
			Expect(known(1)).To(BeFalse())
		})
	})

	It("lets the container's next process in after a while, if the end of the one before is not seen", func() {
		h.askers = 1 << 1
		folder(word(1, 1, 11, PhaseServing))
		h.event(Received{Event: EventFresh, Instance: instance(1), Until: h.now.Add(15 * time.Second)}, h.now)
		h.after(15 * time.Second)
		Expect(h.hear(word(2, 1, 12, PhaseStarting)).drop).To(Equal(NotDropped))
	})

	It("lets in who is vouched for even among invented peers that are heard again and again", func() {
		h.vouch([]ContainerID{container(1)})
		h.flood(1000, maxPeers)
		for i := range maxPeers {
			h.after(time.Microsecond).hear(word(1000+i, 1000+i, 2, PhaseServing))
		}
		Expect(h.hear(word(5000, 5000, 1, PhaseServing)).drop).To(Equal(DropTableFull))
		Expect(h.hear(word(1, 1, 1, PhaseServing)).drop).To(Equal(NotDropped))
		Expect(known(1000)).To(BeFalse(), "the one silent for longest gave way")
		Expect(h.entries).To(HaveLen(maxPeers))
	})

	It("keeps peers that are heard regularly, vouched for or not", func() {
		h.hear(word(1, 1, 1, PhaseServing))
		h.hear(word(1, 1, 2, PhaseServing))
		h.flood(1000, 1000)
		Expect(known(1)).To(BeTrue())
	})

	It("lets a newcomer in whose burst arrives between the invented ones", func() {
		h.flood(1000, 1000)
		h.hear(word(1, 1, 1, PhaseServing))
		h.flood(3000, maxPeers/2)
		h.hear(word(1, 1, 2, PhaseServing))
		h.flood(5000, 1000)
		Expect(known(1)).To(BeTrue())
	})

	It("spares the living before the dead", func() {
		h.hear(word(1, 1, 1, PhaseServing))
		h.hear(word(2, 2, 1, PhaseGone))
		h.flood(1000, maxPeers-2)
		h.after(time.Second).hear(word(9999, 9999, 1, PhaseServing))
		Expect(known(1)).To(BeTrue())
		Expect(known(2)).To(BeFalse())
	})

	It("does not let invented peers stay for the hour that they asked for", func() {
		for i := range maxPeers {
			for s := range 2 {
				a := word(1000+i, 1000+i, uint64(1+s), PhaseServing)
				a.ForgetAfter = time.Hour
				h.hear(a)
			}
		}
		Expect(h.hear(word(1, 1, 1, PhaseServing)).drop).To(Equal(DropTableFull))
		h.after(36 * time.Second)
		Expect(h.hear(word(1, 1, 1, PhaseServing)).drop).To(Equal(NotDropped))
	})

	It("keeps handover-lib's room and the others' apart", func() {
		h.flood(1000, 1000)
		Expect(h.hearLegacy("10.0.0.1", 1).drop).To(Equal(NotDropped))
		for i := range 1000 {
			h.hearLegacy("10.9.9.9", int64(i))
		}
		Expect(h.legacy).To(Equal(maxLegacyPeers))
		Expect(h.entries).To(HaveLen(maxPeers + maxLegacyPeers))
	})

	It("keeps a handover-lib peer that is heard regularly", func() {
		h.hearLegacy("10.0.0.1", 1)
		h.hearLegacy("10.0.0.1", 1)
		for i := range 1000 {
			h.hearLegacy("10.9.9.9", int64(i))
		}
		Expect(h.entries).To(HaveKey(legacyID(netip.MustParseAddr("10.0.0.1"), 1)))
	})

	It("remembers the past of vouched containers", func() {
		h.vouch([]ContainerID{container(1)})
		h.hear(word(1, 1, 10, PhaseServing))
		h.hear(word(2, 1, 10, PhaseServing))
		h.after(time.Hour).expire(h.now)
		h.flood(1000, 10*maxLineages)
		Expect(h.hear(word(1, 1, 11, PhaseServing)).drop).To(Equal(DropReplay))
	})

	It("takes so many vouched containers as it has room for", func() {
		var all []ContainerID
		for i := 1; i <= 1000; i++ {
			all = append(all, container(i))
		}
		h.vouch(all)
		h.flood(1, 1000)
		Expect(h.entries).To(HaveLen(maxPeers))
		Expect(h.vouched).To(HaveLen(maxPeers))
	})
})

func BenchmarkTableRepeats(b *testing.B) {
	h := newHears()
	a := word(1, 1, 0, PhaseServing)
	b.ReportAllocs()
	for b.Loop() {
		a.Sequence++
		h.hear(a)
	}
}

func BenchmarkTableFlood(b *testing.B) {
	h := newHears()
	h.vouch([]ContainerID{container(1)})
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		h.after(time.Microsecond).hear(word(i, i, 1, PhaseServing))
	}
}
