package stories_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer/peertest"
)

// network is how bad a network is, and how soon the old instance begins to
// drain on it after the younger one is ready, in so many of 100 runs.
type network struct {
	name    string
	options peertest.Options
	within  time.Duration
	percent int
}

var networks = []network{
	{"no loss", peertest.Options{}, 100 * time.Millisecond, 100},
	{"50 % loss each way", peertest.Options{Loss: 0.5}, time.Second, 99},
	{"90 % loss each way", peertest.Options{Loss: 0.9}, 15 * time.Second, 95},
	{"50 % loss, up to 200 ms of delay, 20 % doubled, 20 % out of order", peertest.Options{
		Loss: 0.5, Jitter: 200 * time.Millisecond, Duplicate: 0.2, Reorder: 0.2, ReorderBy: 300 * time.Millisecond,
	}, 1500 * time.Millisecond, 99},
}

// handsOver returns how long after the readiness of the younger instance the
// old one began to drain, and that nobody was without service.
func handsOver(o peertest.Options, seed uint64, told bool) (took time.Duration) {
	o.Seed, o.Delay = seed, time.Millisecond
	virtually(fmt.Sprint(seed), func() {
		d := newDevice()
		defer d.end()
		d.network = peertest.NewNetwork(o)
		d.policy.StopGracePeriod = 2 * time.Minute
		a := beginsOld(d, plan{})
		ready := 2 * time.Second
		b := d.start("b", plan{readyAfter: ready})
		began := d.now()
		if told {
			d.wait(25 * time.Millisecond)
			a.term()
		}
		for a.alive() && (a.phase() == "serving" || a.phase() == "holding") {
			Expect(d.now()-began).To(BeNumerically("<", 3*time.Minute), "seed %d", seed)
			d.wait(time.Millisecond)
		}
		took = d.now() - began - ready
		Expect(took).To(BeNumerically(">=", 0), "seed %d: before the younger one was ready", seed)
		d.wait(5 * time.Second)
		Expect(b.phase()).To(Equal("serving"), "seed %d", seed)
		d.expectNoOutage()
	})
	return took
}

var _ = Describe("On a bad network", func() {
	for _, told := range []bool{false, true} {
		for _, n := range networks {
			It(fmt.Sprintf("with %s the old instance (told to stop: %v) drains soon after the younger one is ready", n.name, told), func() {
				if testing.Short() {
					Skip("a hundred runs of each; run this suite without -short")
				}
				const runs = 100
				var all []time.Duration
				for seed := range uint64(runs) {
					all = append(all, handsOver(n.options, seed+1, told))
				}
				slices.Sort(all)
				late := runs - runs*n.percent/100
				AddReportEntry("readiness to drain", fmt.Sprintf("%s, told %v, %d runs: median %v, 99 of 100 %v, worst %v",
					n.name, told, runs, all[runs/2], all[runs*99/100-1], all[runs-1]))
				Expect(all[runs-1-late]).To(BeNumerically("<=", n.within), "all: %v", all)
			})
		}
	}
})
