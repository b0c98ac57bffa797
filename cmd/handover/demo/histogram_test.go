package demo_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
)

var _ = Describe("A histogram", func() {
	It("is empty at first", func() {
		h := &demo.Histogram{}
		Expect(h.Quantile(0.5)).To(BeZero())
		Expect(h.Max()).To(BeZero())
		Expect(h.Total()).To(BeZero())
	})

	It("knows each quantile as well as the sorted durations, but for one part in 64", func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			h := &demo.Histogram{}
			var all []time.Duration
			for range 1 + rng.IntN(500) {
				// From nanoseconds to an hour, each order of magnitude as often.
				d := time.Duration(math.Exp(rng.Float64() * math.Log(float64(time.Hour))))
				h.Add(d)
				all = append(all, d)
			}
			slices.Sort(all)
			Expect(h.Total()).To(Equal(len(all)))
			Expect(h.Max()).To(Equal(all[len(all)-1]))
			for _, q := range []float64{0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
				exact := all[int(math.Ceil(q*float64(len(all))))-1]
				Expect(h.Quantile(q)).To(BeNumerically(">=", exact))
				Expect(h.Quantile(q)).To(BeNumerically("<=", exact+exact/64+time.Microsecond))
			}
		}
	})

	It("takes what is out of its range for its ends", func() {
		h := &demo.Histogram{}
		h.Add(-time.Second)
		Expect(h.Quantile(1)).To(BeZero())
		h.Add(1000 * time.Hour)
		Expect(h.Max()).To(Equal(1000 * time.Hour))
		Expect(h.Quantile(0.5)).To(BeNumerically("<", time.Millisecond))
		Expect(h.Quantile(1)).To(BeNumerically(">", time.Hour))
	})
})
