package demo

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// LoadOptions say what a Load sends. A zero number or duration stands for its
// default.
type LoadOptions struct {
	URL string // of the front, without a query

	PerSecond     int           // short requests per second; 250
	LongPerSecond int           // long requests per second, in addition; 4, negative: none
	ShortTakes    time.Duration // work that a short request asks for; 2 ms
	LongTakes     time.Duration // work that a long request asks for; 1.5 s
	// AtOnce is how many requests may be in flight; none is sent beyond it. It
	// keeps a machine that is too slow for the load from running out of memory.
	AtOnce int // 5000

	transport http.RoundTripper // tests set it
}

func (o *LoadOptions) setDefaults() {
	setDefault(&o.PerSecond, 250)
	setDefault(&o.LongPerSecond, 4)
	setDefault(&o.ShortTakes, 2*time.Millisecond)
	setDefault(&o.LongTakes, 1500*time.Millisecond)
	setDefault(&o.AtOnce, 5000)
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Load sends requests at a steady rate and counts what becomes of them. The
// loop is open: requests are sent by the clock, whether or not earlier ones
// were answered, so that an outage counts in full. Those that are due while
// the machine is busy are sent as soon as it is not.
//
// Connections to the front are kept alive, those that a burst needed for two
// more seconds. The front's own answers are all that a request can fail with:
// it ends no connection before it is closed.
type Load struct {
	options LoadOptions
	client  *http.Client
	stop    chan struct{}
	once    sync.Once
	running sync.WaitGroup

	sent, answered, failed, skipped atomic.Int64
}

// StartLoad begins to send, until Stop or until the context ends. The end of
// the context also ends the requests in flight, which then count as errors.
func StartLoad(ctx context.Context, o LoadOptions) *Load {
	o.setDefaults()
	if o.transport == nil {
		o.transport = &http.Transport{MaxIdleConnsPerHost: 1000, IdleConnTimeout: 2 * time.Second, DisableCompression: true}
	}
	l := &Load{
		options: o, stop: make(chan struct{}),
		client: &http.Client{Transport: o.transport, CheckRedirect: noRedirect},
	}
	l.running.Go(func() { l.send(ctx) })
	return l
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Sent returns how many requests were sent so far.
func (l *Load) Sent() int { return int(l.sent.Load()) }

// Skipped returns how many requests were not sent because too many were in
// flight.
func (l *Load) Skipped() int { return int(l.skipped.Load()) }

// Answered returns how many requests got a whole answer with a 2xx status.
func (l *Load) Answered() int { return int(l.answered.Load()) }

// Errors returns how many requests got another answer or none. After Stop,
// Sent is the sum of Answered and Errors.
func (l *Load) Errors() int { return int(l.failed.Load()) }

// Stop sends nothing more and returns when no request is in flight. What
// bounds it is the context that StartLoad got.
func (l *Load) Stop() {
	l.once.Do(func() { close(l.stop) })
	l.running.Wait()
	l.client.CloseIdleConnections()
}

// pace is a series of requests: number n is due n/perSecond after the begin.
type pace struct {
	url       string
	perSecond int
	sent      int
}

// next returns when the next one is due, since the begin.
func (p *pace) next() time.Duration {
	return time.Duration(p.sent) * time.Second / time.Duration(p.perSecond)
}

func (l *Load) send(ctx context.Context) {
	var paces []*pace
	add := func(perSecond int, takes time.Duration) {
		if perSecond > 0 {
			paces = append(paces, &pace{url: l.options.URL + "?takes=" + url.QueryEscape(takes.String()), perSecond: perSecond})
		}
	}
	add(l.options.PerSecond, l.options.ShortTakes)
	add(l.options.LongPerSecond, l.options.LongTakes)
	if len(paces) == 0 {
		return
	}
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		elapsed := time.Since(began)
		next := time.Duration(1<<63 - 1)
		for _, p := range paces {
			for ; p.next() <= elapsed; p.sent++ {
				if l.sent.Load()-l.answered.Load()-l.failed.Load() >= int64(l.options.AtOnce) {
					l.skipped.Add(1)
					continue
				}
				l.sent.Add(1)
				l.running.Go(func() { l.request(ctx, p.url) })
			}
			next = min(next, p.next())
		}
		timer.Reset(next - time.Since(began))
	}
}

// request sends one request and counts its outcome.
func (l *Load) request(ctx context.Context, url string) {
	if l.answers(ctx, url) {
		l.answered.Add(1)
	} else {
		l.failed.Add(1)
	}
}

func (l *Load) answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	answer, err := l.client.Do(r)
	if err != nil {
		return false
	}
	defer func() { _ = answer.Body.Close() }()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && succeeded(answer.StatusCode)
}

func succeeded(status int) bool { return status >= 200 && status < 300 }
