package supervisor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
)

const oneContainer = `{"status":"success","appState":"applied","containers":[{"status":"Running","serviceName":"main","appId":1234,"imageId":501,"serviceId":1,"containerId":"cab666f6989acdea197d0626216d26c6e6e2f9410f487505e3beba0d36af58c5","createdAt":"2026-11-22T17:55:28.280Z"}],"release":"aaaa"}`

var _ = Describe("A new client", func() {
	DescribeTable("takes addresses as they come",
		func(address, host string) {
			var asked string
			c, err := supervisor.NewClient(supervisor.Options{Address: address, Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.String()
				return answer(200, "OK"), nil
			})})
			Expect(err).NotTo(HaveOccurred())
			Expect(c.Ping(context.Background())).To(Succeed())
			Expect(asked).To(Equal(host + "/ping"))
		},
		Entry(nil, "http://10.114.104.1:48484", "http://10.114.104.1:48484"),
		Entry("with a slash", "http://10.114.104.1:48484/", "http://10.114.104.1:48484"),
		Entry("with slashes and spaces", " http://10.114.104.1:48484// \n", "http://10.114.104.1:48484"),
		Entry("with a name", "http://supervisor:48484", "http://supervisor:48484"),
		Entry("without a port", "http://127.0.0.1", "http://127.0.0.1"),
		Entry("IPv6", "http://[fd00::1]:48484/", "http://[fd00::1]:48484"),
		Entry("IPv6 without a port", "http://[::1]", "http://[::1]"),
		Entry("IPv6 with a zone", "http://[fe80::1%25supervisor0]:48484", "http://[fe80::1%25supervisor0]:48484"),
		Entry("over TLS", "https://supervisor.example", "https://supervisor.example"),
		Entry("in capitals", "HTTP://10.114.104.1:48484", "http://10.114.104.1:48484"),
	)

	DescribeTable("refuses addresses that are none, without quoting them",
		func(address string) {
			_, err := supervisor.NewClient(supervisor.Options{Address: address, APIKey: key})
			Expect(err).To(MatchError(HavePrefix("supervisor: new client: the Supervisor's address ")))
			Expect(err).To(MatchError(ContainSubstring("BALENA_SUPERVISOR_ADDRESS")))
			Expect(err).NotTo(MatchError(ContainSubstring(key)))
			Expect(err).NotTo(MatchError(ContainSubstring("hunter2")))
		},
		Entry("empty", ""),
		Entry("blank", "  "),
		Entry("without a scheme", "10.114.104.1:48484"),
		Entry("without a host", "http://:48484"),
		Entry("of another scheme", "unix:///var/run/supervisor.sock"),
		Entry("with a path", "http://10.114.104.1:48484/v2"),
		Entry("with a key", "http://10.114.104.1:48484/?apikey="+key),
		Entry("with a user", "http://user:hunter2@10.114.104.1:48484"),
		Entry("with a fragment", "http://10.114.104.1:48484#"+key),
		Entry("with bare IPv6", "http://fd00::1:48484"),
		Entry("with nonsense in brackets", "http://[hunter2]:48484"),
		Entry("with a control character", "http://10.114.104.1:48484\x00hunter2"),
		Entry("with a port that is none", "http://10.114.104.1:hunter2"),
	)

	It("refuses a key that does not fit in a header, without quoting it", func() {
		_, err := supervisor.NewClient(supervisor.Options{Address: "http://10.114.104.1:48484", APIKey: key + "\r\nHost: elsewhere"})
		Expect(err).To(MatchError(ContainSubstring("BALENA_SUPERVISOR_API_KEY")))
		Expect(err).NotTo(MatchError(ContainSubstring(key)))
	})

	It("takes what a real container finds in its environment", func() {
		for _, name := range []string{"14.13.9/container.json", "14.13.9/containers-host-network.json", "19.0.5/container.json", "19.0.5/containers-host-network.json"} {
			data, err := os.ReadFile(filepath.Join("testdata", name))
			Expect(err).NotTo(HaveOccurred())
			var containers []struct{ Env []string }
			Expect(json.Unmarshal(data, &containers)).To(Succeed())
			Expect(containers).NotTo(BeEmpty())
			for _, container := range containers {
				env := map[string]string{}
				for _, each := range container.Env {
					name, value, _ := strings.Cut(each, "=")
					env[name] = value
				}
				Expect(env["BALENA_SUPERVISOR_API_KEY"]).NotTo(BeEmpty())
				_, err := supervisor.NewClient(supervisor.Options{Address: env["BALENA_SUPERVISOR_ADDRESS"], APIKey: env["BALENA_SUPERVISOR_API_KEY"]})
				Expect(err).NotTo(HaveOccurred())
			}
		}
	})

	It("refuses a negative time-out", func() {
		_, err := supervisor.NewClient(supervisor.Options{Address: "http://10.114.104.1:48484", Timeout: -time.Second})
		Expect(err).To(MatchError(ContainSubstring("-1s")))
	})
})

