package peer

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// errTaken: an instance that starts found the new lock file before it was
// locked, and took it for what one that was killed left behind. It does that
// once: whoever tries again succeeds.
var errTaken = errors.New("the lock file was taken for a leftover")

// maxTaken is how often that is put up with in a row.
const maxTaken = 8

// ownFiles are the files of this instance. The writer's goroutine owns them.
type ownFiles struct {
	folder  *Folder
	lock    *os.File // locked, and in place when it was last looked at
	said    []byte   // what stands in the announcement file; empty: there is none
	problem string   // the last one that was logged
}

func (o *ownFiles) path(suffix string) string {
	return folderFile(o.folder.cfg.Path, o.folder.cfg.Self, suffix)
}

// run writes what is to be written, until the folder is closed. The last word
// is still written then.
func (o *ownFiles) run() {
	select {
	case <-o.folder.looking:
	case <-o.folder.closing:
	}
	var buf []byte
	for open := true; open; {
		select {
		case <-o.folder.closing:
			open = false
		case <-o.folder.write:
			o.folder.wakeUps.Add(1)
		}
		if buf = o.folder.take(buf[:0]); len(buf) > 0 {
			o.folder.owed.Store(false)
			err := o.announce(buf)
			if err != nil {
				o.folder.owed.Store(true)
				o.withdraw(buf)
			}
			o.folder.written(buf, err)
			o.note(err)
		}
	}
	o.folder.removeErr = o.remove()
}

// announce replaces the announcement file.
func (o *ownFiles) announce(datagram []byte) error {
	if err := o.hold(); err != nil {
		return err
	}
	temp := o.path(announcedSuffix + newSuffix)
	file, err := createPlain(temp, readable)
	if err != nil {
		return err
	}
	_, err = o.folder.cfg.system.write(file, datagram)
	if err = errors.Join(err, file.Close()); err == nil {
		err = replace(temp, o.path(announcedSuffix))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	o.said = append(o.said[:0], datagram...)
	return nil
}

// hold makes sure that the lock is held and its file in place. It is made once;
// a second time only if somebody has removed it. Then the first is given up
// after the second is in place, so that whoever looks finds one that is held.
func (o *ownFiles) hold() error {
	path := o.path(lockSuffix)
	if o.lock != nil && isStillAt(o.lock, path) {
		return nil
	}
	lock, err := o.newLock()
	for range maxTaken {
		if !errors.Is(err, errTaken) {
			break
		}
		lock, err = o.newLock()
	}
	if err != nil {
		return err
	}
	if o.lock != nil {
		_ = o.lock.Close()
	}
	o.lock = lock
	return nil
}

// newLock makes a lock file and puts it in place once it is locked.
func (o *ownFiles) newLock() (*os.File, error) {
	temp := o.path(lockSuffix + newSuffix)
	lock, err := createPlain(temp, lockAccess(o.folder.cfg.Path))
	if err != nil {
		return nil, err
	}
	err = flock(lock, unix.LOCK_EX)
	if errors.Is(err, unix.EWOULDBLOCK) || err == nil && !isStillAt(lock, temp) {
		err = errTaken
	}
	if err == nil {
		err = replace(temp, o.path(lockSuffix))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close(), ignoreMissing(os.Remove(temp)))
	}
	return lock, nil
}

// withdraw removes an announcement that could not be replaced, if it is not
// true any more. Nobody is told then that it is fresh; the lock still tells
// that this instance lives.
func (o *ownFiles) withdraw(datagram []byte) {
	if len(o.said) == 0 || saysTheSame(o.said, datagram) {
		return
	}
	if ignoreMissing(os.Remove(o.path(announcedSuffix))) == nil {
		o.said = o.said[:0]
	}
}

// saysTheSame reports whether two datagrams of this instance make the same
// statement.
func saysTheSame(a, b []byte) bool {
	var first, second Announcement
	if len(a) < fieldsOffset || len(b) < fieldsOffset {
		return false
	}
	_, ok := first.readFields(a[fieldsOffset:])
	_, also := second.readFields(b[fieldsOffset:])
	return ok && also && first.Phase == second.Phase && first.Told == second.Told &&
		slices.Equal(first.Acks(), second.Acks())
}

// note logs a problem of writing once, and its end once. That the folder is
// missing is for those to say who look at it.
func (o *ownFiles) note(err error) {
	text := ""
	if err != nil {
		text = fileCause(err)
	}
	if text == o.problem {
		return
	}
	if _, _, err := listFolder(o.folder.cfg.Path); err != nil {
		return
	}
	o.problem = text
	if text == "" {
		o.folder.cfg.Logger.Info("announcements can be written to the shared folder again", "path", o.folder.cfg.Path)
		return
	}
	o.folder.cfg.Logger.Warn("cannot write announcements to the shared folder, trying again; others hear this instance over the network alone",
		"path", o.folder.cfg.Path, "error", text)
}

// fileCause is an error's text without the file's name.
func fileCause(err error) string {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &file):
		return file.Op + ": " + file.Err.Error()
	case errors.As(err, &link):
		return link.Op + ": " + link.Err.Error()
	}
	return rootCause(err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// remove removes this instance's files and gives up the lock, in this order: no
// announcement is without a lock, and nothing is removed without holding it.
func (o *ownFiles) remove() error {
	if o.lock == nil {
		return nil
	}
	err := ignoreMissing(os.Remove(o.path(announcedSuffix)))
	if isStillAt(o.lock, o.path(lockSuffix)) {
		err = errors.Join(err, ignoreMissing(os.Remove(o.path(lockSuffix))))
	}
	// A child that was forked just now has a copy of the descriptor until its
	// exec: closing would not be enough.
	return errors.Join(err, flock(o.lock, unix.LOCK_UN), o.lock.Close())
}
