package interop_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// nextToAYoungerHandoverLib are specs in which seconds must pass.
func nextToAYoungerHandoverLib() {
	BeforeEach(needLibrary)

	// pair starts an instance that serves, and then a container with
	// handover-lib, which the Supervisor reports with that status.
	pair := func(status string) (*device, *instance, *service) {
		GinkgoHelper()
		d := newDevice()
		a := d.run(d.network(), "a", bridgeMode, "HANDOVER_SERVICE_STOP_GRACE_PERIOD=2m")
		a.ready()
		d.supervisor.list(containerID("b"), serviceName, status, time.Now())
		return d, a, d.service(d.routed())
	}

	It("releases when it is announced and its container was reported running for five seconds", func() {
		d, a, young := pair("Starting")
		young.ready()
		Eventually(a.knows, patience).Should(ConsistOf(""))
		Consistently(a.phase, 500*time.Millisecond, 50*time.Millisecond).Should(Equal("serving"))

		// Since the first answer that says so; nobody asked before the
		// announcement, so it is never less than that after it.
		running := time.Now()
		d.supervisor.set(containerID("b"), "Running")
		stopped := a.stopped()
		Expect(stopped.Sub(running)).To(BeNumerically(">", 5*time.Second))
		took("five seconds of running to the old one's stop", running.Add(5*time.Second), stopped)
		a.until("released")
		Eventually(d.marker(), patience).Should(BeAnExistingFile())
		young.unharmed(0)
	})

	It("told to stop, holds until it is announced and its container was reported running for 2.5 seconds", func() {
		listed := time.Now()
		_, a, young := pair("Running")
		_, second, slow := pair("Running")
		for _, i := range []*instance{a, second} {
			i.term()
			i.until("holding")
		}

		By("announced at once")
		last := young.ready() // or the 2.5 seconds: what comes later, as a loaded machine takes seconds to come here
		if over := listed.Add(2500 * time.Millisecond); over.After(last) {
			last = over
		}
		Expect(a.exit()).To(BeZero())
		Expect(a.stopped().Sub(listed)).To(BeNumerically(">", 2500*time.Millisecond))
		took("2.5 seconds of running, and the announcement, to the old one's stop", last, a.stopped())

		By("announced when that time is over")
		Eventually(func() time.Duration { return time.Since(listed) }, patience).Should(BeNumerically(">", 4*time.Second))
		Expect(second.phase()).To(Equal("holding"))
		took("handover-lib's announcement to the old one's stop", slow.ready(), second.stopped())
		Expect(second.exit()).To(BeZero())
		young.unharmed(0)
		slow.unharmed(0)
	})
}
