package supervisor_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
)

// counting is a real transport that counts the bytes read of bodies.
type counting struct {
	*http.Transport
	read atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = &countingBody{resp.Body, &c.read}
	}
	return resp, err
}

type countingBody struct {
	io.ReadCloser
	read *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	return n, err
}

var _ = Describe("Nonsense", func() {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	sized := func(size int, body string) string {
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, size, body)
	}

	DescribeTable("is an error for every method",
		func(ctx SpecContext, raw string, kind supervisor.Kind, says string) {
			for op, err := range everyCall(ctx, client(serve(hijack(raw)))) {
				e := asked(err)
				Expect(e.Op).To(Equal(op))
				Expect(e.Kind).To(Equal(kind))
				Expect(e.Error()).To(ContainSubstring(says))
			}
		},
		Entry("nothing", "", supervisor.KindUnreachable, "closed without an answer"),
		Entry("half a header", "HTTP/1.1 200 OK\r\nContent-Ty", supervisor.KindMalformed, "malformed"),
		Entry("half a line", "HTTP/1.", supervisor.KindMalformed, "malformed"),
		Entry("another protocol", "SSH-2.0-dropbear\r\n", supervisor.KindMalformed, "malformed HTTP"),
		Entry("a header without end", "HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", 128<<10)+"\r\n\r\n", supervisor.KindMalformed, "headers exceeded"),
		Entry("a header that is none", "HTTP/1.1 200 OK\r\nnot a header\r\n\r\n", supervisor.KindMalformed, "malformed"),
		Entry("no body", sized(0, ""), supervisor.KindMalformed, "unexpected end of JSON"),
		Entry("half a body", sized(len(oneContainer), oneContainer[:100]), supervisor.KindMalformed, "broke off"),
		Entry("half a chunk", head+"Transfer-Encoding: chunked\r\n\r\n40\r\n{\"status\"", supervisor.KindMalformed, "broke off"),
		Entry("half a text", head+"\r\n"+oneContainer[:100], supervisor.KindMalformed, "unexpected end of JSON"),
		Entry("a page of HTML", head+"\r\n\n<!DOCTYPE html><html><body>Welcome</body></html>", supervisor.KindMalformed, "HTML"),
		Entry("text", head+"\r\nOK", supervisor.KindMalformed, "invalid character"),
		Entry("null", head+"\r\nnull", supervisor.KindMalformed, "the answer"),
		Entry("a number", head+"\r\n17", supervisor.KindMalformed, "cannot unmarshal number"),
		Entry("an array", head+"\r\n[]", supervisor.KindMalformed, "cannot unmarshal array"),
		Entry("an error with status 200", head+"\r\n"+`{"status":"failed","message":"still starting"}`, supervisor.KindMalformed, "still starting"),
		Entry("a status of another type", head+"\r\n"+`{"status":{"code":1}}`, supervisor.KindMalformed, "the answer"),
		Entry("invalid UTF-8", head+"\r\n"+`{"status":"succ`+"\xff\xfe"+`ess"}`, supervisor.KindMalformed, "UTF-8"),
		Entry("two answers in one", head+"\r\n"+oneContainer+oneContainer, supervisor.KindMalformed, "after top-level value"),
		Entry("deep nesting", head+"\r\n"+`{"containers":`+strings.Repeat("[", 200_000), supervisor.KindMalformed, "exceeded max depth"),
		Entry("deep nesting, closed", head+"\r\n"+`{"x":`+strings.Repeat("[", 50_000)+strings.Repeat("]", 50_000)+"}", supervisor.KindMalformed, "exceeded max depth"),
		Entry("an unknown success", "HTTP/1.1 204 No Content\r\n\r\n", supervisor.KindUnexpected, "204"),
		Entry("a teapot", "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n", supervisor.KindUnexpected, "418"),
		Entry("forbidden", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", supervisor.KindUnauthorized, "rotated"),
		Entry("a failure of the Supervisor", "HTTP/1.1 500 Internal Server Error\r\n\r\nTypeError: x is undefined\nat line 1", supervisor.KindServer, "TypeError: x is undefined at line 1;"),
		Entry("a failure with half a body", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\nhalf", supervisor.KindServer, "502"),
		Entry("a failure with a huge body", "HTTP/1.1 503 Service Unavailable\r\n\r\n"+strings.Repeat("x", 1<<20), supervisor.KindServer, "503"),
	)

	DescribeTable("is an error for the method",
		func(ctx SpecContext, op, body, says string) {
			e := asked(everyCall(ctx, answering(200, body))[op])
			Expect(e.Kind).To(Equal(supervisor.KindMalformed))
			Expect(e.StatusCode).To(Equal(200))
			Expect(e.Error()).To(ContainSubstring(says))
		},
		Entry(nil, "view", `{}`, `no array "containers"`),
		Entry(nil, "view", `{"status":"success"}`, `no array "containers"`),
		Entry(nil, "view", `{"status":"success","containers":null}`, `no array "containers"`),
		Entry(nil, "view", `{"status":"success","containers":{}}`, "containers"),
		Entry(nil, "view", `{"status":"success","containers":"none"}`, "containers"),
		Entry(nil, "view", `{"status":"success","containers":0}`, "containers"),
		Entry(nil, "view", `{"status":"success","containers":[null]}`, "not an object"),
		Entry(nil, "view", `{"status":"success","containers":[{},[]]}`, "not an object"),
		Entry(nil, "view", `{"status":"failed","containers":[]}`, `"failed"`),
		Entry(nil, "view", `{"status":7,"containers":[]}`, "not text"),
		Entry(nil, "view", `{"status":"","containers":[]}`, `""`),
		Entry(nil, "releases", `{}`, `no object "local"`),
		Entry(nil, "releases", `{"local":null}`, `no object "local"`),
		Entry(nil, "releases", `{"local":[]}`, "array"),
		Entry(nil, "releases", `{"local":{"1234":[]}}`, "array"),
		Entry(nil, "releases", `{"local":{"1234":{"services":[]}}}`, "array"),
		Entry(nil, "releases", `{"local":{"1234":{"services":{"501":"Running"}}}}`, "string"),
		Entry(nil, "releases", `{"status":"failed","local":{"1234":{}}}`, `"failed"`),
		Entry(nil, "target", `{"status":"failed","message":"no"}`, `"failed": no`),
		Entry(nil, "target", `{"status":"success"}`, "no app"),
		Entry(nil, "target", oneContainer, "no app"),
		Entry(nil, "target", `{"rigapp":{"appId":1234,"services":[]}}`, "array"),
		Entry(nil, "target", `{"rigapp":{"appId":1234,"services":{"main":[]}}}`, "array"),
		Entry(nil, "version", `{"status":"success"}`, "no version"),
		Entry(nil, "version", `{"status":"success","version":""}`, "no version"),
		Entry(nil, "version", `{"status":"success","version":19}`, "number"),
		Entry(nil, "version", `{"status":"failed","version":"19.0.5"}`, `"failed"`),
	)

	It("takes an app that is not there for an unknown one", func(ctx SpecContext) {
		_, err := answering(200, `{"commit":"aaaa","local":{"99":{"services":{}}},"dependent":{}}`).Releases(ctx, "1234")
		Expect(asked(err).Kind).To(Equal(supervisor.KindNotFound))
	})

	DescribeTable("does not fill the memory",
		func(ctx SpecContext, declared bool) {
			const size = 10 << 20
			counter := &counting{Transport: supervisor.NewTransport()}
			c, err := supervisor.NewClient(supervisor.Options{
				Address: serve(func(w http.ResponseWriter, _ *http.Request) {
					if declared {
						w.Header().Set("Content-Length", fmt.Sprint(size))
					}
					_, _ = io.Copy(w, io.LimitReader(spaces{}, size))
				}),
				APIKey: key, Timeout: patience, Transport: counter,
			})
			Expect(err).NotTo(HaveOccurred())
			_, err = c.View(ctx)
			e := asked(err)
			Expect(e.Kind).To(Equal(supervisor.KindMalformed))
			Expect(e.Error()).To(ContainSubstring("larger than 1048576 bytes"))
			if declared {
				Expect(counter.read.Load()).To(BeZero())
			} else {
				Expect(counter.read.Load()).To(BeEquivalentTo(supervisor.MaxBody + 1))
			}
		},
		Entry("if its size is declared", true),
		Entry("if it is not", false),
	)

	It("can be as large as allowed", func(ctx SpecContext) {
		body := oneContainer + strings.Repeat(" ", supervisor.MaxBody-len(oneContainer))
		_, err := answering(200, body).View(ctx)
		Expect(err).NotTo(HaveOccurred())
		_, err = answering(200, body+" ").View(ctx)
		Expect(asked(err).Kind).To(Equal(supervisor.KindMalformed))
	})

	DescribeTable("does not last longer than the time-out",
		func(ctx SpecContext, status int, sent string) {
			c, err := supervisor.NewClient(supervisor.Options{
				Address: serve(func(w http.ResponseWriter, r *http.Request) {
					if status != 0 {
						w.Header().Set("Content-Length", "100")
						w.WriteHeader(status)
						_, _ = io.WriteString(w, sent)
						w.(http.Flusher).Flush()
					}
					<-r.Context().Done()
				}),
				APIKey: key, Timeout: 50 * time.Millisecond,
			})
			Expect(err).NotTo(HaveOccurred())
			_, err = c.View(ctx)
			e := asked(err)
			Expect(e.StatusCode).To(Equal(status))
			if status == 500 {
				Expect(e.Kind).To(Equal(supervisor.KindServer)) // that much was said
				return
			}
			Expect(e.Kind).To(Equal(supervisor.KindTimeout))
			Expect(err).To(MatchError(context.DeadlineExceeded))
			Expect(e.Error()).To(ContainSubstring("ask again"))
		},
		Entry("in silence", 0, ""),
		Entry("with half a body", 200, `{"status":"succ`),
		Entry("with half an error", 500, `{"status":"fai`),
	)
})

// spaces is an endless body that a JSON decoder would go on reading.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
