package peertest

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/handover-controller/handover/peer"
)

// FolderOptions say how a Folder behaves.
type FolderOptions struct {
	// Interval is the announce interval of all who use it; 0 means 10 s. What is
	// written is fresh for one and a half of it.
	Interval time.Duration
	// Delay is how long it takes until others see a change.
	Delay time.Duration
}

// As with peer.Folder.
const (
	// blindFor is how long a look vouches where no change is told, and blindEvery
	// how often it is looked for blindQuestion after somebody asked.
	blindFor      = time.Second
	blindEvery    = 250 * time.Millisecond
	blindQuestion = 2 * time.Second
	// answersWithin: an own file that is newer is an answer.
	answersWithin = 100 * time.Millisecond
	// maxSuspicion is the longest pause between looks at one that is said to end.
	maxSuspicion = 512 * time.Millisecond
)

// Folder is a shared folder in memory, the way of peer.Folder without files:
// each member has one announcement and a lock, which it gives up when it ends,
// however it ends. What is written is told as a datagram and then as
// peer.EventFresh; a lock that is given up as peer.EventDied, after the last
// word. All methods may be called at any time.
//
// It differs from files in two things. A member that cannot write removes its
// announcement, where that is possible, at the next change or interval, whether
// that says something else or not. And there are no leftovers: whose lock is
// free has no announcement.
type Folder struct {
	mu       sync.Mutex
	options  FolderOptions
	members  []*Member
	files    map[peer.InstanceID]*folderFile
	readOnly bool
	full     bool
	blind    bool
}

// folderFile is an announcement.
type folderFile struct {
	data    []byte
	written time.Time
	version int // counts what was written
}

// NewFolder returns an empty folder.
func NewFolder(o FolderOptions) *Folder {
	if o.Interval == 0 {
		o.Interval = 10 * time.Second
	}
	return &Folder{options: o, files: make(map[peer.InstanceID]*folderFile)}
}

// ReadOnly makes every change fail from now on, or no longer.
func (f *Folder) ReadOnly(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readOnly = yes
}

// Full makes writing fail, but not removing.
func (f *Folder) Full(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = yes
}

// Blind tells nobody of changes, as without inotify: members look when they
// send, and a look vouches for a second.
func (f *Folder) Blind(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blind = yes
}

// Open adds a member. It is there for others once it has sent something.
func (f *Folder) Open(self peer.InstanceID) *Member {
	m := &Member{
		folder: f, self: self, owed: true, seen: make(map[peer.InstanceID]*sight),
		ready: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, m)
	m.lookAround()
	return m
}

// find returns the member of that instance whose lock is held.
func (f *Folder) find(id peer.InstanceID) *Member {
	for _, m := range f.members {
		if m.self == id && m.locked {
			return m
		}
	}
	return nil
}

// changed lets the others look at an instance's files, now or later.
func (f *Folder) changed(id peer.InstanceID) {
	if f.blind {
		return
	}
	look := func() {
		for _, m := range f.members {
			if m.self != id {
				m.look(id)
			}
		}
	}
	if f.options.Delay <= 0 {
		look()
		return
	}
	time.AfterFunc(f.options.Delay, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		look()
	})
}

// leave takes a member's lock and announcement away.
func (f *Folder) leave(m *Member) {
	for i, other := range f.members {
		if other == m {
			f.members = append(f.members[:i:i], f.members[i+1:]...)
			break
		}
	}
	held := m.locked
	m.locked = false
	if held {
		f.changed(m.self)
	}
}

// Member is one instance's access to a Folder. It is a peer.Way.
type Member struct {
	folder *Folder
	self   peer.InstanceID
	once   sync.Once
	ready  chan struct{}
	closed chan struct{}

	// Guarded by the folder's lock.
	queue  []item
	locked bool // its lock is held
	owed   bool // the next repeat is to be written, too
	wrote  time.Time
	asked  time.Time // when it wrote that it asks
	mute   bool      // it cannot write
	failed error     // of the last write, until Send has returned it
	seen   map[peer.InstanceID]*sight
}

// sight is what a member knows of another one's files.
type sight struct {
	version int
	said    []byte
	again   bool      // it is looked at again
	doubted bool      // as is one that is said to end
	vouched time.Time // what the last EventFresh said
}

var errReadOnly = errors.New("peertest: write announcement: the folder is read-only or full")

// Name returns "folder".
func (m *Member) Name() string { return "folder" }

// Send writes the announcement. As with peer.Folder, repeats are skipped
// unless the last write failed or somebody came, and a failure is returned by
// the next Send.
func (m *Member) Send(datagram []byte, repeat bool) error {
	f := m.folder
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-m.closed:
		return net.ErrClosed
	default:
	}
	if !repeat || f.blind {
		m.lookAround()
	}
	if repeat && !m.owed {
		return peer.ErrSkipped
	}
	return m.put(datagram, repeat)
}

// Ask writes a question, as peer.Folder does.
func (m *Member) Ask(datagram []byte) error {
	f := m.folder
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-m.closed:
		return net.ErrClosed
	default:
	}
	if f.blind {
		m.lookAround()
	}
	return m.put(datagram, true)
}

// Doubt looks at an instance several times within a second where no change is told, as
// peer.Folder does.
func (m *Member) Doubt(id peer.InstanceID) {
	f := m.folder
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := m.seen[id]; f.blind && s != nil && !s.doubted {
		s.doubted = true
		m.suspect(id, s, time.Millisecond)
	}
}

