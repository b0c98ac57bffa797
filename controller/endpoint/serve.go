package endpoint

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// WriteWithin is how long a write may be held up by who should read. Handlers
	// that write for longer than that set the deadline anew before each write.
	WriteWithin = 5 * time.Second
	readWithin  = 5 * time.Second
	idleFor     = 30 * time.Second
	// headerBytes is how long a header may be; net/http adds 4 KiB.
	headerBytes = 8 << 10
	// farewell is how long the end may be held up by those who still read.
	farewell = 200 * time.Millisecond
)

// Options are for Serve.
type Options struct {
	Handler http.Handler
	// Names are those by which the instance may be asked, see Names. Nil: by any.
	Names []string
	// Most is how many connections there are at most. 0: what Most says for this
	// process.
	Most   int
	Logger *slog.Logger
}

// Serve serves until the function that it returns is called. Whoever follows is
// told of the end, but holds nothing up.
func Serve(l net.Listener, o Options) (end func()) {
	g := &gate{Listener: l, most: o.Most}
	if g.most == 0 {
		g.most = mostHere()
	}
	server := &http.Server{
		Handler:           attend(byName(o.Names, o.Handler)),
		ReadHeaderTimeout: readWithin, WriteTimeout: WriteWithin, IdleTimeout: idleFor, MaxHeaderBytes: headerBytes,
		ErrorLog: slog.NewLogLogger(&sparing{next: o.Logger.Handler(), said: new(sayings)}, slog.LevelWarn),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, guestKey{}, conn)
		},
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(g) })
	return func() {
		short, done := context.WithTimeout(context.Background(), farewell)
		defer done()
		_ = server.Shutdown(short)
		_ = server.Close()
		serving.Wait()
	}
}

// Listen opens status.listen.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{Control: prepare, KeepAlive: -1}).Listen(ctx, "tcp", address)
}

type guestKey struct{}

// attend notes each request at its connection, and gives a body as little time
// as a header.
func attend(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who, ok := r.Context().Value(guestKey{}).(*guest); ok {
			who.asks()
		}
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readWithin))
		}
		next.ServeHTTP(w, r)
	})
}
