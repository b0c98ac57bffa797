package controller

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/decide"
)

var _ = Describe("A look at the world that comes late", func() {
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	stall := func(from, to float64) decide.Stall { return decide.Stall{From: at(from), To: at(to)} }
	// idle looked at 1, and waits for something to happen.
	idle := func() *Controller { return &Controller{looked: at(1)} }

	It("is a stall since the signal that waited for an idle loop", func() {
		c := idle()
		c.noteStall(at(8.5), at(8.5), []order{{at: at(5)}, {at: at(6)}})
		Expect(c.stall).To(Equal(stall(5, 8.5)))
	})

	It("is none for a signal that was taken at once, or if nothing waited", func() {
		c := idle()
		c.noteStall(at(5), at(5.3), []order{{at: at(5)}})
		c.noteStall(at(9), at(9), nil)
		Expect(c.stall).To(BeZero())
	})

	It("is one since the signal although the loop was to look again much later", func() {
		c := idle()
		c.expected = at(1000)
		c.noteStall(at(8.5), at(8.5), []order{{at: at(5)}})
		Expect(c.stall).To(Equal(stall(5, 8.5)))
	})

	It("is one since the last look if the loop was to look again by itself", func() {
		c := idle()
		c.expected = at(1.25)
		c.noteStall(at(4), at(4), []order{{at: at(3)}})
		Expect(c.stall).To(Equal(stall(1, 4)))
	})

	It("is one with the stall that has ended just before", func() {
		c := idle()
		c.noteStall(at(5), at(8.5), nil)
		c.looked, c.expected = at(8.5), at(8.6)
		c.noteStall(at(9), at(9), nil)
		Expect(c.stall).To(Equal(stall(5, 9)))
		c.looked, c.expected = at(10.1), at(10.2)
		c.noteStall(at(11), at(11), nil)
		Expect(c.stall).To(Equal(stall(10.1, 11)), "silence was measured in between")
	})
})
