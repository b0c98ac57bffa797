package hostile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	"github.com/handover-controller/handover/peer"
)

// forget takes a container off the list.
func (s *fakeSupervisor) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers = slices.DeleteFunc(s.containers, func(c listedContainer) bool { return c.ContainerID == id })
}

// restart starts the container again that was killed, as the engine does. Its
// service is ready.
func (i *instance) restart(settings ...string) *instance {
	GinkgoHelper()
	i.rig.supervisor.forget(i.id())
	i.rig.created = i.rig.created.Add(-time.Hour) // it was created before the others
	again := i.rig.container(i.letter)
	again.ready()
	return again.serve(settings...)
}

// processor is how much processor time the process has had, its workload apart.
func (i *instance) processor() time.Duration {
	GinkgoHelper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", i.cmd.Process.Pid))
	Expect(err).NotTo(HaveOccurred(), "it must run")
	var user, system int // fields 14 and 15
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')'):]))
	_, err = fmt.Sscan(fields[12]+" "+fields[13], &user, &system)
	Expect(err).NotTo(HaveOccurred())
	return time.Duration(user+system) * time.Second / 100
}

// repeat sends all of it again and again, in the background, until the spec ends.
func (a *attacker) repeat(all [][]byte, every time.Duration) {
	stop, ended := make(chan struct{}), make(chan struct{})
	DeferCleanup(func() {
		close(stop)
		<-ended
	})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				_ = a.send(all[n%len(all)]) // one more that is lost changes nothing
			}
		}
	}()
}

// said takes in what was overheard, and returns what an instance has said in that
// phase, and when it was sent the last time.
func (a *attacker) said(heard <-chan []byte, id string, phase peer.Phase) (all [][]byte, last time.Time) {
	GinkgoHelper()
	for {
		select {
		case raw := <-heard:
			var said peer.Announcement
			if said.Decode(raw, a.domain, nil) == nil && said.Instance.String() == id && said.Phase == phase {
				all, last = append(all, raw), time.Now().Add(-time.Duration(present()-said.Sequence))
			}
		default:
			return all, last
		}
	}
}

var _ = DescribeTable("Signed datagrams of a younger instance that is dead keep no restarted one from serving, sent again without end",
	func(settings ...string) {
		settings = append(settings, "HANDOVER_ANNOUNCE_SECRET=a long enough secret")
		r := newRig()
		evil := r.attacker()
		heard := evil.overhear()
		a := r.container("a")
		a.ready()
		a.serve(settings...).until("serving", patience)
		b := r.container("b")
		b.ready()
		b.serve(settings...).until("serving", patience)
		a.until("released", patience)
		id := b.status().Instance.ID
		var recorded [][]byte
		var last time.Time
		Eventually(func() int {
			more, at := evil.said(heard, id, peer.PhaseServing)
			if recorded = append(recorded, more...); at.After(last) {
				last = at
			}
			return len(recorded)
		}, patience).Should(BeNumerically(">", 5))
		b.kill()
		a.kill()
		Eventually(func() time.Duration { return time.Since(last) }, patience).Should(BeNumerically(">", 1500*time.Millisecond),
			"what was said within the last second is not old")
		evil.repeat(recorded, 5*time.Millisecond)
		again := a.restart(settings...)
		again.until("serving", patience)
		AddReportEntry("serves again", fmt.Sprintf("%s after its start",
			again.logged("phase=serving").Sub(again.logged("reason=Started"))))
		Consistently(again.phase, "2s", "50ms").Should(Equal("serving"))
		Expect(again.err.String()).NotTo(ContainSubstring("SteppedAside"))
		Expect(again.logged("workload started").Sub(again.logged("reason=Started"))).To(BeNumerically("<", 2*time.Second))
		Expect(again.answer()).To(Succeed())
	},
	Entry("although the Supervisor lists it as running"),
	Entry("in mode off", "HANDOVER_SUPERVISOR_MODE=off"),
)

var _ = Describe("Without a secret and without the Supervisor, where the instances share a folder", func() {
	const off = "HANDOVER_SUPERVISOR_MODE=off"

	DescribeTable("forged announcements hold up no hand-over, as many as they are",
		func(next func(evil *attacker, b *instance) func() []byte) {
			r := newRig()
			evil := r.attacker()
			settings := []string{off, "HANDOVER_ANNOUNCE_FOLDER=" + r.dir}
			a, b := r.container("a"), r.container("b")
			a.ready()
			a.serve(settings...).until("serving", patience)
			b.serve(settings...).until("starting", patience)
			id := b.status().Instance.ID
			knows := func() bool {
				for _, p := range a.status().Peers {
					if p.ID == id {
						return true
					}
				}
				return false
			}
			Eventually(knows, patience, "10ms").Should(BeTrue())
			read := func() int { return a.metric(`handover_announcements_received_total{way="multicast"}`) }
			before, began, used := read(), time.Now(), a.processor()
			stop := evil.flood(next(evil, b))
			Eventually(read, patience, "50ms").Should(BeNumerically(">", before+4000))
			share := (a.processor() - used).Seconds() / time.Since(began).Seconds()
			Expect(knows()).To(BeTrue(), "it holds its lock")
			Expect(a.phase()).To(Equal("serving"))
			ready := time.Now()
			b.ready()
			a.until("released", patience)
			took := time.Since(ready)
			AddReportEntry("flood", fmt.Sprintf("%d datagrams a second; handed over %s after the younger one was ready; %.0f %% of a processor",
				stop(), took.Round(time.Millisecond), 100*share))
			Expect(b.answer()).To(Succeed())
			Expect(took).To(BeNumerically("<", 5*time.Second))
			Expect(len(a.status().Peers)).To(BeNumerically("<=", 64+16))
			a.bounded()
			b.bounded()
			if !built.Race {
				Expect(share).To(BeNumerically("<", 0.5))
			}
		},
		Entry("of ever new instances that are not ready", func(evil *attacker, _ *instance) func() []byte {
			return everNew(starting(evil, evil.forge(strange())))
		}),
		Entry("as processes that take its place in its container", func(evil *attacker, b *instance) func() []byte {
			forged := starting(evil, evil.forge(b.id()))
			name := 0
			return func() []byte {
				name++
				binary.BigEndian.PutUint64(forged[22:], uint64(name))
				return evil.again(forged)
			}
		}),
	)
})

// starting is the same announcement of one that is not ready.
func starting(a *attacker, raw []byte) []byte {
	return a.change(raw, func(said *peer.Announcement) { said.Phase, said.StartMilli = peer.PhaseStarting, 0 })
}

// again is the same announcement, said now.
func (a *attacker) again(raw []byte) []byte {
	return a.change(raw, func(said *peer.Announcement) { said.Sequence = present() })
}

// change returns an unsigned announcement that says something else.
func (a *attacker) change(raw []byte, change func(*peer.Announcement)) []byte {
	var said peer.Announcement
	Expect(said.Decode(raw, a.domain, nil)).To(Succeed())
	change(&said)
	raw, err := said.Append(nil, nil)
	Expect(err).NotTo(HaveOccurred())
	return raw
}
