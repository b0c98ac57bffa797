package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// ServedBy is the header in which the service says its name.
const ServedBy = "X-Served-By"

// Variables of the environment that the service reads.
const (
	VariableName       = "DEMO_SERVICE_NAME"        // its name; A
	VariableAddress    = "DEMO_SERVICE_ADDRESS"     // host:port to listen on, on loopback
	VariableReadyAfter = "DEMO_SERVICE_READY_AFTER" // a duration, or Never; 0s
	VariableCrashAfter = "DEMO_SERVICE_CRASH_AFTER" // a duration; empty: it does not crash
)

// Never as VariableReadyAfter makes a service that does not become ready.
const Never = "never"

// Exit statuses of the service.
const (
	exitCrashed = 1
	exitUsage   = 64 // EX_USAGE of sysexits.h
)

// workAtMost bounds what one request can ask for.
const workAtMost = time.Minute

// Service is what a user's service would be: it listens at once, is ready
// later, and on SIGTERM or SIGINT, or when the context ends, accepts no more
// and finishes everything in flight, however long that takes. It returns the
// exit status: 0, 1 if it could not listen or was to crash, 64 if its
// environment is not understood.
//
// GET /ready answers 200 once it is ready, GET /?takes=1.5s works for that long
// and answers the service's name in the body and in the header X-Served-By.
// Before it is ready, both answer 503, as of a service that warms up.
func Service(ctx context.Context, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := readServiceOptions(getenv)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "demo service:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(o.address))
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "demo service: listen: %v; set %s to a free port\n", err, VariableAddress)
		return exitCrashed
	}
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(stdout, "service %s: "+format+"\n", append([]any{o.name}, args...)...)
	}
	say("listens on %s", listener.Addr())

	s := &service{name: o.name, readyAt: time.Now().Add(o.readyAfter), never: o.never}
	open := &connections{}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, ConnState: open.changed}
	door := closing{listener}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(door) }()

	var crash <-chan time.Time
	if o.crashAfter > 0 {
		timer := time.NewTimer(o.crashAfter)
		defer timer.Stop()
		crash = timer.C
	}
	select {
	case <-crash:
		_, _ = fmt.Fprintf(stderr, "demo service: crashes, as %s says\n", VariableCrashAfter)
		_ = server.Close()
		return exitCrashed
	case err := <-failed:
		_, _ = fmt.Fprintf(stderr, "demo service: serve: %v\n", err)
		return exitCrashed
	case <-ctx.Done():
	}
	say("was told to stop, finishes %d requests", s.inFlight.Load())
	door.closeSoon()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		_, _ = fmt.Fprintf(stderr, "demo service: serve: %v\n", err)
		return exitCrashed
	}
	open.finished()
	// No deadline: whoever stops the service knows how long it may take.
	if err := server.Shutdown(context.Background()); err != nil {
		_, _ = fmt.Fprintf(stderr, "demo service: shut down: %v\n", err)
		return exitCrashed
	}
	say("has finished")
	return 0
}

// service answers requests.
type service struct {
	name     string
	readyAt  time.Time
	never    bool
	inFlight atomic.Int64
}

func (s *service) ready() bool { return !s.never && !time.Now().Before(s.readyAt) }

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready() {
			http.Error(w, "not ready yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintf(w, "ready, %d in flight\n", s.inFlight.Load())
	})
	mux.HandleFunc("GET /{$}", s.work)
	return mux
}

// work does what the request asks for, unless nobody waits for it any more.
func (s *service) work(w http.ResponseWriter, r *http.Request) {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	w.Header().Set(ServedBy, s.name)
	if !s.ready() {
		http.Error(w, "not ready yet", http.StatusServiceUnavailable)
		return
	}
	takes, err := workAsked(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	timer := time.NewTimer(takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		_, _ = fmt.Fprintln(w, s.name)
	case <-r.Context().Done():
	}
}

// workAsked returns how long a request wants the service to work.
func workAsked(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("takes")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > workAtMost {
		return 0, errors.New("takes must be a duration from 0s to 1m, such as 1.5s")
	}
	return d, nil
}
