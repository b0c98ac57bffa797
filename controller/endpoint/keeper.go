package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

const (
	// missingEvery is how often a socket is tried that cannot be had.
	missingEvery = 3 * time.Second
	// lookEvery is how often it is looked at, at most, whether a socket still stands.
	// Nothing wakes the process for that.
	lookEvery = 30 * time.Second
	// changeEvery is how often, at most, a socket is tried when other instances
	// change.
	changeEvery = 200 * time.Millisecond
)

// Keeper has a status socket for this instance. The first one is the configured
// path; as long as that cannot be had, there is another one.
type Keeper struct {
	Socket Socket
	// Serve serves on a listener until the function that it returns is called.
	Serve func(*Listener) (end func())
	// Changed returns a channel that is closed at the next change of this instance
	// or of another one.
	Changed func() <-chan struct{}
	Logger  *slog.Logger

	have   []*served
	looked time.Time
	said   string
	urgent bool // the wanted path is another instance's, or there is no socket at all
}

// served is a socket that is served.
type served struct {
	*Listener
	end func()
}

// Tend has the sockets that it can have now.
func (k *Keeper) Tend() {
	k.looked = time.Now()
	k.have = slices.DeleteFunc(k.have, func(s *served) bool {
		if s.Stands() {
			return false
		}
		k.Logger.Warn("the status socket was removed or replaced; it is made again", "socket", s.Path())
		s.end()
		return true
	})
	paths := k.Socket.Paths()
	if len(paths) == 0 {
		return
	}
	err := k.open(paths[0])
	k.urgent = errors.Is(err, ErrInUse)
	if err == nil {
		if k.said != "" {
			k.said = ""
			k.Logger.Info("the status socket is served now", "socket", paths[0])
		}
		return
	}
	for _, path := range paths[1:] {
		if len(k.have) > 0 || k.open(path) == nil {
			break
		}
	}
	if len(k.have) == 0 {
		k.urgent = true
		k.say(slog.LevelWarn, "`handover status` and `handover probe` cannot reach this instance; the socket is tried again", err, "")
		return
	}
	k.say(slog.LevelInfo, "the status socket cannot be where it is configured; `handover status` and `handover probe` find it where it is", err, k.have[0].Path())
}

// open has the socket at that path, if it has not.
func (k *Keeper) open(path string) error {
	for _, s := range k.have {
		if s.Path() == path {
			return nil
		}
	}
	l, err := Open(path)
	if err != nil {
		return err
	}
	k.have = append(k.have, &served{Listener: l, end: k.Serve(l)})
	return nil
}

// say says nothing twice.
func (k *Keeper) say(level slog.Level, text string, err error, path string) {
	if now := text + err.Error() + path; k.said != now {
		k.said = now
		attrs := []any{"error", err}
		if path != "" {
			attrs = append(attrs, "socket", path)
		}
		k.Logger.Log(context.Background(), level, text, attrs...)
	}
}

// Run tends until ctx ends, and then ends the sockets.
func (k *Keeper) Run(ctx context.Context) {
	defer func() {
		for _, s := range k.have {
			s.end()
		}
		k.have = nil
	}()
	timer := time.NewTimer(missingEvery)
	defer timer.Stop()
	for {
		changed := k.Changed()
		rest := lookEvery
		if k.urgent {
			rest = changeEvery
			timer.Reset(missingEvery)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-changed:
			if wait := rest - time.Since(k.looked); wait > 0 {
				if !k.urgent || !pause(ctx, wait) {
					continue
				}
			}
		}
		k.Tend()
	}
}

// pause waits for so long. It returns false when ctx has ended.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
