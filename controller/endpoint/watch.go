package endpoint

import (
	"os"

	"golang.org/x/sys/unix"
)

// watch tells when a socket file is removed, renamed or given to somebody else.
// It watches the file itself, not its folder: in /tmp, others come and go all day.
type watch struct {
	file    *os.File
	changed chan struct{} // woken, at most one wake-up waits
}

// watched are the events: a file that has lost its name has other attributes.
const watched = unix.IN_ATTRIB | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF | unix.IN_DONT_FOLLOW

// newWatch returns nil if the system has no watch left for this process.
func newWatch() *watch {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	w := &watch{file: os.NewFile(uintptr(fd), "inotify"), changed: make(chan struct{}, 1)}
	go func() {
		var events [4 << 10]byte // what they are does not matter
		for {
			if _, err := w.file.Read(events[:]); err != nil {
				return // closed
			}
			w.wake()
		}
	}()
	return w
}

func (w *watch) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// add watches a socket too, and reports whether it can. The watch ends with the
// socket.
func (w *watch) add(l *Listener) bool {
	if w == nil {
		return false
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return false
	}
	failed := raw.Control(func(fd uintptr) { _, err = unix.InotifyAddWatch(int(fd), l.path, watched) })
	if !l.Stands() { // removed before it was watched
		w.wake()
	}
	return failed == nil && err == nil
}

// wakes returns what add wakes; nil, which never does, for none.
func (w *watch) wakes() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.changed
}

func (w *watch) close() {
	if w != nil {
		_ = w.file.Close() // nothing was written
	}
}
