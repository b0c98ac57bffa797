package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/config/trusted"
)

// Marker is the file "handover-complete" by which an old container tells a
// Supervisor that it may be stopped. Supervisors from v7 to v14.13.9 look for
// it every 100 ms, remove it, and stop the old container; later ones do not look
// at it (README.md). Only that it exists counts: it is empty.
//
// Its folder is one of the host, shared with the service's other containers and
// mounted before they start. So the file outlives the container that wrote it,
// and whoever shares the folder can put anything in its place: nothing is ever
// written or removed through a symbolic link in its place, nor through one of
// another user on the way to it, and no folder is created or removed. It needs no
// temporary file: an empty file is complete as soon as it exists.
//
// Errors wrap those of the system (errors.Is with fs.ErrNotExist,
// fs.ErrPermission, syscall.EISDIR, …) and name the path.
type Marker struct{ path string }

// NewMarker returns the marker with this path, which a container finds in
// BALENA_SERVICE_HANDOVER_COMPLETE_PATH. It touches nothing.
func NewMarker(path string) *Marker { return &Marker{path: path} }

// Path returns the path.
func (m *Marker) Path() string { return m.path }

// Write creates the marker. One that is there already is left as it is; what
// else is in its place (a symbolic link, a pipe) is replaced; a folder is an
// error, and so is a missing parent folder.
func (m *Marker) Write() error {
	folder, name, err := m.open()
	if err != nil {
		return m.wrap("write", err)
	}
	defer func() { _ = folder.Close() }() // it was only looked into
	return m.wrap("write", write(int(folder.Fd()), name))
}

func write(folder int, name string) error {
	const mode, attempts = 0o644, 10
	var err error
	for range attempts {
		var file int
		// With O_EXCL a link at the path is an error, wherever it leads.
		file, err = unix.Openat(folder, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		switch {
		case err == nil:
			return unix.Close(file)
		case err == unix.EINTR:
			continue
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		var st unix.Stat_t
		serr := unix.Fstatat(folder, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		switch kind := st.Mode & unix.S_IFMT; {
		case missing(serr): // gone in between
			continue
		case serr != nil:
			return serr
		case kind == unix.S_IFREG:
			return nil
		case kind == unix.S_IFDIR:
			return unix.EISDIR
		}
		// unlink removes the link, not what it leads to, and never a folder.
		if uerr := unix.Unlinkat(folder, name, 0); uerr != nil && !missing(uerr) {
			return uerr
		}
	}
	return err
}

// open opens the folder.
func (m *Marker) open() (folder *os.File, name string, err error) {
	if m.path == "" {
		return nil, "", errNoPath
	}
	return trusted.OpenFolder(m.path)
}

// Remove removes the marker, and reports whether there was one. That there is
// no file, or no folder, is no error. Of a symbolic link the link is removed.
func (m *Marker) Remove() (removed bool, err error) {
	folder, name, err := m.open()
	switch {
	case m.path == "" || missing(err):
		return false, nil
	case err != nil:
		return false, m.wrap("remove", err)
	}
	defer func() { _ = folder.Close() }() // it was only looked into
	if err = unix.Unlinkat(int(folder.Fd()), name, 0); err == nil {
		return true, nil
	}
	// Where nothing can be written, the kernel says so before it looks.
	var st unix.Stat_t
	if missing(err) || missing(unix.Fstatat(int(folder.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)) {
		return false, nil
	}
	return false, m.wrap("remove", err)
}

// Check tells, for a warning at start, whether the marker could be written: its
// error says what that means for hand-overs. It creates nothing, not even for a
// moment, so that nobody who watches the folder is woken; a full disk is
// therefore found by Write only.
func (m *Marker) Check() error {
	const meaning = "hand-overs still work, but a Supervisor up to v14.13.9 then stops the old container only when io.balena.update.handover-timeout is over (60 s by default); later ones do not use the file"
	if err := m.writable(); err != nil {
		return fmt.Errorf("supervisor: check marker %s: %w; %s", m.path, err, meaning)
	}
	return nil
}

func (m *Marker) writable() error {
	if m.path == "" {
		return errNoPath
	}
	path := filepath.Dir(m.path)
	folder, name, err := m.open()
	switch {
	case missing(err):
		return fmt.Errorf("the folder %s is missing, is this a balena container? %w", path, fs.ErrNotExist)
	case err != nil:
		return err
	}
	defer func() { _ = folder.Close() }() // it was only looked into
	info, err := folder.Stat()
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder: %w", path, unix.ENOTDIR)
	}
	switch err := unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK|unix.X_OK, unix.AT_EACCESS); {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("the folder %s is on a read-only file system: mount a volume there, or set policy.complete_path: %w", path, err)
	case err != nil:
		return fmt.Errorf("user %d cannot write to the folder %s, run the service as root or let that user write: %w", os.Geteuid(), path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(folder.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Errorf("a folder is in its place, remove it: %w", unix.EISDIR)
	}
	return nil
}

var errNoPath = errors.New("no path is configured")

// wrap names the operation, the path and what to do.
func (m *Marker) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	if m.path == "" {
		return fmt.Errorf("supervisor: %s marker: %w", verb, errNoPath)
	}
	var named *fs.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	hint := ""
	var link *trusted.Error
	switch {
	case errors.As(err, &link):
		hint = "; remove that link, or name a path without it"
	case errors.Is(err, unix.EISDIR):
		hint = "; a folder is in its place, remove it"
	case missing(err):
		hint = "; its folder is missing, is this a balena container?"
	case errors.Is(err, fs.ErrPermission):
		hint = "; run the service as root, or let its user write to the folder"
	}
	return fmt.Errorf("supervisor: %s marker %s: %w%s", verb, m.path, err, hint)
}

// missing: there is no such file, or not even such a folder.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}
