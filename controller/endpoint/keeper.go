package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

const (
	// missingEvery is how often a socket is tried that cannot be had; if there is
	// another one meanwhile, and no instance in its place, only when others change.
	missingEvery = 3 * time.Second
	// lookEvery is how often it is looked at whether a socket still stands that
	// cannot be watched.
	lookEvery = 30 * time.Second
	// changeEvery is how often, at most, sockets are looked at, whatever happens.
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
	watch  *watch // nil: the system has none left
	looked time.Time
	said   string
	urgent bool // the wanted path is another instance's, or there is no socket at all
}

// served is a socket that is served.
type served struct {
	*Listener
	end     func()
	watched bool
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
	k.have = append(k.have, &served{l, k.Serve(l), k.watch.add(l)})
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
	k.watch = newWatch()
	defer k.watch.close()
	defer func() {
		for _, s := range k.have {
			s.end()
		}
		k.have = nil
	}()
	for _, s := range k.have { // those that were made before
		s.watched = k.watch.add(s.Listener)
	}
	timer := time.NewTimer(missingEvery)
	defer timer.Stop()
	for {
		var changed <-chan struct{} // nothing else matters once the wanted socket is had
		if k.said != "" {
			changed = k.Changed()
		}
		switch {
		case k.urgent:
			timer.Reset(missingEvery)
		case slices.ContainsFunc(k.have, func(s *served) bool { return !s.watched }):
			timer.Reset(lookEvery)
		default:
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-changed:
			if !k.urgent && time.Since(k.looked) < missingEvery {
				continue
			}
		case <-k.watch.wakes():
		}
		if !pause(ctx, changeEvery-time.Since(k.looked)) {
			return
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
