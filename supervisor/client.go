package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

const (
	// DefaultTimeout is used when [Options].Timeout is zero. A Supervisor
	// that creates and starts a container stalls for 230–340 ms (measured on
	// 14.13.9 and 19.0.5); slow boards take several times as long.
	DefaultTimeout = 5 * time.Second

	// MaxBody is the most that is read of an answer, in bytes. A container
	// takes about 250 of them in /v2/state/status.
	MaxBody = 1 << 20

	// maxHeader bounds what an answer's header may take, in bytes.
	maxHeader = 64 << 10
)

// Options are what a [Client] needs to know. Printed or logged, they do not
// show the key.
type Options struct {
	// Address is where the Supervisor listens, as a container finds it in
	// BALENA_SUPERVISOR_ADDRESS: http://10.114.104.1:48484, with or without a
	// slash at its end.
	Address string
	// APIKey is what a container finds in BALENA_SUPERVISOR_API_KEY. Without
	// one no header is sent, which is enough for devices in local mode.
	APIKey string `json:"-"`
	// Timeout is for a whole call, from the connection to the last byte of the
	// body; zero means DefaultTimeout. The caller's context can end a call
	// earlier. Too short, and answers are missed just while the Supervisor
	// starts the new container; too long, and a Supervisor that hangs is
	// recognised late.
	Timeout time.Duration
	// Transport carries the requests; nil means plain TCP. It is meant for
	// tests, and must end a request and its body when the context does.
	Transport http.RoundTripper
}

// String leaves the key out.
func (o Options) String() string {
	return fmt.Sprintf("{Address:%s APIKey:%s Timeout:%s}", hostOnly(o.Address), mask(o.APIKey), o.Timeout)
}

// GoString leaves the key out.
func (o Options) GoString() string { return "supervisor.Options" + o.String() }

// LogValue leaves the key out.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Client asks one Supervisor. Make it with [NewClient]. It can be used by
// several goroutines at once.
type Client struct {
	base      string
	key       *secret
	timeout   time.Duration
	transport http.RoundTripper
	// scheme is the Authorization scheme that this Supervisor has accepted,
	// nil as long as none was.
	scheme atomic.Pointer[string]
}

// NewClient checks the options; it does not connect. Its errors name what is
// wrong, but quote neither address nor key, as either may contain a secret.
//
// The key is sent as "Authorization: Bearer". Supervisors of before May 2020
// (v9 and v10) know "ApiKey" only, and answer 401 or 503 to Bearer (read in
// their source). So until one of the two was accepted, such an answer makes the
// client ask with the other, within the same call and time-out; afterwards a
// 401, as for a rotated key, is one request. The third way, ?apikey=, is not
// used: addresses end up in logs.
func NewClient(o Options) (*Client, error) {
	base, err := baseURL(o.Address)
	if err != nil {
		return nil, fmt.Errorf("supervisor: new client: %w; set it to the value of BALENA_SUPERVISOR_ADDRESS, for example http://10.114.104.1:48484", err)
	}
	key, err := newSecret(o.APIKey)
	if err != nil {
		return nil, fmt.Errorf("supervisor: new client: %w; set it to the value of BALENA_SUPERVISOR_API_KEY", err)
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("supervisor: new client: the time-out is %s; use a positive one, or 0 for %s", o.Timeout, DefaultTimeout)
	}
	c := &Client{base: base, key: key, timeout: o.Timeout, transport: o.Transport}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.transport == nil {
		c.transport = newTransport()
	}
	return c, nil
}

// String names the address. It does not show the key.
func (c *Client) String() string { return "supervisor at " + c.base }

// GoString is String: printing a client must not show the key.
func (c *Client) GoString() string { return c.String() }

