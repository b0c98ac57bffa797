package demo_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
)

// answering is a transport that answers after a time, without a network.
type answering time.Duration

func (d answering) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Duration(d)):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

var _ = Describe("The load", func() {
	inBubble("is sent by the clock, however slow the answers are", func() {
		l := demo.StartLoad(context.Background(), demo.LoadOptions{URL: "http://front"}.Over(answering(5*time.Second)))
		time.Sleep(2*time.Second - time.Millisecond)
		synctest.Wait()
		Expect(l.Sent()).To(Equal(2 * (250 + 4)))
		Expect(l.Answered()).To(BeZero())
		stopped := time.Now()
		l.Stop()
		Expect(time.Since(stopped)).To(BeNumerically("~", 5*time.Second, 10*time.Millisecond))
		Expect(l.Sent()).To(Equal(508))
		Expect(l.Answered()).To(Equal(508))
		Expect(l.Errors()).To(BeZero())
		l.Stop()
	})

	inBubble("does not pile up without end", func() {
		l := demo.StartLoad(context.Background(), demo.LoadOptions{URL: "http://front", PerSecond: 100, LongPerSecond: -1, AtOnce: 30}.Over(answering(time.Second)))
		time.Sleep(2*time.Second - time.Millisecond)
		synctest.Wait()
		Expect(l.Sent()).To(Equal(60))
		Expect(l.Skipped()).To(Equal(140))
		l.Stop()
		Expect(l.Answered()).To(Equal(60))
	})

	inBubble("ends with its context, and what is in flight too", func() {
		ctx, cancel := context.WithCancel(context.Background())
		l := demo.StartLoad(ctx, demo.LoadOptions{URL: "http://front", PerSecond: 10, LongPerSecond: -1}.Over(answering(time.Hour)))
		time.Sleep(950 * time.Millisecond)
		cancel()
		stopped := time.Now()
		l.Stop()
		Expect(time.Since(stopped)).To(BeZero())
		Expect(l.Sent()).To(Equal(10))
		Expect(l.Errors()).To(Equal(10))
	})

	It("keeps its rate, and the front's log agrees with the clients", func(ctx SpecContext) {
		f := newFront(demo.FrontOptions{})
		// Every twentieth fails, and every one is slow.
		i := newInstance("A", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(100 * time.Millisecond)
			if rand.IntN(20) == 0 {
				panic(http.ErrAbortHandler)
			}
		})
		began := time.Now()
		l := demo.StartLoad(ctx, demo.LoadOptions{URL: f.URL(), LongPerSecond: -1})
		f.Add(i.backend()) // the first requests find nobody
		Eventually(func() time.Duration { return time.Since(began) }).Should(BeNumerically(">=", 2*time.Second))
		l.Stop()
		elapsed := time.Since(began)
		Expect(l.Sent()).To(BeNumerically(">=", 400), "it does not wait for answers")
		Expect(float64(l.Sent())).To(BeNumerically("<=", 250*elapsed.Seconds()*1.05+1))
		s := f.Log().Summary()
		Expect(s.Total).To(Equal(l.Sent()))
		Expect(s.Total - s.Failed).To(Equal(l.Answered()))
		Expect(s.Failed).To(Equal(l.Errors()))
		Expect(s.Failed).To(BeNumerically(">", 0))
		Expect(s.Backends).To(HaveLen(1))
		Expect(int(i.served.Load())).To(Equal(s.Total-s.Nobody), "nothing is tried twice")
		c := f.Log().Counters(time.Now())
		Expect([]int{c.Total, c.Failed}).To(Equal([]int{s.Total, s.Failed}))
	}, SpecTimeout(30*time.Second))
})
