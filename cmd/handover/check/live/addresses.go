package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller/endpoint"
)

// addresses are where the status is, or would be served.
type addresses struct {
	late bool
	// socket is where it can be; empty: nowhere. socketErr says why not where it is
	// configured.
	socket    string
	socketErr error

	// server is the id of the instance that serves at status.listen, if one does.
	server string
	// taken: somebody does who is no instance. listen is why it cannot be had
	// for another reason.
	taken  bool
	listen error
}

// serverWithin is how long who serves at status.listen may take.
const serverWithin = 2 * time.Second

func lookAtAddresses(ctx context.Context, cfg *config.Config) *addresses {
	a, s := new(addresses), cfg.Status
	if s.Socket != "" {
		a.socket, a.socketErr = placeFor(endpoint.SocketOf(s.Socket, cfg.Service.ContainerID))
	}
	if s.Listen != "" {
		a.lookAtServer(ctx, s.Listen)
	}
	return a
}

// placeFor finds where the status socket can be. It makes none: an instance that
// starts just now would take it for another's.
func placeFor(socket endpoint.Socket) (path string, why error) {
	for _, path := range socket.Paths() {
		err := unix.Faccessat(unix.AT_FDCWD, filepath.Dir(path), unix.W_OK|unix.X_OK, unix.AT_EACCESS)
		if err != nil {
			err = fmt.Errorf("the folder %s cannot be written: %w", filepath.Dir(path), err)
		} else if info, statErr := os.Lstat(path); statErr == nil && info.Mode()&fs.ModeSocket == 0 {
			err = fmt.Errorf("%s exists and is no socket", path)
		}
		if err == nil {
			return path, why
		}
		if why == nil {
			why = err
		}
	}
	return "", why
}

// lookAtServer asks who serves at the address, and takes it for a moment if
// nobody does.
func (a *addresses) lookAtServer(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, serverWithin)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		a.listen = err
		return
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	if a.server = serverAt(ctx, net.JoinHostPort(host, port)); a.server != "" {
		return
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		_ = l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		a.taken = true
	default:
		a.listen = err
	}
}

// serverAt returns the id of the instance that serves there, empty if none does.
func serverAt(ctx context.Context, address string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return ""
	}
	// Not the default one: it would ask a proxy of the environment.
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return ""
	}
	defer func() { _ = answer.Body.Close() }()
	var st struct {
		Instance struct {
			ID string `json:"id"`
		} `json:"instance"`
	}
	_ = json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&st)
	return st.Instance.ID
}

func (f *facts) judgeStatus(r *report) {
	if f.status.late {
		r.late(statusSocket, "status.socket or status.listen")
		return
	}
	a, socket := f.status, f.cfg.Status.Socket
	const why = "handover status, handover defer and handover probe do not reach the instance; a HEALTHCHECK with handover probe fails, and the engine restarts the container"
	switch {
	case socket == "":
		r.note(statusSocket, "status.socket is off: handover status, handover defer and handover probe do not work here")
	case f.instance.status != nil:
		r.ok(statusSocket, "the status socket is %s", f.instance.path)
	case a.socket == "" && a.socketErr != nil:
		r.warn(statusSocket, "the status socket cannot be made: %s", a.socketErr.Error()).because(
			why,
			"set status.socket to a path in a folder that the service's user can write to")
	case a.socketErr != nil:
		r.note(statusSocket, "the socket will be %s instead of %s: %s", a.socket, socket, a.socketErr.Error())
	default:
		r.ok(statusSocket, "the status socket %s can be made", socket)
	}
	f.judgeListen(r, a)
}

func (f *facts) judgeListen(r *report, a *addresses) {
	address, st := f.cfg.Status.Listen, f.instance.status
	const why = "the status page, the metrics and /readyz are not served there; a proxy that looks at /readyz takes this instance for dead"
	switch {
	case address == "":
		r.ok(statusListen, "status.listen is off")
	case a.listen != nil:
		r.warn(statusListen, "status.listen, %s, cannot be used: %s", address, cause(a.listen)).because(
			why,
			"correct status.listen")
	case a.server != "" && st != nil && a.server == st.Instance.ID:
		r.ok(statusListen, "the instance serves its status at %s", address)
	case a.server != "":
		r.note(statusListen, "another instance serves its status at %s: they share the address, and the younger one takes it over", address)
	case a.taken:
		r.warn(statusListen, "another program has status.listen, %s", address).because(
			why,
			"free the address, or set status.listen to another one")
	case st != nil && st.Phase != "released":
		r.warn(statusListen, "nobody serves at status.listen, %s, although the instance runs", address).because(
			why,
			"restart the container if the configuration was changed since its start; otherwise see its log")
	default:
		r.ok(statusListen, "status.listen, %s, is free", address)
	}
}
