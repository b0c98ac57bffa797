package demo_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
)

// begin is when the requests of these specs begin to be counted.
var begin = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return begin.Add(d) }

// request adds one that was answered, or that failed if there is a reason.
func request(l *demo.Log, start, took time.Duration, backend, reason string) {
	l.Add(&demo.Request{Start: after(start), End: after(start + took), Backend: backend, Failed: reason != "", Reason: reason})
}

var _ = Describe("The log of requests", func() {
	const ms = time.Millisecond
	var l *demo.Log
	BeforeEach(func() { l = demo.NewLog() })

	It("is empty at first", func() {
		Expect(l.Summary()).To(Equal(demo.Summary{}))
		Expect(l.Counters(begin)).To(Equal(demo.Counters{}))
	})

	It("counts by backend, in the order of their first request, and by reason", func() {
		request(l, 10*ms, 5*ms, "B", "")
		request(l, 0, 40*ms, "A", "")
		request(l, 20*ms, 5*ms, "A", "status 500")
		request(l, 30*ms, 0, "", "nobody ready")
		request(l, 31*ms, 0, "", "nobody ready")
		s := l.Summary()
		Expect(s.Total).To(Equal(5))
		Expect(s.Failed).To(Equal(3))
		Expect(s.Backends).To(Equal([]demo.BackendCount{{Name: "A", Answered: 1, Failed: 1}, {Name: "B", Answered: 1}}))
		Expect(s.Nobody).To(Equal(2))
		Expect(s.Reasons).To(Equal([]demo.ReasonCount{{Reason: "nobody ready", Count: 2}, {Reason: "status 500", Count: 1}}))
		Expect(s.Sending).To(Equal(demo.Span{Start: begin, End: after(31 * ms)}))
		Expect(s.PerSecond).To(BeNumerically("~", 5/0.031, 0.01))
	})

	It("does not take a request's own work for a wait", func() {
		l.Add(&demo.Request{Start: begin, End: after(1510 * ms), Asked: 1500 * ms, Backend: "A"})
		request(l, 100*ms, 30*ms, "B", "")
		s := l.Summary()
		Expect(s.Longest).To(Equal(demo.Wait{Took: 30 * ms, Start: after(100 * ms), Backend: "B"}))
		Expect(s.P99).To(Equal(30*ms), "only short requests have percentiles")
	})

	It("knows how long the short requests took", func() {
		for i := range 100 {
			request(l, time.Duration(i)*10*ms, time.Duration(i+1)*ms, "A", "")
		}
		request(l, 0, 3*time.Second, "A", "no answer in time")
		s := l.Summary()
		Expect(s.P50).To(Equal(50 * ms))
		Expect(s.P99).To(Equal(99 * ms))
		Expect(s.Longest.Failed).To(BeTrue())
	})

	Describe("outages", func() {
		outage := func(from, to time.Duration, failed int) demo.Outage {
			return demo.Outage{Span: demo.Span{Start: after(from), End: after(to)}, Failed: failed}
		}

		It("last from the first failed request to the next that is answered", func() {
			request(l, 0, ms, "A", "")
			for i := range 20 {
				request(l, time.Duration(100+i*100)*ms, ms, "", "nobody ready")
			}
			request(l, 2100*ms, ms, "B", "")
			s := l.Summary()
			Expect(s.Outages).To(Equal([]demo.Outage{outage(100*ms, 2100*ms, 20)}))
			Expect(s.LongestOutage().Length()).To(Equal(2 * time.Second))
			Expect(s.Gap).To(Equal(demo.Span{Start: after(ms), End: after(2100 * ms)}))
		})

		It("are not ended by an answer to a request from before", func() {
			request(l, 0, 500*ms, "A", "")
			request(l, 100*ms, ms, "A", "connection refused")
			request(l, 600*ms, ms, "A", "connection refused")
			request(l, 700*ms, ms, "A", "")
			Expect(l.Summary().Outages).To(Equal([]demo.Outage{outage(100*ms, 700*ms, 2)}))
		})

		It("end with the last failed request, if no other follows", func() {
			request(l, 0, ms, "A", "")
			request(l, 10*ms, ms, "A", "connection refused")
			request(l, 20*ms, 50*ms, "A", "connection reset")
			request(l, 30*ms, ms, "A", "connection refused")
			s := l.Summary()
			Expect(s.Outages).To(Equal([]demo.Outage{outage(10*ms, 70*ms, 3)}))
			Expect(s.Gap).To(Equal(demo.Span{Start: after(ms), End: after(30 * ms)}))
		})

		It("are two if nobody asked for more than a second", func() {
			request(l, 0, ms, "", "nobody ready")
			request(l, 1100*ms, ms, "", "nobody ready")
			request(l, 1200*ms, ms, "A", "")
			Expect(l.Summary().Outages).To(Equal([]demo.Outage{outage(0, ms, 1), outage(1100*ms, 1200*ms, 1)}))
		})

		It("are short where only one of two backends fails", func() {
			for i := range 100 {
				reason := ""
				if i%2 == 1 {
					reason = "connection refused"
				}
				request(l, time.Duration(i)*10*ms, ms, "A", reason)
			}
			s := l.Summary()
			Expect(s.Outages).To(HaveLen(50))
			Expect(s.LongestOutage().Length()).To(Equal(10 * ms))
		})
	})

	It("counts the last second", func() {
		for i := range 300 { // 100 a second, of which A answers the first half
			name, reason := "A", ""
			if i >= 150 {
				name = "B"
			}
			if i%10 == 9 {
				reason = "status 503"
			}
			request(l, time.Duration(i*10)*ms, ms, name, reason)
		}
		c := l.Counters(after(2 * time.Second))
		Expect(c.Total).To(Equal(300))
		Expect(c.Failed).To(Equal(30))
		c = l.Counters(after(3 * time.Second))
		Expect(c.PerSecond).To(BeNumerically("~", 100, 1))
		Expect(c.Backends).To(HaveLen(2))
		Expect(c.Backends[0]).To(Equal(demo.BackendCount{Name: "A", Answered: 135, Failed: 15}))
		Expect(c.Backends[1].PerSecond).To(BeNumerically("~", 90, 1))
		Expect(l.Counters(after(5 * time.Second)).PerSecond).To(BeZero())
	})
})
