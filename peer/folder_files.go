package peer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The files of an instance in the shared folder are named folderPrefix, its id
// as 32 hexadecimal digits, and one of these. README.md says what is in them.
const (
	folderPrefix    = ".handover-"
	announcedSuffix = ".ann"
	lockSuffix      = ".lock"
	newSuffix       = ".new" // after either: about to get the name without it
)

// maxFolderNames bounds how many names of a folder are read at a time.
const maxFolderNames = 4096

// errNotPlain: what stands there is nothing of this program.
var errNotPlain = errors.New("not a regular file with one name")

// folderFile is the path of an instance's file.
func folderFile(folder string, id InstanceID, suffix string) string {
	return filepath.Join(folder, folderPrefix+id.String()+suffix)
}

// parseFolderName finds out whose file a name is, and which.
func parseFolderName(name string) (id InstanceID, suffix string, ok bool) {
	rest, ok := strings.CutPrefix(name, folderPrefix)
	digits := hex.EncodedLen(len(id))
	if !ok || len(rest) <= digits || !isHex(rest[:digits]) {
		return id, "", false
	}
	suffix = rest[digits:]
	switch suffix {
	case announcedSuffix, announcedSuffix + newSuffix, lockSuffix, lockSuffix + newSuffix:
		_, err := hex.Decode(id[:], []byte(rest[:digits]))
		return id, suffix, err == nil && id != InstanceID{}
	}
	return id, "", false
}

// content is what was found in an announcement file.
type content struct {
	raw      []byte
	read     time.Time
	modified time.Time
	drop     DropReason // it cannot be an announcement
}

// grain is up to how much later than its time says the file may have been written:
// there are file systems that count whole seconds, or two.
func (c content) grain() time.Duration {
	if c.modified.Nanosecond() == 0 {
		return 2 * time.Second
	}
	return clockGrain
}

// readAnnounced reads an announcement file, whatever stands in its place.
func (s *folderSystem) readAnnounced(path string) (content, error) {
	file, info, err := s.open(path)
	if err != nil {
		return content{}, err
	}
	defer file.Close()
	c := content{read: time.Now(), modified: info.ModTime()}
	c.raw, err = io.ReadAll(io.LimitReader(file, MaxDatagram+1))
	if len(c.raw) > MaxDatagram {
		c.drop = DropOversized
	}
	return c, err
}

// openPlain opens a regular file for reading. It neither follows a link nor
// waits for a pipe, and does not open devices, which may act on it. A file with
// a second name elsewhere could be somebody else's lock.
func openPlain(path string) (*os.File, os.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !isPlain(info) {
		return nil, nil, errNotPlain
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = file.Stat()
	if err == nil && !isPlain(info) {
		err = errNotPlain
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

// passes reports whether an error of opening or reading tells nothing of the file:
// there is no descriptor or no memory left, or the disk does not answer. It may pass
// although nobody writes to the file again.
func passes(err error) bool {
	if err == nil {
		return false
	}
	for _, lasting := range []error{os.ErrNotExist, os.ErrPermission, errNotPlain, unix.ELOOP, unix.ENXIO, unix.ENOTDIR} {
		if errors.Is(err, lasting) {
			return false
		}
	}
	return true
}

func isPlain(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && stat.Nlink <= 1
}

// access is who may open a file.
type access struct {
	mode     os.FileMode
	uid, gid int // whose it is to be; -1: whose it is
	// only is the one user, with root, who may make such a file; -1: others may, too.
	only int
}

// readable is the access of an announcement: it is for all.
var readable = access{mode: 0o644, uid: -1, gid: -1, only: -1}

// lockAccess is the access of a lock in that folder. To hold a lock it is enough
// to open its file, for reading too. So those may open it who may write to the
// folder, by its mode, and could do as they like anyway, and nobody else.
func lockAccess(folder string) access {
	a := access{mode: 0o600, uid: -1, gid: -1, only: -1}
	info, err := os.Stat(folder)
	if err != nil {
		return a // nor can a file be made there
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch perm := info.Mode().Perm(); {
	case !ok || perm&0o002 != 0:
		a.mode = 0o644
		return a
	case perm&0o020 != 0:
		a.mode, a.gid = 0o640, int(stat.Gid)
	default:
		a.only = int(stat.Uid)
	}
	if os.Geteuid() == 0 {
		a.uid = int(stat.Uid)
	}
	return a
}

// grant gives a file that this process has just made that access, whatever the
// umask. It fails where modes mean nothing, and for who is not the file's owner.
// A file that was there before may be any file of this user's, which somebody who
// may write to the folder has put there: such a one must never be granted.
func (a access) grant(file *os.File) {
	if a.uid >= 0 || a.gid >= 0 {
		_ = file.Chown(a.uid, a.gid)
	}
	_ = file.Chmod(a.mode)
}

// refuse says why a file that was there before is no lock of this program.
func (a access) refuse(info os.FileInfo) error {
	switch owner := ownerOf(info); {
	case info.Size() > 0:
		return fmt.Errorf("not a lock of this program: it is not empty (%d bytes)", info.Size())
	case a.only >= 0 && int(owner) != a.only && !isTrusted(owner):
		return fmt.Errorf("not a lock of this program: it belongs to user %d, and only user %d may write to the folder", owner, a.only)
	}
	return nil
}

// narrow takes from a file that was there before what the access does not give: an
// earlier version's is readable for all. It adds nothing, and changes no file of
// other users. Nor does it shut out the user whom the folder belongs to: a file of
// root's stays readable for him.
func (a access) narrow(file *os.File, info os.FileInfo) {
	owner := ownerOf(info)
	if int(owner) != os.Geteuid() || a.uid >= 0 && int(owner) != a.uid {
		return
	}
	if mode := info.Mode().Perm(); mode&^a.mode != 0 {
		_ = file.Chmod(mode & a.mode)
	}
}

// createPlain makes a file in place of what an earlier attempt left. What it grants
// is always a file that it has made.
func createPlain(path string, a access) (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, a.mode&0o600)
	if errors.Is(err, os.ErrExist) && os.Remove(path) == nil {
		file, err = os.OpenFile(path, flags, a.mode&0o600)
	}
	if err != nil {
		return nil, err
	}
	a.grant(file)
	return file, nil
}

// isStillAt reports whether the open file is the one that has that path.
func isStillAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}

// flock tries to lock, or unlocks, and never waits. The lock belongs to the
// open file, not to the process: it ends with the last copy of the descriptor.
func flock(file *os.File, how int) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			if failed = unix.Flock(int(fd), how|unix.LOCK_NB); !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, os.NewSyscallError("flock", failed))
}

