package simulator_test

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// stays is how long an instance stays up whose workload has crashed.
type stays int

const (
	notAtAll       stays = iota // it ends with its workload
	whileOlder                  // until it is 10 s old, or the older instance ends
	besideOlder                 // from its second start on until it is 10 s old, if the older instance lived at the crash: as handover does it
	fromFourthOn                // the same, and from its fourth start on in any case
	early          = 10 * time.Second
	crashesQuickly = 50 * time.Millisecond
	crashesLater   = 700 * time.Millisecond
)

// crashing is a Runtime of instances. Those of release B have a workload that
// crashes soon after each start. That of A serves on for a while after its
// SIGTERM. All others end at once.
type crashing struct {
	after time.Duration // after its start, B's workload crashes
	holds time.Duration // A does, after its SIGTERM
	stays stays

	older sync.WaitGroup // the instance of A
}

// instance is a process of it.
type instance struct {
	r       *crashing
	release int64
	starts  int
	once    sync.Once
	done    chan struct{}
	code    int
}

func (r *crashing) Start(c simulator.Container) (simulator.Process, error) {
	i := &instance{r: r, release: c.Release.ID, starts: c.Starts, done: make(chan struct{})}
	switch c.Release.ID {
	case 1001:
		r.older.Go(func() { <-i.done })
	case 1002:
		go i.crash()
	}
	return i, nil
}

// crash is the life of an instance of B.
func (i *instance) crash() {
	began := time.Now()
	alone := make(chan struct{})
	go func() {
		i.r.older.Wait()
		close(alone)
	}()
	select {
	case <-time.After(i.r.after):
	case <-i.done:
		return
	}
	rest, besides := early-time.Since(began), true
	select {
	case <-alone:
		besides = false
	default:
	}
	switch i.r.stays {
	case whileOlder:
		select {
		case <-time.After(rest):
		case <-alone:
		case <-i.done:
		}
	case besideOlder, fromFourthOn:
		if besides && i.starts >= 2 || i.r.stays == fromFourthOn && i.starts >= 4 {
			select {
			case <-time.After(rest):
			case <-i.done:
			}
		}
	}
	i.end(3)
}

func (i *instance) end(code int) {
	i.once.Do(func() {
		i.code = code
		close(i.done)
	})
}

func (i *instance) Signal(s syscall.Signal) {
	switch {
	case s == syscall.SIGKILL:
		i.end(137)
	case i.release == 1001:
		time.AfterFunc(i.r.holds, func() { i.end(0) })
	default:
		i.end(0)
	}
}

func (i *instance) Done() <-chan struct{} { return i.done }

func (i *instance) Code() int { return i.code }

var _ = Describe("A release that crashes soon after each start, and its fix", func() {
	const never = 3 * time.Minute // no fix within that time
	const seeds = 10

	// fixed is how long it took from the fix until it was started, and how long
	// nobody was there since the old one's end.
	fixed := func(version string, seed uint64, crashes, after time.Duration, how stays) (took, dark time.Duration) {
		virtually(fmt.Sprint(version, seed, how), func() {
			s, events := newSimulator(version, func(o *simulator.Options) {
				o.Seed = seed
				o.Runtime = &crashing{after: crashes, holds: 26 * time.Second, stays: how}
			})
			defer s.Close()
			deploy := func(letter string) {
				r := (&actions{}).release(letter)
				r.StopGracePeriod, r.HandoverTimeout = 30*time.Second, 2*time.Second
				s.SetTarget(r)
			}
			deploy("A")
			time.Sleep(time.Minute)
			deploy("B")
			time.Sleep(after)
			deploy("C")
			began := time.Now()
			time.Sleep(never)
			took, dark = never, never
			var ended time.Time
			for _, e := range events.all() {
				switch {
				case e.Kind == simulator.EventDie && e.Release.ID == 1001:
					ended = e.At
				case e.Kind == simulator.EventStart && e.Release.ID == 1003 && e.Starts == 1:
					took, dark = e.At.Sub(began), 0
					if !ended.IsZero() {
						dark = e.At.Sub(ended)
					}
				}
			}
		})
		return took, dark
	}
	// applied is of how many runs the fix was applied at all, the longest time
	// that it took there, and the longest time in which nobody was there.
	applied := func(version string, crashes, after time.Duration, how stays) (n int, took, dark time.Duration) {
		for seed := range uint64(seeds) {
			if t, d := fixed(version, seed, crashes, after, how); t < never {
				n++
				took, dark = max(took, t), max(dark, d)
			}
		}
		return n, took, dark
	}

	Describe("that comes while the old one holds", func() {
		const after = 6 * time.Second

		It("is not applied if the instance ends with its workload", func() {
			for _, version := range []string{"14.13.9", "19.0.5"} {
				n, _, _ := applied(version, crashesQuickly, after, notAtAll)
				Expect(n).To(BeZero(), version)
			}
		})

		It("is not always applied by 19.0.5 if the instance ends as soon as the old one has ended", func() {
			n, _, _ := applied("19.0.5", crashesQuickly, after, whileOlder)
			Expect(n).To(And(BeNumerically(">", 0), BeNumerically("<", seeds)))
		})

		It("is applied if the instance lives for ten seconds, however the old one ends", func() {
			for _, crashes := range []time.Duration{crashesQuickly, crashesLater} {
				for _, how := range []stays{besideOlder, fromFourthOn} {
					n, took, _ := applied("14.13.9", crashes, after, how)
					Expect(n).To(Equal(seeds), "way %d", how)
					Expect(took).To(BeNumerically("<", 4*time.Second), "it does not wait for the old one")
					n, _, dark := applied("19.0.5", crashes, after, how)
					Expect(n).To(Equal(seeds), "way %d", how)
					Expect(dark).To(BeNumerically("<", 2*time.Second), "way %d", how)
				}
			}
		})
	})

	Describe("that comes when the old one is long gone", func() {
		const after = 80 * time.Second

		It("is hardly ever applied if the instance, alone, ends with its workload", func() {
			for _, version := range []string{"14.13.9", "19.0.5"} {
				for how := range fromFourthOn {
					n, _, _ := applied(version, crashesQuickly, after, how)
					Expect(n).To(BeNumerically("<=", seeds/3), "%s, way %d", version, how)
				}
			}
		})

		It("is applied if the instance lives for ten seconds from its fourth start on", func() {
			for _, version := range []string{"14.13.9", "19.0.5"} {
				for _, crashes := range []time.Duration{crashesQuickly, crashesLater} {
					n, took, _ := applied(version, crashes, after, fromFourthOn)
					Expect(n).To(Equal(seeds), version)
					Expect(took).To(BeNumerically("<", 10*time.Second), version)
				}
			}
		})
	})
})
