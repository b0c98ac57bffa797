package supervisor_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
	"github.com/handover-controller/handover/supervisor"
)

func TestSupervisor(t *testing.T) {
	SetDefaultEventuallyTimeout(patience)
	RegisterFailHandler(Fail)
	RunSpecs(t, "Supervisor")
}

// No spec may leave a goroutine behind. What is registered first is cleaned up
// last, so this looks after every server was closed.
var _ = BeforeEach(func() {
	before := gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before)) })
})

// key is a key as Supervisors make them.
const key = "65b9f418b7e87f2708876017328caed8"

// patience is how long a loaded machine may take for what takes milliseconds, and
// the time-out of specs that do not wait for it.
const patience = 30 * time.Second

// serve starts a real HTTP server for one spec.
func serve(handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	DeferCleanup(server.Close)
	return server.URL
}

// hijack answers with these bytes and closes the connection.
func hijack(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, raw)
		// All is sent before the connection is closed, instead of being reset.
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, connection)
	}
}

// client asks the server at this address with the key above.
func client(address string) *supervisor.Client {
	GinkgoHelper()
	c, err := supervisor.NewClient(supervisor.Options{Address: address, APIKey: key, Timeout: patience})
	Expect(err).NotTo(HaveOccurred())
	return c
}

// transport is an in-memory http.RoundTripper.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// over asks through an in-memory transport.
func over(t transport) *supervisor.Client {
	c, err := supervisor.NewClient(supervisor.Options{Address: "http://10.114.104.1:48484", APIKey: key, Transport: t})
	if err != nil {
		panic(err)
	}
	return c
}

// answer is an in-memory answer.
func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode:    status,
		Header:        http.Header{},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// answering gives the same answer to everything.
func answering(status int, body string) *supervisor.Client {
	return over(func(*http.Request) (*http.Response, error) { return answer(status, body), nil })
}

// asked returns the error as the type that is promised, after looking at what
// is promised of every error.
func asked(err error) *supervisor.Error {
	GinkgoHelper()
	var e *supervisor.Error
	Expect(errors.As(err, &e)).To(BeTrue(), "%v", err)
	Expect(e.Op).NotTo(BeEmpty())
	Expect(e.Kind).NotTo(BeEmpty())
	Expect(e.Error()).To(HavePrefix("supervisor: " + e.Op + ": " + string(e.Kind)))
	Expect(len(e.Error())).To(BeNumerically("<", 800))
	for each := err; each != nil; each = errors.Unwrap(each) {
		Expect(strings.ToLower(each.Error())).NotTo(ContainSubstring(key))
	}
	return e
}

// everyCall calls every method that sends the key.
func everyCall(ctx context.Context, c *supervisor.Client) map[string]error {
	_, view := c.View(ctx)
	_, releases := c.Releases(ctx, "1234")
	_, target := c.Target(ctx, "1234", "main")
	_, version := c.Version(ctx)
	return map[string]error{"view": view, "releases": releases, "target": target, "version": version}
}
