package peer_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

var _ = Describe("The files of an instance", func() {
	BeforeEach(checkLeaks)

	DescribeTable("are its announcement, byte for byte, for all to read, and a lock for those who may write to the folder",
		func(folder, lock fs.FileMode) {
			dir := tempFolder()
			Expect(os.Chmod(dir, folder)).To(Succeed())
			defer unix.Umask(unix.Umask(0o077))
			a := settle(dir, nil)
			for range 3 {
				a.say(peer.PhaseServing)
			}
			Expect(names(dir)).To(ConsistOf(filepath.Base(a.file(".ann")), filepath.Base(a.file(".lock"))))
			Expect(locked(a.file(".lock"))).To(BeTrue())
			owner := peer.NewOwner(dir)
			defer owner.Want(false)
			owner.Want(true)
			Eventually(held(owner)).Should(BeTrue())
			for path, mode := range map[string]fs.FileMode{
				a.file(".ann"): 0o644, a.file(".lock"): lock, filepath.Join(dir, "owner"): lock,
			} {
				info, err := os.Stat(path)
				Expect(err).NotTo(HaveOccurred())
				Expect(info.Mode()).To(Equal(mode), path)
			}
		},
		Entry("which is one user", fs.FileMode(0o755), fs.FileMode(0o600)),
		Entry("which is a group", fs.FileMode(0o775), fs.FileMode(0o640)),
		Entry("which are all", fs.ModeSticky|0o777, fs.FileMode(0o644)),
	)

	It("are replaced by renaming, but for the lock", func() {
		a := settle(tempFolder(), nil)
		inode := func(suffix string) uint64 {
			var stat unix.Stat_t
			Expect(unix.Stat(a.file(suffix), &stat)).To(Succeed())
			return stat.Ino
		}
		a.say(peer.PhaseStarting)
		open, err := os.Open(a.file(".ann")) // so that its inode is not used again
		Expect(err).NotTo(HaveOccurred())
		defer open.Close()
		announced, lock := inode(".ann"), inode(".lock")
		a.say(peer.PhaseServing)
		Expect(inode(".ann")).NotTo(Equal(announced))
		Expect(inode(".lock")).To(Equal(lock))
	})

	It("go when it ends, and nothing else goes", func() {
		dir := tempFolder()
		others := []string{"handover-complete", "updates.lock", "resin-updates.lock", ".handover-x.lock", ".handover-"}
		for _, name := range others {
			Expect(os.WriteFile(filepath.Join(dir, name), nil, 0o644)).To(Succeed())
		}
		a := settle(dir, nil)
		a.say(peer.PhaseServing)
		Expect(a.Send(a.word(peer.PhaseGone), false)).To(Succeed())
		Expect(a.Close()).To(Succeed())
		Expect(names(dir)).To(ConsistOf(others))
		Expect(a.Close()).To(Succeed())
		Expect(a.Send(a.word(peer.PhaseGone), false)).To(MatchError(net.ErrClosed))
		_, err := a.Receive(nil)
		Expect(err).To(MatchError(net.ErrClosed))
	})

	It("are not made before it has something to say", func() {
		dir := tempFolder()
		Expect(settle(dir, nil).Close()).To(Succeed())
		Expect(names(dir)).To(BeEmpty())
	})

	It("are not written again for repeats, unless somebody came who must see a change", func() {
		dir := tempFolder()
		a := settle(dir, nil)
		first := a.say(peer.PhaseServing)
		Expect(a.Send(a.word(peer.PhaseServing), true)).To(MatchError(peer.ErrSkipped))
		b := settle(dir, nil)
		b.say(peer.PhaseStarting)
		Eventually(a.said).Should(HaveLen(1))
		a.shows(first)
		answer := a.word(peer.PhaseServing)
		Expect(a.Send(answer, true)).To(Succeed())
		a.shows(answer)
		Expect(a.Send(a.word(peer.PhaseServing), true)).To(MatchError(peer.ErrSkipped))
	})

	It("are written again for one that asks, and for no other word of it", func() {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		a.say(peer.PhaseServing)
		b.say(peer.PhaseStarting)
		Eventually(a.said).Should(HaveLen(1))
		Eventually(b.said).Should(HaveLen(1))
		answers := func() error { return a.Send(a.word(peer.PhaseServing), true) }
		Eventually(answers).Should(MatchError(peer.ErrSkipped), "it has answered who came")
		news := b.question(peer.PhaseServing)
		Expect(b.Send(news, false)).To(Succeed())
		Eventually(a.said).Should(ContainElement(string(news)))
		Expect(answers()).To(MatchError(peer.ErrSkipped), "it says something new: the network brings the answer")
		Eventually(func() error {
			before := len(a.said())
			Expect(b.Ask(b.question(peer.PhaseServing))).To(Succeed())
			Eventually(a.said).Should(HaveLen(before + 1))
			return answers()
		}).Should(Succeed())
		Expect(b.Close()).To(Succeed())
		Expect(b.Ask(b.question(peer.PhaseServing))).To(MatchError(net.ErrClosed))
	})

	It("cannot be had for impossible configurations", func() {
		valid := peer.FolderConfig{Path: "/tmp", Self: peer.NewInstanceID()}
		for complaint, change := range map[string]func(*peer.FolderConfig){
			"not absolute": func(c *peer.FolderConfig) { c.Path = "tmp" },
			"id is zero":   func(c *peer.FolderConfig) { c.Self = peer.InstanceID{} },
			"negative":     func(c *peer.FolderConfig) { c.Interval = -1 },
			"secret":       func(c *peer.FolderConfig) { c.Secrets = [][]byte{{}} },
		} {
			cfg := valid
			change(&cfg)
			_, err := peer.OpenFolder(cfg)
			Expect(err).To(MatchError(ContainSubstring(complaint)))
		}
	})
})

