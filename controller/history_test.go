package controller_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
)

// tale is an instance whose rounds are played one after the other, with the
// decisions that it would take.
type tale struct {
	decide.Snapshot
	history    *History
	unwritable bool
	said       []Handover
}

func newTale() *tale {
	t := &tale{Snapshot: serving(), history: NewHistory()}
	return t.after(0)
}

// after plays a round so much later. All peers but those that have ended were
// heard just before, and so was the Supervisor.
func (t *tale) after(d time.Duration, steps ...func(*decide.Snapshot)) *tale {
	t.Now = t.Now.Add(d)
	for _, step := range steps {
		step(&t.Snapshot)
	}
	for i := range t.Peers {
		if !t.Peers[i].Ended() {
			t.Peers[i].LastHeard = t.Now.Add(-50 * time.Millisecond)
		}
	}
	if len(t.Supervisor.Containers) > 0 {
		t.Supervisor.RequestedAt, t.Supervisor.ReceivedAt = t.Now.Add(-40*time.Millisecond), t.Now.Add(-20*time.Millisecond)
	}
	decision := decide.Decide(t.Snapshot)
	t.said = t.history.Observe(&t.Snapshot, &decision, 77, t.unwritable)
	t.Memory = decision.Memory
	return t
}

// is changes what the first peer says, beginning now.
func is(p peer.Phase) func(*decide.Snapshot) {
	return func(s *decide.Snapshot) {
		s.Peers = append([]peer.Peer{}, s.Peers...)
		s.Peers[0].Phase, s.Peers[0].PhaseSince = p, s.Now.Add(-10*time.Millisecond)
	}
}

func gone(s *decide.Snapshot) {
	s.Peers = append([]peer.Peer{}, s.Peers...)
	isGone(&s.Peers[0])
}

func forgotten(s *decide.Snapshot) { s.Peers = nil }

func signalled(s *decide.Snapshot) { s.Self.ToldAt = s.Now }

func works(ready, ended bool) func(*decide.Snapshot) {
	return func(s *decide.Snapshot) { s.Workload = decide.WorkloadFacts{Started: true, Ready: ready, Ended: ended} }
}

