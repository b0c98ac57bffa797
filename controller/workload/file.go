package workload

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/config/trusted"
)

// removeStale removes the readiness file of an earlier run: a restarted
// container keeps its files. If it can't be removed, the file as it is now
// does not count; it is returned.
func removeStale(path string, log *slog.Logger) fs.FileInfo {
	err := unlink(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	stale, statErr := os.Stat(path)
	if statErr != nil {
		return nil
	}
	log.Warn("readiness file of an earlier run cannot be removed; it counts once it has changed",
		"path", path, "error", err)
	return stale
}

// unlink removes what stands at the path: a file, or a link and not what it leads
// to, but never a folder. Where a link of another user is on the way, nothing is
// removed: it could lead to a file that only we may remove.
func unlink(path string) error {
	folder, name, err := trusted.OpenFolder(path)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // it was only looked into
	if err := unix.Unlinkat(int(folder.Fd()), name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// fileReady tells that the file exists, and is not the one of an earlier run.
func fileReady(path string, stale fs.FileInfo) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("file %s: %w", path, errors.Unwrap(err))
	}
	if stale != nil && os.SameFile(info, stale) && info.ModTime().Equal(stale.ModTime()) {
		return fmt.Errorf("file %s: not changed since an earlier run", path)
	}
	return nil
}

// watchFile reports whether the file exists, at every change of its folder. It
// asks every period instead, where the kernel refuses to watch.
func (r *run) watchFile(ctx context.Context, path string, stale fs.FileInfo, period time.Duration) {
	report := func() {
		if err := fileReady(path, stale); err != nil {
			r.setReady(false, err.Error())
		} else {
			r.setReady(true, "file "+path)
		}
	}
	if err := watchPath(ctx, path, report); err != nil {
		r.w.log.Info("readiness file cannot be watched, it is polled", "path", path, "error", err)
		for report(); sleep(ctx, period); {
			report()
		}
	}
}

// What is watched in a folder: entries that appear, change and go, and the
// folder itself.
const watchMask = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB |
	unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// watchPath calls report at first, and whenever the path may have changed. Of a
// folder that does not exist (yet) the nearest one above it is watched. It
// returns nil when the context has ended, and an error if watching fails.
func watchPath(ctx context.Context, path string, report func()) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("inotify_init", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	defer context.AfterFunc(ctx, func() { _ = events.Close() })()

	buffer := make([]byte, 4<<10)
	watch := -1
	for {
		folder, entry := nearestFolder(path)
		before := watch
		watch, err = addWatch(events, folder)
		if before != -1 && before != watch {
			removeWatch(events, before)
		}
		if again, _ := nearestFolder(path); again != folder {
			continue // made or removed in between
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		report()
		for changed := false; !changed; {
			n, err := events.Read(buffer)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			changed = concerns(buffer[:n], watch, entry)
		}
	}
}

// nearestFolder returns the lowest folder on the way to the path that exists,
// and the entry in it that leads on.
func nearestFolder(path string) (folder, entry string) {
	folder, entry = filepath.Split(filepath.Clean(path))
	for {
		folder = filepath.Clean(folder)
		info, err := os.Stat(folder)
		if err == nil && info.IsDir() || folder == filepath.Dir(folder) {
			return folder, entry
		}
		entry = filepath.Base(folder)
		folder = filepath.Dir(folder)
	}
}

func addWatch(events *os.File, folder string) (int, error) {
	raw, err := events.SyscallConn()
	if err != nil {
		return 0, err
	}
	var watch int
	controlErr := raw.Control(func(fd uintptr) { watch, err = unix.InotifyAddWatch(int(fd), folder, watchMask) })
	if err = errors.Join(controlErr, os.NewSyscallError("inotify_add_watch", err)); err != nil {
		return -1, err
	}
	return watch, nil
}

// removeWatch removes a watch; it may have gone with its folder.
func removeWatch(events *os.File, watch int) {
	if raw, err := events.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(watch)) })
	}
}

// concerns tells that one of the events in the buffer (inotify(7)) is about the
// entry, or about the watched folder itself, or that events were lost.
func concerns(buffer []byte, watch int, entry string) bool {
	found := false
	for len(buffer) >= unix.SizeofInotifyEvent {
		wd := int(int32(binary.NativeEndian.Uint32(buffer)))
		mask := binary.NativeEndian.Uint32(buffer[4:])
		length := int(binary.NativeEndian.Uint32(buffer[12:]))
		name := strings.TrimRight(string(buffer[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+length]), "\x00")
		buffer = buffer[unix.SizeofInotifyEvent+length:]
		if mask&unix.IN_Q_OVERFLOW != 0 || wd == watch && (name == "" || name == entry) {
			found = true
		}
	}
	return found
}
