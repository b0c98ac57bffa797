package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/endpoint"
)

// requestTimeout bounds a request over the socket, but for those that follow.
const requestTimeout = 5 * time.Second

// client speaks with the instance of this container over its socket.
type client struct {
	socket string
	ask    endpoint.Client
}

func newClient(cfg *config.Config) (*client, error) {
	if cfg.Status.Socket == "" {
		return nil, errors.New("status.socket is off, and `handover status`, `handover probe` and `handover defer` need it; with status.listen, ask /status and /healthz there")
	}
	socket := endpoint.SocketOf(cfg.Status.Socket, cfg.Service.ContainerID)
	return &client{socket: cfg.Status.Socket, ask: endpoint.Client{Socket: socket}}, nil
}

// get asks for a path. The body of another answer than 200 is the error.
func (c *client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, path)
}

// do sends a request without a body, as get does.
func (c *client) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	body, err := c.ask.Do(ctx, method, path)
	var refused *endpoint.RefusedError
	switch {
	case err == nil || errors.As(err, &refused):
		return body, err
	case errors.Is(err, endpoint.ErrFull):
		return nil, fmt.Errorf("no answer within %v: the instance has more clients than it can take, or another program has its socket: %w; see the container's log", requestTimeout, err)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("the instance on %s does not answer within %v: it hangs, or the device is overloaded; see the container's log", c.socket, requestTimeout)
	case errors.Is(err, endpoint.ErrElsewhere):
		return nil, fmt.Errorf("no instance of this container answers: is `handover run` running in it? (%w)", err)
	case errors.Is(err, endpoint.ErrStranger):
		return nil, fmt.Errorf("no instance of this container answers: %w", err)
	}
	return nil, fmt.Errorf("no instance answers on %s: is `handover run` running in this container? (%w)", c.socket, root(err))
}

// readStatus reads a status. Its texts are fit for a terminal.
func readStatus(body io.Reader) (*controller.Status, error) {
	var st controller.Status
	if err := json.NewDecoder(body).Decode(&st); err != nil {
		return nil, notUnderstood(err)
	}
	endpoint.MakePrintable(&st)
	return &st, nil
}

func notUnderstood(err error) error {
	return fmt.Errorf("the answer is not understood: %s", endpoint.Printable(err.Error()))
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