// words are the lanes and marks of a hand-over, without times.
func words(h *Handover) string {
	var b strings.Builder
	for _, l := range h.Lanes {
		fmt.Fprintf(&b, "%s:", l.Container[:1])
		for _, s := range l.Spans {
			fmt.Fprintf(&b, " %s", s.Phase)
			if s.Told {
				b.WriteString("!")
			}
			if s.To != nil {
				b.WriteString(".")
			}
		}
		b.WriteString("\n")
	}
	for _, m := range h.Marks {
		fmt.Fprintf(&b, "%s", m.Kind)
		if m.Lost {
			b.WriteString(" lost")
		}
		if m.Lane > 0 {
			fmt.Fprintf(&b, " of %s", h.Lanes[m.Lane].Container[:1])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// of takes one line for each argument.
func of(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

var youngerStarts = hears(youngerPeer(), phase(peer.PhaseStarting))

var _ = Describe("The history of hand-overs", func() {
	It("is empty before the first one, and has this instance's phase from before it", func() {
		t := newTale()
		Expect(t.said).To(BeEmpty())
		t.after(time.Hour, youngerStarts)
		Expect(t.said).To(HaveLen(1))
		Expect(words(&t.said[0])).To(Equal(of("a: serving", "b: starting")))
		Expect(t.said[0].Began).To(Equal(t.Now))
		Expect(t.said[0].Lanes[0].Spans[0].From).To(Equal(now))
		Expect(t.said[0].Lanes[0].Release).To(BeEquivalentTo(77))
		Expect(t.said[0].Lanes[1].Age).To(Equal("younger"))
	})

	It("follows a hand-over from the older instance's side, to the end", func() {
		t := newTale().after(time.Second, youngerStarts)
		t.after(time.Second, is(peer.PhaseServing), answers(otherListed("Installed"), ownListed("Running")))
		Expect(words(&t.said[0])).To(Equal(of("a: serving", "b: starting. serving", "announced")))
		t.after(time.Second, answers(otherListed("Running"), ownListed("Running")))
		t.after(time.Second, works(false, true))
		t.after(time.Second)
		Expect(words(&t.said[0])).To(Equal(of("a: serving. draining. released", "b: starting. serving",
			"announced", "running", "stopSignal", "released", "marker")))
		t.after(time.Second, signalled)
		Expect(words(&t.said[0])).To(Equal(of("a: serving. draining. released. gone!.", "b: starting. serving.",
			"announced", "running", "stopSignal", "released", "marker", "told")))
		Expect(*t.said[0].Ended).To(Equal(t.Now))
	})

	It("follows one from the younger instance's side, and ends it when the older one is gone", func() {
		t := newTale()
		t.after(time.Second, func(s *decide.Snapshot) { s.Workload = decide.WorkloadFacts{Started: true} })
		t.after(time.Second, hears(youngerPeer(), firstStart(thisBoot, 50*time.Second)))
		t.after(time.Second, func(s *decide.Snapshot) {
			is(peer.PhaseHolding)(s)
			s.Peers[0].Told = true
		}, works(true, false))
		t.after(time.Second, is(peer.PhaseDraining))
		t.after(time.Second, gone)
		Expect(words(&t.said[0])).To(Equal(of("a: starting. serving.", "b: serving. holding!. draining!.", "told of b")))
		Expect(t.said[0].Lanes[1].Age).To(Equal("older"))
		Expect(t.said[0].Ended).NotTo(BeNil())
	})

	It("marks SIGTERM and the end of the hold, and takes that away when it is not needed", func() {
		t := newTale().after(time.Second, youngerStarts, answers(otherListed("Running"), ownListed("Running")))
		t.after(time.Second, signalled)
		Expect(words(&t.said[0])).To(Equal(of("a: serving. holding!", "b: starting", "running", "told", "holdEnds")))
		ends := t.said[0].Marks[2].Time
		Expect(ends.Sub(t.Self.ToldAt)).To(Equal(6500 * time.Millisecond))
		t.after(time.Second, is(peer.PhaseServing), func(s *decide.Snapshot) { acking(&s.Peers[0]) })
		Expect(words(&t.said[0])).To(Equal(of("a: serving. holding!. draining!", "b: starting. serving", "running", "told", "announced", "stopSignal")))
	})

	It("keeps the end of a hold that was reached", func() {
		t := newTale().after(time.Second, youngerStarts, answers(otherListed("Running"), ownListed("Running")))
		t.after(time.Second, signalled)
		t.after(7*time.Second, func(*decide.Snapshot) {})
		Expect(words(&t.said[0])).To(ContainSubstring(of("told", "holdEnds", "stopSignal")))
	})

	It("shows a plain stop as one", func() {
		t := newTale().after(time.Second, answers(ownListed("Stopping")))
		t.after(time.Second, signalled).after(time.Second)
		t.after(time.Second, works(false, true))
		Expect(words(&t.said[0])).To(Equal(of("a: serving. holding!. draining!. gone!.", "told", "stopSignal", "released")))
		Expect(t.said[0].Began).To(Equal(t.Self.ToldAt))
	})

	It("marks a deferral, moves it, and takes it away when it is withdrawn", func() {
		until := func(d time.Duration) func(*decide.Snapshot) {
			return func(s *decide.Snapshot) { s.DeferredUntil = s.Now.Add(d) }
		}
		t := newTale().after(time.Second, youngerStarts).after(time.Second, until(time.Minute))
		Expect(words(&t.said[0])).To(HaveSuffix("deferred\n"))
		t.after(time.Second, until(2*time.Minute))
		Expect(t.said[0].Marks).To(HaveLen(1))
		t.after(time.Second, until(0))
		Expect(t.said[0].Marks).To(BeEmpty())
	})

	It("has one lane for a crash loop, and one hand-over", func() {
		t := newTale()
		for n := range byte(4) {
			t.after(10*time.Second, forgotten, youngerStarts, func(s *decide.Snapshot) { s.Peers[0].Instance = id(50 + n) })
			t.after(time.Second, gone)
			Expect(t.said[0].Ended).NotTo(BeNil())
		}
		Expect(t.said).To(HaveLen(1))
		Expect(words(&t.said[0])).To(Equal(of("a: serving.", "b: starting. starting. starting. starting.")))
		t.after(time.Second, youngerStarts)
		Expect(t.said[0].Ended).To(BeNil())
		Expect(words(&t.said[0])).To(HavePrefix("a: serving\n"))
	})

	It("follows a restart after the release", func() {
		t := newTale().after(time.Second, youngerStarts)
		t.after(time.Second, is(peer.PhaseServing), answers(otherListed("Running"), ownListed("Running")))
		t.after(time.Second, works(false, true))
		t.after(time.Second, gone)
		t.after(time.Second, works(true, false), youngerStarts)
		Expect(words(&t.said[0])).To(HavePrefix("a: serving. draining. released. starting. serving\n"))
	})

	It("keeps the last one beside the one under way", func() {
		t := newTale().after(time.Second, youngerStarts).after(time.Second, gone)
		t.after(time.Second, forgotten)
		t.after(time.Hour, hears(youngerPeer(), inContainer("c"), phase(peer.PhaseStarting)))
		Expect(t.said).To(HaveLen(2))
		Expect(words(&t.said[0])).To(Equal(of("a: serving.", "b: starting.")))
		Expect(words(&t.said[1])).To(Equal(of("a: serving", "c: starting")))
		t.after(time.Second, forgotten)
		t.after(time.Hour, hears(youngerPeer(), inContainer("d")))
		Expect(t.said).To(HaveLen(2))
		Expect(words(&t.said[0])).To(ContainSubstring("c: starting."))
	})

	It("ends the bar of a peer that is forgotten where it was heard last", func() {
		t := newTale().after(time.Second, youngerStarts)
		heardAt := t.Peers[0].LastHeard
		t.after(35*time.Second, forgotten)
		Expect(*t.said[0].Lanes[1].Spans[0].To).To(Equal(later(heardAt, t.said[0].Lanes[1].Spans[0].From)))
	})

	It("marks no marker that could not be written", func() {
		t := newTale()
		t.unwritable = true
		t.after(time.Second, youngerStarts)
		t.after(time.Second, is(peer.PhaseServing), answers(otherListed("Running"), ownListed("Running")))
		t.after(time.Second, works(false, true)).after(time.Second)
		Expect(words(&t.said[0])).NotTo(ContainSubstring("marker"))
		t.unwritable = false
		t.after(time.Second)
		Expect(words(&t.said[0])).To(ContainSubstring("marker"))
	})

	It("is bounded, whoever speaks, and does not lose those that count", func() {
		t := newTale().after(time.Second, answers(otherListed("Running"), ownListed("Running")))
		crowd := func(round int) func(*decide.Snapshot) {
			return func(s *decide.Snapshot) {
				s.Peers = nil
				for n := range byte(64) {
					p := youngerPeer()
					p.Instance = peer.InstanceID{1, byte(round), n}
					p.Container = peer.ContainerID(fmt.Sprintf("%012x", int(n)+64*round))
					p.Phase = peer.Phase(1 + (round+int(n))%5)
					p.Told = round%2 == 0
					s.Peers = append(s.Peers, p)
				}
				if round > 3 {
					hears(youngerPeer(), phase(peer.PhaseStarting))(s)
				}
			}
		}
		for round := range 200 {
			t.after(100*time.Millisecond, crowd(round))
			Expect(len(t.said)).To(BeNumerically("<=", 2))
			for _, h := range t.said {
				Expect(len(h.Lanes)).To(BeNumerically("<=", LanesAtMost))
				Expect(len(h.Marks)).To(BeNumerically("<=", MarksAtMost))
				for _, m := range h.Marks {
					Expect(m.Lane).To(BeNumerically("<", len(h.Lanes)))
				}
				for _, l := range h.Lanes {
					Expect(len(l.Spans)).To(BeNumerically("<=", SpansAtMost))
				}
			}
			Expect(t.history.Remembers()).To(BeNumerically("<", LanesAtMost))
		}
		Expect(words(&t.said[len(t.said)-1])).To(ContainSubstring("b: starting"))
	})

	It("keeps the first and the last bars, and what happened to itself, when somebody changes all the time", func() {
		t := newTale().after(time.Second, youngerStarts, answers(otherListed("Running"), ownListed("Running")))
		t.after(time.Second, signalled)
		for n := range 200 {
			t.after(20*time.Millisecond, is(peer.Phase(1+n%2)))
		}
		h := t.said[0]
		Expect(h.Lanes[1].Spans).To(HaveLen(SpansAtMost))
		Expect(h.Lanes[1].Spans[0].From).To(BeTemporally("~", h.Began, time.Second))
		Expect(h.Lanes[1].Spans[SpansAtMost-1].To).To(BeNil())
		Expect(h.Marks).To(HaveLen(MarksAtMost))
		Expect(words(&h)).To(ContainSubstring(of("told")))
		Expect(words(&h)).To(ContainSubstring(of("holdEnds")))
	})

	It("does not write to what it has handed out", func() {
		t := newTale()
		var readers sync.WaitGroup
		for n := range 300 {
			t.after(20*time.Millisecond, forgotten, youngerStarts, is(peer.Phase(1+n%5)))
			said := t.said
			st := Status{Time: t.Now, Handovers: said}
			before := words(&said[0])
			readers.Go(func() {
				defer GinkgoRecover()
				RenderPage(&st)
				Expect(words(&said[0])).To(Equal(before))
			})
		}
		readers.Wait()
	})
})

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// An idle instance, and one that has released and waits, look without a cost.
func TestHistoryCostsNothingWhileNothingChanges(t *testing.T) {
	idle, waiting := serving(), with(serving(), both, releasedFor(time.Minute, true))
	for name, s := range map[string]decide.Snapshot{"idle": idle, "released": waiting} {
		h, d := NewHistory(), decide.Decide(s)
		h.Observe(&s, &d, 1, false)
		if n := testing.AllocsPerRun(100, func() { h.Observe(&s, &d, 1, false) }); n != 0 {
			t.Errorf("%s: %v allocations in a round", name, n)
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	s := with(serving(), both)
	d := decide.Decide(s)
	b.Run("idle", func(b *testing.B) {
		b.ReportAllocs()
		idle, d := serving(), decide.Decide(serving())
		h := NewHistory()
		for b.Loop() {
			h.Observe(&idle, &d, 1, false)
		}
	})
	b.Run("a change", func(b *testing.B) {
		b.ReportAllocs()
		h, n := NewHistory(), 0
		for b.Loop() {
			n++
			s.Peers[0].Phase = peer.Phase(1 + n%2)
			h.Observe(&s, &d, 1, false)
		}
	})
}
