package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"time"
)

// Bounds of the trouble in a hand-over, from the start of the new container.
const (
	troubleWithin  = 3 * time.Second // it begins at the latest
	troubleFreeze  = 6 * time.Second // an instance is frozen for at most so long
	troubleRestart = 2 * time.Second // the Supervisor is away for at most so long, and boots then
	troubleGrace   = 60 * time.Second
	troubleAtMost  = 2 * time.Minute // a hand-over takes at the longest
)

// trouble disturbs a hand-over: it freezes the instances (SIGSTOP; their services
// go on), and restarts the Supervisor. It returns how to wait for its end.
func (s *soak) trouble(ctx context.Context, t *turn) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s.until(ctx, "the new container is started", func() bool { return t.new != nil && t.new.pid != 0 && s.window }) != nil {
			return
		}
		var all []<-chan struct{}
		start := func(run func()) {
			over := make(chan struct{})
			all = append(all, over)
			go func() { defer close(over); run() }()
		}
		for _, l := range []*life{t.old, t.new} {
			if s.chance(1, 2) {
				start(func() { s.freeze(ctx, t, l) })
			}
		}
		if s.chance(1, 3) {
			start(func() { s.restart(ctx, t) })
		}
		for _, over := range all {
			<-over
		}
	}()
	return func() { <-done }
}

// freeze stops an instance for a while.
func (s *soak) freeze(ctx context.Context, t *turn, l *life) {
	after, length := s.random(troubleWithin), s.random(troubleFreeze)
	if s.pause(ctx, after) != nil {
		return
	}
	s.mu.Lock()
	pid := l.pid
	frozen := l.died.IsZero() && pid != 0 && syscall.Kill(pid, syscall.SIGSTOP) == nil
	if frozen {
		t.says(time.Now(), "trouble", fmt.Sprintf("%s is frozen for %s", l.name, exact(length)))
	}
	s.mu.Unlock()
	if !frozen {
		return
	}
	_ = s.pause(ctx, length)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.died.IsZero() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
		t.says(time.Now(), "trouble", l.name+" goes on")
	}
}

// restart ends the Supervisor in order, and starts it again.
func (s *soak) restart(ctx context.Context, t *turn) {
	if s.pause(ctx, s.random(troubleWithin)) != nil {
		return
	}
	s.mu.Lock()
	t.says(time.Now(), "trouble", "the Supervisor is ended")
	t.restarted = true
	s.mu.Unlock()
	s.sim.Down()
	_ = s.pause(ctx, s.random(troubleRestart))
	s.sim.Up()
}

func (s *soak) random(most time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(most))) //nolint:gosec // no secret
}

// chance is true so often of so many times.
func (s *soak) chance(so, of int) bool { return rand.IntN(of) < so } //nolint:gosec // no secret

// readyThrough is ready, but where an instance does not answer, its service is asked
// itself: the front must not be blind for a frozen one. One that was ready, and was
// not any more when it answered last, looks away still.
func (i *instance) readyThrough(address string) func(context.Context) bool {
	service := CheckURL("http://" + address + "/ready")
	var wasReady, looksAway bool
	return func(ctx context.Context) bool {
		asked, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		answer, err := i.get(asked, "/readyz")
		if err != nil {
			return !looksAway && service(ctx)
		}
		_ = answer.Body.Close()
		ready := answer.StatusCode == http.StatusOK
		looksAway = wasReady && !ready
		wasReady = wasReady || ready
		return ready
	}
}
