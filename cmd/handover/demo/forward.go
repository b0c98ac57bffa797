package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// bodyAtMost is the longest answer that the front passes on.
const bodyAtMost = 1 << 20

// answer is what a backend said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// failure is why a request failed, in words that are the same each time. The
// log counts by them.
type failure string

func (f failure) Error() string { return string(f) }

const (
	failNobody  failure = "nobody ready"
	failRefused failure = "connection refused"
	failReset   failure = "connection reset"
	failEnded   failure = "connection ended without an answer"
	failBroken  failure = "answer broken off"
	failTooLong failure = "answer longer than 1 MiB"
	failLate    failure = "no answer in time"
	failClient  failure = "the client went away"
	failClosed  failure = "the front was closed"
	failOther   failure = "connection failed"
)

// serve sends one request to one backend, once, and logs what came of it. The
// whole answer is read before it is given on, as nginx does with small ones, so
// that one which breaks off is a 502 to the client too.
func (f *Front) serve(w http.ResponseWriter, r *http.Request) {
	if !f.enter() {
		http.Error(w, string(failClosed), http.StatusServiceUnavailable)
		return
	}
	defer f.requests.Done()
	entry := Request{Start: time.Now()}
	if asked, err := workAsked(r); err == nil {
		entry.Asked = asked
	}
	var got *answer
	b, found := f.pick()
	err := error(failNobody)
	if found {
		entry.Backend = b.Name
		got, err = f.ask(r, b.Address)
	}
	entry.End = time.Now()
	switch {
	case err != nil:
		entry.Failed, entry.Reason = true, err.Error()
	case !succeeded(got.status):
		entry.Failed, entry.Reason = true, fmt.Sprintf("status %d", got.status)
	}
	// Before the client has the answer: so it knows of none that is not logged.
	f.options.OnRequest(&entry)

	switch {
	case !found:
		http.Error(w, entry.Reason, http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, entry.Reason, http.StatusBadGateway)
	default:
		for name, values := range got.header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(got.body)))
		w.WriteHeader(got.status)
		_, _ = w.Write(got.body)
	}
}

// hopByHop are headers that are about one connection only, RFC 9110, 7.6.1.
var hopByHop = []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Connection"}

// ask sends the request to the address. It ends with the client's.
func (f *Front) ask(r *http.Request, address string) (*answer, error) {
	ctx, cancel := context.WithTimeoutCause(r.Context(), f.options.Timeout, failLate)
	defer cancel()
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", address, ""
	for _, name := range hopByHop {
		out.Header.Del(name)
	}
	in, err := f.transport.RoundTrip(out)
	if err != nil {
		return nil, because(ctx, err, failEnded)
	}
	defer func() { _ = in.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(in.Body, bodyAtMost+1))
	if err != nil {
		return nil, because(ctx, err, failBroken)
	}
	if len(body) > bodyAtMost {
		return nil, failTooLong
	}
	for _, name := range hopByHop {
		in.Header.Del(name)
	}
	return &answer{in.StatusCode, in.Header, body}, nil
}

// because says in few words why there is no answer; eof is what the end of the
// connection means.
func because(ctx context.Context, err error, eof failure) failure {
	var timeout net.Error
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, failLate):
		return failLate
	case errors.Is(cause, errFrontClosed):
		return failClosed
	case cause != nil:
		return failClient
	case errors.Is(err, syscall.ECONNREFUSED):
		return failRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return eof
	case errors.As(err, &timeout) && timeout.Timeout():
		return failLate
	}
	return failOther
}

// CheckURL returns a check that is good if GET of the URL answers 2xx, over a
// new connection each time.
func CheckURL(url string) func(context.Context) bool {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: noRedirect}
	return func(ctx context.Context) bool {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false
		}
		answer, err := client.Do(r)
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, bodyAtMost))
		return err == nil && succeeded(answer.StatusCode)
	}
}
