package demo

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What http.Server.Shutdown does is not enough where the machine is so busy that
// requests wait: it resets connections that wait to be accepted, and closes those
// whose request has come and was not read yet, without an answer. So the service
// first takes in what waits, and answers it.

// closing is a listener that can be closed without a connection being reset that
// waits to be accepted.
type closing struct{ *net.TCPListener }

// closeSoon makes Accept end when no connection waits.
func (c closing) closeSoon() { _ = c.SetDeadline(time.Now()) }

func (c closing) Accept() (net.Conn, error) {
	const takesIn = 20 * time.Millisecond
	for {
		conn, err := c.TCPListener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
		if !c.waits() || c.SetDeadline(time.Now().Add(takesIn)) != nil {
			return nil, net.ErrClosed // the server would try again after a time-out
		}
	}
}

// waits reports whether a connection waits to be accepted.
func (c closing) waits() bool {
	n := 0
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		})
	}
	return n > 0
}

// connections are those on which a request is answered or expected. The zero
// value has none.
type connections struct {
	mu   sync.Mutex
	busy map[net.Conn]struct{}
}

// changed is a server's ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy == nil {
		c.busy = map[net.Conn]struct{}{}
	}
	switch state {
	case http.StateNew, http.StateActive:
		c.busy[conn] = struct{}{}
	default:
		delete(c.busy, conn)
	}
}

// finished returns when there is none. The server's ReadHeaderTimeout bounds
// those that never ask anything.
func (c *connections) finished() {
	const look = 5 * time.Millisecond
	for {
		c.mu.Lock()
		left := len(c.busy)
		c.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(look)
	}
}
