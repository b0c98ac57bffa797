package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// closeWithin is how long Close waits for a file system that does not answer.
const closeWithin = time.Second

// FolderConfig says where the files are and what is read of them.
type FolderConfig struct {
	// Path is the folder, absolute. It is never created.
	Path string
	// Self is this instance's id: it names this instance's files.
	Self InstanceID
	// Domain and Secrets are those of the node. The folder needs them itself:
	// it says that a peer lives only of those whose announcement is valid.
	Domain  Domain
	Secrets [][]byte
	// Interval is the node's announce interval; 0 means 10 s.
	Interval time.Duration
	// Logger may be nil: nothing is logged.
	Logger *slog.Logger
	// Uptime is CLOCK_BOOTTIME, 0 if it is not known, as the node's; for tests. Nil is
	// the kernel's.
	Uptime func() time.Duration

	system folderSystem // for tests
}

// folderSystem is what a Folder needs of the operating system and what tests
// let fail.
type folderSystem struct {
	watch func(path string) (*os.File, error)
	write func(file *os.File, data []byte) (int, error)
	open  func(path string) (*os.File, os.FileInfo, error)
}

func (c *FolderConfig) complete() error {
	if c.Interval == 0 {
		c.Interval = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.system.watch == nil {
		c.system.watch = openInotify
	}
	if c.system.write == nil {
		c.system.write = (*os.File).Write
	}
	if c.system.open == nil {
		c.system.open = openPlain
	}
	if c.Uptime == nil {
		c.Uptime = uptime
	}
	switch {
	case !filepath.IsAbs(c.Path):
		return fmt.Errorf("the path %q is not absolute", c.Path)
	case c.Self == InstanceID{}:
		return errors.New("this instance's id is zero: make one with NewInstanceID")
	case c.Interval < 0:
		return fmt.Errorf("the interval (%s) is negative", c.Interval)
	}
	return nil
}

// Folder is the way without a network: a folder that the containers of a
// service share. Each instance keeps its announcement in a file there, and a
// lock that the kernel gives up when its process ends. README.md specifies
// both.
//
// Three goroutines do the work, so that a file system that is slow or stuck
// holds up neither the node nor its other ways: one writes this instance's files, one
// looks at those of others, and one reads what inotify tells. Idle, they are
// woken only when somebody writes.
type Folder struct {
	cfg FolderConfig

	mu      sync.Mutex
	pending []byte // to be written; empty: nothing
	failed  error  // of the last write, until Send has returned it

	opened time.Time
	wrote  atomic.Int64 // when our announcement was written, after opened
	wanted atomic.Int64 // when one was that asks

	owed  atomic.Bool // the next repeat is to be written, too: somebody waits for it
	mute  atomic.Bool // our announcement cannot be written
	blind atomic.Bool // changes are not told: every Send is an occasion to look

	write, survey chan struct{}
	doubts        chan InstanceID
	looking       chan struct{} // closed when the folder is watched, if it can be
	heard         chan found
	wakeUps       atomic.Uint64

	closeOnce sync.Once
	closeErr  error
	removeErr error // of the writer
	closing   chan struct{}
	working   sync.WaitGroup
}

// found is what Receive returns.
type found struct {
	received Received
	raw      []byte // never written to again
}

// OpenFolder looks at the files of others from now on; this instance's are made
// by the first Send. It fails only if the configuration is impossible: a
// folder that is missing or cannot be written is a warning in the log, and is
// tried again once per announce interval.
func OpenFolder(cfg FolderConfig) (*Folder, error) {
	err := cfg.complete()
	keys, keyErr := NewKeyring(cfg.Secrets...)
	if err = errors.Join(err, keyErr); err != nil {
		return nil, fmt.Errorf("peer: open folder: %w", err)
	}
	f := &Folder{
		cfg:     cfg,
		opened:  time.Now(),
		write:   make(chan struct{}, 1),
		survey:  make(chan struct{}, 1),
		doubts:  make(chan InstanceID, 1),
		looking: make(chan struct{}),
		heard:   make(chan found),
		closing: make(chan struct{}),
	}
	f.owed.Store(true)
	own := &ownFiles{folder: f}
	others := &folderPeers{folder: f, keys: keys, entries: make(map[InstanceID]*folderEntry)}
	f.working.Go(own.run)
	f.working.Go(others.run)
	return f, nil
}

// Name returns "folder".
func (f *Folder) Name() string { return "folder" }

// WakeUps counts how often a goroutine had something to do: in an idle instance
// about four times at each announcement, its own or a peer's, and never else.
func (f *Folder) WakeUps() uint64 { return f.wakeUps.Load() }

// Send has the datagram written to this instance's file and does not wait for that. It
// fails if the write before it failed. Repeats are skipped, unless the last
// write failed, or somebody came or asked, who has to see the file change.
func (f *Folder) Send(datagram []byte, repeat bool) error {
	if isClosed(f.closing) {
		return net.ErrClosed
	}
	if !repeat || f.blind.Load() {
		rouse(f.survey)
	}
	if repeat && !f.owed.Load() {
		return ErrSkipped
	}
	return f.put(datagram)
}

// Ask has a datagram that asks written, and does not wait for that, as Send. The
// peers see it, and write their files again.
func (f *Folder) Ask(datagram []byte) error {
	if isClosed(f.closing) {
		return net.ErrClosed
	}
	if f.blind.Load() {
		rouse(f.survey)
	}
	return f.put(datagram)
}

// Doubt looks at an instance several times within a second, where no change is told.
// Where changes are told, its end is, too.
func (f *Folder) Doubt(id InstanceID) {
	if !f.blind.Load() {
		return
	}
	select {
	case f.doubts <- id:
	default: // it says so three times
	}
}

// put leaves a datagram for the writer.
func (f *Folder) put(datagram []byte) error {
	if len(datagram) > MaxDatagram {
		return errors.New("peer: write announcement: refused, it is too long")
	}
	f.mu.Lock()
	f.pending = append(f.pending[:0], datagram...)
	err := f.failed
	f.failed = nil
	f.mu.Unlock()
	rouse(f.write)
	return err
}

// take returns what is to be written, appended to buf; nothing if there is
// nothing.
func (f *Folder) take(buf []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	buf = append(buf, f.pending...)
	f.pending = f.pending[:0]
	return buf
}

// written notes how a write ended.
func (f *Folder) written(datagram []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute.Store(err != nil)
	if err != nil {
		err = fmt.Errorf("peer: write announcement: %w", err)
		rouse(f.survey) // it cannot ask: it looks
	} else {
		now := int64(time.Since(f.opened))
		f.wrote.Store(now)
		if Asks(datagram) {
			f.wanted.Store(now)
		}
	}
	f.failed = err
}

// questioned is when this instance last wrote that it asks; zero if it never did.
func (f *Folder) questioned() time.Time {
	if after := f.wanted.Load(); after > 0 {
		return f.opened.Add(time.Duration(after))
	}
	return time.Time{}
}

// asked has the next repeat written, unless our file is so new that it is an
// answer: two that ask each other would never end.
func (f *Folder) asked() {
	if time.Since(f.opened)-time.Duration(f.wrote.Load()) >= answersWithin {
		f.owed.Store(true)
	}
}

// Receive waits for the next announcement that was written, or event.
func (f *Folder) Receive(buf []byte) (Received, error) {
	select {
	case <-f.closing:
		return Received{}, net.ErrClosed
	case h := <-f.heard:
		if h.received.Event == EventDatagram {
			h.received.N = copy(buf, h.raw)
		}
		return h.received, nil
	}
}

// emit hands over what was found. It does nothing once the folder is closed.
func (f *Folder) emit(r Received, raw []byte) {
	select {
	case f.heard <- found{r, raw}:
	case <-f.closing:
	}
}

// Close removes this instance's files, gives up the lock and frees everything. Where
// the file system does not answer, it leaves that to a goroutine.
func (f *Folder) Close() error {
	f.closeOnce.Do(func() {
		close(f.closing)
		done := make(chan struct{})
		go func() {
			f.working.Wait()
			close(done)
		}()
		timer := time.NewTimer(closeWithin)
		defer timer.Stop()
		select {
		case <-done:
			f.closeErr = f.removeErr
		case <-timer.C:
			f.closeErr = fmt.Errorf("peer: close folder: %s does not answer", f.cfg.Path)
		}
	})
	return f.closeErr
}

// rouse wakes who waits on the channel, now or later.
func rouse(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