// newTransport makes the plain TCP transport. It keeps no connection: during a
// hand-over there is one request a second, for which a new connection over the
// device's own bridge costs a fraction of a millisecond; in return an idle
// device has no goroutine and no socket for it, and no request meets a
// connection that the Supervisor (which closes idle ones after 5 s) or its
// restart has just ended. Proxy is nil: the Supervisor is on this device, and
// the key must not go anywhere else.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// baseURL returns the address as scheme://host[:port].
func baseURL(address string) (string, error) {
	address = strings.TrimSpace(address)
	if address == "" {
		return "", errors.New("the Supervisor's address is empty")
	}
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return "", errors.New("the Supervisor's address is not of the form http://host:port")
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New("the Supervisor's address has more than http://host:port")
	}
	if host := u.Hostname(); strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil || !strings.HasPrefix(u.Host, "[") {
			return "", errors.New("the Supervisor's address has an IPv6 address that is not written as [address]:port")
		}
	}
	return u.Scheme + "://" + (&url.URL{Host: u.Host}).String()[len("//"):], nil
}

// answer is a usable reply: status 200, complete, valid UTF-8.
type answer struct {
	requested, received time.Time
	body                []byte
}

// get asks with the key. What it returns is an *Error or nil.
func (c *Client) get(ctx context.Context, op, path string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if c.key.empty() {
		return c.ask(ctx, op, path, "")
	}
	if scheme := c.scheme.Load(); scheme != nil {
		return c.ask(ctx, op, path, *scheme)
	}
	bearer, apiKey := "Bearer", "ApiKey"
	accepted := &bearer
	a, err := c.ask(ctx, op, path, bearer)
	if e := (*Error)(nil); errors.As(err, &e) &&
		(e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusServiceUnavailable) {
		accepted = &apiKey
		a, err = c.ask(ctx, op, path, apiKey)
	}
	// Only a Supervisor's answer settles it, not some proxy's page.
	if err == nil && json.Valid(a.body) {
		c.scheme.Store(accepted)
	}
	return a, err
}

// getOpen asks without the key, for endpoints that need none.
func (c *Client) getOpen(ctx context.Context, op, path string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.ask(ctx, op, path, "")
}

// ask sends one request and reads the whole answer. It uses the transport
// itself: an http.Client would add redirects, cookies and errors with URLs.
func (c *Client) ask(ctx context.Context, op, path, scheme string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return answer{}, c.fail(op, 0, KindUnexpected, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "handover")
	if scheme != "" {
		req.Header.Set("Authorization", scheme+" "+c.key.text)
	}
	a := answer{requested: time.Now()}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		kind, err := classify(ctx, err)
		return answer{}, c.fail(op, 0, kind, err)
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{}, c.fail(op, resp.StatusCode, statusKind(op, resp.StatusCode), said(resp))
	}
	a.body, err = readAll(resp)
	a.received = time.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		kind, err := classify(ctx, err)
		return answer{}, c.fail(op, resp.StatusCode, kind, err)
	case err != nil:
		return answer{}, c.fail(op, resp.StatusCode, KindMalformed, err)
	case !utf8.Valid(a.body):
		return answer{}, c.fail(op, resp.StatusCode, KindMalformed, errors.New("the answer is not valid UTF-8"))
	}
	return a, nil
}

// malformed is the error for an answer that came whole, but is not understood.
func (c *Client) malformed(op string, body []byte, err error) error {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		err = errHTML
	}
	return c.fail(op, http.StatusOK, KindMalformed, err)
}

// fail is the one place where an Error is made, so that none has the key in
// it, or more of the other side's text than fits on a line.
func (c *Client) fail(op string, status int, kind Kind, err error) error {
	return &Error{Op: op, StatusCode: status, Kind: kind, Err: c.key.clean(err)}
}

// readAll reads the body, of at most MaxBody bytes.
func readAll(resp *http.Response) ([]byte, error) {
	tooLarge := fmt.Errorf("the answer is larger than %d bytes", MaxBody)
	if resp.ContentLength > MaxBody {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	if len(body) > MaxBody {
		return nil, tooLarge
	}
	return body, nil
}
