package workload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
)

// httpProbe is a GET without anything that a client might add to it.
func httpProbe(address string) probe {
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			// The workload is asked about itself, by whatever name.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return "", err
		}
		request.Header.Set("User-Agent", "handover")
		response, err := client.Do(request)
		if err != nil {
			return "", plain(ctx, err)
		}
		_ = response.Body.Close()
		if response.StatusCode < 200 || response.StatusCode > 399 {
			return "", fmt.Errorf("http: %s", response.Status)
		}
		return response.Status, nil
	}
}

func tcpProbe(address string) probe {
	return func(ctx context.Context) (string, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return "", plain(ctx, err)
		}
		defer conn.Close()
		// To a local port that nobody listens on, the kernel may choose the
		// same port for our end, and connects us to ourselves.
		if conn.LocalAddr().String() == conn.RemoteAddr().String() {
			return "", errors.New("connection refused")
		}
		return "connected", nil
	}
}

// plain takes off what differs from one attempt to the next, such as our port,
// and the URL, which may hold a password.
func plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("no answer in time")
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return err
}

// commandProbe runs a command; it has no input, and nobody sees its output.
func (r *run) commandProbe(c Command) probe {
	return func(ctx context.Context) (string, error) {
		null, err := r.w.openNull("readiness.command")
		if err != nil {
			return "", err
		}
		defer null.Close()
		p, err := r.w.reaper.start(r.w.command(c.Argv, r.w.options.Env, null, null, null))
		if err != nil {
			return "", err
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			_ = p.kill()
			<-p.done
			return "", errors.New("command not finished in time")
		}
		if code, _ := exitCode(p.status); code != 0 {
			return "", fmt.Errorf("command: exit status %d", code)
		}
		return "command: exit status 0", nil
	}
}
