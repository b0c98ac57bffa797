package live

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// folder is what can be done in the folder that the containers share.
type folder struct {
	late bool
	off  bool
	// access is why no file can be made there; the rest is not known then.
	access error
	// lock and watch are why flock or inotify do not work.
	lock, watch error
	// kind is the type of its file system, as statfs(2) has it; 0: unknown.
	kind int64
	// own: it is part of the container's own file system.
	own bool
}

var errNotTold = errors.New("a new file was not told")

// toldWithin is how long inotify may take.
const toldWithin = time.Second

func lookAtFolder(path string) *folder {
	if path == "" {
		return &folder{off: true}
	}
	f := new(folder)
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if err != nil {
		f.access = err
		return f
	}
	if root, err := os.Stat("/"); err == nil {
		f.own = device(root) == device(info)
	}
	var about unix.Statfs_t
	if unix.Statfs(path, &about) == nil {
		f.kind = int64(about.Type) //nolint:unconvert // 32 bits on some processors
	}
	f.try(path)
	return f
}

func device(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Dev) //nolint:unconvert // 32 bits on some processors
	}
	return 0
}

// try makes a file as an instance does, and removes it. Its name is none that an
// instance looks at.
func (f *folder) try(path string) {
	watch, watchErr := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if watchErr == nil {
		defer func() { _ = unix.Close(watch) }()
		_, watchErr = unix.InotifyAddWatch(watch, path, unix.IN_CREATE|unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR)
	}
	file, err := os.CreateTemp(path, ".handover-check-*")
	if err != nil {
		f.access = err
		return
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(make([]byte, announcementSize))
	f.lock = locked(file)
	f.access = errors.Join(err, file.Close())
	if f.watch = watchErr; watchErr == nil {
		f.watch = told(watch)
	}
}

// announcementSize is as much as an announcement can take.
const announcementSize = 511

// locked tries whether a lock keeps another descriptor out.
func locked(file *os.File) error {
	flock := func(f *os.File, how int) error {
		for {
			if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	}
	if err := flock(file, unix.LOCK_EX); err != nil {
		return err
	}
	other, err := os.Open(file.Name())
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	if err := flock(other, unix.LOCK_SH); !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("a lock keeps nobody out (%v)", err) //nolint:errorlint // it may be nil
	}
	return nil
}

// told waits until inotify tells something.
func told(watch int) error {
	until := time.Now().Add(toldWithin)
	for left := toldWithin; left > 0; left = time.Until(until) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(watch), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
	return errNotTold
}
