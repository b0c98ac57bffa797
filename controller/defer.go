package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/handover-controller/handover/controller/decide"
)

// ErrTooLate is returned by Defer when the drain has begun, or must begin now.
var ErrTooLate = errors.New("it is too late: the drain has begun, or must not be held up any more")

// ErrTooLong is returned by Defer for a longer time than [Options.DeferLimit].
var ErrTooLong = errors.New("that is longer than a deferral may be")

// defaultDeferLimit is the longest deferral if nothing else is set.
const defaultDeferLimit = time.Hour

// deferral is a request of the workload for time.
type deferral struct {
	by     time.Duration
	answer chan deferralAnswer
}

type deferralAnswer struct {
	until time.Time
	err   error
}

// Defer asks that no drain begins for so long from now on; 0 withdraws that. A
// new request replaces the last one. It returns until when the drain is held
// up; after SIGTERM the end of the hold comes first. The error is ErrTooLong,
// ErrTooLate, or the context's.
func (c *Controller) Defer(ctx context.Context, by time.Duration) (until time.Time, err error) {
	if limit := max(0, c.o.DeferLimit); by > limit {
		return time.Time{}, fmt.Errorf("%v: %w: at most %v is allowed (policy.defer_limit); ask again before it is over", by, ErrTooLong, limit)
	}
	r := deferral{by: max(0, by), answer: make(chan deferralAnswer, 1)}
	select {
	case c.deferrals <- r:
	case <-c.over:
		return time.Time{}, ErrTooLate
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("controller: defer: the loop does not answer: %w", ctx.Err())
	}
	select {
	case a := <-r.answer:
		return a.until, a.err
	case <-c.over:
		return time.Time{}, ErrTooLate
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("controller: defer: the loop does not answer: %w", ctx.Err())
	}
}

// deferDrain takes in a request.
func (c *Controller) deferDrain(by time.Duration) deferralAnswer {
	s := c.look()
	if s.Memory.Drain != nil || s.Workload.Ended || s.Self.Hurry || s.Self.Told() && !s.Now.Before(s.HoldEnds()) {
		return deferralAnswer{err: ErrTooLate}
	}
	if by == 0 {
		if !c.deferred.IsZero() {
			c.journal.note(slog.LevelInfo, "DeferralWithdrawn", "the workload no longer asks for time")
		}
		c.deferred = time.Time{}
		return deferralAnswer{}
	}
	c.deferred = s.Now.Add(by)
	until := c.deferred
	if ends := s.HoldEnds(); s.Self.Told() && ends.Before(until) {
		until = ends
	}
	c.journal.noteAs(slog.LevelInfo, decide.ReasonDeferred, "the workload asks for time before it is drained",
		fmt.Sprintf("the workload asks for %v before it is drained", by), slog.Duration("deferFor", by), lasted("drainNotBefore", until.Sub(s.Now)))
	return deferralAnswer{until: until}
}

// deferBodyAtMost bounds the body of a request.
const deferBodyAtMost = 1 << 10

// serveDefer answers POST /defer: duration=30s in the query or a form, as JSON,
// or bare in the body.
func (c *Controller) serveDefer(w http.ResponseWriter, r *http.Request) {
	text, err := deferDuration(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	by, err := ParseDeferral(text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), aliveWithin)
	defer cancel()
	until, err := c.Defer(ctx, by)
	switch {
	case errors.Is(err, ErrTooLong):
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case errors.Is(err, ErrTooLate):
		http.Error(w, err.Error(), http.StatusConflict)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Deferral{known(until)}) // the reader may be gone
}

// Deferral is the answer to POST /defer.
type Deferral struct {
	// DeferredUntil is before when no drain begins; null if it may at any time.
	DeferredUntil *time.Time `json:"deferredUntil"`
}

// ParseDeferral reads how long a drain is to be deferred.
func ParseDeferral(text string) (time.Duration, error) {
	by, err := time.ParseDuration(text)
	if err != nil || by < 0 {
		return 0, fmt.Errorf("%q is not a time to defer for: it must be a duration such as 30s or 5m; 0 withdraws a deferral", text)
	}
	return by, nil
}

func deferDuration(r *http.Request) (string, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, deferBodyAtMost)
	if text := r.FormValue("duration"); text != "" {
		return text, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", fmt.Errorf("the request cannot be read: %w", err)
	}
	text := strings.TrimSpace(string(body))
	if !strings.HasPrefix(text, "{") {
		return text, nil
	}
	var wish struct {
		Duration string `json:"duration"`
	}
	if err := json.Unmarshal(body, &wish); err != nil {
		return "", fmt.Errorf(`the request is not understood: it should be {"duration": "30s"}: %w`, err)
	}
	return wish.Duration, nil
}
