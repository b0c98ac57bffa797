package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/handover-controller/handover/config/trusted"
)

// maxRecord bounds what is read of a record, in bytes.
const maxRecord = 4096

// firstStartRecord is what a container's first start leaves behind in its
// writable layer, as JSON.
type firstStartRecord struct {
	Container ContainerID `json:"container"`
	// Boot is the boot id that StartNanos belongs to.
	Boot string `json:"boot"`
	// StartNanos is the start on CLOCK_BOOTTIME.
	StartNanos int64 `json:"startNs"`
	// StartMilli is the start by the wall clock, since the Unix epoch.
	StartMilli int64 `json:"startMs"`
	// Unknown tells that the first start is not known, and never will be: it
	// could not be read then, or its record was damaged later.
	Unknown bool `json:"unknown,omitempty"`
}

// ErrStartUnknown: the record says that the first start is not known, and never
// will be.
var ErrStartUnknown = errors.New("peer: read the record of the first start: it could not be read then, or was damaged later")

// ReadFirstStart reads the first start of a container from its record, as
// Identify left it in that folder, and changes nothing. The error is
// fs.ErrNotExist if there is no record (yet), ErrStartUnknown, or tells what is
// wrong with it.
func ReadFirstStart(stateDir string, container ContainerID) (FirstStart, error) {
	r, err := readRecord(recordPath(stateDir, container), firstStartRecord{Container: container, Unknown: true})
	switch {
	case err != nil:
		return FirstStart{}, fmt.Errorf("peer: read the record of the first start: %w", err)
	case r.Unknown:
		return FirstStart{}, ErrStartUnknown
	}
	return FirstStart{Boot: BootHash(r.Boot), Since: time.Duration(r.StartNanos)}, nil
}

func recordPath(stateDir string, container ContainerID) string {
	return filepath.Join(stateDir, string(container)+".json")
}

// parseRecord reads a record of that container, and checks all of it.
func parseRecord(text string, container ContainerID) (*firstStartRecord, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	var r firstStartRecord
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("not the record of a first start: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("not the record of a first start: something follows it")
	}
	switch {
	case r.Container != container:
		return nil, fmt.Errorf("the record is of another container, %.20q", string(r.Container))
	case r.StartMilli <= 0:
		return nil, errors.New("the record's wall time is not positive")
	case r.Unknown:
		return &r, nil
	case !isBootID(r.Boot):
		return nil, errors.New("the record's boot id is not a UUID")
	case r.StartNanos < 0:
		return nil, errors.New("the record's start is negative")
	}
	return &r, nil
}

// keepRecord returns the record of the container's first start: the one in the
// file, else this instance's, which is written there. This instance's is nil in the
// result if it could not be kept: a start that is forgotten again is no first
// start. restarted tells that there was a file: this is a later start.
//
// A file that cannot be trusted is replaced by one that says so ("unknown"),
// with an error for a warning. This instance's start will not do in its place: an old
// container would turn into the youngest.
func keepRecord(path string, own firstStartRecord) (kept *firstStartRecord, restarted bool, err error) {
	found, err := readRecord(path, own)
	if info, statErr := os.Lstat(path); err == nil && statErr == nil && !isTrusted(ownerOf(info)) {
		err = fmt.Errorf("it belongs to user %d", ownerOf(info))
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeRecord(path, own); err != nil {
			return nil, false, fmt.Errorf("keep the record of the first start: %w", err)
		}
		return &own, false, nil
	}
	if err == nil {
		return found, true, nil
	}
	err = fmt.Errorf("read the record of the first start, %s: %w", path, err)
	_, missing := os.Lstat(path) // or only out of reach
	own.Unknown = true
	if writeErr := writeRecord(path, own); writeErr != nil {
		err = fmt.Errorf("%w; nor can it be replaced: %w", err, writeErr)
	}
	return &own, missing == nil, err
}

// exposed says why another user may put files into the folder, or put another in
// its place. A folder that does not exist is made by this process, in the last one on
// the way that does.
func exposed(dir string) error {
	if err := foreignLink(dir); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		if err := exposed(filepath.Dir(dir)); err != nil {
			return fmt.Errorf("%s is to be made: %w", dir, err)
		}
		return nil
	}
	if err != nil {
		return nil //nolint:nilerr // whoever uses it will see that
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch perm := info.Mode().Perm(); {
	case !ok:
	case !isTrusted(stat.Uid):
		return fmt.Errorf("the folder %s belongs to user %d", dir, stat.Uid)
	case info.Mode()&os.ModeSticky != 0: // nobody can replace what is another's
	case perm&0o002 != 0:
		return fmt.Errorf("every user may write to the folder %s", dir)
	case perm&0o020 != 0 && stat.Gid != 0:
		return fmt.Errorf("group %d may write to the folder %s", stat.Gid, dir)
	}
	return nil
}

// foreignLink says which link of another user is on the way to the folder.
func foreignLink(dir string) error {
	folder, _, err := trusted.OpenFolder(filepath.Join(dir, "any"))
	if err == nil {
		return folder.Close()
	}
	var foreign *trusted.Error
	if errors.As(err, &foreign) {
		return fmt.Errorf("on the way to the folder %s, %w", dir, err)
	}
	return nil // whoever uses it will see that
}

// ownerOf returns the user whom the file belongs to.
func ownerOf(info os.FileInfo) uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid
	}
	return 0
}

// isTrusted reports whether what that user writes is as good as this process's own.
func isTrusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

func readRecord(path string, own firstStartRecord) (*firstStartRecord, error) {
	file, _, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := readAtMost(file, maxRecord)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(text, own.Container)
	if err != nil {
		return nil, err
	}
	if !r.Unknown && !own.Unknown && r.Boot == own.Boot && r.StartNanos > own.StartNanos {
		return nil, errors.New("the record's start lies after the start of this process")
	}
	return r, nil
}

// writeRecord writes the record so that, whatever happens meanwhile, the file
// is either the old one or the whole new one.
func writeRecord(path string, r firstStartRecord) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(append(text, '\n'))
	err = errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close())
	if err == nil {
		err = replace(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	syncDir(dir)
	return nil
}

// replace renames over whatever is there, also an (empty) folder.
func replace(from, to string) error {
	err := os.Rename(from, to)
	if err != nil && os.Remove(to) == nil {
		err = os.Rename(from, to)
	}
	return err
}

// syncDir makes a rename last through a power cut, where that is possible.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
