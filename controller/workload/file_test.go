package workload_test

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
)

var _ = Describe("The readiness file of an earlier run", func() {
	var elsewhere, dir string // a folder, and one in which another user may write
	BeforeEach(func() {
		elsewhere, dir = GinkgoT().TempDir(), GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(elsewhere, "ready"), []byte("precious"), 0o600)).To(Succeed())
	})
	precious := func() {
		GinkgoHelper()
		Expect(os.ReadFile(filepath.Join(elsewhere, "ready"))).To(BeEquivalentTo("precious"))
	}
	reason := func(w *workload.Workload) func() string {
		return func() string { return w.State().NotReadyReason }
	}
	begin := func(file string) *workload.Workload {
		GinkgoHelper()
		return start(workload.Options{Argv: self("trap"), Readiness: workload.Readiness{File: file}})
	}

	It("is removed as the link that it is", func() {
		file := filepath.Join(dir, "ready")
		Expect(os.Symlink(filepath.Join(elsewhere, "ready"), file)).To(Succeed())
		w := begin(file)
		precious()
		Eventually(reason(w)).Should(ContainSubstring("no such file"))
		_, err := os.Lstat(file)
		Expect(err).To(MatchError(os.ErrNotExist))
	})

	It("is removed behind a link of its own user", func() {
		link := filepath.Join(dir, "link")
		Expect(os.Symlink(elsewhere, link)).To(Succeed())
		w := begin(filepath.Join(link, "ready"))
		Eventually(reason(w)).Should(ContainSubstring("no such file"))
		Expect(filepath.Join(elsewhere, "ready")).NotTo(BeAnExistingFile())
	})

	It("is left alone behind a link of another user, and does not count", func() {
		if os.Geteuid() != 0 {
			Skip("only root can give a link to another user; run this suite as root as well")
		}
		link := filepath.Join(dir, "link")
		Expect(os.Symlink(elsewhere, link)).To(Succeed())
		Expect(os.Lchown(link, 54321, 54321)).To(Succeed())
		w := begin(filepath.Join(link, "ready"))
		precious()
		Eventually(reason(w)).Should(ContainSubstring("not changed since an earlier run"))
	})

	It("is left alone if it is a folder, even an empty one", func() {
		file := filepath.Join(dir, "ready")
		Expect(os.Mkdir(file, 0o755)).To(Succeed())
		w := begin(file)
		Expect(file).To(BeADirectory())
		Eventually(reason(w)).Should(ContainSubstring("not changed since an earlier run"))
	})
})
