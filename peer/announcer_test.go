package peer

import (
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// sending is one transmission that an announcer wanted.
type sending struct {
	at     time.Duration
	repeat bool
}

// rig drives an announcer on a clock of its own.
type rig struct {
	announcer
	start, now time.Time
	sent       []sending
}

func newRig() *rig {
	start := time.Unix(1_700_000_000, 0)
	return &rig{
		announcer: announcer{interval: 10 * time.Second, rand: rand.New(rand.NewPCG(1, 1)), step: len(burst)},
		start:     start, now: start,
	}
}

// until runs the announcer up to that time since the start, and returns what
// it sent meanwhile.
func (r *rig) until(end time.Duration) []sending {
	GinkgoHelper()
	before := len(r.sent)
	for {
		if send, repeat := r.take(r.now); send {
			r.sent = append(r.sent, sending{r.now.Sub(r.start), repeat})
		}
		next := r.next()
		if next.IsZero() || next.Sub(r.start) > end {
			break
		}
		Expect(next).To(BeTemporally(">", r.now), "an announcer that does not get on")
		r.now = next
	}
	r.now = r.start.Add(end)
	return r.sent[before:]
}

func (r *rig) tell(s Statement) { r.say(s, r.now) }

var _ = Describe("The announcer", func() {
	var r *rig
	BeforeEach(func() { r = newRig() })

	It("says nothing before it has something to say", func() {
		r.asked(r.now)
		r.reached(r.now)
		r.met(r.now)
		Expect(r.until(time.Hour)).To(BeEmpty())
		Expect(r.next()).To(BeZero())
	})

	It("says a change in a burst, and then once every interval", func() {
		r.tell(Statement{Phase: PhaseServing})
		sent := r.until(5 * time.Second)
		Expect(sent).To(HaveLen(len(burst)))
		Expect(sent[0]).To(Equal(sending{0, false}))
		for i, s := range sent[1:] {
			Expect(s.at).To(BeNumerically(">=", burst[i+1]))
			Expect(s.at).To(BeNumerically("<=", burst[i+1]+(burst[i+1]-burst[i])/4))
			Expect(s.repeat).To(BeTrue())
		}
		Expect(r.until(60 * time.Second)).To(Equal([]sending{
			{10 * time.Second, false}, {20 * time.Second, false}, {30 * time.Second, false},
			{40 * time.Second, false}, {50 * time.Second, false}, {60 * time.Second, false},
		}))
	})

	It("says nothing more when the same is said again and again", func() {
		ack := InstanceID{1}
		r.tell(Statement{Phase: PhaseServing, Acks: []InstanceID{ack}})
		r.until(time.Second)
		for range 100 {
			r.tell(Statement{Phase: PhaseServing, Acks: []InstanceID{ack}})
		}
		Expect(r.until(9 * time.Second)).To(BeEmpty())
	})

	DescribeTable("starts a burst at every change of",
		func(change func(*Statement)) {
			s := Statement{Phase: PhaseServing}
			r.tell(s)
			r.until(4 * time.Second)
			change(&s)
			r.tell(s)
			sent := r.until(5 * time.Second)
			Expect(sent).To(HaveLen(len(burst)))
			Expect(sent[0]).To(Equal(sending{4 * time.Second, false}))
			Expect(r.until(15 * time.Second)).To(Equal([]sending{{14 * time.Second, false}}))
		},
		Entry("the phase", func(s *Statement) { s.Phase = PhaseDraining }),
		Entry("told", func(s *Statement) { s.Told = true }),
		Entry("the acks", func(s *Statement) { s.Acks = []InstanceID{{7}} }),
	)

	It("starts the burst anew when another change comes in its middle", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(100 * time.Millisecond)
		r.tell(Statement{Phase: PhaseHolding, Told: true})
		sent := r.until(2 * time.Second)
		Expect(sent).To(HaveLen(len(burst)))
		Expect(sent[0].repeat).To(BeFalse())
	})

	It("repeats an eager statement every 250 ms, for a minute after the last change of phase", func() {
		r.tell(Statement{Phase: PhaseServing, Eager: true})
		r.until(time.Second)
		Expect(r.until(2 * time.Second)).To(HaveLen(4))
		r.until(58 * time.Second)
		// To the end of the minute, plus what is said every ten seconds.
		Expect(len(r.until(70 * time.Second))).To(BeNumerically("~", 8+2, 1))
		r.tell(Statement{Phase: PhaseServing, Eager: true, Told: true})
		r.until(72 * time.Second)
		Expect(r.until(73 * time.Second)).To(HaveLen(4))
	})

	It("goes back to the interval when it need not be eager any more", func() {
		r.tell(Statement{Phase: PhaseServing, Eager: true})
		r.until(5 * time.Second)
		r.tell(Statement{Phase: PhaseServing})
		Expect(r.until(60 * time.Second)).To(HaveLen(6))
	})

	It("keeps the regular announcements apart from repeats", func() {
		r.tell(Statement{Phase: PhaseServing, Eager: true})
		var regular []time.Duration
		for _, s := range r.until(40 * time.Second) {
			if !s.repeat {
				regular = append(regular, s.at.Round(300*time.Millisecond))
			}
		}
		Expect(len(regular)).To(Equal(5), "%v", regular)
	})

	It("asks at once, and then every 300 ms", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(5 * time.Second)
		r.tell(Statement{Phase: PhaseServing, Ask: true})
		sent := r.until(6 * time.Second)
		Expect(sent).To(HaveLen(4))
		Expect(sent[0].at).To(Equal(5 * time.Second))
		Expect(sent[1].at).To(Equal(5*time.Second + 300*time.Millisecond))
		r.tell(Statement{Phase: PhaseServing})
		Expect(r.until(9 * time.Second)).To(BeEmpty())
	})

	It("asks as often as it is told to", func() {
		r.tell(Statement{Phase: PhaseReleased, Ask: true, AskEvery: time.Second})
		r.until(3500 * time.Millisecond)
		Expect(r.until(9500 * time.Millisecond)).To(HaveLen(6))
		r.tell(Statement{Phase: PhaseReleased, Ask: true})
		Expect(r.until(9600*time.Millisecond)).To(HaveLen(1), "sooner when asking more often")
	})

	It("does not let asking be switched on and off into a storm", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(time.Second)
		for i := range 1000 {
			r.tell(Statement{Phase: PhaseServing, Ask: i%2 == 0})
			r.until(time.Second + time.Duration(i+1)*time.Millisecond)
		}
		Expect(len(r.sent) - len(burst)).To(BeNumerically("<=", 21))
	})

	It("answers within 50 ms, once for all who ask meanwhile", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(5 * time.Second)
		for range 100 {
			r.asked(r.now)
		}
		sent := r.until(5*time.Second + 50*time.Millisecond)
		Expect(sent).To(HaveLen(1))
		Expect(sent[0].repeat).To(BeTrue())
		Expect(r.until(9 * time.Second)).To(BeEmpty())
	})

	It("answers at most twenty times a second, and each within 50 ms", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(time.Second)
		for i := range 5000 { // more than one for every millisecond
			now := r.start.Add(time.Second + time.Duration(i)*time.Millisecond/5)
			r.asked(now)
			Expect(r.answerDue.Sub(now)).To(BeNumerically("<=", 50*time.Millisecond))
			r.until(now.Sub(r.start))
		}
		Expect(len(r.sent) - len(burst)).To(BeNumerically("~", 15, 6))
	})

	It("counts any transmission as the answer", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(5 * time.Second)
		r.asked(r.now)
		r.tell(Statement{Phase: PhaseDraining})
		Expect(r.until(8 * time.Second)).To(HaveLen(len(burst)))
	})

	It("says it again in a burst when somebody new can hear it", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(5 * time.Second)
		r.reached(r.now)
		sent := r.until(8 * time.Second)
		Expect(sent).To(HaveLen(len(burst)))
		Expect(sent[0]).To(Equal(sending{5 * time.Second, true}), "nothing new is said")
		Expect(r.until(10 * time.Second)).To(Equal([]sending{{10 * time.Second, false}}))
	})

	It("answers who comes with a burst, within 50 ms", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(5 * time.Second)
		r.met(r.now)
		sent := r.until(8 * time.Second)
		Expect(sent).To(HaveLen(len(burst)))
		Expect(sent[0].at).To(BeNumerically("<=", 5*time.Second+50*time.Millisecond))
		for _, s := range sent {
			Expect(s.repeat).To(BeTrue(), "nothing new is said")
		}
	})

	It("does not put off what is due when somebody comes", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.met(r.now)
		Expect(r.until(0)).To(Equal([]sending{{0, false}}))
		Expect(r.until(5 * time.Second)).To(HaveLen(len(burst) - 1))
	})

	It("says no more than that, and answers, however many come", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(5 * time.Second)
		for i := range 10_000 { // one in every millisecond
			r.met(r.now)
			r.until(5*time.Second + time.Duration(i)*time.Millisecond)
		}
		Expect(len(r.sent)).To(BeNumerically("<=", 10*(len(burst)+20)+len(burst)))
	})

	It("does not catch up on what it missed while the machine was suspended", func() {
		r.tell(Statement{Phase: PhaseServing})
		r.until(20 * time.Millisecond)
		r.now = r.start.Add(time.Hour)
		Expect(r.until(time.Hour + time.Second)).To(HaveLen(1))
	})

	It("falls silent when there is no phase any more", func() {
		r.tell(Statement{Phase: PhaseServing, Ask: true, Eager: true})
		r.until(time.Second)
		r.asked(r.now)
		r.tell(Statement{})
		Expect(r.until(time.Hour)).To(BeEmpty())
	})
})

