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
	"strconv"
	"strings"
	"syscall"
	"unicode"
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
	name := "GET " + withoutSecrets(address)
	return func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return "", fmt.Errorf("%s: the URL cannot be used", name)
		}
		request.Header.Set("User-Agent", "handover")
		response, err := client.Do(request)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, plain(ctx, err))
		}
		_ = response.Body.Close()
		// Not response.Status: that is what the service says.
		status := strings.TrimSpace(strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode))
		if response.StatusCode < 200 || response.StatusCode > 399 {
			return "", fmt.Errorf("%s: %s", name, status)
		}
		return name + ": " + status, nil
	}
}

// withoutSecrets is a URL without what may hold some: user, password, query and
// fragment.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the readiness URL"
	}
	plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery != "" {
		return plain.String() + "?…"
	}
	return plain.String()
}

// longestReason is what a reason has room for.
const longestReason = 300

// readable makes a reason one line of moderate length.
func readable(reason string) string {
	reason = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, reason), "?")
	if len(reason) <= longestReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:longestReason], "") + "…"
}

func tcpProbe(address string) probe {
	name := "connect to " + address
	return func(ctx context.Context) (string, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, plain(ctx, err))
		}
		defer conn.Close()
		// To a local port that nobody listens on, the kernel may choose the
		// same port for our end, and connects us to ourselves.
		if conn.LocalAddr().String() == conn.RemoteAddr().String() {
			return "", fmt.Errorf("%s: %w", name, syscall.ECONNREFUSED)
		}
		return name + ": connected", nil
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
			return "", fmt.Errorf("command: not started: %w", err)
		}
		defer null.Close()
		p, err := r.w.reaper.start(r.w.command(c.Argv, r.w.options.Env, null, null, null))
		if err != nil {
			return "", fmt.Errorf("command: not started: %w", err)
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
