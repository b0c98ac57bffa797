package endpoint

import (
	"log/slog"
	"net"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What tests look at from outside.

// NewSparing is how net/http's own lines are logged.
var NewSparing = func(next slog.Handler) slog.Handler { return &sparing{next: next, said: new(sayings)} }

// IsMain reports whether a process is the one that an init runs.
var IsMain = isMain

// TurnsOut fills a socket's gate with known or unknown clients, lets one more in, and
// returns which one has to go: 0 is the first, most is that one itself, -1 is nobody.
func TurnsOut(most int, known func(client int) bool) int {
	g, all := &gate{most: most}, map[*guest]int{nil: -1}
	for i := range most + 1 {
		who := &guest{Conn: &net.UnixConn{}, gate: g, known: known(i)}
		all[who] = i
		if out := g.admit(who); i == most {
			return all[out]
		}
	}
	return -1
}

// IsOurs reports whether a request for that host is answered.
var IsOurs = isOurs

// Clear takes away what stands at a path, if it is still that socket.
func Clear(path string, leftover *Listener) error {
	folder, err := openFolder(unix.AT_FDCWD, filepath.Dir(path), unix.O_PATH)
	if err != nil {
		return err
	}
	defer closeFolder(folder)
	w, err := newWorkshop(folder)
	if err != nil {
		return err
	}
	defer w.close()
	return w.clear(filepath.Base(path), leftover.node)
}
