package controller

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Signals that tell to stop", func() {
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	term := func(s float64) order { return order{at: at(s)} }
	// heed takes them in, each with what was known of the Supervisor then.
	heed := func(all ...any) obeyed {
		var b obeyed
		away := absence{}
		for _, one := range all {
			switch v := one.(type) {
			case absence:
				away = v
			case order:
				b.obey(v, away)
			}
		}
		return b
	}

	It("begin with the first one", func() {
		b := heed(term(1))
		Expect(b.toldAt).To(Equal(at(1)))
		Expect(b.pressedAt).To(BeZero())
		Expect(b.hurry).To(BeFalse())
	})

	It("are a person's when the Supervisor answered all the time", func() {
		b := heed(term(1), term(4))
		Expect(b.pressedAt).To(Equal(at(4)))
		Expect(b.hurry).To(BeFalse())
	})

	It("are a repeat when the Supervisor was away since the first one", func() {
		b := heed(term(1), absence{at(2), at(3)}, term(4))
		Expect(b.toldAt).To(Equal(at(1)))
		Expect(b.pressedAt).To(BeZero())
		Expect(b.hurry).To(BeFalse())
	})

	It("are a repeat when it was away before the first one, and is still", func() {
		Expect(heed(term(1), absence{at(0), at(3)}, term(4)).pressedAt).To(BeZero())
	})

	It("are a person's when it was away only before the first one", func() {
		Expect(heed(absence{at(0), at(0.5)}, term(1), term(4)).pressedAt).To(Equal(at(4)))
	})

	It("are repeats when it was restarted again before each", func() {
		b := heed(term(2), absence{at(4), at(5)}, term(5.4), absence{at(11), at(11.8)}, term(12))
		Expect(b.pressedAt).To(BeZero())
		Expect(b.hurry).To(BeFalse())
	})

	It("hurry with the third one that is no repeat", func() {
		Expect(heed(term(1), term(2), term(3)).hurry).To(BeTrue())
		b := heed(term(1), absence{at(2), at(3)}, term(4), term(5))
		Expect(b.pressedAt).To(Equal(at(5)))
		Expect(b.hurry).To(BeFalse())
	})

	It("hurry with an interrupt, but not with the first one", func() {
		interrupt := order{at: at(2), interrupt: true}
		Expect(heed(interrupt).hurry).To(BeFalse())
		Expect(heed(term(1), interrupt).hurry).To(BeTrue())
		Expect(heed(term(1), absence{at(1), at(3)}, interrupt).hurry).To(BeTrue())
	})

	It("wait for the loop, and no more of them than needed", func() {
		var o orders
		for n := range 1000 {
			o.add(at(float64(n)), false)
		}
		Expect(o.told()).To(Equal(at(0)))
		Expect(o.take()).To(HaveLen(ordersAtMost))
		Expect(o.take()).To(BeEmpty())
	})
})
