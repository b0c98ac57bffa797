package peer

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"golang.org/x/sys/unix"
)

// lookout is a folder of which nobody looks at the files but the spec.
func lookout() (*folderPeers, <-chan found) {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	f := &Folder{cfg: FolderConfig{Path: dir, Self: InstanceID{1}}, heard: make(chan found), closing: make(chan struct{})}
	Expect(f.cfg.complete()).To(Succeed())
	told := make(chan found, 100)
	go func() {
		for h := range f.heard {
			told <- h
		}
		close(told)
	}()
	DeferCleanup(func() { close(f.heard) })
	return &folderPeers{folder: f, entries: make(map[InstanceID]*folderEntry)}, told
}

// says puts an announcement into the folder.
func (p *folderPeers) says(id InstanceID, sequence uint64) []byte {
	GinkgoHelper()
	raw, err := (&Announcement{Domain: p.folder.cfg.Domain, Instance: id, Phase: PhaseServing, Sequence: sequence}).Append(nil, nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(p.path(id, announcedSuffix), raw, 0o644)).To(Succeed())
	return raw
}

func rawOf(h found) []byte { return h.raw }

// locks makes the lock of an instance that lives.
func (p *folderPeers) locks(id InstanceID) *os.File {
	GinkgoHelper()
	lock, err := createPlain(p.path(id, lockSuffix), access{mode: 0o600, uid: -1, gid: -1, only: -1})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = lock.Close() })
	Expect(flock(lock, unix.LOCK_EX)).To(Succeed())
	return lock
}

