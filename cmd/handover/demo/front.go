package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Backend is an instance of the service that a Front can send requests to.
type Backend struct {
	Name    string
	Address string // host:port
	// Check reports whether the instance wants requests. It must return when
	// its context ends. See CheckURL for one that asks the service itself.
	Check func(ctx context.Context) bool
}

// FrontOptions say how a Front works. A zero value stands for the default.
type FrontOptions struct {
	CheckEvery   time.Duration // pause between two checks of a backend; 100 ms
	CheckTimeout time.Duration // a check that takes longer is late; 300 ms
	Timeout      time.Duration // a request that takes a backend longer has failed; 5 s

	// OnReady is called when a backend's readiness changes, also when one that
	// was ready is removed: always by the same goroutine, in the order of the
	// changes. It may call Add and Remove, but not Close.
	OnReady func(name string, ready bool)

	// OnRequest is told of each request that is over, by many goroutines at once,
	// instead of the log, which stays empty: for runs of any length. Nil: the log.
	OnRequest func(*Request)
}

// Front is a small HTTP proxy on loopback, as a load balancer in front of the
// service would be: it sends each request to a backend whose last check was
// good, to one after the other. With none it answers 503 at once.
//
// It tries nothing twice, and a failed request does not make a backend unready:
// only its check does. So whatever goes wrong is in the log. A check that is late
// has failed as long as that of another backend was good. While a busy machine
// lets nobody answer in time, requests go to those whose last answer was good.
type Front struct {
	options   FrontOptions
	log       *Log
	server    *http.Server
	url       string
	transport *http.Transport
	end       context.CancelCauseFunc
	running   sync.WaitGroup // checks, the reporter and the server
	requests  sync.WaitGroup // grows with the lock held, and not after Close

	mu       sync.Mutex
	ctx      context.Context // of everything that the front does; ends in Close
	backends []*backend
	next     int // round robin
	changes  []change
	changed  chan struct{}
}

type backend struct {
	Backend
	good  bool // the last answer of its check
	late  bool // the check after it was
	ready bool // requests are sent to it
	stop  context.CancelFunc
}

// change is what OnReady is to be told.
type change struct {
	name  string
	ready bool
}

var errFrontClosed = errors.New("the front was closed")

// NewFront starts a front without backends.
func NewFront(o FrontOptions) (*Front, error) {
	setDefault(&o.CheckEvery, 100*time.Millisecond)
	setDefault(&o.CheckTimeout, 300*time.Millisecond)
	setDefault(&o.Timeout, 5*time.Second)
	if o.OnReady == nil {
		o.OnReady = func(string, bool) {}
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo: listen on loopback: %w", err)
	}
	ctx, end := context.WithCancelCause(context.Background())
	f := &Front{
		options: o, log: NewLog(), url: "http://" + listener.Addr().String(), ctx: ctx, end: end,
		// A new connection for each request, as nginx makes them by default: so a
		// listener that was closed too early shows at once.
		transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true, ResponseHeaderTimeout: o.Timeout},
		changed:   make(chan struct{}, 1),
	}
	if o.OnRequest == nil {
		f.options.OnRequest = f.log.Add
	}
	f.server = &http.Server{
		Handler:           http.HandlerFunc(f.serve),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
	}
	f.running.Go(f.report)
	f.running.Go(func() { _ = f.server.Serve(listener) })
	return f, nil
}

// URL returns where the front listens, such as http://127.0.0.1:40123.
func (f *Front) URL() string { return f.url }

// Log returns the log of all requests that are over, unless OnRequest is set.
// After Close it does not grow any more.
func (f *Front) Log() *Log { return f.log }

// Add begins to check a backend, at once, and to send requests to it while its
// check is good. A backend of the same name is removed first.
func (f *Front) Add(b Backend) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return
	}
	f.remove(b.Name)
	ctx, stop := context.WithCancel(f.ctx)
	added := &backend{Backend: b, stop: stop}
	f.backends = append(f.backends, added)
	f.running.Go(func() { f.check(ctx, added) })
}

// Remove sends nothing more to the backend. Requests in flight go on.
func (f *Front) Remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(name)
}

func (f *Front) remove(name string) {
	i := slices.IndexFunc(f.backends, func(b *backend) bool { return b.Name == name })
	if i < 0 {
		return
	}
	b := f.backends[i]
	f.backends = slices.Delete(f.backends, i, i+1)
	b.stop()
	f.set(b, false)
	f.settle()
}

// settle finds out whom requests are sent to. The caller holds the lock.
func (f *Front) settle() {
	onTime := slices.ContainsFunc(f.backends, func(b *backend) bool { return b.good && !b.late })
	for _, b := range f.backends {
		f.set(b, b.good && (!b.late || !onTime))
	}
}

// set notes whether requests are sent to a backend. The caller holds the lock.
func (f *Front) set(b *backend, ready bool) {
	if b.ready == ready {
		return
	}
	b.ready = ready
	f.changes = append(f.changes, change{b.Name, ready})
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Ready returns the names of the backends that requests are sent to.
func (f *Front) Ready() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, b := range f.backends {
		if b.ready {
			names = append(names, b.Name)
		}
	}
	return names
}

// pick returns the backend whose turn it is.
func (f *Front) pick() (Backend, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range f.backends {
		f.next = (f.next + 1) % len(f.backends)
		if b := f.backends[f.next]; b.ready {
			return b.Backend, true
		}
	}
	return Backend{}, false
}

// enter counts a request in, unless the front is closed.
func (f *Front) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return false
	}
	f.requests.Add(1)
	return true
}

// check checks one backend until it is removed.
func (f *Front) check(ctx context.Context, b *backend) {
	tick := time.NewTicker(f.options.CheckEvery)
	defer tick.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, f.options.CheckTimeout)
		good := b.Check(bounded)
		late := bounded.Err() != nil
		cancel()
		f.mu.Lock()
		if ctx.Err() == nil { // else it was removed, which has been noted
			if b.late = late; !late {
				b.good = good
			}
			f.settle()
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// report calls OnReady, and nobody else does.
func (f *Front) report() {
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.changed:
		}
		f.mu.Lock()
		changes := f.changes
		f.changes = nil
		f.mu.Unlock()
		for _, c := range changes {
			f.options.OnReady(c.name, c.ready)
		}
	}
}

// Close ends everything at once. Requests in flight fail: stop the load first.
func (f *Front) Close() error {
	f.mu.Lock()
	f.end(errFrontClosed)
	f.backends = nil
	f.mu.Unlock()
	err := f.server.Close()
	f.running.Wait()
	f.requests.Wait()
	f.transport.CloseIdleConnections()
	return err
}
