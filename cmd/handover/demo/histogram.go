package demo

import (
	"math"
	"math/bits"
	"time"
)

// Each power of two is cut into so many buckets: a quantile is at most one part
// in 64 too high.
const (
	histogramBits = 6
	histogramMost = 1<<32 - 1 // µs, some 71 minutes; what is longer counts as this
	histogramSize = (32-histogramBits)<<histogramBits + 1<<histogramBits
)

// Histogram counts durations in buckets that grow with them, so that a run of
// any length needs the same memory. Its extremes are exact. The zero Histogram
// is empty.
type Histogram struct {
	counts [histogramSize]uint32
	total  int
	most   time.Duration
}

// Add counts a duration; one below zero counts as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(0, d)
	h.counts[bucketOf(d)]++
	h.total++
	h.most = max(h.most, d)
}

// Total returns how many durations were counted.
func (h *Histogram) Total() int { return h.total }

// Max returns the longest one.
func (h *Histogram) Max() time.Duration { return h.most }

// Quantile returns a duration that the part q of all, 0.99 say, does not exceed:
// the smallest such one, rounded up to the end of its bucket. It is 0 if nothing
// was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int(math.Ceil(q * float64(h.total)))
	for i, n := range h.counts {
		if rank -= int(n); n > 0 && rank <= 0 {
			return min(bucketEnd(i), h.most)
		}
	}
	return h.most
}

func bucketOf(d time.Duration) int {
	v := uint64(min(d.Microseconds(), histogramMost))
	shift := max(0, bits.Len64(v)-histogramBits-1)
	return shift<<histogramBits + int(v>>shift)
}

// bucketEnd is the longest duration in a bucket.
func bucketEnd(i int) time.Duration {
	shift := max(0, i>>histogramBits-1)
	v := i - shift<<histogramBits
	return time.Duration((v+1)<<shift)*time.Microsecond - 1
}
