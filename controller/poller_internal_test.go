package controller

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
)

var _ = Describe("Answers that overtake each other", func() {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	failed := func(kind supervisor.Kind) error { return &supervisor.Error{Op: "view", Kind: kind} }
	// asked is a poller with two requests under way, whose key has worked.
	asked := func() *poller {
		p := newPoller(nil, "", "", time.Second)
		p.worked, p.inFlight, p.sentAt = true, []asked{{sent: at(1)}, {sent: at(2)}}, at(2)
		return p
	}

	It("count if nothing later was answered", func() {
		p := asked()
		Expect(p.received(at(3), answer{sent: at(1)})).To(BeTrue())
		Expect(p.received(at(4), answer{sent: at(2)})).To(BeTrue())
	})

	It("do not count after a later one", func() {
		p := asked()
		Expect(p.received(at(3), answer{sent: at(2)})).To(BeTrue())
		Expect(p.received(at(4), answer{sent: at(1)})).To(BeFalse())
		Expect(p.received(at(4), answer{sent: at(1), err: failed(supervisor.KindUnauthorized)})).To(BeFalse())
		Expect(p.rotated()).To(BeFalse(), "it was accepted later")
		Expect(p.err).NotTo(HaveOccurred())
	})

	It("count after a later one that failed, if they tell something", func() {
		p := asked()
		Expect(p.received(at(3), answer{sent: at(2), err: failed(supervisor.KindUnreachable)})).To(BeTrue())
		Expect(p.received(at(4), answer{sent: at(1), err: failed(supervisor.KindTimeout)})).To(BeFalse())
		Expect(p.received(at(4), answer{sent: at(1), err: failed(supervisor.KindUnauthorized)})).To(BeTrue())
		Expect(p.rotated()).To(BeTrue())
		Expect(p.received(at(5), answer{sent: at(1)})).To(BeTrue())
		Expect(p.err).NotTo(HaveOccurred())
	})
})
