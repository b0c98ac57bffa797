package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/handover-controller/handover/controller/endpoint"
	"github.com/handover-controller/handover/peer"
)

// aliveWithin is how long the loop may take to show that it goes round.
const aliveWithin = 2 * time.Second

// SocketHandler is Handler and POST /defer, for the workload: the one request
// that changes anything. Answers name the container, so that nobody takes them
// for another's.
func (c *Controller) SocketHandler() http.Handler {
	mux := c.handler()
	mux.HandleFunc("POST /defer", c.serveDefer)
	return withHeader(endpoint.ContainerHeader, string(c.o.Self.Container), asDeclared(mux))
}

// Handler serves the status API: GET / (the status page), /status (JSON),
// /metrics (Prometheus), /healthz, /readyz and /events (server-sent events, one
// status for each round of the loop). It is read-only and shows no secrets.
func (c *Controller) Handler() http.Handler { return asDeclared(c.handler()) }

// asDeclared has browsers take each answer for what it is said to be.
func asDeclared(next http.Handler) http.Handler {
	return withHeader("X-Content-Type-Options", "nosniff", next)
}

func withHeader(name, value string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(name, value)
		next.ServeHTTP(w, r)
	})
}

func (c *Controller) handler() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.servePage)
	mux.HandleFunc("GET /page.js", serveScript)
	mux.HandleFunc("GET /status", c.serveStatus)
	mux.HandleFunc("GET /events", c.serveEvents)
	mux.HandleFunc("GET /healthz", c.serveHealth)
	mux.HandleFunc("GET /readyz", c.serveReady)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = c.writeMetrics(w) // the reader may be gone
	})
	return mux
}

func (c *Controller) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(c.Status()) // the reader may be gone
}

// serveEvents sends the status now, and again each time that the loop went
// round, until the instance is over or the reader goes.
func (c *Controller) serveEvents(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	// A browser asks again that soon: somebody else may have the address by then.
	_, _ = io.WriteString(w, "retry: 250\n\n")
	for {
		p := c.published.Load()
		_ = out.SetWriteDeadline(time.Now().Add(endpoint.WriteWithin)) // a test's has none
		if _, err := w.Write(p.event(&c.o)); err != nil || out.Flush() != nil {
			return
		}
		if p.decision.Exit {
			return
		}
		select {
		case <-p.next:
		case <-r.Context().Done():
			return
		}
	}
}

// serveHealth answers 200 while the instance does its part. A workload that is
// not ready any more while it should serve is not healthy; one that is still
// starting, or that was ended in order, is.
func (c *Controller) serveHealth(w http.ResponseWriter, r *http.Request) {
	if err := c.alive(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	p := c.published.Load()
	if p.failure != "" {
		http.Error(w, p.failure, http.StatusServiceUnavailable)
		return
	}
	if p.decision.Phase == peer.PhaseStarting && p.workload.EverReady && !p.workload.Ready && p.workload.Running {
		http.Error(w, "the workload is not ready any more: "+p.workload.NotReadyReason, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// alive waits for the loop to go round once.
func (c *Controller) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	pong := make(chan struct{})
	select {
	case c.pings <- pong:
		<-pong
		return nil
	case <-ctx.Done():
		return fmt.Errorf("controller: the loop did not answer within %v", aliveWithin)
	}
}

// serveReady answers 200 while a proxy may send requests here.
func (c *Controller) serveReady(w http.ResponseWriter, _ *http.Request) {
	p := c.published.Load()
	phase := p.decision.Phase
	if p.workload.Ready && (phase == peer.PhaseServing || phase == peer.PhaseHolding) {
		fmt.Fprintln(w, "ok")
		return
	}
	http.Error(w, "the instance is "+phase.String(), http.StatusServiceUnavailable)
}
