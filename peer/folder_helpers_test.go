package peer_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

// tempFolder is a folder for one spec, removed with it.
func tempFolder() string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "handover-folder")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	Expect(os.Chmod(dir, 0o755)).To(Succeed())
	return dir
}

// notice is what a folder told.
type notice struct {
	peer.Received
	Raw []byte
	At  time.Time
}

// resident is an instance that uses a shared folder, without a node.
type resident struct {
	*peer.Folder
	id   peer.InstanceID
	path string
	log  *logBuffer

	mu  sync.Mutex
	got []notice
	seq uint64
}

// settle opens the folder for a new instance, and keeps what it tells.
func settle(path string, change func(*peer.FolderConfig)) *resident {
	GinkgoHelper()
	r := &resident{id: peer.NewInstanceID(), path: path, log: &logBuffer{}}
	cfg := peer.FolderConfig{
		Path: path, Self: r.id, Domain: testDomain, Interval: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	r.Folder, err = peer.OpenFolder(cfg)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = r.Close() })
	go r.listen()
	return r
}

func (r *resident) listen() {
	buf := make([]byte, peer.MaxDatagram+1)
	for {
		received, err := r.Receive(buf)
		if err != nil {
			return
		}
		n := notice{received, bytes.Clone(buf[:received.N]), time.Now()}
		r.mu.Lock()
		r.got = append(r.got, n)
		r.mu.Unlock()
	}
}

// word is the instance's next announcement.
func (r *resident) word(phase peer.Phase) []byte {
	GinkgoHelper()
	r.seq++
	raw, err := announce(r.id, phase, r.seq).Append(nil, nil)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// question is the instance's next announcement, which asks.
func (r *resident) question(phase peer.Phase) []byte {
	GinkgoHelper()
	r.seq++
	a := announce(r.id, phase, r.seq)
	a.Ask = true
	raw, err := a.Append(nil, nil)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// announce makes an announcement of an instance in testDomain.
func announce(id peer.InstanceID, phase peer.Phase, sequence uint64) *peer.Announcement {
	return &peer.Announcement{Domain: testDomain, Instance: id, Phase: phase, Sequence: sequence}
}

// say writes an announcement and returns it once it is in place.
func (r *resident) say(phase peer.Phase) []byte {
	GinkgoHelper()
	raw := r.word(phase)
	Expect(r.Send(raw, false)).To(Succeed())
	r.shows(raw)
	return raw
}

func (r *resident) shows(raw []byte) {
	GinkgoHelper()
	Eventually(func() []byte {
		text, _ := os.ReadFile(r.file(".ann"))
		return text
	}).Should(Equal(raw))
}

func (r *resident) file(suffix string) string { return fileOf(r.path, r.id, suffix) }

// fileOf names files as README.md says.
func fileOf(path string, id peer.InstanceID, suffix string) string {
	return filepath.Join(path, ".handover-"+id.String()+suffix)
}

func (r *resident) notices() []notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// of returns what was told of an instance by events of that kind.
func (r *resident) of(id peer.InstanceID, event peer.Event) []notice {
	return slices.DeleteFunc(r.notices(), func(n notice) bool { return n.Event != event || n.Instance != id })
}

// said returns the announcements handed over that are not drops.
func (r *resident) said() (all []string) {
	for _, n := range r.notices() {
		if n.Event == peer.EventDatagram && n.Drop == peer.NotDropped {
			all = append(all, string(n.Raw))
		}
	}
	return all
}

// drops returns why announcements were handed over as unacceptable.
func (r *resident) drops() (all []peer.DropReason) {
	for _, n := range r.notices() {
		if n.Drop != peer.NotDropped {
			all = append(all, n.Drop)
		}
	}
	return all
}

// fresh reports whether the last word on the instance was that it is fresh.
func (r *resident) fresh(id peer.InstanceID) bool {
	all := r.of(id, peer.EventFresh)
	return len(all) > 0 && all[len(all)-1].Until.After(time.Now())
}

func (r *resident) died(id peer.InstanceID) bool { return len(r.of(id, peer.EventDied)) > 0 }

// names lists the folder.
func names(path string) []string {
	GinkgoHelper()
	entries, err := os.ReadDir(path)
	Expect(err).NotTo(HaveOccurred())
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// holdLock makes a locked file, as another implementation could. It gets its
// name when it is locked: those who sweep the folder try the locks that they see.
func holdLock(path string) *os.File {
	GinkgoHelper()
	unnamed := filepath.Join(filepath.Dir(path), "unnamed")
	file, err := os.OpenFile(unnamed, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(file.Close)
	Expect(unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)).To(Succeed())
	Expect(os.Rename(unnamed, path)).To(Succeed())
	return file
}

// locked reports whether somebody holds the lock of the file.
func locked(path string) bool {
	GinkgoHelper()
	file, err := os.Open(path)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	return unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