var _ = Describe("A look at a peer's files", func() {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }

	DescribeTable("takes a word for as old as it is, at least",
		func(s sighting, modified, want time.Time) {
			p, told := lookout()
			e := &folderEntry{freshFor: 15 * time.Second}
			p.date(e, content{modified: modified.Round(0)}, s, now)
			Expect(e.written).To(BeTemporally("~", want, time.Millisecond))
			if want.IsZero() {
				Expect(told).NotTo(Receive())
				return
			}
			var h found
			Eventually(told).Should(Receive(&h))
			Expect(h.received.Time).To(BeTemporally("~", want, time.Millisecond))
		},
		Entry("told just now", sighting{written: true, told: ago(time.Hour)}, ago(10*time.Millisecond), now),
		Entry("told after the reader was frozen", sighting{written: true, told: ago(time.Hour)}, ago(5*time.Second), ago(5*time.Second)),
		Entry("told after the clock was put back", sighting{written: true, told: ago(time.Hour)}, ago(-time.Minute), now),
		Entry("told after the clock was put forward", sighting{written: true, told: ago(time.Second)}, ago(time.Minute), now),
		Entry("told where files have whole seconds", sighting{written: true, told: ago(time.Hour)},
			now.Truncate(time.Second).Add(-time.Second), now),
		Entry("told where files have whole seconds, after the reader was frozen", sighting{written: true, told: ago(time.Hour)},
			now.Truncate(time.Second).Add(-4*time.Second), now.Truncate(time.Second).Add(-4*time.Second)),
		Entry("changed since the last look", sighting{since: ago(10 * time.Second)}, ago(4*time.Second), ago(4*time.Second)),
		Entry("changed since the last look, with a time before it", sighting{since: ago(10 * time.Second)}, ago(time.Minute), ago(10*time.Second)),
		Entry("changed since the last look, with a time to come", sighting{since: ago(10 * time.Second)}, ago(-time.Second), ago(10*time.Second)),
		Entry("found at the start", sighting{}, ago(14*time.Second), ago(14*time.Second)),
		Entry("found at the start, too old", sighting{}, ago(16*time.Second), time.Time{}),
		Entry("found at the start, with a time to come", sighting{}, ago(-time.Second), time.Time{}),
	)

	Describe("that cannot be read just now", func() {
		id := InstanceID{2}
		var (
			p    *folderPeers
			told <-chan found
			lock *os.File
			fail map[string]error // by the suffix
		)
		BeforeEach(func() {
			p, told = lookout()
			fail = make(map[string]error)
			p.folder.cfg.system.open = func(path string) (*os.File, os.FileInfo, error) {
				if err := fail[filepath.Ext(path)]; err != nil {
					return nil, nil, &os.PathError{Op: "open", Path: path, Err: err}
				}
				return openPlain(path)
			}
			lock = p.locks(id)
		})
		// later does what is due so long after.
		later := func(d time.Duration) { p.catchUp(time.Now().Add(d)) }
		heard := func(raw []byte) {
			GinkgoHelper()
			Eventually(told).Should(Receive(WithTransform(rawOf, Equal(raw))))
		}

		for _, suffix := range []string{announcedSuffix, lockSuffix} {
			DescribeTable("is repeated soon, of one that is new: "+suffix, func(err error) {
				raw := p.says(id, 1)
				fail[suffix] = err
				p.look(id, sighting{written: true, told: time.Now()})
				Expect(p.next(time.Now())).To(BeTemporally("~", time.Now().Add(rereadAfter), rereadAfter/2))
				later(rereadAfter)
				Expect(told).NotTo(Receive())
				Expect(p.next(time.Now())).To(BeTemporally("~", time.Now().Add(2*rereadAfter), rereadAfter/2), "later and later")
				fail[suffix] = nil
				later(2 * rereadAfter)
				heard(raw)
				Expect(p.unread).To(BeEmpty())
			},
				Entry("no descriptor", unix.EMFILE),
				Entry("no descriptor on the machine", unix.ENFILE),
				Entry("no memory", unix.ENOMEM),
				Entry("an error of the disk", unix.EIO),
			)
		}

		It("is repeated soon, of one that is followed", func() {
			first := p.says(id, 1)
			p.look(id, sighting{written: true, told: time.Now()})
			heard(first)
			second := p.says(id, 2)
			fail[announcedSuffix] = unix.EMFILE
			p.look(id, sighting{written: true, told: time.Now()})
			fail[announcedSuffix] = nil
			later(rereadAfter)
			heard(second)
		})

		It("shows nobody's death: the lock that is in place may be held", func() {
			first := p.says(id, 1)
			p.look(id, sighting{written: true, told: time.Now()})
			heard(first)
			Expect(os.Remove(p.path(id, lockSuffix))).To(Succeed())
			p.locks(id)
			Expect(lock.Close()).To(Succeed())
			fail[lockSuffix] = unix.EMFILE
			p.look(id, sighting{lock: true, closed: true})
			fail[lockSuffix] = nil
			later(rereadAfter)
			second := p.says(id, 2)
			p.look(id, sighting{written: true, told: time.Now()})
			isDeath := func(h found) bool { return h.received.Event == EventDied }
			var last found
			Eventually(told).Should(Receive(&last, Or(WithTransform(rawOf, Equal(second)), Satisfy(isDeath))))
			Expect(last.raw).To(Equal(second))
		})

		DescribeTable("is not repeated where it will be no better", func(err error) {
			p.says(id, 1)
			fail[announcedSuffix] = err
			p.look(id, sighting{written: true, told: time.Now()})
			Expect(p.next(time.Now())).To(BeZero())
		},
			Entry("it is not there", unix.ENOENT),
			Entry("it is not for this user", unix.EACCES),
			Entry("it is a link", unix.ELOOP),
		)
	})

	Describe("of a word that says when it was sent", func() {
		id := InstanceID{2}
		// sent puts one there that was sent so long ago, and returns the event of the look.
		sent := func(p *folderPeers, told <-chan found, ago time.Duration) (word found, fresh time.Time) {
			GinkgoHelper()
			a := Announcement{Instance: id, Phase: PhaseServing, Timed: true, Sequence: uint64(uptime() - ago)}
			raw, err := a.Append(nil, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(os.WriteFile(p.path(id, announcedSuffix), raw, 0o644)).To(Succeed())
			p.look(id, sighting{written: true, told: time.Now()})
			Eventually(told).Should(Receive(&word))
			if e := p.entries[id]; e != nil {
				fresh = e.vouched
			}
			return word, fresh
		}

		// muted watches a folder in which it cannot ask, and in which the instance lives.
		muted := func() (*folderPeers, <-chan found) {
			p, told := lookout()
			p.watch = &folderWatch{}
			p.folder.mute.Store(true)
			p.locks(id)
			return p, told
		}

		It("takes it for no newer, and it is not made newer by being written again", func() {
			p, told := muted()
			word, fresh := sent(p, told, 10*time.Second)
			Expect(word.received.Time).To(BeTemporally("~", time.Now().Add(-10*time.Second), time.Second))
			Expect(fresh).To(BeTemporally("~", time.Now().Add(5*time.Second), time.Second), "15 s after it was sent")
			for range 3 {
				p.look(id, sighting{written: true, told: time.Now()})
			}
			Expect(p.entries[id].vouched).To(BeTemporally("~", fresh, 100*time.Millisecond))
		})

		It("vouches for nothing that is too old, however new the file is", func() {
			p, told := muted()
			_, fresh := sent(p, told, 16*time.Second)
			Expect(fresh).To(BeZero())
		})

		It("does not believe that it says no longer when it was sent", func() {
			p, told := lookout()
			p.locks(id)
			sent(p, told, time.Second)
			p.says(id, uint64(uptime()))
			p.look(id, sighting{written: true, told: time.Now()})
			isReplay := func(h found) bool { return h.received.Drop == DropReplay }
			Eventually(told).Should(Receive(Satisfy(isReplay)))
		})

		It("accepts none from the future, and those that follow all the same", func() {
			p, told := lookout()
			p.locks(id)
			p.says(id, uint64(uptime()-time.Second))
			p.look(id, sighting{written: true, told: time.Now()})
			for _, timed := range []bool{false, true} {
				a := Announcement{Instance: id, Phase: PhaseServing, Timed: timed, Sequence: 1<<64 - 1}
				raw, err := a.Append(nil, nil)
				Expect(err).NotTo(HaveOccurred())
				Expect(os.WriteFile(p.path(id, announcedSuffix), raw, 0o644)).To(Succeed())
				p.look(id, sighting{written: true, told: time.Now()})
			}
			said := p.says(id, uint64(uptime()))
			p.look(id, sighting{written: true, told: time.Now()})
			var drops []DropReason
			Eventually(func() []byte {
				select {
				case h := <-told:
					if h.received.Drop != NotDropped {
						drops = append(drops, h.received.Drop)
					}
					return h.raw
				default:
					return nil
				}
			}).Should(Equal(said))
			Expect(drops).To(Equal([]DropReason{DropStale, DropStale}))
		})
	})

	It("hears the last word of one whose lock is free by then, before it calls it dead", func() {
		p, told := lookout()
		id := InstanceID{2}
		lock := p.locks(id)
		p.says(id, 1)
		p.look(id, sighting{written: true, told: now})
		var h found
		Eventually(told).Should(Receive(&h))
		Expect(h.received.Event).To(Equal(EventDatagram))
		Eventually(told).Should(Receive(&h))
		Expect(h.received.Event).To(Equal(EventFresh))
		last := p.says(id, 2)
		Expect(lock.Close()).To(Succeed())
		p.end(id, p.entries[id], time.Now())
		Eventually(told).Should(Receive(&h))
		Expect(h.raw).To(Equal(last))
		Eventually(told).Should(Receive(&h))
		Expect(h.received.Event).To(Equal(EventDied))
		Expect(os.ReadDir(p.folder.cfg.Path)).To(BeEmpty())
	})

	It("takes no question for one whose answer is there already", func() {
		f := &Folder{opened: now.Add(-time.Hour)}
		f.wrote.Store(int64(2 * time.Hour)) // later than any look
		f.asked()
		Expect(f.owed.Load()).To(BeFalse())
		f.wrote.Store(int64(time.Hour - answersWithin))
		f.asked()
		Expect(f.owed.Load()).To(BeTrue())
	})

	It("takes nobody for the owner of a lock who only looks at it", func() {
		p, _ := lookout()
		id := InstanceID{2}
		p.says(id, 1)
		Expect(p.locks(id).Close()).To(Succeed())
		open := func() *os.File {
			lock, _, err := openPlain(p.path(id, lockSuffix))
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(lock.Close)
			return lock
		}
		one, other := open(), open()
		Expect(flock(one, unix.LOCK_SH)).To(Succeed(), "as one who looks")
		Expect(probe(other)).To(Equal(lockFree))
		removeLeftover(p.folder.cfg.Path, id, other)
		Expect(os.ReadDir(p.folder.cfg.Path)).To(BeEmpty())
	})
})

