package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readyFile makes a service ready that waits for it.
const readyFile = "/tmp/ready"

// serve is an HTTP service that finishes what is in flight on SIGTERM. Its
// variables:
//
//	SERVICE_NAME        what it answers
//	SERVICE_ADDRESS     where it listens
//	SERVICE_WAITS       not empty: /health fails until readyFile is there
//	SERVICE_READYZ      an address for /readyz, for a service without handover
//	SERVICE_ENDS_AFTER  how long the end takes
func serve() error {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go func() { fmt.Println("terminal:", terminal()) }()
	health := func(w http.ResponseWriter, _ *http.Request) {
		_, err := os.Stat(readyFile)
		if waits := err != nil && os.Getenv("SERVICE_WAITS") != ""; waits || stop.Err() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", health)
	mux.HandleFunc("GET /readyz", health)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(duration(r.URL.Query().Get("takes"))) // the request's work
		_, _ = fmt.Fprint(w, os.Getenv("SERVICE_NAME"))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: requestTimeout}
	failed := make(chan error, 2)
	for _, address := range []string{os.Getenv("SERVICE_ADDRESS"), os.Getenv("SERVICE_READYZ")} {
		if address == "" {
			continue
		}
		listener, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		go func() { failed <- server.Serve(listener) }()
	}
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	if err := server.Shutdown(context.Background()); !errors.Is(err, http.ErrServerClosed) && err != nil {
		return err
	}
	time.Sleep(duration(os.Getenv("SERVICE_ENDS_AFTER")))
	return nil
}

// terminal tells whether standard input is a terminal of which this process is
// in the foreground. It is put there after its start, so that is waited for.
func terminal() string {
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
		switch {
		case err != nil:
			return "none"
		case group == unix.Getpgrp():
			return "in the foreground"
		case time.Since(begun) > requestTimeout:
			return "in the background"
		}
	}
}

// duration is 0 for what is not one.
func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}
