package decide_test

import (
	"testing"

	. "github.com/handover-controller/handover/controller/decide"
)

// BenchmarkDecide compares an idle instance, one in the middle of a hand-over,
// and one in a crowd.
func BenchmarkDecide(b *testing.B) {
	crowd := with(serving(), both)
	for n := range byte(64) {
		p := youngerPeer()
		p.Instance = id(100 + n)
		hears(p)(&crowd)
	}
	for _, c := range []struct {
		name string
		s    Snapshot
	}{
		{"alone", serving()},
		{"both signals", with(serving(), both)},
		{"holding", with(serving(), told(0), both)},
		{"crowd of 65", crowd},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Decide(c.s)
			}
		})
	}
}
