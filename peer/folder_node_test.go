package peer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

var _ = Describe("Nodes that share nothing but a folder", func() {
	BeforeEach(checkLeaks)

	inFolder := func(dir string, container int) *member {
		return join(container, func(c *peer.Config) {
			f, err := peer.OpenFolder(peer.FolderConfig{Path: dir, Self: c.Self.Instance, Domain: c.Domain})
			Expect(err).NotTo(HaveOccurred())
			c.Ways, c.Uptime = []peer.Way{f}, nil // the kernel's clock: there are other processes
		})
	}

	openFiles := func() int {
		GinkgoHelper()
		all, err := os.ReadDir("/proc/self/fd")
		Expect(err).NotTo(HaveOccurred())
		return len(all)
	}

	It("hear each other, vouch for each other, and see each other go", func() {
		dir, before := tempFolder(), openFiles()
		a := inFolder(dir, 1)
		a.Say(serving)
		b := inFolder(dir, 2)
		b.Say(peer.Statement{Phase: peer.PhaseStarting})
		Eventually(func() *peer.Peer { return a.sees(b) }).ShouldNot(BeNil())
		Eventually(func() *peer.Peer { return b.sees(a) }).ShouldNot(BeNil())
		b.Say(serving)
		Eventually(func() peer.Phase { return a.sees(b).Phase }).Should(Equal(peer.PhaseServing))
		Eventually(func() time.Duration { return time.Until(a.sees(b).FreshUntil) }).Should(BeNumerically(">", 10*time.Second))
		Expect(a.sees(b).Ways).To(Equal([]string{"folder"}))
		stats := b.Stats()
		Expect(stats.Way("folder").SendErrors).To(BeZero())
		Expect(b.Close(context.Background())).To(Succeed())
		Eventually(func() bool { return a.sees(b).Gone && a.sees(b).Dead }).Should(BeTrue())
		Expect(a.sees(b).FreshUntil).To(BeZero())
		Expect(a.Close(context.Background())).To(Succeed())
		Expect(names(dir)).To(BeEmpty())
		Expect(openFiles()).To(BeNumerically("<=", before))
	})

	It("hear answers while a peer runs, and know of one that is frozen only that it lives", func() {
		dir := tempFolder()
		a := inFolder(dir, 1)
		a.Say(peer.Statement{Phase: peer.PhaseServing, Ask: true, AskEvery: 50 * time.Millisecond})
		b := start(residentConfig{Path: dir, Answer: true}, nil).ready()
		other := &member{cfg: peer.Config{Self: peer.Identity{Instance: b.id}}}
		heard := func() time.Time {
			if p := a.sees(other); p != nil {
				return p.LastHeard
			}
			return time.Time{}
		}
		questions := func() uint64 { stats := a.Stats(); return stats.Way("folder").Sent }
		hears := func() {
			GinkgoHelper()
			for range 3 {
				Eventually(heard).Should(BeTemporally(">", heard()))
			}
		}
		hears()
		Expect(b.cmd.Process.Signal(syscall.SIGSTOP)).To(Succeed())
		// What it had written by then is still to be heard.
		var last time.Time
		Eventually(func() bool {
			before, sent := heard(), questions()
			Eventually(questions).Should(BeNumerically(">=", sent+3))
			last = heard()
			return last.Equal(before)
		}).Should(BeTrue())
		sent := questions()
		Eventually(questions).Should(BeNumerically(">=", sent+10))
		Expect(heard()).To(Equal(last))
		Expect(a.sees(other).FreshUntil).To(BeTemporally(">", time.Now()), "it lives")
		Expect(b.cmd.Process.Signal(syscall.SIGCONT)).To(Succeed())
		hears()
		Expect(a.Close(context.Background())).To(Succeed())
	})

	It("do without it when it cannot be written, and count that", func() {
		dir := filepath.Join(tempFolder(), "missing")
		a := inFolder(dir, 1)
		a.Say(serving)
		Eventually(func() uint64 { s := a.Stats(); return s.Way("folder").SendErrors }).Should(BeNumerically(">=", 5))
		Expect(a.Close(context.Background())).To(Succeed())
	})

	It("start together", func() {
		dir := tempFolder()
		var all []*member
		for i := range 8 {
			all = append(all, inFolder(dir, i+1))
		}
		for _, m := range all {
			go m.Say(serving)
		}
		for _, m := range all {
			Eventually(m.Peers).Should(HaveLen(7), fmt.Sprint(names(dir)))
		}
		for _, m := range all {
			m.quit()
		}
		Expect(names(dir)).To(BeEmpty())
	})
})