var _ = Describe("The key", func() {
	It("is in no printed form of options and client", func() {
		var text strings.Builder
		logger := slog.New(slog.NewJSONHandler(&text, nil))
		options := supervisor.Options{Address: "http://" + key + ":" + key + "@10.114.104.1:48484?apikey=" + key, APIKey: key}
		c := answering(200, "")
		for _, value := range []any{options, &options, c} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				fmt.Fprintf(&text, verb, value)
			}
			logger.Info("value", "value", value)
			encoded, err := json.Marshal(supervisor.Options{APIKey: key})
			Expect(err).NotTo(HaveOccurred())
			text.Write(encoded)
		}
		Expect(text.String()).NotTo(ContainSubstring(key))
		Expect(text.String()).To(ContainSubstring("APIKey:[key]"))
	})

	It("is sent as a bearer key, and not to /ping", func(ctx SpecContext) {
		var mu sync.Mutex
		headers := map[string]string{}
		c := client(serve(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			headers[r.URL.RequestURI()] = r.Header.Get("Authorization")
			fmt.Fprint(w, "OK")
		}))
		Expect(c.Ping(ctx)).To(Succeed())
		everyCall(ctx, c)
		Expect(headers).To(Equal(map[string]string{
			"/ping":                       "",
			"/v2/state/status":            "Bearer " + key,
			"/v2/applications/1234/state": "Bearer " + key,
			"/v2/applications/state":      "Bearer " + key,
			"/v2/version":                 "Bearer " + key,
		}))
	})

	It("is not sent if there is none", func(ctx SpecContext) {
		c, err := supervisor.NewClient(supervisor.Options{Address: "http://10.114.104.1:48484", Transport: transport(func(r *http.Request) (*http.Response, error) {
			Expect(r.Header).NotTo(HaveKey("Authorization"))
			return answer(401, "Unauthorized"), nil
		})})
		Expect(err).NotTo(HaveOccurred())
		_, err = c.View(ctx)
		Expect(asked(err).Kind).To(Equal(supervisor.KindUnauthorized))
	})

	// old is a Supervisor that knows only the other scheme.
	old := func(refusal int, requests *[]string) *supervisor.Client {
		return over(func(r *http.Request) (*http.Response, error) {
			scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			*requests = append(*requests, scheme)
			if r.Header.Get("Authorization") != "ApiKey "+key {
				return answer(refusal, "Unexpected error: TypeError"), nil
			}
			return answer(200, oneContainer), nil
		})
	}

	for _, refusal := range []int{401, 503} {
		It(fmt.Sprintf("is sent as old Supervisors want it, where bearer keys are answered with %d", refusal), func(ctx SpecContext) {
			var requests []string
			c := old(refusal, &requests)
			for range 3 {
				v, err := c.View(ctx)
				Expect(err).NotTo(HaveOccurred())
				Expect(v.Containers).To(HaveLen(1))
			}
			Expect(requests).To(Equal([]string{"Bearer", "ApiKey", "ApiKey", "ApiKey"}))
		})
	}

	It("is tried once when it was accepted before and is refused now", func(ctx SpecContext) {
		var requests int
		c := over(func(*http.Request) (*http.Response, error) {
			requests++
			if requests > 1 {
				return answer(401, "Unauthorized"), nil
			}
			return answer(200, oneContainer), nil
		})
		_, err := c.View(ctx)
		Expect(err).NotTo(HaveOccurred())
		_, err = c.View(ctx)
		e := asked(err)
		Expect(e.Kind).To(Equal(supervisor.KindUnauthorized))
		Expect(e.Error()).To(ContainSubstring("rotated"))
		Expect(requests).To(Equal(2))
	})

	It("does not go where a redirect leads", func(ctx SpecContext) {
		var elsewhere atomic.Int32
		there := serve(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
		for _, status := range []int{301, 302, 303, 307, 308} {
			c := client(serve(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, there+"/?"+key, status)
			}))
			for op, err := range everyCall(ctx, c) {
				e := asked(err)
				Expect(e.Op).To(Equal(op))
				Expect(e.Kind).To(Equal(supervisor.KindUnexpected))
				Expect(e.StatusCode).To(Equal(status))
				Expect(e.Error()).To(ContainSubstring("redirects are not followed"))
			}
		}
		Expect(elsewhere.Load()).To(BeZero())
	})

	It("does not go through a proxy", func() {
		Expect(supervisor.NewTransport().Proxy).To(BeNil())
	})

	DescribeTable("is taken out of whatever the other side says",
		func(ctx SpecContext, status int, body string) {
			for _, err := range everyCall(ctx, answering(status, body)) {
				asked(err) // looks for it
			}
		},
		Entry("as a message", 503, `{"status":"failed","message":"no such key: `+key+`"}`),
		Entry("as text", 401, "Unauthorized: "+key),
		Entry("in capitals", 500, strings.ToUpper(key)),
		Entry("where the text is cut", 500, strings.Repeat("x", 280)+key),
		Entry("where reading is cut", 500, strings.Repeat("x", 4<<10-10)+key),
		Entry("escaped in JSON", 500, `{"message":"\u0036`+key[1:]+`"}`),
		Entry("as a status", 200, `{"status":"`+key+`"}`),
		Entry("as a message of a good answer", 200, `{"status":"failed","message":"`+key+`"}`),
		Entry("as the wrong type", 200, `{"containers":"`+key+`","local":"`+key+`","version":"","rigapp":"`+key+`"}`),
	)

	It("is taken out of what a transport says", func(ctx SpecContext) {
		for _, cause := range []error{
			errors.New("bad header " + key),
			fmt.Errorf("wrapped: %w", errors.New(key)),
			errors.Join(errors.New("one"), hiding{errors.New(key)}),
			hiding{errors.New(strings.ToUpper(key))},
		} {
			_, err := over(func(*http.Request) (*http.Response, error) { return nil, cause }).View(ctx)
			e := asked(err)
			Expect(e.Kind).To(Equal(supervisor.KindUnreachable))
			Expect(errors.Is(e, cause)).To(BeFalse())
		}
	})

	It("may be a word of an error that others look for", func() {
		ctx, cancel := context.WithTimeout(context.Background(), 0)
		defer cancel()
		c, err := supervisor.NewClient(supervisor.Options{Address: "http://10.114.104.1:48484", APIKey: "dead", Transport: transport(func(r *http.Request) (*http.Response, error) {
			return nil, r.Context().Err()
		})})
		Expect(err).NotTo(HaveOccurred())
		_, err = c.View(ctx)
		Expect(err).To(MatchError(context.DeadlineExceeded))
	})

	It("is taken out of an answer that is not HTTP", func(ctx SpecContext) {
		_, err := client(serve(hijack(key + "\r\n\r\n"))).View(ctx)
		Expect(asked(err).Kind).To(Equal(supervisor.KindMalformed))
	})
})

