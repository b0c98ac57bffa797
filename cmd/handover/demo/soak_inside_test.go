package demo

import (
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor/simulator"
)

var _ = Describe("A hand-over of the soak", func() {
	began := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	// good is one as it should be, on a Supervisor that does not wait.
	good := func() *turn {
		return &turn{
			number: 1, began: began, created: 1, requests: 1000, toldAt: at(320),
			old: &life{name: "A0", starts: 1, told: 1, signalled: at(1700), died: at(2300), destroyed: true, phase: PhaseGone},
			new: &life{name: "B1", starts: 1, started: at(300), ready: at(700), phase: PhaseServing},
		}
	}
	// waited is one on a Supervisor that waits for the marker.
	waited := func() *turn {
		t := good()
		t.markers, t.marker, t.toldAt = 1, at(2200), at(2230)
		return t
	}
	none := simulator.MarkerFile("/nowhere/handover-complete")

	It("is as it should be", func() {
		Expect(good().wrong(false, none)).To(BeEmpty())
		Expect(waited().wrong(true, none)).To(BeEmpty())
		late := good()
		late.old.killed = true // it ended with status 0 all the same
		Expect(late.wrong(false, none)).To(BeEmpty())
	})

	DescribeTable("is wrong if", func(says string, change func(*turn)) {
		t := good()
		change(t)
		Expect(t.wrong(false, none)).To(ConsistOf(says))
		t = waited()
		change(t)
		Expect(t.wrong(true, none)).To(ConsistOf(says))
	},
		Entry("requests failed", "3 of 1000 requests failed", func(t *turn) { t.failed = 3 }),
		Entry("requests failed on a busy machine", "3 of 1000 requests failed; the machine let this process, and so the front, wait for 518ms",
			func(t *turn) { t.failed, t.late = 3, 518*time.Millisecond }),
		Entry("more than one container was created", "2 containers were created", func(t *turn) { t.created = 2 }),
		Entry("the old one was restarted", "A0 was started 2 times", func(t *turn) { t.old.starts = 2 }),
		Entry("the old one was not told", "A0 was told to stop 0 times", func(t *turn) { t.old.told = 0 }),
		Entry("the old one was killed", "A0 had to be killed", func(t *turn) { t.old.killed, t.old.code = true, 137 }),
		Entry("the old one did not end", "A0 has not ended", func(t *turn) { t.old.died = time.Time{} }),
		Entry("the old one failed", "A0 ended with exit status 137", func(t *turn) { t.old.code = 137 }),
		Entry("the new one was restarted", "B1 was started 2 times", func(t *turn) { t.new.starts = 2 }),
		Entry("the new one ended", "B1 ended, too", func(t *turn) { t.new.died = at(1000) }),
		Entry("the new one was told", "B1 ended, too", func(t *turn) { t.new.told = 1 }),
		Entry("the new one steps down", "B1 is draining", func(t *turn) { t.new.phase = PhaseDraining }),
		Entry("nobody knows of readiness", "B1 did not say that it was ready", func(t *turn) { t.new.ready = time.Time{} }),
		Entry("nobody knows of the stop signal", "A0 did not say that it gave the stop signal to its service", func(t *turn) { t.old.signalled = time.Time{} }),
		Entry("the stop signal was early", "the service of A0 got its stop signal 200ms before B1 was ready", func(t *turn) { t.old.signalled = at(500) }),
	)

	It("is wrong without the marker where the Supervisor waits for it, and with it elsewhere", func() {
		Expect(waited().wrong(false, none)).To(ConsistOf("a marker was seen that nobody waits for"))
		Expect(good().wrong(true, none)).To(ConsistOf("the marker was not written"))
		t := waited()
		t.markers = 2
		Expect(t.wrong(true, none)).To(ConsistOf("the marker was seen 2 times"))
		t = waited()
		t.toldAt = at(2000)
		Expect(t.wrong(true, none)).To(ConsistOf("the marker was seen after A0 was told to stop"))
		path := filepath.Join(GinkgoT().TempDir(), "handover-complete")
		Expect(os.WriteFile(path, nil, 0o600)).To(Succeed())
		Expect(good().wrong(false, simulator.MarkerFile(path))).To(ConsistOf("the marker was left behind"))
	})
})

var _ = Describe("Growth", func() {
	grow := func(n int, of func(kind, i int) int) *growth {
		g := &growth{}
		for i := range n {
			for kind := range g.kinds {
				g.kinds[kind].add(of(kind, i))
			}
		}
		return g
	}

	It("is none if nothing grows, or grows by chance", func() {
		Expect(grow(200, func(_, i int) int { return 15_000_000 + i%7*100_000 }).wrong()).To(BeEmpty())
	})

	It("is none on a machine that becomes busy", func() {
		Expect(grow(200, func(_, i int) int { return 50 + i/150*(i%5)*100 }).wrong()).To(BeEmpty())
	})

	It("is found where one of each hand-over stays, and where memory does", func() {
		g := grow(200, func(kind, i int) int {
			switch kind {
			case ownDescriptors, sharedFiles:
				return 50 + i
			case instanceMemory:
				return 12_000_000 + i*30_000
			}
			return 50
		})
		Expect(g.wrong()).To(ConsistOf(
			"this process, descriptors grew to 200, allowed is 70",
			"files in the shared folder grew to 200, allowed is 50",
			"serving instance, memory grew to 16.5 MB, allowed is 14.1 MB",
		))
	})

	It("is not judged after few hand-overs", func() {
		Expect(grow(growthFrom-1, func(_, i int) int { return i * 1_000_000_000 }).wrong()).To(BeEmpty())
	})

	It("needs no more memory for more samples, and still compares the first with the last", func() {
		var s samples
		const n = 1_000_000
		for i := range n {
			if s.add(i); len(s.kept) > samplesAtMost {
				Fail("too many are kept")
			}
		}
		first, last := s.quarters()
		Expect(first).To(BeNumerically("~", 0, n/100))
		Expect(last).To(BeNumerically("~", n*3/4, n/100))
	})
})
