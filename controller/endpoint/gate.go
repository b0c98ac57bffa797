package endpoint

import (
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// mostConnections is how many connections a listener has at most.
	mostConnections = 64
	// descriptorReserve is how many descriptors are for everything else: starting
	// processes, the marker, the folder, the network, the Supervisor.
	descriptorReserve = 64
	// bufferBytes is what the kernel may keep for a connection in each direction. It
	// doubles this.
	bufferBytes = 32 << 10
)

// Most returns how many connections a listener may have with that limit of
// descriptors: 64, or fewer if that would leave too few for everything else. Two
// listeners never take more than two thirds of what is above the reserve.
func Most(descriptors uint64) int {
	if descriptors <= descriptorReserve {
		return 4
	}
	return int(max(4, min(mostConnections, (descriptors-descriptorReserve)/3)))
}

// mostHere is Most for this process.
func mostHere() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return Most(256)
	}
	return Most(limit.Cur)
}

// gate is a listener that has a bounded number of connections. To let one in
// more, it closes another.
type gate struct {
	net.Listener
	most int

	mu     sync.Mutex
	guests []*guest // the one whose last request is the longest ago comes first
}

// guest is a connection that came through a gate.
type guest struct {
	net.Conn
	gate *gate
	// known is a connection of root or of this user. Over TCP nobody is known.
	known bool
}

// Accept waits for the next connection. Where there are many, those that came
// before it have their turn first: who has sent a request is answered before
// it may have to give way.
func (g *gate) Accept() (net.Conn, error) {
	if g.crowded() {
		runtime.Gosched()
	}
	conn, err := g.Listener.Accept()
	switch {
	case errors.Is(err, net.ErrClosed):
		return nil, err
	case err != nil:
		return nil, passing{err}
	}
	if u, ok := conn.(*net.UnixConn); ok {
		_ = u.SetWriteBuffer(bufferBytes) // TCP has it from its listener
	}
	who := &guest{Conn: conn, gate: g, known: isKnown(conn)}
	if out := g.admit(who); out != nil {
		out.turnOut()
	}
	return who, nil
}

// passing is an error of accepting that may be over soon: net/http tries again
// after a pause. It gives up for those that it does not know, such as ENOMEM and
// ENOBUFS, and then nobody would be answered any more.
type passing struct{ error }

func (passing) Timeout() bool   { return false }
func (passing) Temporary() bool { return true }
func (p passing) Unwrap() error { return p.error }

func (g *gate) crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.guests) > g.most/2
}

// admit lets a connection in, and returns the one that has to go for it: this one
// itself if nobody is there to whom it is equal. Others than the known ones have
// half of the room at most.
func (g *gate) admit(who *guest) (out *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full, others, first := len(g.guests) >= g.most, 0, -1
	for i, other := range g.guests {
		if !other.known {
			others++
			if first < 0 {
				first = i
			}
		}
	}
	at := -1
	switch _, local := who.Conn.(*net.UnixConn); {
	case local && !who.known && others > 0 && others >= g.most/2:
		at = first
	case full && first >= 0:
		at = first
	case full && !who.known:
		return who
	case full:
		at = 0
	}
	if at >= 0 {
		out = g.guests[at]
		g.guests = slices.Delete(g.guests, at, at+1)
	}
	g.guests = append(g.guests, who)
	return out
}

// asks notes that a request of the connection begins: it is the last one now
// that has to go.
func (g *guest) asks() {
	g.gate.mu.Lock()
	defer g.gate.mu.Unlock()
	if at := slices.Index(g.gate.guests, g); at >= 0 {
		g.gate.guests = append(slices.Delete(g.gate.guests, at, at+1), g)
	}
}

// Write writes. What could not be written is not kept: the kernel would try to
// send it for minutes.
func (g *guest) Write(p []byte) (int, error) {
	n, err := g.Conn.Write(p)
	if err != nil {
		g.forget()
	}
	return n, err
}

// Close closes the connection and makes room for another one.
func (g *guest) Close() error {
	g.gate.mu.Lock()
	if at := slices.Index(g.gate.guests, g); at >= 0 {
		g.gate.guests = slices.Delete(g.gate.guests, at, at+1)
	}
	g.gate.mu.Unlock()
	return g.Conn.Close()
}

// turnOut closes the connection, with all that the kernel has of it.
func (g *guest) turnOut() {
	g.forget()
	_ = g.Conn.Close() // it is no guest any more
}

// forget has the kernel drop, when the connection is closed, what was not sent.
func (g *guest) forget() {
	if tcp, ok := g.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// isKnown reports whether root or this user is at the other end of a Unix socket.
func isKnown(conn net.Conn) bool {
	who, err := peerOf(conn)
	return err == nil && (who.Uid == 0 || int(who.Uid) == os.Geteuid())
}

var errNotLocal = errors.New("endpoint: not a Unix socket")

// peerOf returns who is at the other end of a Unix socket: who has connected, or
// who listens. The process id is 0 if it is in another PID namespace.
func peerOf(conn net.Conn) (*unix.Ucred, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errNotLocal
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	var who *unix.Ucred
	if failed := raw.Control(func(fd uintptr) {
		who, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); failed != nil {
		return nil, failed
	}
	return who, err
}

// prepare sets what connections get from their TCP listener. The kernel then does
// not hand on a connection before something was sent on it, for a second at
// most. Where it does not know an option, that one is missing.
func prepare(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		for _, o := range [...]struct{ level, name, value int }{
			{unix.SOL_SOCKET, unix.SO_SNDBUF, bufferBytes},
			{unix.SOL_SOCKET, unix.SO_RCVBUF, bufferBytes},
			{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1},
		} {
			_ = unix.SetsockoptInt(int(fd), o.level, o.name, o.value)
		}
	})
}
