package proxy_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// client opens a connection for each request, as another visitor would.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

var _ = Describe("A service behind the proxy of manifests/proxy", func() {
	// Two Supervisors, and two ways to start: the service listens at once and answers
	// 503 until it is ready, or is ready before the proxy knows the container.
	DescribeTable("hands over under a steady load without a failed request",
		func(version string, ready time.Duration) {
			if version != "19.0.5" && os.Getenv("PROXY_ALL") == "" {
				Skip("set PROXY_ALL=1 for both Supervisors")
			}
			d := newDevice(version, readExample())
			d.release(1, 0)
			p := startProxy(d, d.running)
			Eventually(p.servedBy, patience).Should(Equal(name(1)))

			load := p.load()
			Eventually(load.Answered, patience).Should(BeNumerically(">", 50))
			d.release(2, ready)
			Eventually(p.names.told, patience).Should(Equal(2), "the proxy sees both")
			Eventually(func() string { return d.phase(1) }, patience).Should(Equal("gone"))
			after := load.Answered()
			Eventually(load.Answered, patience).Should(BeNumerically(">", after+100))
			load.Stop()

			AddReportEntry("requests", fmt.Sprintf("%d sent, %d failed, %s", load.Sent(), load.Errors(), haproxyVersion()))
			Expect(load.Errors()).To(BeZero(), "of %d", load.Sent())
			Expect(load.Skipped()).To(BeZero())
			Expect(p.servedBy()).To(Equal(name(2)))
		},
		Entry("when the Supervisor sends SIGTERM at once, and the new one takes its time", "19.0.5", 3*time.Second),
		Entry("when the Supervisor waits for the marker, and the new one is ready at once", "14.13.9", 0*time.Second),
	)

	It("would be seen to fail requests if the proxy found the new container too late", func() {
		d := newDevice("19.0.5", readExample())
		d.release(1, 0)
		p := startProxy(d, func() []netip.Addr {
			all := d.running()
			return all[:min(len(all), 1)] // never more than the oldest
		})
		Eventually(p.servedBy, patience).Should(Equal(name(1)))
		old := d.address(d.container(1))
		load := p.load()
		d.release(2, 0)
		Eventually(d.running, patience).Should(HaveLen(2))
		Eventually(d.running, patience).Should(HaveExactElements(Not(Equal(old))))
		Eventually(p.servedBy, patience).Should(Equal(name(2)))
		load.Stop()
		AddReportEntry("requests", fmt.Sprintf("%d sent, %d failed", load.Sent(), load.Errors()))
		Expect(load.Errors()).NotTo(BeZero(), "of %d", load.Sent())
	})
})

// haproxyVersion is the first line that HAProxy says of itself.
func haproxyVersion() string {
	out, err := exec.Command("haproxy", "-v").Output()
	Expect(err).NotTo(HaveOccurred())
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
