package page_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor/simulator"
)

var _ = Describe("A status address that both instances share", func() {
	It("is the older one's until it has released, and then at once the younger one's, without a warning", func() {
		shared := simulator.FreeAddress()
		d := newDevice("14.13.9")
		d.release(1, shared, 0)
		Eventually(phaseAt(shared), patience).Should(Equal("serving"))
		older := d.container(1)[:12]
		Expect(statusAt(shared).Instance.Container).To(Equal(older))
		socket := d.door(1)

		d.release(2, shared, onCommand)
		younger := d.container(2)[:12]
		Eventually(func() string { return d.log(2).String() }, patience).Should(ContainSubstring("another instance has the status address"))
		d.becomeReady(2)
		released := time.Time{}
		answered := time.Time{}
		for deadline := time.Now().Add(patience); answered.IsZero(); {
			Expect(time.Now()).To(BeTemporally("<", deadline))
			switch st := statusAt(shared); st.Instance.Container {
			case younger:
				answered = time.Now()
			case older:
				Expect(released).To(BeZero(), "nobody but the younger one answers after that")
			}
			if released.IsZero() && phaseAt(socket)() == "released" {
				released = time.Now()
			}
		}
		if !released.IsZero() { // else the younger one was quicker than this look at it
			// The older one lives on for minutes.
			Expect(answered.Sub(released)).To(BeNumerically("<", 10*time.Second))
			AddReportEntry("after the release", answered.Sub(released).String())
		}
		Eventually(phaseAt(socket)).Should(Equal("released"), "it still answers on its socket")

		for _, release := range []int64{1, 2} {
			for line := range strings.Lines(d.log(release).String()) {
				Expect(line).NotTo(MatchRegexp("level=(WARN|ERROR)"))
			}
		}
		said := func(release int64) func() int {
			return func() int { return strings.Count(d.log(release).String(), "status address") }
		}
		Eventually(said(2)).Should(Equal(2), "it waits, it serves")
		Eventually(said(1)).Should(Equal(1), "it leaves it")
	})

	It("is taken again by an instance that has to serve again", func() {
		shared := simulator.FreeAddress()
		d := newDevice("14.13.9")
		d.release(1, shared, 0)
		Eventually(phaseAt(shared), patience).Should(Equal("serving"))
		d.noRestart = true
		d.release(2, shared, time.Second)
		younger, older := d.container(2), d.container(1)[:12]
		Eventually(func() string { return statusAt(shared).Instance.Container }, patience).Should(Equal(younger[:12]))
		Expect(d.sim.Kill(younger)).To(Succeed())
		Eventually(func() string { return fmt.Sprint(statusAt(shared).Instance.Container, statusAt(shared).Phase) }, patience).Should(Equal(older + "serving"))
	})

	It("is followed by a page that is open: after the release it is the younger one's", func() {
		shared := simulator.FreeAddress()
		b := newBrowser(browserOptions{})
		d := newDevice("14.13.9")
		d.release(1, shared, 0)
		Eventually(phaseAt(shared), patience).Should(Equal("serving"))
		b.open(shared)
		b.run("window.notReloaded = true", nil)
		d.release(2, shared, onCommand)
		Eventually(func() []string { return in(b.lanes()) }, patience).Should(HaveExactElements(HavePrefix("serving"), HavePrefix("starting")))
		workDone, socket := d.work(1), d.door(2)
		d.becomeReady(2)
		Eventually(func() []controller.PeerStatus { return statusAt(socket).Peers }, patience).Should(
			ConsistOf(HaveField("Phase", "draining")), "what the younger one's page will tell of the older one")
		workDone()
		Eventually(func() []string { return in(b.lanes()) }, patience).Should(HaveExactElements(Equal("starting serving"), Equal("serving draining released")))
		Expect(b.text("window.notReloaded")).To(Equal("true"))
		Eventually(func() string { return b.text(`document.getElementById("live").className`) }, patience).Should(Equal("on"))
		b.picture("11 shared address")
		b.clean(shared)
	})
})
