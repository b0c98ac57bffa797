// Package trusted tells who decides what a path leads to.
//
// A path is a chain of folders and symbolic links. Whoever may write one of the
// folders can put another file, or a link, in the place of what stands there. A
// process that runs as root must not read its configuration through such a
// chain, and must not create or remove anything through a link of another user.
//
// Trusted are root and the user of this process; of groups, the one of this
// process (for root that is group 0, as with sudo). Access control lists and
// read-only file systems are not looked at.
package trusted

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// linksAtMost is how many links a path may have, as in the kernel.
const linksAtMost = 40

// Error says who else decides what a path leads to.
type Error struct {
	// Path is the file, folder or link that another user may change.
	Path string
	// Why says who may do that, and why: "belongs to user 1000".
	Why string
}

func (e *Error) Error() string { return e.Name() + " " + e.Why }

// Name is the path, in quotes if it would spoil a line: others may have chosen it.
func (e *Error) Name() string {
	if quoted := strconv.Quote(e.Path); quoted != `"`+e.Path+`"` {
		return quoted
	}
	return e.Path
}

// self is who is trusted beside root.
type self struct{ uid, gid uint32 }

func process() self { return self{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())} }

// owns reports whether a trusted user owns it.
func (s self) owns(st *unix.Stat_t) bool { return st.Uid == 0 || st.Uid == s.uid }

// writers says which other user may write it; empty: none.
func (s self) writers(st *unix.Stat_t) string {
	switch {
	case !s.owns(st):
		return fmt.Sprintf("belongs to user %d", st.Uid)
	case st.Mode&unix.S_IFMT == unix.S_IFLNK: // its mode says nothing
		return ""
	case st.Mode&unix.S_IWOTH != 0:
		return fmt.Sprintf("may be written by every user (mode %04o)", st.Mode&0o7777)
	case st.Mode&unix.S_IWGRP != 0 && st.Gid != 0 && st.Gid != s.gid:
		return fmt.Sprintf("may be written by group %d (mode %04o)", st.Gid, st.Mode&0o7777)
	}
	return ""
}

// judge looks at an entry of a folder. In a sticky folder, such as /tmp,
// everybody may make entries, but only their owner may replace them.
func (s self) judge(at string, folder *unix.Stat_t, path string, entry *unix.Stat_t) error {
	why := s.writers(folder)
	if why == "" {
		return nil
	}
	if s.owns(folder) && folder.Mode&unix.S_ISVTX != 0 {
		if !s.owns(entry) {
			return &Error{Path: path, Why: s.writers(entry)}
		}
		return nil
	}
	return &Error{Path: at, Why: why}
}

// Check reports whether only trusted users decide what the path leads to and
// what stands in it: the file's owner and mode, each folder on the way and each
// link count. It returns what stands there. The error is an *Error if another
// user decides, else that of the system.
func Check(path string) (fs.FileInfo, error) {
	who := process()
	w := walker{step: who.judge, lastLink: true}
	if !filepath.IsAbs(path) {
		// The folders above the working one count, too. Without /proc or where it
		// was removed, the way begins at the working folder.
		if dir, err := unix.Getwd(); err == nil && filepath.IsAbs(dir) {
			path = dir + "/" + path
		}
	}
	folder, name, err := w.walk(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }() // it was only looked at
	fd, err := openAt(folder, name, filepath.Join(folder.Name(), name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = fd.Close() }()
	st, err := stat(fd)
	if err != nil {
		return nil, err
	}
	if why := who.writers(st); why != "" {
		return nil, &Error{Path: fd.Name(), Why: why}
	}
	return fd.Stat()
}

// OpenFolder opens the folder that the path's last element is in, to make and
// remove that element there with unlinkat(2) and the like, and returns the
// element's name. Links on the way are followed if root or the user of this
// process made them; one of another user is an *Error. A link at the end is not
// looked at.
func OpenFolder(path string) (folder *os.File, name string, err error) {
	who := process()
	w := walker{step: func(_ string, _ *unix.Stat_t, at string, entry *unix.Stat_t) error {
		if entry.Mode&unix.S_IFMT == unix.S_IFLNK && !who.owns(entry) {
			return &Error{Path: at, Why: fmt.Sprintf("is a link of user %d, which is not followed", entry.Uid)}
		}
		return nil
	}}
	return w.walk(path)
}

// walker resolves a path as the kernel does, one name at a time, so that nobody
// can change a part of it after it was looked at.
type walker struct {
	// step is called for each entry on the way, links included, with the folder
	// that it is in. Its error ends the walk.
	step func(at string, folder *unix.Stat_t, path string, entry *unix.Stat_t) error
	// lastLink: a link at the end is followed, too.
	lastLink bool
}

// walk returns the folder that the last element is in, and its name there.
func (w *walker) walk(path string) (folder *os.File, name string, err error) {
	if path == "" || strings.HasSuffix(path, "/") {
		return nil, "", &fs.PathError{Op: "open", Path: path, Err: unix.EINVAL}
	}
	start := "."
	if filepath.IsAbs(path) {
		start = "/"
	}
	at, err := open(unix.AT_FDCWD, start, start)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = at.Close()
		}
	}()
	left := split(path)
	for links := 0; ; {
		if len(left) == 0 { // a link that ends in a folder
			return nil, "", &fs.PathError{Op: "open", Path: path, Err: unix.EISDIR}
		}
		name, left = left[0], left[1:]
		if len(left) == 0 && !w.lastLink {
			return at, name, nil
		}
		entry, target, err := w.enter(at, name)
		if err != nil {
			return nil, "", err
		}
		if target == "" {
			if len(left) == 0 {
				_ = entry.Close()
				return at, name, nil
			}
			_ = at.Close()
			at = entry
			continue
		}
		_ = entry.Close()
		if links++; links > linksAtMost {
			return nil, "", &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
		}
		if filepath.IsAbs(target) {
			root, err := open(unix.AT_FDCWD, "/", "/")
			if err != nil {
				return nil, "", err
			}
			_ = at.Close()
			at = root
		}
		left = append(split(target), left...)
	}
}

// enter opens an entry and looks at it. Of a link it returns where it leads.
func (w *walker) enter(at *os.File, name string) (entry *os.File, target string, err error) {
	entry, err = openAt(at, name, filepath.Join(at.Name(), name))
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = entry.Close()
		}
	}()
	folder, err := stat(at)
	if err != nil {
		return nil, "", err
	}
	st, err := stat(entry)
	if err != nil {
		return nil, "", err
	}
	if name != ".." {
		if err := w.step(at.Name(), folder, entry.Name(), st); err != nil {
			return nil, "", err
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return entry, "", nil
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(entry.Fd()), "", buffer)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	if err != nil {
		return nil, "", &fs.PathError{Op: "readlink", Path: entry.Name(), Err: err}
	}
	return entry, string(buffer[:n]), nil
}

// split takes a path apart.
func split(path string) []string {
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// open opens without access to the content and without following a link:
// nothing waits, and no device notices.
func open(dir int, name, path string) (*os.File, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case unix.EINTR:
		default:
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func openAt(folder *os.File, name, path string) (*os.File, error) {
	return open(int(folder.Fd()), name, path)
}

func stat(f *os.File) (*unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return &st, nil
}
