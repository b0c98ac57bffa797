package docker_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Ways to run a container. In the host's network nothing is announced but on
// loopback, and there is no port for each.
var (
	bridge = shape{Flags: []string{"--hostname", "device"}} // so that it does not tell the container's id
	host   = shape{Network: "host", Env: []string{
		"HANDOVER_NETWORK_MODE=host", "HANDOVER_NETWORK_INTERFACE=lo", "HANDOVER_STATUS_LISTEN=",
		"HANDOVER_READINESS_HTTP=", "SERVICE_ADDRESS=127.0.0.1:0",
	}}
	asUser   = []string{"--user", "1000:1000"}
	readOnly = []string{"--read-only"}
)

// with returns the shape with further flags.
func (s shape) with(flags ...[]string) shape {
	for _, f := range flags {
		s.Flags = append(s.Flags[:len(s.Flags):len(s.Flags)], f...)
	}
	return s
}

var _ = Describe("In every kind of container", func() {
	DescribeTable("the container's own id is found, an update hands over, and the old one steps down again when its PID 1 was killed",
		func(s shape) {
			d := newDevice()
			a := d.start("a", s)
			a.until("serving")
			Expect(a.status().Instance.Container).To(Equal(a.id[:12]))
			b := d.start("b", s)
			a.until("released")
			took("readiness to stop signal", b.logged(workloadReady, 1), a.logged(stopSignal, 1))
			a.killFirst()
			a.restarted(1)
			a.until("released")
			Expect(b.phase()).To(Equal("serving"))
			docker("stop", a.id)
			Expect(a.exit()).To(Equal("0"))
		},
		Entry("in the host's network", host),
		Entry("on a bridge as another user, with a read-only root", bridge.with(asUser, readOnly)),
		Entry("in the host's network as another user, with a read-only root", host.with(asUser, readOnly)),
	)
})