var _ = Describe("Who looks at the folder", func() {
	BeforeEach(checkLeaks)

	It("hears what is said there, and that it is fresh, until the peer is silent for too long", func() {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		before := time.Now()
		said := b.say(peer.PhaseServing)
		Eventually(a.said).Should(Equal([]string{string(said)}))
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		heard := a.of(b.id, peer.EventFresh)[0]
		Expect(heard.Until).To(BeTemporally("~", before.Add(15*time.Second), 5*time.Second))
		Expect(a.notices()[0].Event).To(Equal(peer.EventDatagram), "events about peers never heard are ignored")
		Expect(a.notices()[0].Time).To(And(BeTemporally(">", before.Add(-100*time.Millisecond)), BeTemporally("<=", time.Now())))

		again := b.say(peer.PhaseServing)
		Eventually(a.said).Should(Equal([]string{string(said), string(again)}))
		Eventually(func() time.Time {
			fresh := a.of(b.id, peer.EventFresh)
			return fresh[len(fresh)-1].Until
		}).Should(BeTemporally(">", heard.Until))
		Expect(a.died(b.id)).To(BeFalse())
	})

	It("believes the peer's own pace", func() {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		slow := announce(b.id, peer.PhaseServing, 1)
		slow.ForgetAfter = 210 * time.Second // a minute's interval
		raw, err := slow.Append(nil, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.Send(raw, false)).To(Succeed())
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Expect(time.Until(a.of(b.id, peer.EventFresh)[0].Until)).To(BeNumerically("~", 90*time.Second, 10*time.Second))
	})

	It("hears the last word and the end of one that closes", func() {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		last := b.say(peer.PhaseGone)
		Eventually(a.said).Should(ContainElement(string(last)))
		Eventually(a.fresh).WithArguments(b.id).Should(BeFalse(), "its lock is held, but it ends")
		Consistently(a.fresh, "50ms").WithArguments(b.id).Should(BeFalse())
		Expect(b.Close()).To(Succeed())
		Eventually(a.died).WithArguments(b.id).Should(BeTrue())
		Expect(names(dir)).To(BeEmpty())
	})

	It("takes back that a peer is fresh when its announcement is removed, and does not call it dead", func() {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Expect(os.Remove(b.file(".ann"))).To(Succeed())
		Eventually(a.fresh).WithArguments(b.id).Should(BeFalse())
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Expect(a.died(b.id)).To(BeFalse())
	})

	It("does not call a peer dead whose lock file somebody removed; the peer makes another", func() {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Expect(os.Remove(b.file(".lock"))).To(Succeed())
		Consistently(a.died, "200ms").WithArguments(b.id).Should(BeFalse())
		b.say(peer.PhaseServing)
		Expect(locked(b.file(".lock"))).To(BeTrue())
		Consistently(a.died, "200ms").WithArguments(b.id).Should(BeFalse())
		c := settle(dir, nil)
		Eventually(c.fresh).WithArguments(b.id).Should(BeTrue())
		Expect(b.Close()).To(Succeed())
		Eventually(a.died).WithArguments(b.id).Should(BeTrue())
		Eventually(c.died).WithArguments(b.id).Should(BeTrue())
	})

	DescribeTable("at its start believes a file's own time only if it is plausible",
		func(age time.Duration, plausible bool) {
			dir := tempFolder()
			b := settle(dir, nil)
			said := b.say(peer.PhaseServing)
			written := time.Now().Add(-age)
			Expect(os.Chtimes(b.file(".ann"), written, written)).To(Succeed())
			a := settle(dir, nil)
			if !plausible {
				Consistently(a.notices, "200ms").Should(BeEmpty())
				By("hearing it when it answers")
				a.say(peer.PhaseStarting)
				Eventually(b.said).ShouldNot(BeEmpty())
				Expect(b.Send(b.word(peer.PhaseServing), true)).To(Succeed())
				Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
				return
			}
			Eventually(a.said).Should(Equal([]string{string(said)}))
			Expect(a.notices()[0].Time).To(BeTemporally("~", written, 2*time.Second))
			Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
			Expect(a.of(b.id, peer.EventFresh)[0].Until).To(BeTemporally("~", written.Add(15*time.Second), 2*time.Second))
		},
		Entry("written just now", time.Duration(0), true),
		Entry("written within one and a half intervals", 10*time.Second, true),
		Entry("written before that, or the clock was put forward", time.Minute, false),
		Entry("written in the future: the clock was put back", -time.Hour, false),
	)

	It("drops what is of another service, or not signed, and vouches for none of it", func() {
		dir := tempFolder()
		secret := func(c *peer.FolderConfig) { c.Secrets = [][]byte{[]byte("sesame")} }
		elsewhere := func(c *peer.FolderConfig) { c.Domain[0]++ }
		a, b, c := settle(dir, secret), settle(dir, elsewhere), settle(dir, nil)
		a.say(peer.PhaseServing) // of no secret itself: see word
		c.say(peer.PhaseServing)
		Eventually(a.drops).Should(ContainElement(peer.DropUnsigned))
		Eventually(b.drops).Should(ContainElements(peer.DropDomain, peer.DropDomain))
		Eventually(c.said).Should(HaveLen(1))
		Expect(a.of(c.id, peer.EventFresh)).To(BeEmpty())
		Expect(c.Close()).To(Succeed())
		Consistently(a.died, "100ms").WithArguments(c.id).Should(BeFalse())
	})

	It("believes no lock of one instance for the word of another, and no older word", func() {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		old := b.say(peer.PhaseStarting)
		newer := b.say(peer.PhaseServing) // which may have taken the place of the other before that was read
		Eventually(a.said).Should(ContainElement(string(newer)))
		mallory := peer.NewInstanceID()
		holdLock(fileOf(dir, mallory, ".lock"))
		put(dir, mallory, old)
		Eventually(a.drops).Should(Equal([]peer.DropReason{peer.DropMalformed}))
		put(dir, b.id, old)
		Eventually(a.drops).Should(Equal([]peer.DropReason{peer.DropMalformed, peer.DropReplay}))
		Eventually(a.fresh).WithArguments(b.id).Should(BeFalse())
		Expect(a.of(mallory, peer.EventFresh)).To(BeEmpty())
	})

	It("is not woken while nothing is written", func() {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		a.say(peer.PhaseServing)
		b.say(peer.PhaseServing)
		Eventually(a.said).Should(HaveLen(1))
		Eventually(b.said).Should(HaveLen(1))
		// rests returns the count once three looks in a row found it the same.
		rests := func() uint64 {
			GinkgoHelper()
			var last uint64
			same := 0
			Eventually(func() int {
				now := a.WakeUps()
				if same++; now != last {
					last, same = now, 1
				}
				return same
			}).WithPolling(200 * time.Millisecond).Should(Equal(3))
			return last
		}
		before := rests()
		Expect(os.WriteFile(a.file(".lock.new"), nil, 0o644)).To(Succeed())
		Eventually(a.WakeUps).Should(BeNumerically(">", before), "the counter counts")
		before = rests()
		Consistently(a.WakeUps, time.Second).Should(Equal(before))
		a.say(peer.PhaseServing)
		b.say(peer.PhaseServing)
		Eventually(a.said).Should(HaveLen(2))
		Consistently(a.WakeUps, "300ms").Should(BeNumerically("<=", before+8))
	})
})

