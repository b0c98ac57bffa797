package peer

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// epoch is the start of the tables' clock.
var epoch = time.Unix(1_700_000_000, 0)

// hears is a table with a clock, told of datagrams by short calls.
type hears struct {
	*table
	now time.Time
}

func newHears() *hears {
	return &hears{newTable(35*time.Second, []string{"multicast", "folder"}), epoch}
}

func instance(n int) InstanceID {
	var id InstanceID
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func container(n int) ContainerID { return ContainerID(fmt.Sprintf("%012x", n)) }

// word is an announcement of instance n in container c (0: unknown).
func word(n, c int, sequence uint64, phase Phase) *Announcement {
	a := &Announcement{Instance: instance(n), Sequence: sequence, Phase: phase}
	if c != 0 {
		a.Container = container(c).Digits()
	}
	return a
}

func (h *hears) hear(a *Announcement) verdict { return h.accept(a, netip.Addr{}, h.now, 0) }

func (h *hears) hearLegacy(address string, start int64) verdict {
	return h.accept(&Announcement{Legacy: true, StartMilli: start}, netip.MustParseAddr(address), h.now, 0)
}

func (h *hears) after(d time.Duration) *hears {
	h.now = h.now.Add(d)
	return h
}

// only returns the one peer that there is.
func (h *hears) only() Peer {
	GinkgoHelper()
	all := h.peers()
	Expect(all).To(HaveLen(1))
	return all[0]
}

var _ = Describe("Who is told and was silent", func() {
	// told is what a holding peer says, with that number.
	told := func(sequence uint64) *Announcement {
		a := word(1, 1, sequence, PhaseHolding)
		a.Told = true
		return a
	}

	It("is news when it is heard again", func() {
		h := newHears()
		h.hear(told(1))
		Expect(h.after(time.Second).hear(told(2)).changed).To(BeFalse())
		Expect(h.after(silence).hear(told(3)).changed).To(BeTrue())
	})

	It("is news once, with the first recent one of the words that waited unread", func() {
		h := newHears()
		h.hear(told(1))
		h.taken = h.now.Add(28 * time.Second) // this process was stopped for so long
		var news []time.Duration
		for n := range uint64(93) {
			if h.after(300 * time.Millisecond).hear(told(n + 2)).changed {
				news = append(news, h.taken.Sub(h.now))
			}
		}
		Expect(news).To(HaveLen(1))
		Expect(news[0]).To(BeNumerically("<", silence))
	})
})

var _ = Describe("The table", func() {
	var h *hears
	BeforeEach(func() { h = newHears() })

	It("records what a peer says, and when it was heard", func() {
		a := word(1, 1, 10, PhaseStarting)
		a.FirstStart = FirstStart{Boot: [4]byte{1}, Since: time.Minute}
		a.Release, a.StartMilli = 5, 0
		Expect(h.hear(a)).To(Equal(verdict{fresh: true, changed: true}))
		h.after(3 * time.Second)
		b := *a
		b.Sequence, b.Phase, b.StartMilli, b.Told = 11, PhaseServing, 77, true
		b.SetAcks([]InstanceID{instance(9)})
		Expect(h.accept(&b, netip.MustParseAddr("10.0.0.7"), h.now, 1)).To(Equal(verdict{changed: true}))
		Expect(h.only()).To(Equal(Peer{
			Instance: instance(1), Container: container(1), FirstStart: a.FirstStart, Release: 5, StartMilli: 77,
			Address: netip.MustParseAddr("10.0.0.7"), Phase: PhaseServing, Told: true, Acks: []InstanceID{instance(9)},
			FirstHeard: epoch, LastHeard: h.now, PhaseSince: h.now, Ways: []string{"folder", "multicast"},
		}))
	})

	It("does not believe that a peer says no longer when it speaks", func() {
		timed := func(sequence uint64) *Announcement {
			a := word(1, 1, sequence, PhaseServing)
			a.Timed = true
			return a
		}
		Expect(h.hear(word(1, 1, 9, PhaseServing)).drop).To(Equal(NotDropped))
		Expect(h.hear(timed(10)).drop).To(Equal(NotDropped), "a forged first word would silence it else")
		Expect(h.hear(word(1, 1, 12, PhaseReleased)).drop).To(Equal(DropReplay))
		Expect(h.hear(timed(11)).drop).To(Equal(NotDropped))
		Expect(h.only().Phase).To(Equal(PhaseServing))
	})

	It("hands out copies", func() {
		a := word(1, 1, 10, PhaseServing)
		a.SetAcks([]InstanceID{instance(9)})
		h.hear(a)
		h.only().Acks[0] = instance(8)
		h.only().Ways[0] = "x"
		p := h.only()
		Expect(p.Acknowledges(instance(9))).To(BeTrue())
		Expect(p.Ways).To(Equal([]string{"multicast"}))
	})

	It("keeps it of a peer that has ended whether it drained", func() {
		for n, phases := range map[int][]Phase{
			1: {PhaseHolding, PhaseGone}, 2: {PhaseHolding, PhaseDraining, PhaseGone}, 3: {PhaseDraining, PhaseReleased, PhaseGone, PhaseGone},
			4: {PhaseDraining, PhaseHolding, PhaseGone}, // taken back
		} {
			for i, phase := range phases {
				h.hear(word(n, n, uint64(i+1), phase))
			}
		}
		for _, p := range h.peers() {
			Expect(p.Drained).To(Equal(p.Instance == instance(2) || p.Instance == instance(3)), "%v", p.Instance)
		}
	})

	It("calls a mere repeat no change", func() {
		h.hear(word(1, 1, 10, PhaseServing))
		Expect(h.after(time.Second).hear(word(1, 1, 11, PhaseServing))).To(Equal(verdict{}))
		Expect(h.only().PhaseSince).To(Equal(epoch))
		Expect(h.only().LastHeard).To(Equal(h.now))
	})

	It("drops duplicates and replays without refreshing the peer", func() {
		h.hear(word(1, 1, 10, PhaseServing))
		h.after(time.Second)
		Expect(h.hear(word(1, 1, 10, PhaseServing)).drop).To(Equal(DropDuplicate))
		Expect(h.hear(word(1, 1, 9, PhaseStarting)).drop).To(Equal(DropReplay))
		Expect(h.only().LastHeard).To(Equal(epoch))
		Expect(h.only().Phase).To(Equal(PhaseServing))
	})

	It("learns from a duplicate by another way that the way works, and from a replay nothing", func() {
		h.hear(word(1, 1, 10, PhaseServing))
		h.accept(word(1, 1, 9, PhaseServing), netip.Addr{}, h.now, 1)
		Expect(h.only().Ways).To(Equal([]string{"multicast"}))
		h.accept(word(1, 1, 10, PhaseServing), netip.Addr{}, h.now, 1)
		Expect(h.only().Ways).To(Equal([]string{"folder", "multicast"}))
	})

	It("keeps a stable order: who is known longest comes first", func() {
		for i := 20; i > 0; i-- {
			h.after(time.Second).hear(word(i, i, 1, PhaseServing))
		}
		h.hear(word(7, 7, 2, PhaseDraining))
		var order []InstanceID
		for _, p := range h.peers() {
			order = append(order, p.Instance)
		}
		Expect(order[0]).To(Equal(instance(20)))
		Expect(order[19]).To(Equal(instance(1)))
	})

	Describe("forgetting", func() {
		It("happens after the silence that the peer has named, else after that of the configuration", func() {
			for n, wish := range []time.Duration{0, 3 * time.Second, time.Minute} {
				a := word(n+1, n+1, 1, PhaseServing)
				a.ForgetAfter = wish
				h.hear(a)
			}
			Expect(h.nextExpiry(time.Time{})).To(Equal(epoch.Add(3 * time.Second)))
			Expect(h.expire(epoch.Add(3*time.Second - 1))).To(BeFalse())
			Expect(h.expire(epoch.Add(3 * time.Second))).To(BeTrue())
			Expect(h.nextExpiry(time.Time{})).To(Equal(epoch.Add(35 * time.Second)))
			Expect(h.expire(epoch.Add(35*time.Second - 1))).To(BeFalse())
			Expect(h.expire(epoch.Add(35 * time.Second))).To(BeTrue())
			Expect(h.only().Instance).To(Equal(instance(3)))
			Expect(h.nextExpiry(time.Time{})).To(Equal(epoch.Add(time.Minute)))
			Expect(h.expire(epoch.Add(time.Minute))).To(BeTrue())
			Expect(h.peers()).To(BeEmpty())
			Expect(h.nextExpiry(time.Time{})).To(BeZero())
		})
		It("is put off by every datagram", func() {
			h.hear(word(1, 1, 1, PhaseServing))
			h.after(30 * time.Second).hear(word(1, 1, 2, PhaseServing))
			Expect(h.expire(epoch.Add(40 * time.Second))).To(BeFalse())
			Expect(h.nextExpiry(time.Time{})).To(Equal(epoch.Add(65 * time.Second)))
		})
		It("does not make replays welcome", func() {
			for c := range 2 { // without and with a container
				h.hear(word(1+c, c, 10, PhaseServing))
				h.hear(word(1+c, c, 11, PhaseServing))
			}
			h.after(time.Minute).expire(h.now)
			Expect(h.peers()).To(BeEmpty())
			for c := range 2 {
				Expect(h.hear(word(1+c, c, 11, PhaseServing)).drop).To(Equal(DropReplay))
				Expect(h.hear(word(1+c, c, 12, PhaseServing)).fresh).To(BeTrue(), "it lives")
			}
		})
	})

	Describe("a peer that has ended", func() {
		It("stays as a tombstone for five minutes, with what was known", func() {
			a := word(1, 1, 10, PhaseHolding)
			a.Told = true
			h.hear(a)
			Expect(h.after(time.Second).hear(word(1, 1, 11, PhaseGone)).changed).To(BeTrue())
			p := h.only()
			Expect(p.Gone && p.Told && p.Ended()).To(BeTrue())
			Expect(p.Phase).To(Equal(PhaseGone))
			h.after(time.Second).hear(word(1, 1, 12, PhaseGone))
			Expect(h.expire(epoch.Add(5 * time.Minute))).To(BeFalse())
			Expect(h.expire(epoch.Add(5*time.Minute + time.Second))).To(BeTrue())
		})
		It("makes room for the next instance of its container", func() {
			h.hear(word(1, 1, 10, PhaseGone))
			Expect(h.hear(word(2, 1, 1, PhaseStarting)).fresh).To(BeTrue())
			Expect(h.only().Instance).To(Equal(instance(2)))
			Expect(h.only().Gone).To(BeFalse())
		})
		It("can take back that it is gone", func() {
			h.hear(word(1, 1, 10, PhaseGone))
			h.hear(word(1, 1, 11, PhaseServing))
			Expect(h.only().Gone).To(BeFalse())
		})
		It("may be reported by a way that saw it die", func() {
			h.hear(word(1, 1, 10, PhaseServing))
			Expect(h.event(Received{Event: EventDied, Instance: instance(1)}, h.now)).To(BeTrue())
			Expect(h.event(Received{Event: EventDied, Instance: instance(1)}, h.now)).To(BeFalse())
			p := h.only()
			Expect(p.Dead && p.Ended() && !p.Gone).To(BeTrue())
			Expect(p.Phase).To(Equal(PhaseServing))
			h.after(500 * time.Millisecond).hear(word(1, 1, 11, PhaseServing))
			Expect(h.only().Dead).To(BeTrue(), "that datagram was on its way")
			h.after(2 * time.Second).hear(word(1, 1, 12, PhaseServing))
			Expect(h.only().Dead).To(BeFalse(), "the way was wrong")
			h.event(Received{Event: EventDied, Instance: instance(1)}, h.now)
			Expect(h.after(4 * time.Minute).expire(h.now)).To(BeFalse())
			Expect(h.after(time.Minute).expire(h.now)).To(BeTrue())
		})
	})

	Describe("a way that vouches for freshness", func() {
		It("is believed until then, and keeps the peer", func() {
			h.hear(word(1, 1, 10, PhaseServing))
			fresh := Received{Event: EventFresh, Instance: instance(1), Until: epoch.Add(time.Minute)}
			Expect(h.event(fresh, h.now)).To(BeTrue())
			Expect(h.event(fresh, h.now)).To(BeFalse())
			Expect(h.only().FreshUntil).To(Equal(epoch.Add(time.Minute)))
			Expect(h.expire(epoch.Add(59 * time.Second))).To(BeFalse())
			Expect(h.expire(epoch.Add(time.Minute))).To(BeTrue())
		})
		It("is overruled by the end of the peer", func() {
			fresh := Received{Event: EventFresh, Instance: instance(1), Until: epoch.Add(time.Minute)}
			h.hear(word(1, 1, 10, PhaseServing))
			h.event(fresh, h.now)
			h.askers = 1 << 1
			h.accept(word(1, 1, 11, PhaseGone), netip.Addr{}, h.now, 1)
			Expect(h.only().FreshUntil).To(BeZero())
			Expect(h.event(fresh, h.now)).To(BeFalse())
			Expect(h.only().FreshUntil).To(BeZero())
		})
		It("does not say that the peer was heard, but to one that cannot ask it, by this way or any other", func() {
			h.askers = 1 << 1
			folder := func(a *Announcement) { h.accept(a, netip.Addr{}, h.now, 1) }
			fresh := Received{Event: EventFresh, Instance: instance(1), Until: epoch.Add(time.Minute)}
			mute := fresh
			mute.Mute = true
			folder(word(1, 1, 10, PhaseServing))
			h.after(2 * time.Second)
			h.event(fresh, h.now)
			Expect(h.only().LastHeard).To(Equal(epoch))
			h.event(mute, h.now)
			Expect(h.only().LastHeard).To(Equal(h.now))
			h.after(time.Second)
			folder(word(1, 1, 11, PhaseServing))
			h.hear(word(1, 1, 11, PhaseServing)) // the same by the network
			heard := h.now
			h.after(time.Second)
			h.event(mute, h.now)
			Expect(h.only().LastHeard).To(Equal(heard))
			mute.Until = h.now
			h.after(time.Minute)
			h.event(mute, h.now)
			Expect(h.only().LastHeard).To(Equal(heard), "nor is that an end of it")
		})
		It("does not confirm, to one that cannot ask any more, what it has asked about in vain", func() {
			h.askers = 1 << 1
			h.accept(word(1, 1, 10, PhaseServing), netip.Addr{}, h.now, 1)
			mute := Received{Event: EventFresh, Instance: instance(1), Until: epoch.Add(time.Minute), Mute: true}
			h.after(4 * time.Second)
			mute.Asked = h.now
			h.after(time.Second)
			h.event(mute, h.now)
			Expect(h.only().LastHeard).To(Equal(epoch))
			h.accept(word(1, 1, 11, PhaseServing), netip.Addr{}, h.now, 1)
			h.after(5 * time.Second)
			h.event(mute, h.now)
			Expect(h.only().LastHeard).To(Equal(h.now), "it has said so since")
		})
		It("says nothing about peers that were never heard", func() {
			Expect(h.event(Received{Event: EventFresh, Instance: instance(1), Until: h.now}, h.now)).To(BeFalse())
			Expect(h.event(Received{Event: EventDied, Instance: instance(1)}, h.now)).To(BeFalse())
			Expect(h.peers()).To(BeEmpty())
		})
	})

	Describe("a container with a new instance", func() {
		It("has only that one", func() {
			h.hear(word(1, 1, 10, PhaseServing))
			Expect(h.hear(word(2, 1, 1, PhaseStarting))).To(Equal(verdict{fresh: true, changed: true}))
			Expect(h.only().Instance).To(Equal(instance(2)))
		})
		It("is not flipped back by late datagrams of the ones before", func() {
			for n := 1; n <= 5; n++ {
				h.hear(word(n, 1, 10, PhaseServing))
			}
			for n := 1; n <= 4; n++ {
				Expect(h.hear(word(n, 1, 10, PhaseServing)).drop).To(Equal(DropReplay))
				Expect(h.hear(word(n, 1, 11, PhaseGone)).drop).To(Equal(DropReplay))
			}
			Expect(h.only().Instance).To(Equal(instance(5)))
		})
		It("is not flipped back by an earlier one that was never heard, thanks to the boot clock", func() {
			h.hear(word(2, 1, 9_000_000_000, PhaseServing))
			Expect(h.hear(word(1, 1, 8_000_000_000, PhaseServing)).drop).To(Equal(DropReplay))
			Expect(h.only().Instance).To(Equal(instance(2)))
		})
		It("comes back to the one that spoke last, if the boot clock shows it", func() {
			h.hear(word(2, 1, 9_000_000_000, PhaseServing))
			h.hear(word(1, 1, 9_000_000_005, PhaseServing)) // forged, or a broken sender
			Expect(h.only().Instance).To(Equal(instance(1)))
			h.hear(word(2, 1, 9_000_000_010, PhaseServing))
			Expect(h.only().Instance).To(Equal(instance(2)))
			Expect(h.hear(word(1, 1, 9_000_000_005, PhaseServing)).drop).To(Equal(DropReplay))
		})
		It("is not flipped back after the new one was forgotten", func() {
			h.hear(word(1, 1, 10, PhaseServing))
			h.hear(word(2, 1, 10, PhaseServing))
			h.after(time.Hour).expire(h.now)
			Expect(h.hear(word(1, 1, 20, PhaseServing)).drop).To(Equal(DropReplay))
			Expect(h.hear(word(2, 1, 10, PhaseServing)).drop).To(Equal(DropReplay))
			Expect(h.hear(word(2, 1, 11, PhaseServing)).fresh).To(BeTrue())
		})
		It("may become known to be one later on", func() {
			h.hear(word(1, 1, 10, PhaseServing))
			h.hear(word(2, 0, 10, PhaseStarting))
			Expect(h.peers()).To(HaveLen(2))
			Expect(h.hear(word(2, 1, 11, PhaseStarting)).changed).To(BeTrue())
			Expect(h.only().Instance).To(Equal(instance(2)))
		})
		It("is not one because an instance claims another container", func() {
			h.hear(word(1, 1, 10, PhaseServing))
			h.hear(word(2, 2, 10, PhaseServing))
			h.hear(word(2, 1, 11, PhaseServing))
			Expect(h.peers()).To(HaveLen(2))
		})
	})

	Describe("handover-lib peers", func() {
		It("are told apart by address and start time, and count as serving", func() {
			Expect(h.hearLegacy("10.0.0.1", 5)).To(Equal(verdict{fresh: true, changed: true}))
			Expect(h.after(time.Second).hearLegacy("10.0.0.1", 5)).To(Equal(verdict{}))
			p := h.only()
			Expect(p.Legacy).To(BeTrue())
			Expect(p.Phase).To(Equal(PhaseServing))
			Expect(p.StartMilli).To(BeEquivalentTo(5))
			Expect(p.LastHeard).To(Equal(h.now))
			h.hearLegacy("10.0.0.1", 6)
			h.hearLegacy("::ffff:10.0.0.1", 6)
			h.hearLegacy("10.0.0.2", 5)
			Expect(h.peers()).To(HaveLen(3))
		})
		It("are forgotten by a rule of their own", func() {
			h.hearLegacy("10.0.0.1", 5)
			Expect(h.expire(epoch.Add(35 * time.Second))).To(BeTrue())
			Expect(h.legacy).To(BeZero())
		})
	})
})