// beatRig drives a statusBeat together with an announcer, as a Node does.
func beatRig(interval time.Duration, phases map[time.Duration]Phase, end time.Duration) (ups, downs []time.Duration, wakeUps int) {
	r := newRig()
	r.interval = interval
	b := statusBeat{interval: interval}
	for now := time.Duration(0); now <= end; now += 10 * time.Millisecond {
		at := r.start.Add(now)
		if p, ok := phases[now]; ok {
			r.say(Statement{Phase: p}, at)
			b.say(p, at)
		}
		if passed(sooner(r.next(), b.next()), at) {
			wakeUps++
		}
		send, repeat := r.take(at)
		if send, down := b.take(at, send && !repeat); send && down {
			downs = append(downs, now)
		} else if send {
			ups = append(ups, now)
		}
	}
	return ups, downs, wakeUps
}

var _ = Describe("The status messages", func() {
	It("say UP at once and every ten seconds, along with the announcements", func() {
		ups, downs, wakeUps := beatRig(10*time.Second, map[time.Duration]Phase{0: PhaseServing}, 100*time.Second)
		Expect(ups).To(HaveLen(11))
		Expect(ups[0]).To(BeZero())
		Expect(downs).To(BeEmpty())
		Expect(wakeUps).To(Equal(len(burst) + 10))
	})
	It("stay aligned with announcements after a change in between", func() {
		ups, _, wakeUps := beatRig(10*time.Second,
			map[time.Duration]Phase{0: PhaseServing, 14 * time.Second: PhaseHolding}, 100*time.Second)
		Expect(wakeUps).To(Equal(2*len(burst) + 1 + 8))
		Expect(ups).To(ContainElements(14*time.Second, 24*time.Second, 94*time.Second))
	})
	DescribeTable("need no wake-up of their own with an interval of",
		func(interval time.Duration) {
			ups, _, wakeUps := beatRig(interval, map[time.Duration]Phase{0: PhaseServing}, 99*time.Second)
			Expect(wakeUps).To(Equal(len(burst) + int(99*time.Second/interval)))
			for i := range ups[1:] {
				Expect(ups[i+1] - ups[i]).To(BeNumerically("<=", 10*time.Second))
				Expect(ups[i+1] - ups[i]).To(BeNumerically(">", 5*time.Second-interval))
			}
		},
		Entry(nil, time.Second), Entry(nil, 3*time.Second), Entry(nil, 7*time.Second), Entry(nil, 10*time.Second),
	)
	It("come every ten seconds even if announcements are rarer", func() {
		ups, _, _ := beatRig(time.Minute, map[time.Duration]Phase{0: PhaseServing}, 100*time.Second)
		Expect(ups).To(HaveLen(11))
	})
	It("say DOWN every 100 ms from draining until ten seconds after the release", func() {
		ups, downs, _ := beatRig(10*time.Second, map[time.Duration]Phase{
			0: PhaseServing, 5 * time.Second: PhaseDraining, 8 * time.Second: PhaseReleased,
		}, 100*time.Second)
		Expect(ups).To(Equal([]time.Duration{0}))
		Expect(downs[0]).To(Equal(5 * time.Second))
		Expect(downs[1]).To(Equal(5100 * time.Millisecond))
		Expect(downs[len(downs)-1]).To(Equal(18 * time.Second))
		Expect(downs).To(HaveLen(131))
	})
	It("say UP again when the instance takes the service back", func() {
		ups, _, _ := beatRig(10*time.Second, map[time.Duration]Phase{
			0: PhaseServing, 2 * time.Second: PhaseDraining, 3 * time.Second: PhaseStarting, 4 * time.Second: PhaseServing,
		}, 10*time.Second)
		Expect(ups).To(Equal([]time.Duration{0, 4 * time.Second}))
	})
	It("say nothing while the instance starts", func() {
		ups, downs, _ := beatRig(10*time.Second, map[time.Duration]Phase{0: PhaseStarting, time.Second: PhasePrepared}, 30*time.Second)
		Expect(ups).To(BeEmpty())
		Expect(downs).To(BeEmpty())
	})
})
