package endpoint

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// sayEvery is how often something of net/http's own is logged at most.
const sayEvery = time.Minute

// sparing is a handler for the lines of net/http itself. Who connects can make it
// say a lot.
type sparing struct {
	next slog.Handler
	said *sayings
}

// sayings counts what was kept back since the last line.
type sayings struct {
	mu       sync.Mutex
	last     time.Time
	keptBack int
}

func (s *sparing) Enabled(ctx context.Context, l slog.Level) bool { return s.next.Enabled(ctx, l) }

func (s *sparing) WithAttrs(a []slog.Attr) slog.Handler {
	return &sparing{next: s.next.WithAttrs(a), said: s.said}
}

func (s *sparing) WithGroup(name string) slog.Handler {
	return &sparing{next: s.next.WithGroup(name), said: s.said}
}

func (s *sparing) Handle(ctx context.Context, r slog.Record) error {
	s.said.mu.Lock()
	if !s.said.last.IsZero() && r.Time.Sub(s.said.last) < sayEvery {
		s.said.keptBack++
		s.said.mu.Unlock()
		return nil
	}
	before := s.said.keptBack
	s.said.last, s.said.keptBack = r.Time, 0
	s.said.mu.Unlock()
	line := slog.NewRecord(r.Time, r.Level, "the server of the status has a problem", r.PC)
	line.AddAttrs(slog.String("error", r.Message))
	if before > 0 {
		line.AddAttrs(slog.Int("keptBackBefore", before))
	}
	return s.next.Handle(ctx, line)
}
