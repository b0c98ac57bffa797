package endpoint

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/config/trusted"
	"github.com/handover-controller/handover/peer"
)

const (
	// fallbackFolder is where the socket goes if its folder is not writable.
	fallbackFolder = "/dev/shm"
	// pathBytes is how long the path of a Unix socket can be.
	pathBytes = 107
	// socketMode: the API shows no secrets, and all that can be changed by it is how
	// long a drain is deferred.
	socketMode = 0o666
)

// ErrInUse is returned by Open if another process answers on the path.
var ErrInUse = errors.New("another instance answers on it")

// Socket is where a container's status socket is.
type Socket struct {
	// Path is the configured one.
	Path string
	// Container is the short id of this container; empty if it is unknown.
	Container string
}

// SocketOf returns where this container's socket is, for those who ask it.
// containerID is the configured id; empty: it is found.
func SocketOf(path, containerID string) Socket {
	self := peer.Identify(peer.IdentifyOptions{ContainerID: containerID}) // without a StateDir it only looks
	return Socket{Path: path, Container: string(self.Container)}
}

// Paths returns where the socket may be, in the order in which they are tried, by
// the instance and by those who ask it: the configured path, beside it one of this
// container's own, and the same in /dev/shm.
func (s Socket) Paths() []string {
	var paths []string
	add := func(path string) {
		if len(path) > pathBytes {
			return
		}
		for _, have := range paths {
			if have == path {
				return
			}
		}
		paths = append(paths, path)
	}
	name := filepath.Base(s.Path)
	for _, folder := range []string{filepath.Dir(s.Path), fallbackFolder} {
		add(filepath.Join(folder, name))
		if s.Container != "" {
			ending := filepath.Ext(name)
			add(filepath.Join(folder, strings.TrimSuffix(name, ending)+"-"+s.Container+ending))
		}
	}
	return paths
}

// Listener is a status socket that this process made.
type Listener struct {
	*net.UnixListener
	path string
	node node
	// vague: the file system does not tell the same of a file each time.
	vague bool
}

// node is a file, whatever its name is.
type node struct {
	device, inode uint64
	socket        bool
}