// lockState is what a look at another's lock tells.
type lockState uint8

const (
	lockUnknown lockState = iota // the file system cannot tell
	lockHeld
	lockFree
)

// probe looks whether a lock is held, by trying a shared one: so those who look
// at the same time do not take each other for the owner.
func probe(file *os.File) lockState {
	switch err := flock(file, unix.LOCK_SH); {
	case err == nil:
		_ = flock(file, unix.LOCK_UN)
		return lockFree
	case errors.Is(err, unix.EWOULDBLOCK):
		return lockHeld
	}
	return lockUnknown
}

// removeLeftover removes what an instance left behind, if its lock is free, and
// holds that lock meanwhile: a shared one, for the same reason as in probe. The
// lock file goes last: whoever finds an announcement finds a lock beside it.
func removeLeftover(folder string, id InstanceID, lock *os.File) {
	if flock(lock, unix.LOCK_SH) != nil {
		return // it lives
	}
	defer func() { _ = flock(lock, unix.LOCK_UN) }()
	path := folderFile(folder, id, lockSuffix)
	if !isStillAt(lock, path) {
		return
	}
	for _, suffix := range []string{announcedSuffix + newSuffix, announcedSuffix} {
		if err := os.Remove(folderFile(folder, id, suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return // not ours to remove: another user's, in a folder like /tmp
		}
	}
	_ = os.Remove(path)
}

// removeUnlocked removes leftovers of which no announcement can be read: an
// instance was killed before it wrote one, or it was another service's.
func removeUnlocked(folder string, id InstanceID) {
	if lock, _, err := openPlain(folderFile(folder, id, lockSuffix)); err == nil {
		removeLeftover(folder, id, lock)
		_ = lock.Close()
	}
	path := folderFile(folder, id, lockSuffix+newSuffix)
	lock, _, err := openPlain(path)
	if err != nil {
		return
	}
	defer lock.Close()
	// Between its creation and its lock it is free. If it is taken away then,
	// its owner finds that out and makes another.
	if flock(lock, unix.LOCK_SH) == nil && isStillAt(lock, path) {
		_ = os.Remove(path)
	}
}

// listFolder reads the names in a folder, and tells whether these are all.
func listFolder(path string) (names []string, complete bool, err error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, err
	}
	defer dir.Close()
	names, err = dir.Readdirnames(maxFolderNames)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, len(names) < maxFolderNames, err
}
