package workload_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
)

var _ = Describe("Failed probes", func() {
	It("are forgotten at the first one that succeeds", func() {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1)%3 != 1 { // one that succeeds, two that fail
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		defer server.Close()
		w := start(workload.Options{Argv: self("trap"), Readiness: workload.Readiness{
			HTTP: server.URL, Period: time.Millisecond, ServingPeriod: time.Millisecond, Failures: 3,
			Timeout: time.Minute, // a probe that a slow machine cuts off would be one more that fails
		}})
		Eventually(ready(w)).Should(BeTrue())
		since := w.State().ReadySince
		Eventually(asked.Load).Should(BeNumerically(">", 12))
		Expect(w.State().ReadySince).To(Equal(since))
	})
})