var _ = Describe("What the kernel cannot tell any more", func() {
	It("is looked for in the whole folder", func() {
		dir := GinkgoT().TempDir()
		tell, events := (*os.File)(nil), (*os.File)(nil)
		cfg := FolderConfig{Path: dir, Self: InstanceID{1}}
		cfg.system.watch = func(string) (*os.File, error) {
			var err error
			events, tell, err = os.Pipe()
			return events, err
		}
		f, err := OpenFolder(cfg)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(f.Close)
		<-f.looking
		DeferCleanup(func() error { return tell.Close() })
		event := func(mask uint32, name string) {
			GinkgoHelper()
			raw := make([]byte, unix.SizeofInotifyEvent)
			binary.NativeEndian.PutUint32(raw[4:], mask)
			binary.NativeEndian.PutUint32(raw[12:], uint32(len(name)))
			_, err := tell.Write(append(raw, name...))
			Expect(err).NotTo(HaveOccurred())
		}
		event(unix.IN_CLOSE_WRITE, filepath.Base(folderFile(dir, InstanceID{3}, lockSuffix)))
		Eventually(f.WakeUps).Should(BeEquivalentTo(2), "it has looked through the folder, and took that in")
		p := &folderPeers{folder: &Folder{cfg: cfg}}
		p.locks(InstanceID{2})
		raw := p.says(InstanceID{2}, 1)
		event(unix.IN_Q_OVERFLOW, "")
		heard := make(chan []byte, 1)
		go func() {
			defer GinkgoRecover()
			buf := make([]byte, MaxDatagram+1)
			r, err := f.Receive(buf)
			if err == nil {
				heard <- buf[:r.N]
			}
		}()
		Eventually(heard).Should(Receive(Equal(raw)))
	})
})
