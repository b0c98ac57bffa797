package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/handover-controller/handover/controller"
)

// requestTimeout bounds a request over the socket, but for those that follow.
const requestTimeout = 5 * time.Second

// client speaks with the instance of this container over its socket.
type client struct {
	socket string
	http   http.Client
}

func newClient(socket string) (*client, error) {
	if socket == "" {
		return nil, errors.New("status.socket is off, and `handover status`, `handover probe` and `handover defer` need it; with status.listen, ask /status and /healthz there")
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var first error
		for _, path := range controller.SocketPaths(socket) {
			c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
			if err == nil {
				return c, nil
			}
			if first == nil {
				first = err
			}
		}
		return nil, first
	}
	return &client{socket: socket, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

// get asks for a path. The body of another answer than 200 is the error.
func (c *client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, path)
}

// do sends a request without a body, as get does.
func (c *client) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://handover"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the instance on %s does not answer within %v: it hangs, or the device is overloaded; see the container's log", c.socket, requestTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("no instance answers on %s: is `handover run` running in this container? (%w)", c.socket, root(err))
	}
	if answer.StatusCode != http.StatusOK {
		defer func() { _ = answer.Body.Close() }()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	return answer.Body, nil
}

// root returns the innermost error: the layers around it speak of HTTP, which
// nobody asked for.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