// put replaces an announcement, as another implementation could.
func put(dir string, id peer.InstanceID, raw []byte) {
	GinkgoHelper()
	temp := fileOf(dir, id, ".ann.new")
	Expect(os.WriteFile(temp, raw, 0o644)).To(Succeed())
	Expect(os.Rename(temp, fileOf(dir, id, ".ann"))).To(Succeed())
}

var _ = Describe("A folder that cannot be used", func() {
	BeforeEach(checkLeaks)

	It("is one warning while it is missing, and is used once it is there", func() {
		dir := filepath.Join(tempFolder(), "later")
		a := settle(dir, nil)
		for range 3 {
			_ = a.Send(a.word(peer.PhaseServing), false)
		}
		Eventually(func() error { return a.Send(a.word(peer.PhaseServing), true) }).Should(MatchError(fs.ErrNotExist))
		Eventually(a.log.String).Should(ContainSubstring("does not exist"))
		Consistently(func() int { return strings.Count(a.log.String(), "level=WARN") }, "100ms").Should(Equal(1), a.log.String())
		Expect(os.Mkdir(dir, 0o755)).To(Succeed())
		there := a.word(peer.PhaseServing)
		_ = a.Send(there, false) // tells of the failure before
		a.shows(there)
		Eventually(a.log.String).Should(ContainSubstring("can be read now"))
		b := settle(dir, nil)
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Eventually(b.fresh).WithArguments(a.id).Should(BeTrue())
	})

	It("is used again after it was replaced", func() {
		dir := filepath.Join(tempFolder(), "folder")
		Expect(os.Mkdir(dir, 0o755)).To(Succeed())
		a, b := settle(dir, nil), settle(dir, nil)
		a.say(peer.PhaseServing)
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Expect(os.Rename(dir, dir+"-away")).To(Succeed())
		Expect(os.Mkdir(dir, 0o755)).To(Succeed())
		a.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeFalse())
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Eventually(b.fresh).WithArguments(a.id).Should(BeTrue())
		Expect(a.died(b.id) || b.died(a.id)).To(BeFalse())
	})

	It("keeps what is true when it is full, counts, says so once, and tries again", func() {
		dir := tempFolder()
		var full atomic.Bool
		a := settle(dir, func(c *peer.FolderConfig) {
			c.RefuseWrite(func() error {
				if full.Load() {
					return unix.ENOSPC
				}
				return nil
			})
		})
		b := settle(dir, nil)
		said := a.say(peer.PhaseServing)
		Eventually(b.fresh).WithArguments(a.id).Should(BeTrue())
		full.Store(true)
		Expect(a.Send(a.word(peer.PhaseServing), false)).To(Succeed(), "nobody knows yet")
		Eventually(func() error { return a.Send(a.word(peer.PhaseServing), true) }).Should(MatchError(unix.ENOSPC))
		a.shows(said)
		Eventually(names).WithArguments(dir).ShouldNot(ContainElement(HaveSuffix(".new")))
		Expect(b.fresh(a.id)).To(BeTrue())

		By("telling, as it cannot ask, whenever it would")
		b.say(peer.PhaseServing)
		mute := func() (all []notice) {
			for _, n := range a.of(b.id, peer.EventFresh) {
				if n.Mute {
					all = append(all, n)
				}
			}
			return all
		}
		for range 3 {
			told := len(mute())
			Eventually(func() []notice { _ = a.Send(a.word(peer.PhaseServing), true); return mute() }).ShouldNot(HaveLen(told))
		}

		By("withdrawing what is not true any more")
		Expect(a.Send(a.word(peer.PhaseStarting), false)).To(Or(Succeed(), MatchError(unix.ENOSPC)))
		Eventually(b.fresh).WithArguments(a.id).Should(BeFalse())
		Expect(b.died(a.id)).To(BeFalse())
		Expect(strings.Count(a.log.String(), "level=WARN")).To(Equal(1), a.log.String())
		Expect(a.log.String()).To(ContainSubstring("no space left on device"))

		full.Store(false)
		var last []byte
		Eventually(func() error { last = a.word(peer.PhaseStarting); return a.Send(last, true) }).Should(MatchError(peer.ErrSkipped))
		Eventually(b.fresh).WithArguments(a.id).Should(BeTrue())
		Eventually(a.log.String).Should(ContainSubstring("can be written to the shared folder again"))
	})

	It("holds nobody up when the file system is stuck", func() {
		dir := tempFolder()
		stuck := make(chan struct{})
		a := settle(dir, func(c *peer.FolderConfig) {
			c.RefuseWrite(func() error { <-stuck; return nil })
		})
		b := settle(dir, nil)
		for range 10 {
			Expect(a.Send(a.word(peer.PhaseServing), false)).To(Succeed())
		}
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Expect(a.Close()).To(MatchError(ContainSubstring("does not answer")))
		close(stuck)
		Eventually(names).WithArguments(dir).Should(HaveLen(2), "it cleans up as soon as that is possible")
	})

	It("tells who could not write since when it has asked, if a question was written", func() {
		dir := tempFolder()
		b := settle(dir, nil)
		b.say(peer.PhaseServing)
		var refused atomic.Bool
		refused.Store(true)
		a := settle(dir, func(c *peer.FolderConfig) {
			c.RefuseWrite(func() error {
				if refused.Load() {
					return unix.ENOSPC
				}
				return nil
			})
		})
		told := func() []notice { // what it was told of b while it could not write
			return slices.DeleteFunc(a.of(b.id, peer.EventFresh), func(n notice) bool { return !n.Mute })
		}
		_ = a.Ask(a.question(peer.PhaseServing))
		Eventually(told).ShouldNot(BeEmpty())
		for _, n := range told() {
			Expect(n.Asked).To(BeZero())
		}
		refused.Store(false)
		before := time.Now()
		raw := a.question(peer.PhaseServing)
		_ = a.Ask(raw)
		a.shows(raw)
		refused.Store(true)
		Eventually(func() time.Time {
			_ = a.Ask(a.question(peer.PhaseServing))
			all := told()
			return all[len(all)-1].Asked
		}).Should(BeTemporally(">=", before))
		asked := told()[len(told())-1].Asked
		seen := len(told())
		Eventually(func() int { _ = a.Ask(a.question(peer.PhaseServing)); return len(told()) }).Should(BeNumerically(">", seen+2))
		Expect(told()[len(told())-1].Asked).To(Equal(asked), "those were not written")
	})

	It("is looked at where it cannot be watched, when one that lives there is said to end", func() {
		dir := tempFolder()
		b := settle(dir, nil)
		b.say(peer.PhaseServing)
		a := settle(dir, func(c *peer.FolderConfig) {
			c.RefuseWatch(func() error { return os.NewSyscallError("inotify_init", unix.EMFILE) })
		})
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		last := b.say(peer.PhaseGone)
		Consistently(a.said, "50ms").ShouldNot(ContainElement(string(last)), "nobody looks")
		Eventually(func() []string { a.Doubt(b.id); return a.said() }).Should(ContainElement(string(last)))
		Expect(b.Close()).To(Succeed())
		Eventually(func() bool { a.Doubt(b.id); return a.died(b.id) }).Should(BeTrue())
	})

	It("is looked at with every announcement where it cannot be watched", func() {
		dir := tempFolder()
		var refused atomic.Bool
		refused.Store(true)
		a := settle(dir, func(c *peer.FolderConfig) {
			c.RefuseWatch(func() error {
				if refused.Load() {
					return os.NewSyscallError("inotify_init", unix.EMFILE)
				}
				return nil
			})
		})
		b := settle(dir, nil)
		a.say(peer.PhaseServing)
		b.say(peer.PhaseServing)
		ask := func() { _ = a.Send(a.word(peer.PhaseServing), true) }
		Eventually(func() bool { ask(); return a.fresh(b.id) }).Should(BeTrue())
		Expect(time.Until(a.of(b.id, peer.EventFresh)[0].Until)).To(BeNumerically("<=", time.Second), "a look is worth no more")
		Eventually(a.fresh, "3s").WithArguments(b.id).Should(BeFalse(), "nobody looks")
		Eventually(func() bool { ask(); return a.fresh(b.id) }).Should(BeTrue())
		Expect(strings.Count(a.log.String(), "cannot be watched")).To(Equal(1))
		Expect(a.log.String()).To(ContainSubstring("too many open files"))

		By("looking again by itself while somebody asks")
		heard := func(raw []byte) func() bool {
			return func() bool { return slices.Contains(a.said(), string(raw)) }
		}
		Eventually(func() bool { // again, where the second question came too late for that
			first := b.question(peer.PhaseServing)
			Expect(b.Ask(first)).To(Succeed())
			b.shows(first)
			Eventually(func() bool { ask(); return heard(first)() }).Should(BeTrue())
			for range 3 { // the first may be seen by a look that was still to come
				next := b.question(peer.PhaseServing)
				Expect(b.Ask(next)).To(Succeed())
				if InterceptGomegaFailure(func() { Eventually(heard(next), "1s").Should(BeTrue()) }) != nil {
					return false
				}
			}
			return true
		}, "20s").Should(BeTrue())

		By("seeing an end")
		c := settle(dir, nil)
		c.say(peer.PhaseServing)
		Eventually(func() bool { ask(); return a.fresh(c.id) }).Should(BeTrue())
		Expect(c.Close()).To(Succeed())
		Eventually(func() bool { ask(); return a.died(c.id) }).Should(BeTrue())

		By("watching as soon as that is possible")
		refused.Store(false)
		a.say(peer.PhaseServing)
		Eventually(a.log.String).Should(ContainSubstring("is watched now"))
		next := b.say(peer.PhaseServing)
		Eventually(a.said).Should(ContainElement(string(next)))
	})
})
