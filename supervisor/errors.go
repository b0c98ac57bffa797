package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// Kind says why a question has no answer. It is one short word, fit for a log
// or a metric. Whatever it is, the state of the containers is unknown.
type Kind string

const (
	// KindUnauthorized: 401 or 403. The key is missing, wrong or was rotated;
	// a rotation re-creates the container, and is a hand-over itself.
	KindUnauthorized Kind = "unauthorized"
	// KindUnreachable: no connection, or one that was closed before an answer,
	// as when the Supervisor restarts. errors.Is with syscall.ECONNREFUSED
	// tells a refused connection.
	KindUnreachable Kind = "unreachable"
	// KindTimeout: no complete answer in time. errors.Is with
	// context.DeadlineExceeded holds, unless the kernel's time-out came first.
	KindTimeout Kind = "timeout"
	// KindCanceled: the caller's context was cancelled. errors.Is with
	// context.Canceled holds.
	KindCanceled Kind = "canceled"
	// KindServer: 5xx, the Supervisor itself failed.
	KindServer Kind = "server"
	// KindMalformed: an answer that is not understood. HTML, half a body, one
	// above MaxBody, no JSON, another shape, or one that says that it failed.
	KindMalformed Kind = "malformed"
	// KindNotFound: the Supervisor does not know the app (409 "Application ID
	// does not exist" or 400 "Invalid application ID" on 14.13.9 and 19.0.5)
	// or the endpoint (404).
	KindNotFound Kind = "notFound"
	// KindUnexpected: any other status, redirects among them.
	KindUnexpected Kind = "unexpected"
)

// The methods, as Error.Op names them.
const (
	opView     = "view"
	opReleases = "releases"
	opTarget   = "target"
	opVersion  = "version"
	opPing     = "ping"
)

// Error is what all methods of [Client] return when they have no answer.
type Error struct {
	// Op is the method in lower case: "view", "releases", "target",
	// "version", "ping".
	Op string
	// StatusCode is the HTTP status, 0 if no answer came so far.
	StatusCode int
	// Kind is never empty.
	Kind Kind
	// Err is the cause, nil if the status says it all. It does not contain
	// the key.
	Err error
}

// Error says what happened, and what to do next. It does not contain the key.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("supervisor: " + e.Op + ": " + string(e.Kind))
	if e.StatusCode != 0 {
		b.WriteString(", status " + strconv.Itoa(e.StatusCode))
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if advice := e.Kind.advice(); advice != "" {
		b.WriteString("; " + advice)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// advice is what to do next.
func (k Kind) advice() string {
	switch k {
	case KindUnauthorized:
		return "the API key is missing, wrong or was rotated: a rotated one ends with this container being replaced; otherwise check that the service has the label io.balena.features.supervisor-api, and check BALENA_SUPERVISOR_API_KEY"
	case KindUnreachable:
		return "the Supervisor may be restarting: ask again; if it lasts, check BALENA_SUPERVISOR_ADDRESS"
	case KindTimeout:
		return "the Supervisor may be busy: ask again; if it lasts, allow it more time"
	case KindServer:
		return "the Supervisor failed: ask again; if it lasts, see its log on the device (journalctl -u balena-supervisor)"
	case KindMalformed:
		return "ask again; if it lasts, check that BALENA_SUPERVISOR_ADDRESS is the Supervisor's, and report its version"
	case KindNotFound:
		return "check BALENA_APP_ID, and that the Supervisor is v9.7 or later"
	case KindUnexpected:
		return "check that BALENA_SUPERVISOR_ADDRESS is the Supervisor's"
	}
	return ""
}

// statusKind sorts an HTTP status other than 200.
func statusKind(op string, status int) Kind {
	switch {
	case op == opReleases && (status == http.StatusConflict || status == http.StatusBadRequest):
		return KindNotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return KindUnauthorized
	case status == http.StatusNotFound:
		return KindNotFound
	case status >= 500 && status <= 599:
		return KindServer
	}
	return KindUnexpected
}

// classify sorts what a transport says when there is no answer, and returns
// the error to keep: without the URL that an http.Client would add.
func classify(ctx context.Context, err error) (Kind, error) {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	// Whatever the transport calls it: the context says who gave up.
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	var protocol textproto.ProtocolError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled):
		return KindCanceled, err
	case errors.As(err, &timeout) && timeout.Timeout(): // context.DeadlineExceeded, too
		return KindTimeout, err
	case errors.Is(err, io.EOF):
		return KindUnreachable, errors.New("the connection was closed without an answer")
	// net/http has no types for these.
	case errors.As(err, &protocol),
		strings.Contains(err.Error(), "malformed HTTP"),
		strings.Contains(err.Error(), "headers exceeded"):
		return KindMalformed, err
	}
	return KindUnreachable, err
}

var errHTML = errors.New("the answer is a page of HTML, not JSON")

// said is what an answer other than 200 gives as its reason, or nil. The
// Supervisor sends {"status":"failed","message":…} or a line of text.
func said(resp *http.Response) error {
	const readable = 4 << 10
	if resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		return errors.New("redirects are not followed")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, readable+1))
	// What is cut off is not quoted: half a key would not be recognised.
	if err != nil || len(body) > readable {
		return nil //nolint:nilerr // there is nothing to quote, which is no error of its own
	}
	text := string(body)
	var structured struct {
		Message looseText `json:"message"`
	}
	if json.Unmarshal(body, &structured) == nil && structured.Message != "" {
		text = string(structured.Message)
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "" || text == http.StatusText(resp.StatusCode):
		return nil
	case strings.HasPrefix(text, "<"):
		return errHTML
	}
	return errors.New(text)
}
