package peer_test

import (
	"os"
	"path/filepath"
	"strings"

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

// valid is an announcement of the instance.
func valid(id peer.InstanceID) []byte { return announceOf(id, 1) }

func announceOf(id peer.InstanceID, sequence uint64) []byte {
	GinkgoHelper()
	raw, err := announce(id, peer.PhaseServing, sequence).Append(nil, nil)
	Expect(err).NotTo(HaveOccurred())
	return raw
}
