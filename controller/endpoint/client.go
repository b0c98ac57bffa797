package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer/procfs"
)

// ContainerHeader is the header of answers on the socket that names the
// container of the instance: its short id.
const ContainerHeader = "Handover-Container"

// AnswerAtMost is how much is read of an answer, but for one that is followed.
const AnswerAtMost = 4 << 20

const (
	errorAtMost = 4 << 10
	// againAfter is how long to wait before the socket is tried again because too
	// many others have it.
	againAfter = 5 * time.Millisecond
	// againAtMost is how often a request is sent again because its connection had
	// to give way to others.
	againAtMost = 20
	// fullAtMost is how often a socket is tried in a row that too many others have.
	// It may be a stranger's: after that the other paths have their turn.
	fullAtMost = 10
)

// The errors of Client, besides those of the network and the context.
var (
	// ErrElsewhere: the instance that answers is another container's.
	ErrElsewhere = errors.New("the instance that answers is that of another container")
	// ErrStranger: another user listens there.
	ErrStranger = errors.New("another user listens there, who may say anything")
	// ErrFull: more have connected than are let in at once, for as long as the
	// context allowed.
	ErrFull = errors.New("more wait there to be let in than there is room for")
)

// RefusedError is the answer of an instance that is not 200.
type RefusedError struct {
	StatusCode int
	Text       string // for people, without control characters
}

func (e *RefusedError) Error() string { return e.Text }

// Client asks the instance of this container, on its socket.
type Client struct{ Socket Socket }

// found is a connection to this container's instance.
type found struct {
	net.Conn
	path string
	pid  int
}

// Find returns the path of the socket on which this container's instance listens,
// and its process id, 0 if it is unknown. It does not wait for an answer.
func (c Client) Find(ctx context.Context) (path string, pid int, err error) {
	err = c.each(ctx, func(socket string) error {
		conn, err := dial(ctx, socket)
		if err != nil {
			return err
		}
		path, pid = conn.path, conn.pid
		return conn.Close()
	})
	return path, pid, err
}

// each tries one path after the other until one leads to this container's
// instance. It begins anew while one of them is full, which may be this one's.
func (c Client) each(ctx context.Context, try func(path string) error) error {
	var worst error
	for {
		for _, path := range c.Socket.Paths() {
			err := try(path)
			var refused *RefusedError
			if err == nil || errors.As(err, &refused) {
				return err
			}
			worst = worse(worst, err)
			if ctx.Err() != nil {
				return worst
			}
		}
		if !errors.Is(worst, ErrFull) {
			return worst
		}
	}
}

// Do sends a request without a body. What is read of the answer's body is
// limited, unless it is /events.
func (c Client) Do(ctx context.Context, method, path string) (body io.ReadCloser, err error) {
	err = c.each(ctx, func(socket string) error {
		body, err = c.ask(ctx, socket, method, path)
		return err
	})
	return body, err
}

// worse returns which of two errors tells more: that too many are there, that
// somebody else is, or else the first one.
func worse(first, next error) error {
	if first == nil || tells(next) > tells(first) {
		return next
	}
	return first
}

func tells(err error) int {
	switch {
	case errors.Is(err, ErrFull):
		return 2
	case errors.Is(err, ErrElsewhere), errors.Is(err, ErrStranger):
		return 1
	}
	return 0
}

func (c Client) ask(ctx context.Context, socket, method, path string) (io.ReadCloser, error) {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dial(ctx, socket)
			if err != nil {
				return nil, err
			}
			return conn, nil
		}}
	for tries := 1; ; tries++ {
		req, err := http.NewRequestWithContext(ctx, method, "http://handover"+path, http.NoBody)
		if err != nil {
			return nil, err
		}
		answer, err := transport.RoundTrip(req)
		if err == nil {
			return c.take(answer, socket, path)
		}
		gaveWay := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
		if !gaveWay || tries >= againAtMost || !pause(ctx, againAfter) {
			return nil, err
		}
	}
}

// take looks at whose answer it is.
func (c Client) take(answer *http.Response, socket, path string) (io.ReadCloser, error) {
	whose := Printable(answer.Header.Get(ContainerHeader))
	if whose != "" && c.Socket.Container != "" && whose != c.Socket.Container {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("%s: %w: %s, and this is %s; with service.container_id set for `handover run`, set it for this command, too",
			socket, ErrElsewhere, whose, c.Socket.Container)
	}
	if answer.StatusCode != http.StatusOK {
		defer func() { _ = answer.Body.Close() }()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, errorAtMost))
		return nil, &RefusedError{answer.StatusCode, Printable(strings.TrimSpace(string(text)))}
	}
	if path == "/events" {
		return answer.Body, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, AnswerAtMost), answer.Body}, nil
}

// dial connects with this container's instance, and makes sure that it is one.
func dial(ctx context.Context, path string) (*found, error) {
	for tries := 1; ; tries++ {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			who, err := verify(conn, path)
			if err != nil {
				_ = conn.Close()
				return nil, err
			}
			return &found{conn, path, int(who.Pid)}, nil
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return nil, err
		}
		if tries >= fullAtMost || !pause(ctx, againAfter) {
			return nil, fmt.Errorf("%s: %w", path, ErrFull)
		}
	}
}

// verify makes sure that who listens is in this container, and is root, this
// user, the user of process 1, or what an init runs.
func verify(conn net.Conn, path string) (*unix.Ucred, error) {
	who, err := peerOf(conn)
	if err != nil {
		return nil, fmt.Errorf("%s: it cannot be known who listens: %w", path, err)
	}
	switch {
	case who.Pid == 0:
		return nil, fmt.Errorf("%s: %w: its process is not in this container", path, ErrElsewhere)
	case who.Uid == 0, int(who.Uid) == os.Geteuid(), who.Pid == 1, owns(1, who.Uid), isMain(procfs.All(), int(who.Pid)):
		return who, nil
	}
	return nil, fmt.Errorf("%s: %w: process %d of user %d, which is neither root, nor user %d, nor that of process 1; "+
		"if that process is the instance, run this command as user %d", path, ErrStranger, who.Pid, who.Uid, os.Geteuid(), who.Uid)
}

// owns reports whether the process is that user's.
func owns(pid int, user uint32) bool {
	var st unix.Stat_t
	return unix.Stat("/proc/"+strconv.Itoa(pid), &st) == nil && st.Uid == user
}

// isMain reports whether a process is the one that an init such as tini runs: an
// entry script may have changed its user. Whoever else becomes a child of process 1
// was started later. Where process 1 is no init, its first child may be the service.
func isMain(all []procfs.Stat, pid int) bool {
	var one, main procfs.Stat
	for _, p := range all {
		switch {
		case p.PID == 1:
			one = p
		case p.Parent == 1 && (main.PID == 0 || p.Start < main.Start || p.Start == main.Start && p.PID < main.PID):
			main = p
		}
	}
	return procfs.IsInit(one.Name) && main.PID == pid
}
