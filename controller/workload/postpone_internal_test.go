package workload

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = DescribeTable("The end of a drain delay that was missed", func(missedBy time.Duration, p Plan, want time.Duration) {
	began := time.Unix(1000, 0)
	p.SignalAt = began.Add(3 * time.Second)
	if !p.KillAt.IsZero() {
		p.KillAt = began.Add(p.KillAt.Sub(time.Time{}))
	}
	now := p.SignalAt.Add(missedBy)
	p.postpone(now, 3*time.Second)
	Expect(p.SignalAt.Sub(now)).To(Equal(want))
},
	Entry("by a little: at once", 300*time.Millisecond, Plan{}, -300*time.Millisecond),
	Entry("by much: the delay begins anew", 301*time.Millisecond, Plan{}, 3*time.Second),
	Entry("with little time left: half of that", 2*time.Second, Plan{KillAt: time.Time{}.Add(9 * time.Second)}, 2*time.Second),
	Entry("after the deadline: at once", 9*time.Second, Plan{KillAt: time.Time{}.Add(9 * time.Second)}, time.Duration(0)),
)