// suspect looks at an instance after that pause, and again after longer ones.
func (m *Member) suspect(id peer.InstanceID, s *sight, pause time.Duration) {
	time.AfterFunc(pause, func() {
		m.folder.mu.Lock()
		defer m.folder.mu.Unlock()
		select {
		case <-m.closed:
			return
		default:
		}
		if s.doubted = m.seen[id] == s && pause < maxSuspicion; m.seen[id] != s {
			return
		}
		m.look(id)
		if s.doubted {
			m.suspect(id, s, 2*pause)
		}
	})
}

// put writes, and returns how the write before ended.
func (m *Member) put(datagram []byte, repeat bool) error {
	err := m.failed
	m.failed = nil
	m.write(datagram, repeat)
	return err
}

// write replaces the announcement.
func (m *Member) write(datagram []byte, repeat bool) {
	f := m.folder
	m.mute = f.readOnly || f.full
	if m.mute {
		defer m.lookAround() // it cannot ask
		m.failed, m.owed = errReadOnly, true
		if !f.readOnly && !repeat && f.files[m.self] != nil {
			delete(f.files, m.self)
			f.changed(m.self)
		}
		return
	}
	m.owed, m.locked, m.wrote = false, true, time.Now()
	if peer.Asks(datagram) {
		m.asked = m.wrote
	}
	file := f.files[m.self]
	if file == nil {
		file = &folderFile{}
		f.files[m.self] = file
	}
	file.version++
	file.data, file.written = bytes.Clone(datagram), time.Now()
	f.changed(m.self)
}

// lookAround looks at everybody's files.
func (m *Member) lookAround() {
	for _, other := range m.folder.members {
		if other != m {
			m.look(other.self)
		}
	}
	for id := range m.seen {
		if m.folder.find(id) == nil {
			m.look(id)
		}
	}
}

// look looks at one instance's files.
func (m *Member) look(id peer.InstanceID) {
	f, now := m.folder, time.Now()
	owner, file, s := f.find(id), f.files[id], m.seen[id]
	if owner == nil {
		if s == nil {
			return
		}
		if file != nil && file.version != s.version { // its last word
			m.tell(item{packet: Packet{Data: file.data}, event: peer.Received{Time: file.written}})
		}
		m.tell(item{event: peer.Received{Event: peer.EventDied, Instance: id}})
		delete(m.seen, id)
		return
	}
	switch {
	case file == nil && s == nil:
		return
	case file == nil:
		if s.vouched.After(now) {
			m.tell(item{event: peer.Received{Event: peer.EventFresh, Instance: id, Until: now.Add(-1)}})
		}
		s.vouched = time.Time{}
		return
	case s == nil:
		s = &sight{}
		m.seen[id] = s
		m.owed = true // it wants to see this instance's file change
	}
	if file.version != s.version {
		if peer.IsQuestion(s.said, file.data) && now.Sub(m.wrote) >= answersWithin {
			m.owed = true
		}
		s.version, s.said = file.version, file.data
		m.tell(item{packet: Packet{Data: file.data}, event: peer.Received{Time: file.written}})
	}
	if f.blind && peer.Asks(file.data) && now.Sub(file.written) < blindQuestion {
		m.lookAgain(id)
	}
	until := file.written.Add(f.options.Interval * 3 / 2)
	if f.blind && until.After(now.Add(blindFor)) {
		until = now.Add(blindFor)
	}
	if until.After(now) && (m.mute || !until.Equal(s.vouched)) {
		s.vouched = until
		m.tell(item{event: peer.Received{Event: peer.EventFresh, Instance: id, Until: until, Mute: m.mute, Asked: m.asked}})
	}
}

// lookAgain looks at who asks, where no change is told, a little later.
func (m *Member) lookAgain(id peer.InstanceID) {
	if m.seen[id].again {
		return
	}
	m.seen[id].again = true
	time.AfterFunc(blindEvery, func() {
		m.folder.mu.Lock()
		defer m.folder.mu.Unlock()
		select {
		case <-m.closed:
		default:
			if s := m.seen[id]; s != nil {
				s.again = false
				m.look(id)
			}
		}
	})
}

// tell hands over what was found. Nothing is lost.
func (m *Member) tell(i item) {
	if i.event.Time.IsZero() {
		i.event.Time = time.Now()
	}
	m.queue = append(m.queue, i)
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// Receive waits for the next announcement that was written, or event.
func (m *Member) Receive(buf []byte) (peer.Received, error) {
	for {
		select {
		case <-m.closed:
			return peer.Received{}, net.ErrClosed
		default:
		}
		m.folder.mu.Lock()
		if len(m.queue) > 0 {
			i := m.queue[0]
			m.queue = m.queue[1:]
			m.folder.mu.Unlock()
			r := i.event
			if r.Event == peer.EventDatagram {
				r.N = copy(buf, i.packet.Data)
			}
			return r, nil
		}
		m.folder.mu.Unlock()
		select {
		case <-m.closed:
		case <-m.ready:
		}
	}
}

// Close removes the announcement and gives up the lock.
func (m *Member) Close() error { m.end(true); return nil }

// Die gives up the lock without a word, as the kernel does when the process
// was killed. Others remove what is left behind.
func (m *Member) Die() { m.end(false) }

func (m *Member) end(orderly bool) {
	m.once.Do(func() {
		f := m.folder
		close(m.closed)
		f.mu.Lock()
		defer f.mu.Unlock()
		if orderly && !f.readOnly {
			delete(f.files, m.self)
		}
		f.leave(m)
	})
}
