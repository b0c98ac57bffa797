package docker_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// behindFront are the settings for a front that looks every 50 ms, on a machine
// that has much else to do.
var behindFront = []string{"HANDOVER_POLICY_DRAIN_DELAY=2s"}

var _ = Describe("An update, with docker stop as soon as the new container has started", func() {
	DescribeTable("the old container holds, drains when the new one is ready, and ends with 0; no request is lost",
		func(way []string, old, young shape) {
			d := newDevice()
			old.Env = append(old.Env, behindFront...)
			young.Env = append(young.Env, behindFront...)
			young.Waits = true
			a := d.start("a", old)
			a.until("serving")
			Eventually(a.log, patience).Should(ContainSubstring("terminal: in the foreground"))
			b := d.create("b", young)
			d.startLoad()
			servedBy("a")

			b.start()
			stopped := a.stop()
			a.until("holding")
			Eventually(func() []string {
				for _, p := range b.status().Peers {
					return p.Ways
				}
				return nil
			}, patience).Should(ConsistOf(way))
			b.becomeReady()
			Eventually(stopped, patience).Should(BeClosed())
			servedBy("b")
			noneLost()

			Expect(a.inspect("{{.State.Status}} {{.State.ExitCode}}, restarted {{.RestartCount}} times")).To(Equal("exited 0, restarted 0 times"))
			Expect(d.of(a, "start")).To(HaveLen(1), "the engine must not start it again")
			Expect(b.phase()).To(Equal("serving"))
			took("start of the new one to SIGTERM", d.at(b, "start", 1), d.at(a, "kill", 1))
			ready, signalled := b.logged(workloadReady, 1), a.logged(stopSignal, 1)
			took("readiness to stop signal, of which 2 s are settings", ready, signalled)
			Expect(ready).To(BeTemporally("<", signalled))
			took("stop signal to the container's end", signalled, d.at(a, "die", 1))
		},
		Entry("by multicast and a shared folder", []string{"multicast", "folder"}, shape{}, shape{}),
		Entry("by multicast alone", []string{"multicast"}, shape{NoFolder: true}, shape{NoFolder: true}),
		Entry("by the folder alone", []string{"folder"},
			shape{Env: []string{"HANDOVER_NETWORK_GROUP=239.192.16.17"}}, shape{Env: []string{"HANDOVER_NETWORK_GROUP=239.192.16.18"}}),
	)

	// What the other specs count would be seen.
	It("without handover, requests are lost", func() {
		d := newDevice()
		bare := shape{
			Flags:   []string{"--no-healthcheck", "--entrypoint", "/usr/bin/inside"},
			Command: []string{"serve"}, Env: []string{"SERVICE_READYZ=:9090"},
		}
		a := d.start("a", bare)
		d.startLoad()
		servedBy("a")
		bare.Waits = true
		b := d.start("b", bare)
		Eventually(a.stop(), patience).Should(BeClosed())
		Eventually(func() int { return counted().Lost }, patience).Should(BeNumerically(">", 20))
		b.becomeReady()
		servedBy("b")
		endLoad()
	})
})
