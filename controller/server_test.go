package controller_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/handover-controller/handover/controller/decide"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/endpoint"
)

var _ = Describe("The status API", func() {
	ask := func(h http.Handler, path string) *http.Response {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		return answer.Result()
	}

	It("has each answer taken for what it is said to be", func() {
		c := newIdle(nil, nil)
		for _, h := range []http.Handler{c.Handler(), c.SocketHandler()} {
			for _, path := range []string{"/", "/page.js", "/status", "/readyz", "/metrics", "/nothing"} {
				Expect(ask(h, path).Header.Get("X-Content-Type-Options")).To(Equal("nosniff"), path)
			}
		}
	})

	It("names the container on the socket", func() {
		c := build(controller.Options{
			Peers: &peersFake{}, Workload: &workloadFake{}, Policy: decide.Policy{SupervisorOff: true},
			Self: decide.Self{Container: "aaaaaaaaaaaa"},
		})
		Expect(ask(c.SocketHandler(), "/readyz").Header.Get(endpoint.ContainerHeader)).To(Equal("aaaaaaaaaaaa"))
		Expect(ask(c.Handler(), "/readyz").Header).NotTo(HaveKey(endpoint.ContainerHeader))
	})

	It("makes an event once, for all that follow", func() {
		server := httptest.NewServer(newIdle(nil, nil).Handler())
		DeferCleanup(server.Close)
		follow := func() string {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/events", nil)
			Expect(err).NotTo(HaveOccurred())
			answer, err := http.DefaultClient.Do(r)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = answer.Body.Close() }()
			for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					return data
				}
			}
			return ""
		}
		first := follow()
		Expect(first).To(ContainSubstring(`"time":"`))
		Expect(follow()).To(Equal(first), "with the time at which it was made")
	})
})
