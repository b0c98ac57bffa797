package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// requestTimeout is how long a request may take before it counts as failed.
const requestTimeout = 10 * time.Second

// order is a line on standard input. What it does not have stays as it is.
type order struct {
	// Containers is what the Supervisor lists from now on.
	Containers *[]json.RawMessage `json:"containers"`
	// Load sends requests to the service of that name, "" ends it.
	Load *string `json:"load"`
}

// outside is what a service has around it: a Supervisor, which lists what it is
// told on standard input, and a front, which sends the service requests. It prints its address
// and then the counts of the requests, as lines of JSON. It ends with its
// input, so that nothing is left when the suite is killed.
func outside(in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp4", ":48484")
	if err != nil {
		return err
	}
	address, err := ownAddress()
	if err != nil {
		return err
	}
	say := &printer{to: json.NewEncoder(out)}
	say.print(map[string]string{"address": address})
	s := &fakeSupervisor{containers: []json.RawMessage{}, key: "Bearer " + os.Getenv("SUPERVISOR_KEY")}
	go func() { _ = (&http.Server{Handler: s, ReadHeaderTimeout: requestTimeout}).Serve(listener) }()
	var load *front
	orders := json.NewDecoder(in)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if o.Containers != nil {
			s.set(*o.Containers)
		}
		if o.Load != nil {
			if load != nil {
				load.end()
				load = nil
			}
			if *o.Load != "" {
				load = newFront(*o.Load, say)
			}
		}
	}
}

// printer prints from several goroutines.
type printer struct {
	mu sync.Mutex
	to *json.Encoder
}

func (p *printer) print(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.to.Encode(v); err != nil {
		fmt.Fprintln(os.Stderr, "inside:", err)
	}
}

func ownAddress() (string, error) {
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", errors.Join(errors.New("this container has no address"), err)
}

// fakeSupervisor answers over HTTP as a Supervisor does.
type fakeSupervisor struct {
	key string

	mu         sync.Mutex
	containers []json.RawMessage
}

func (s *fakeSupervisor) set(containers []json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers = containers
}

func (s *fakeSupervisor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != s.key {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	containers := s.containers
	s.mu.Unlock()
	var body any
	switch r.URL.Path {
	case "/v2/state/status":
		body = map[string]any{"status": "success", "appState": "applying", "containers": containers, "images": []any{}, "release": "aaa"}
	case "/v2/applications/state":
		body = map[string]any{"app": map[string]any{"appId": 1234, "commit": "bbb", "services": map[string]any{}}}
	default:
		body = map[string]any{"commit": "aaa", "local": map[string]any{"1234": map[string]any{"services": map[string]any{}}}}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