// Open makes a socket at the path, with its permissions from its first moment on.
// A leftover of an earlier process is replaced. The error is ErrInUse if somebody
// listens there, or it cannot be known.
//
// The socket is made in a folder that only this user can enter, gets its
// permissions there, and then its name. So nobody can put anything else in its
// place in the meantime, whoever owns the folder. No link of another user leads to
// the folder.
func Open(path string) (*Listener, error) {
	way, name, err := trusted.OpenFolder(path)
	if err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	defer func() { _ = way.Close() }() // it was only looked into
	folder := int(way.Fd())
	leftover, err := judge(folder, name, path)
	if err != nil {
		return nil, err
	}
	workshop, err := newWorkshop(folder)
	if err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	defer workshop.close()
	l, err := workshop.listen(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	l.path = path
	if leftover != nil {
		if err := workshop.clear(name, *leftover); err != nil {
			_ = l.UnixListener.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := rename(workshop.fd, workshopSocket, folder, name); err != nil {
		_ = l.UnixListener.Close()
		if errors.Is(err, fs.ErrExist) {
			err = ErrInUse // somebody was faster
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l.vague = !l.Stands()
	return l, nil
}

// Path is where the socket is.
func (l *Listener) Path() string { return l.path }

// Addr is where the socket is, too: it was made elsewhere.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Stands reports whether the path still leads to this socket.
func (l *Listener) Stands() bool {
	now, err := look(unix.AT_FDCWD, l.path)
	return l.vague || err == nil && now == l.node
}

// Close removes the socket, if it is still this one, and closes it.
func (l *Listener) Close() error {
	if folder, err := openFolder(unix.AT_FDCWD, filepath.Dir(l.path), unix.O_PATH); err == nil {
		name := filepath.Base(l.path)
		if now, err := look(folder, name); err == nil && now == l.node {
			_ = unix.Unlinkat(folder, name, 0) // gone anyhow
		}
		closeFolder(folder)
	}
	return l.UnixListener.Close()
}

// judge looks at what stands at the name. It returns nil if there is nothing, and
// the socket if nobody listens on it any more.
func judge(folder int, name, path string) (*node, error) {
	there, err := look(folder, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // nothing is there
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case !there.socket:
		return nil, fmt.Errorf("%s exists and is no socket: remove it, or set status.socket to another path", path)
	}
	conn, err := dialLocal(path)
	if err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if !errors.Is(err, unix.ECONNREFUSED) { // it may have too much to do, or forbid it
		return nil, fmt.Errorf("%s: %w (%w)", path, ErrInUse, err)
	}
	return &there, nil
}

// dialLocal connects, or fails at once.
func dialLocal(path string) (net.Conn, error) { return net.Dial("unix", path) }

// workshop is a folder that only this user can enter.
type workshop struct {
	parent, fd int
	name       string
}

const (
	workshopSocket   = "socket"
	workshopLeftover = "leftover"
)

func newWorkshop(parent int) (*workshop, error) {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	w := &workshop{parent: parent, name: ".handover-" + hex.EncodeToString(random[:])}
	if err := unix.Mkdirat(parent, w.name, 0o700); err != nil {
		return nil, err
	}
	var err error
	if w.fd, err = openFolder(parent, w.name, unix.O_NOFOLLOW); err != nil {
		_ = unix.Unlinkat(parent, w.name, unix.AT_REMOVEDIR)
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(w.fd, &st)
	if err == nil && (int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0) {
		err = errors.New("somebody has replaced the folder that it was to be made in")
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *workshop) close() {
	_ = unix.Unlinkat(w.fd, workshopSocket, 0) // only there if something went wrong
	closeFolder(w.fd)
	_ = unix.Unlinkat(w.parent, w.name, unix.AT_REMOVEDIR)
}

// listen makes the socket in the workshop. There is no bindat: the way leads over
// /proc, or over the name of the folder where there is no /proc.
func (w *workshop) listen(parent string) (*Listener, error) {
	listen := func(folder string) (*net.UnixListener, error) {
		return net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, workshopSocket), Net: "unix"})
	}
	l, err := listen("/proc/self/fd/" + strconv.Itoa(w.fd))
	if errors.Is(err, fs.ErrNotExist) {
		l, err = listen(filepath.Join(parent, w.name))
	}
	if err != nil {
		return nil, plain(err)
	}
	l.SetUnlinkOnClose(false)
	made, err := look(w.fd, workshopSocket)
	if err == nil {
		err = unix.Fchmodat(w.fd, workshopSocket, socketMode, 0)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return &Listener{UnixListener: l, node: made}, nil
}

// clear takes the leftover away. If something else stands there by now, that
// stays, or is put back. Where that is not possible, somebody else has put a
// third thing there; an instance that loses its socket so sees that by itself.
func (w *workshop) clear(name string, leftover node) error {
	switch now, err := look(w.parent, name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case now != leftover:
		return ErrInUse
	}
	if err := rename(w.parent, name, w.fd, workshopLeftover); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	taken, err := look(w.fd, workshopLeftover)
	if err == nil && taken != leftover {
		if err = rename(w.fd, workshopLeftover, w.parent, name); err == nil {
			return ErrInUse
		}
	}
	return errors.Join(err, unix.Unlinkat(w.fd, workshopLeftover, 0))
}

// rename gives a file another name, which nothing has yet.
func rename(fromFolder int, from string, toFolder int, to string) error {
	err := unix.Renameat2(fromFolder, from, toFolder, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) { // before Linux 3.15, and on some file systems
		err = unix.Renameat(fromFolder, from, toFolder, to)
	}
	return err
}

func look(folder int, name string) (node, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(folder, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return node{}, err
	}
	return node{device: uint64(st.Dev), inode: st.Ino, socket: st.Mode&unix.S_IFMT == unix.S_IFSOCK}, nil //nolint:unconvert // of another type on other machines
}

func openFolder(at int, path string, flags int) (int, error) {
	fd, err := unix.Openat(at, path, unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open the folder", Path: path, Err: err}
	}
	return fd, nil
}

func closeFolder(fd int) { _ = unix.Close(fd) }

// plain is the cause alone: the path in the error is one that nobody knows.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
