package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ownerFile is the lock in the shared folder. It is made once and never removed:
// who locks another file of that name locks something else.
const ownerFile = "owner"

// Pauses between two tries to open the lock: doubled each time.
const (
	ownerPause       = time.Second
	ownerPauseAtMost = 30 * time.Second
)

// Owner is the right to run a workload of which there may be only one at a time:
// an flock in the folder that all containers of a service share. It is held
// until it is given up, or until this process has ended, however. Its methods
// are safe for concurrent use.
//
// It does not protect from who removes the file, or from who does not ask.
type Owner struct {
	path    string
	changed chan struct{}

	mu      sync.Mutex
	wanted  bool
	waiting bool // wait runs
	lock    *os.File
	since   time.Time
	err     error
	wake    chan struct{} // ends a pause
}

// NewOwner returns the right in that folder. Nothing is opened before it is
// wanted.
func NewOwner(folder string) *Owner {
	return &Owner{path: filepath.Join(folder, ownerFile), changed: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

// Want asks for the right, or gives it up: at once if it is held. It never
// blocks; what becomes of it is a change of State. While there is no folder,
// it is looked for again.
func (o *Owner) Want(wanted bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted = wanted
	switch {
	case wanted && o.lock == nil && !o.waiting:
		o.waiting = true
		go o.wait()
	case !wanted && o.lock != nil:
		// A child that was forked just now has a copy until its exec: closing
		// would not be enough.
		_ = flock(o.lock, unix.LOCK_UN)
		_ = o.lock.Close()
		o.lock, o.since = nil, time.Time{}
		o.change()
	case !wanted && o.waiting:
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
}

// State reports whether there is such a right, and whether this process holds
// it, since when. The error says why there is none; it is nil before it was
// wanted for the first time.
func (o *Owner) State() (lockable, held bool, since time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err == nil, o.lock != nil, o.since, o.err
}

// Changed is woken when State changed. Its capacity is 1, it is for one reader,
// and never closed.
func (o *Owner) Changed() <-chan struct{} { return o.changed }

func (o *Owner) change() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// wait gets the lock, however long that takes. If it is not wanted any more
// when it comes, it is given up again.
func (o *Owner) wait() {
	pause := ownerPause
	for {
		lock, err := o.open()
		if err == nil {
			o.note(nil)
			err = block(lock)
			if err == nil && !isStillAt(lock, o.path) {
				_ = lock.Close() // somebody has put another file in its place
				continue
			}
		}
		if done := o.got(lock, err); done {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-o.wake:
		}
		timer.Stop()
		if o.over() {
			return // without another try: that would make the file
		}
		pause = min(2*pause, ownerPauseAtMost)
	}
}

// over ends wait if the right is not wanted any more.
func (o *Owner) over() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = o.wanted
	return !o.wanted
}

// got takes in what wait has, and reports whether wait is over.
func (o *Owner) got(lock *os.File, err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !o.wanted:
		if lock != nil {
			_ = flock(lock, unix.LOCK_UN)
			_ = lock.Close()
		}
	case err == nil:
		o.lock, o.since = lock, time.Now()
		o.change()
	default:
		if lock != nil {
			_ = lock.Close()
		}
		o.noteLocked(err)
		return false
	}
	o.waiting = false
	return true
}

func (o *Owner) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.noteLocked(err)
}

func (o *Owner) noteLocked(err error) {
	if fmt.Sprint(err) != fmt.Sprint(o.err) {
		o.err = err
		o.change()
	}
}

// open opens the lock's file, and makes it if there is none. To lock it, it
// need not be writable.
func (o *Owner) open() (*os.File, error) {
	access := lockAccess(filepath.Dir(o.path))
	file, info, err := openPlain(o.path)
	if errors.Is(err, os.ErrNotExist) {
		file, err = os.OpenFile(o.path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, access.mode&0o600)
		if err == nil {
			access.grant(file)
			return file, nil
		}
		if errors.Is(err, os.ErrExist) {
			file, info, err = openPlain(o.path) // another instance was faster
		}
	}
	switch {
	case errors.Is(err, errNotPlain):
		return nil, fmt.Errorf("%s: %w", o.path, err)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w: only who may write to the folder may lock; let user %d write there, and remove the file while no instance runs if it is still refused",
			err, os.Geteuid())
	case err != nil:
		return nil, err
	}
	if err := access.refuse(info); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s: %w: remove it while no instance runs, or move it away", o.path, err)
	}
	access.narrow(file, info)
	return file, nil
}

// block locks, and waits for that. It keeps a thread for as long.
func block(file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			if failed = unix.Flock(int(fd), unix.LOCK_EX); !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, os.NewSyscallError("flock", failed))
}
