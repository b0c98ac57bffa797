package peer

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// folderEvents is what inotify is to tell: files that were renamed into place,
// lock files that were closed after having been open for writing (by the
// kernel, when their owner dies), files that were removed; and the folder's end.
const folderEvents = unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_DELETE |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// openInotify returns a descriptor that tells what happens in the folder.
func openInotify(path string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, path, folderEvents); err != nil {
		return nil, errors.Join(os.NewSyscallError("inotify_add_watch", err), events.Close())
	}
	return events, nil
}

// folderWatch reads what inotify tells about one folder.
type folderWatch struct {
	folder *Folder
	events *os.File
	info   os.FileInfo  // of the folder
	began  time.Time    // it is watched since then
	told   chan touches // closed when nothing more will come
	quit   chan struct{}
	ended  sync.WaitGroup
}

// touches are what was told at once.
type touches struct {
	all   []touch
	since time.Time // it happened after this
	more  bool      // there is more that was not read yet
}

// touch says what happened to the files of an instance.
type touch struct {
	id      InstanceID
	written bool // the announcement was renamed into place
	lock    bool // something happened to the lock file
	closed  bool // it was closed by who may write to it
	lost    bool // no instance: events were lost
}

func watchFolder(f *Folder) (*folderWatch, error) {
	began := time.Now()
	events, err := f.cfg.system.watch(f.cfg.Path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(f.cfg.Path)
	if err != nil {
		return nil, errors.Join(err, events.Close())
	}
	w := &folderWatch{folder: f, events: events, info: info, began: began, told: make(chan touches), quit: make(chan struct{})}
	w.ended.Go(w.run)
	return w, nil
}

func (w *folderWatch) close() {
	close(w.quit)
	_ = w.events.Close()
	w.ended.Wait()
}

const (
	eventBuffer = 4 << 10
	// maxEvent is the length of the longest event. A read that leaves as much room
	// has read all that there was.
	maxEvent = unix.SizeofInotifyEvent + unix.NAME_MAX + 1
)

// run tells of every batch of events that says something, until the watch is
// closed or broken, and that there are too many to be told in time. Under a flood it waits, and events are lost in the kernel.
func (w *folderWatch) run() {
	defer close(w.told)
	buf := make([]byte, eventBuffer)
	since := w.began
	var p pacer
	for {
		n, err := w.events.Read(buf)
		if err != nil {
			return
		}
		at := time.Now()
		w.folder.wakeUps.Add(1)
		all, over := w.parse(buf[:n])
		more := n > len(buf)-maxEvent
		if len(all) > 0 || more {
			select {
			case w.told <- touches{all, since, more}:
			case <-w.quit:
				return
			}
		}
		if !more {
			since = at
		}
		if over || !sleep(p.take(1+n>>10, at), w.quit) {
			return
		}
	}
}

// parse reads events (inotify(7)) and sums them up for each instance. over
// tells that the watch has ended.
func (w *folderWatch) parse(buf []byte) (all []touch, over bool) {
	for len(buf) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(buf[4:])
		length := binary.NativeEndian.Uint32(buf[12:])
		if uint64(length) > uint64(len(buf)-unix.SizeofInotifyEvent) {
			break // never: the kernel hands out whole events
		}
		end := unix.SizeofInotifyEvent + int(length)
		name := strings.TrimRight(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
		buf = buf[end:]
		switch id, suffix, ok := parseFolderName(name); {
		case mask&unix.IN_Q_OVERFLOW != 0:
			all = append(all, touch{lost: true})
		case mask&(unix.IN_IGNORED|unix.IN_UNMOUNT|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0:
			over = true
		case !ok || id == w.folder.cfg.Self: // this instance's files are of no interest
		case suffix == announcedSuffix:
			all = addTouch(all, touch{id: id, written: mask&unix.IN_MOVED_TO != 0})
		case suffix == lockSuffix:
			all = addTouch(all, touch{id: id, lock: true, closed: mask&unix.IN_CLOSE_WRITE != 0})
		}
	}
	return all, over
}

func addTouch(all []touch, t touch) []touch {
	for i := range all {
		if all[i].id == t.id && !all[i].lost {
			all[i].written = all[i].written || t.written
			all[i].lock = all[i].lock || t.lock
			all[i].closed = all[i].closed || t.closed
			return all
		}
	}
	return append(all, t)
}
