package peer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

var _ = Describe("A hostile folder", func() {
	BeforeEach(checkLeaks)

	// Each makes files of an invented instance.
	lock := func(dir string, id peer.InstanceID) { holdLock(fileOf(dir, id, ".lock")) }
	DescribeTable("tells of nobody there, and of those who are", func(plant func(dir string, id peer.InstanceID), again bool) {
		dir := tempFolder()
		before, during := peer.NewInstanceID(), peer.NewInstanceID()
		plant(dir, before)
		a := settle(dir, nil)
		a.say(peer.PhaseStarting)
		if again {
			plant(dir, during)
		}
		there := names(dir)
		b := settle(dir, nil)
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Expect(a.said()).To(HaveLen(1))
		Expect(a.of(before, peer.EventFresh)).To(BeEmpty())
		Expect(a.of(during, peer.EventFresh)).To(BeEmpty())
		Expect(b.Close()).To(Succeed())
		Eventually(a.died).WithArguments(b.id).Should(BeTrue())
		Expect(names(dir)).To(ConsistOf(there), "nothing of it is touched")
	},
		Entry("with a folder for an announcement", func(dir string, id peer.InstanceID) {
			lock(dir, id)
			Expect(os.Mkdir(fileOf(dir, id, ".ann"), 0o755)).To(Succeed())
		}, true),
		Entry("with a pipe for an announcement", func(dir string, id peer.InstanceID) {
			lock(dir, id)
			Expect(mkfifo(fileOf(dir, id, ".ann"))).To(Succeed())
		}, true),
		Entry("with a pipe for a lock", func(dir string, id peer.InstanceID) {
			Expect(mkfifo(fileOf(dir, id, ".lock"))).To(Succeed())
			put(dir, id, valid(id))
		}, true),
		Entry("with a link to an announcement", func(dir string, id peer.InstanceID) {
			lock(dir, id)
			Expect(os.WriteFile(filepath.Join(dir, "other"), valid(id), 0o644)).To(Succeed())
			Expect(os.Symlink("other", fileOf(dir, id, ".ann"))).To(Succeed())
		}, false),
		Entry("with a link to a lock", func(dir string, id peer.InstanceID) {
			holdLock(filepath.Join(dir, "updates.lock"))
			Expect(os.Symlink("updates.lock", fileOf(dir, id, ".lock"))).To(Succeed())
			put(dir, id, valid(id))
		}, false),
		Entry("with a second name of somebody's lock", func(dir string, id peer.InstanceID) {
			holdLock(filepath.Join(dir, "other.lock"))
			Expect(os.Link(filepath.Join(dir, "other.lock"), fileOf(dir, id, ".lock"))).To(Succeed())
			put(dir, id, valid(id))
		}, false),
		Entry("with an announcement without a lock", func(dir string, id peer.InstanceID) { put(dir, id, valid(id)) }, true),
		Entry("with a huge announcement", func(dir string, id peer.InstanceID) {
			lock(dir, id)
			put(dir, id, nil)
			Expect(os.Truncate(fileOf(dir, id, ".ann"), 1<<40)).To(Succeed())
		}, true),
		Entry("with an empty announcement", func(dir string, id peer.InstanceID) { lock(dir, id); put(dir, id, nil) }, true),
		Entry("with nine bytes of handover-lib", func(dir string, id peer.InstanceID) {
			lock(dir, id)
			put(dir, id, nine(7))
		}, true),
		Entry("with garbage", func(dir string, id peer.InstanceID) {
			lock(dir, id)
			put(dir, id, append(valid(id)[:30], 1, 2, 3))
		}, true),
		Entry("with a device", func(dir string, id peer.InstanceID) {
			lock(dir, id)
			if unix.Mknod(fileOf(dir, id, ".ann"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) != nil {
				Skip("making a device file takes root")
			}
		}, true),
		Entry("with names that are nearly right", func(dir string, id peer.InstanceID) {
			for _, name := range []string{
				strings.ToUpper(id.String()) + ".ann", id.String(), id.String() + "0.ann", id.String() + ".ann\n", id.String() + ".ann.new.new",
				strings.Repeat("0", 32) + ".ann", id.String()[1:] + ".lock",
			} {
				Expect(os.WriteFile(filepath.Join(dir, ".handover-"+name), valid(id), 0o644)).To(Succeed())
			}
		}, true),
	)

	It("with thousands of files costs a bounded amount of work, and peers are heard", func() {
		dir := tempFolder()
		for i := range 3000 {
			id := peer.NewInstanceID()
			put(dir, id, announceOf(id, uint64(i+1)))
		}
		a := settle(dir, nil)
		a.say(peer.PhaseServing)
		b := settle(dir, nil)
		b.say(peer.PhaseServing)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		By("an answer, of those who were there before, among all the others")
		Expect(a.Send(a.word(peer.PhaseServing), true)).To(Succeed())
		Eventually(b.fresh).WithArguments(a.id).Should(BeTrue())
	})

	It("with more instances than anybody has follows 64", func() {
		dir := tempFolder()
		a := settle(dir, nil)
		for i := range 100 {
			id := peer.NewInstanceID()
			holdLock(fileOf(dir, id, ".lock"))
			put(dir, id, announceOf(id, uint64(i+1)))
		}
		Eventually(a.said).Should(HaveLen(64))
		Consistently(a.said, "200ms").Should(HaveLen(64))
		Eventually(func() int { return strings.Count(a.log.String(), "too many instances") }).Should(Equal(1))
	})
})

var _ = Describe("A storm of renames", func() {
	BeforeEach(checkLeaks)

	// storm renames, as fast as it can, until the end of the spec.
	storm := func(rename func(i int)) {
		quit, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for i := 0; ; i++ {
				select {
				case <-quit:
					return
				default:
					rename(i)
				}
			}
		}()
		DeferCleanup(func() { close(quit); <-ended })
	}

	DescribeTable("holds up no word of a peer, and costs a bounded amount of work", func(begin func(dir string)) {
		dir := tempFolder()
		a, b := settle(dir, nil), settle(dir, nil)
		a.say(peer.PhaseServing)
		b.say(peer.PhaseStarting)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		began, before := time.Now(), a.WakeUps()
		begin(dir)
		// The queue of the kernel is full: 16384 events.
		Eventually(a.WakeUps).Should(BeNumerically(">", before+100))
		var took []time.Duration
		for range 10 {
			said := time.Now()
			raw := b.say(peer.PhaseServing)
			Eventually(a.said).WithPolling(time.Millisecond).Should(ContainElement(string(raw)))
			took = append(took, time.Since(said).Round(time.Millisecond))
		}
		AddReportEntry("a word in the storm took", fmt.Sprint(took))
		// Some 0.1 s, and much more only because this machine is shared; it was 6 s when words waited in line.
		Expect(slices.Max(took)).To(BeNumerically("<", 3*time.Second))
		windows := 1 + uint64(time.Since(began)/(100*time.Millisecond))
		Expect(a.WakeUps() - before).To(BeNumerically("<", 500*windows))

		By("hearing one that comes only now, and seeing it die")
		c := settle(dir, nil)
		c.say(peer.PhaseStarting)
		Eventually(a.fresh, "20s").WithArguments(c.id).Should(BeTrue())
		Expect(c.Close()).To(Succeed())
		Eventually(a.died).WithArguments(c.id).Should(BeTrue())
	},
		Entry("of names that nobody has", func(dir string) {
			last := filepath.Join(dir, "first")
			Expect(os.WriteFile(last, valid(peer.NewInstanceID()), 0o644)).To(Succeed())
			storm(func(int) {
				next := fileOf(dir, peer.NewInstanceID(), ".ann")
				if os.Rename(last, next) == nil {
					last = next
				}
			})
		}),
		Entry("of one that seems to live", func(dir string) {
			id := peer.NewInstanceID()
			holdLock(fileOf(dir, id, ".lock"))
			storm(func(i int) { put(dir, id, announceOf(id, uint64(i+1))) })
		}),
		Entry("of locks", func(dir string) {
			last := filepath.Join(dir, "first")
			Expect(os.WriteFile(last, nil, 0o644)).To(Succeed())
			storm(func(int) {
				next := fileOf(dir, peer.NewInstanceID(), ".lock")
				if os.Rename(last, next) == nil {
					last = next
				}
			})
		}),
		Entry("of names that are nothing", func(dir string) {
			paths := []string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}
			Expect(os.WriteFile(paths[0], nil, 0o644)).To(Succeed())
			storm(func(i int) { _ = os.Rename(paths[i%2], paths[1-i%2]) })
		}),
	)
})

// valid is an announcement of the instance.
func valid(id peer.InstanceID) []byte { return announceOf(id, 1) }

func announceOf(id peer.InstanceID, sequence uint64) []byte {
	GinkgoHelper()
	raw, err := announce(id, peer.PhaseServing, sequence).Append(nil, nil)
	Expect(err).NotTo(HaveOccurred())
	return raw
}
