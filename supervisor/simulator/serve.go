package simulator

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// Listen serves the API on a TCP address, such as 127.0.0.1:0, until
// [Simulator.Close], and returns its URL. Containers that are created from now
// on find it in BALENA_SUPERVISOR_ADDRESS. While the Supervisor is down, or told
// to refuse, the address is closed, and connections are refused.
func (s *Simulator) Listen(address string) (url string, err error) {
	d := &door{s: s}
	if d.listener, err = net.Listen("tcp", address); err != nil {
		return "", err
	}
	d.address = d.listener.Addr().String()
	d.serve()
	s.mu.Lock()
	s.doors = append(s.doors, d)
	s.o.Address = "http://" + d.address
	s.mu.Unlock()
	return "http://" + d.address, nil
}

// door is an address on which the API is served.
type door struct {
	s       *Simulator
	address string

	mu       sync.Mutex
	listener net.Listener
	server   *http.Server
}

func (d *door) serve() {
	d.server = &http.Server{Handler: d.s, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	server, listener := d.server, d.listener
	d.s.work.Go(func() { _ = server.Serve(listener) })
}

// set opens or closes the address, as the API takes connections or not.
func (d *door) set() {
	d.mu.Lock()
	defer d.mu.Unlock()
	open := !d.s.refused() // with the lock held: who looks last decides
	switch {
	case !open && d.listener != nil:
		_ = d.server.Close()
		d.listener = nil
	case open && d.listener == nil:
		// Nobody else takes a port of loopback that was just used, but if so,
		// the API stays away.
		listener, err := net.Listen("tcp", d.address)
		if err != nil {
			return
		}
		d.listener = listener
		d.serve()
	}
}

// reopen opens or closes the addresses.
func (s *Simulator) reopen() {
	s.mu.Lock()
	doors := slices.Clone(s.doors)
	s.mu.Unlock()
	for _, d := range doors {
		d.set()
	}
}

// Transport carries requests to the API without a network, also on virtual
// time.
func (s *Simulator) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Simulator }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.s.refused() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	a, whole, ok := t.s.respond(r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	body := io.Reader(bytes.NewReader(a.body))
	if !whole {
		body = io.MultiReader(bytes.NewReader(a.body[:len(a.body)/2]), broken{})
	}
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {a.kind}}, ContentLength: int64(len(a.body)),
		Body: io.NopCloser(body), Request: r,
	}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