// hiding does not show what it wraps.
type hiding struct{ error }

func (hiding) Error() string   { return "hidden" }
func (h hiding) Unwrap() error { return h.error }

var _ = Describe("A client", func() {
	It("can be used by several goroutines", func(ctx SpecContext) {
		c := client(serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, oneContainer) }))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				defer GinkgoRecover()
				v, err := c.View(ctx)
				Expect(err).NotTo(HaveOccurred())
				Expect(v.Containers).To(HaveLen(1))
			})
		}
		all.Wait()
	})

	It("keeps no connection", func(ctx SpecContext) {
		var open atomic.Int32
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, oneContainer) }))
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		}
		server.Start()
		DeferCleanup(server.Close)
		c := client(server.URL)
		for range 3 {
			_, err := c.View(ctx)
			Expect(err).NotTo(HaveOccurred())
			Eventually(open.Load).Should(BeZero())
		}
	})

	It("says who gave up", func() {
		ctx, cancel := context.WithCancelCause(context.Background())
		c := over(func(r *http.Request) (*http.Response, error) {
			cancel(errors.New("shutting down"))
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		})
		_, err := c.View(ctx)
		Expect(asked(err).Kind).To(Equal(supervisor.KindCanceled))
		Expect(err).To(MatchError(context.Canceled))
	})

	It("refuses an empty app id", func(ctx SpecContext) {
		_, err := answering(200, `{"local":{"":{}}}`).Releases(ctx, "")
		Expect(asked(err).Kind).To(Equal(supervisor.KindNotFound))
	})

	It("keeps an app id within its place in the path", func(ctx SpecContext) {
		c := over(func(r *http.Request) (*http.Response, error) {
			Expect(r.URL.RequestURI()).To(Equal("/v2/applications/..%2F..%2Fv1%3Fa=b/state"))
			return answer(400, ""), nil
		})
		_, err := c.Releases(ctx, "../../v1?a=b")
		Expect(asked(err).Kind).To(Equal(supervisor.KindNotFound))
	})

	It("says that nobody listens", func(ctx SpecContext) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		address := "http://" + listener.Addr().String()
		Expect(listener.Close()).To(Succeed())
		for _, err := range everyCall(ctx, client(address)) {
			e := asked(err)
			Expect(e.Kind).To(Equal(supervisor.KindUnreachable))
			Expect(e.StatusCode).To(BeZero())
			Expect(errors.Is(e, syscall.ECONNREFUSED)).To(BeTrue())
			Expect(e.Error()).To(ContainSubstring("ask again"))
		}
		Expect(asked(client(address).Ping(ctx)).Op).To(Equal("ping"))
	})

	It("reads the version, with or without v", func(ctx SpecContext) {
		for _, said := range []string{"19.0.5", "v19.0.5", " 19.0.5"} {
			version, err := answering(200, `{"status":"success","version":"`+said+`"}`).Version(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(version).To(Equal("19.0.5"))
		}
	})

	It("takes only OK for a pong", func(ctx SpecContext) {
		Expect(answering(200, "OK\n").Ping(ctx)).To(Succeed())
		Expect(asked(answering(200, "<html>OK</html>").Ping(ctx)).Kind).To(Equal(supervisor.KindMalformed))
		Expect(asked(answering(500, "").Ping(ctx)).Kind).To(Equal(supervisor.KindServer))
	})
})

// Time passes only when nothing else happens, and at once.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		silent := over(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := silent.View(t.Context())
		var e *supervisor.Error
		if !errors.As(err, &e) || e.Kind != supervisor.KindTimeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silence is %v", err)
		}
		if took := time.Since(start); took != supervisor.DefaultTimeout {
			t.Errorf("the call took %s", took)
		}

		slow := over(func(*http.Request) (*http.Response, error) {
			<-time.After(300 * time.Millisecond)
			return answer(200, oneContainer), nil
		})
		asked := time.Now()
		v, err := slow.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !v.RequestedAt.Equal(asked) || !v.ReceivedAt.Equal(asked.Add(300*time.Millisecond)) {
			t.Errorf("asked at %s, from %s to %s", asked, v.RequestedAt, v.ReceivedAt)
		}
		<-time.After(time.Second)
		if age := v.Age(time.Now()); age != 1300*time.Millisecond {
			t.Errorf("the view's age is %s", age)
		}
	})
}
