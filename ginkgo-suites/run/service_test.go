package run_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// play is the service under test: this test binary, executed as the workload.
func play(role string) int {
	switch role {
	case "serve":
		return serve()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("up")
		select {}
	}
	return 2
}

// serve is an HTTP service that is ready some time after its start, or when a
// file says so. It finishes what is in flight on SIGTERM, and says when that was
// done.
func serve() int {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	delay, _ := time.ParseDuration(os.Getenv("SERVICE_READY_AFTER"))
	ready := time.After(delay)
	listener, err := net.Listen("tcp", os.Getenv("SERVICE_ADDRESS"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-ready:
			ready = closed()
		default:
			if _, err := os.Stat(os.Getenv("SERVICE_READY_FILE")); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if d, err := time.ParseDuration(r.URL.Query().Get("takes")); err == nil {
			_ = http.NewResponseController(w).Flush() // it is in flight from now on
			time.Sleep(d)                             // the request's work
		}
		fmt.Fprintln(w, os.Getenv("SERVICE_NAME"))
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	<-stop.Done()
	_ = server.Shutdown(context.Background())
	if path := os.Getenv("SERVICE_ENDED_FILE"); path != "" {
		_ = os.WriteFile(path, nil, 0o600)
	}
	return 0
}

func closed() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}
