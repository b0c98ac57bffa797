package supervisor_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/supervisor"
)

// asNobody calls f with the file permissions of an ordinary user. For root that
// is a thread of its own, which ends with f and takes its permissions with it.
func asNobody(f func()) {
	if os.Geteuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer GinkgoRecover()
		runtime.LockOSThread() // and never unlocked
		_, _ = unix.SetfsuidRetUid(nobody)
		f()
	}()
	<-done
}

var _ = Describe("The marker", func() {
	var folder, path string
	var marker *supervisor.Marker

	BeforeEach(func() {
		folder = GinkgoT().TempDir()
		path = filepath.Join(folder, "handover-complete")
		marker = supervisor.NewMarker(path)
	})

	entries := func() []string {
		GinkgoHelper()
		list, err := os.ReadDir(folder)
		Expect(err).NotTo(HaveOccurred())
		var names []string
		for _, each := range list {
			names = append(names, each.Name())
		}
		return names
	}
	removed := func() bool {
		GinkgoHelper()
		removed, err := marker.Remove()
		Expect(err).NotTo(HaveOccurred())
		return removed
	}
	// unwritable is closed before f, and opened after.
	unwritable := func(f func()) {
		GinkgoHelper()
		Expect(os.Chmod(folder, 0o555)).To(Succeed())
		defer func() { Expect(os.Chmod(folder, 0o755)).To(Succeed()) }()
		asNobody(f)
	}

	It("knows its path", func() { Expect(marker.Path()).To(Equal(path)) })

	It("is written, and removed once", func() {
		Expect(marker.Write()).To(Succeed())
		Expect(entries()).To(Equal([]string{"handover-complete"}))
		info, err := os.Lstat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().IsRegular()).To(BeTrue())
		Expect(info.Size()).To(BeZero())
		Expect(removed()).To(BeTrue())
		Expect(removed()).To(BeFalse())
		Expect(entries()).To(BeEmpty())
	})

	It("leaves one that is there as it is", func() {
		Expect(os.WriteFile(path, []byte("of another"), 0o600)).To(Succeed())
		Expect(marker.Write()).To(Succeed())
		Expect(os.ReadFile(path)).To(BeEquivalentTo("of another"))
	})

	Describe("with a symbolic link in its place", func() {
		var secret string
		BeforeEach(func() {
			secret = filepath.Join(GinkgoT().TempDir(), "secret")
			Expect(os.WriteFile(secret, []byte("secret"), 0o600)).To(Succeed())
		})

		for _, target := range []string{"a file", "a folder", "nothing", "itself"} {
			Describe("to "+target, func() {
				BeforeEach(func() {
					to := map[string]string{
						"a file": secret, "a folder": filepath.Dir(secret), "nothing": filepath.Join(filepath.Dir(secret), "new"), "itself": path,
					}[target]
					Expect(os.Symlink(to, path)).To(Succeed())
				})
				AfterEach(func() {
					Expect(os.ReadFile(secret)).To(BeEquivalentTo("secret"))
					list, err := os.ReadDir(filepath.Dir(secret))
					Expect(err).NotTo(HaveOccurred())
					Expect(list).To(HaveLen(1))
				})

				It("replaces the link", func() {
					Expect(marker.Write()).To(Succeed())
					info, err := os.Lstat(path)
					Expect(err).NotTo(HaveOccurred())
					Expect(info.Mode().IsRegular()).To(BeTrue())
				})

				It("removes the link", func() {
					Expect(removed()).To(BeTrue())
					Expect(entries()).To(BeEmpty())
				})

				It("is content", func() {
					Expect(marker.Check()).To(Succeed())
					Expect(entries()).To(Equal([]string{"handover-complete"}))
				})
			})
		}
	})

	Describe("behind a link to its folder", func() {
		var secret string
		BeforeEach(func() {
			elsewhere := GinkgoT().TempDir()
			secret = filepath.Join(elsewhere, "handover-complete")
			Expect(os.WriteFile(secret, []byte("secret"), 0o600)).To(Succeed())
			Expect(os.Symlink(elsewhere, filepath.Join(folder, "link"))).To(Succeed())
			marker = supervisor.NewMarker(filepath.Join(folder, "link", "handover-complete"))
		})

		It("is used if the link is of the same user", func() {
			Expect(marker.Check()).To(Succeed())
			Expect(removed()).To(BeTrue())
			Expect(marker.Write()).To(Succeed())
			Expect(secret).To(BeAnExistingFile())
		})

		It("is neither removed nor written if the link is of another user", func() {
			if os.Geteuid() != 0 {
				Skip("only root can give a link to another user; run this suite as root as well")
			}
			Expect(os.Lchown(filepath.Join(folder, "link"), 54321, 54321)).To(Succeed())
			for _, err := range []error{marker.Check(), marker.Write(), func() error { _, err := marker.Remove(); return err }()} {
				Expect(err).To(MatchError(ContainSubstring(filepath.Join(folder, "link") + " is a link of user 54321, which is not followed")))
			}
			Expect(marker.Write()).To(MatchError(ContainSubstring("remove that link")))
			Expect(os.ReadFile(secret)).To(BeEquivalentTo("secret"))
			Expect(os.Remove(secret)).To(Succeed())
			Expect(marker.Write()).NotTo(Succeed())
			Expect(secret).NotTo(BeAnExistingFile())
		})
	})

	It("replaces a pipe, without waiting for a reader", func() {
		Expect(unix.Mkfifo(path, 0o600)).To(Succeed())
		Expect(marker.Write()).To(Succeed())
		info, err := os.Lstat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().IsRegular()).To(BeTrue())
	})

	It("says that a folder is in its place, and leaves it", func() {
		Expect(os.Mkdir(path, 0o700)).To(Succeed())
		for _, err := range []error{marker.Write(), marker.Check(), func() error { _, err := marker.Remove(); return err }()} {
			Expect(err).To(MatchError(syscall.EISDIR))
			Expect(err).To(MatchError(ContainSubstring(path)))
			Expect(err).To(MatchError(ContainSubstring("a folder is in its place, remove it")))
		}
		Expect(path).To(BeADirectory())
	})

	It("says that its folder is missing, and does not make one", func() {
		marker = supervisor.NewMarker(filepath.Join(folder, "balena", "handover-complete"))
		Expect(removed()).To(BeFalse())
		Expect(marker.Write()).To(And(MatchError(fs.ErrNotExist), MatchError(ContainSubstring("its folder is missing"))))
		err := marker.Check()
		Expect(err).To(MatchError(fs.ErrNotExist))
		Expect(err).To(MatchError(ContainSubstring("hand-overs still work")))
		Expect(err).To(MatchError(ContainSubstring("io.balena.update.handover-timeout")))
		Expect(entries()).To(BeEmpty())
	})

	It("says that its folder is a file", func() {
		Expect(marker.Write()).To(Succeed())
		marker = supervisor.NewMarker(filepath.Join(path, "handover-complete"))
		Expect(removed()).To(BeFalse())
		Expect(marker.Write()).To(MatchError(syscall.ENOTDIR))
		Expect(marker.Check()).To(MatchError(syscall.ENOTDIR))
	})

	It("says that its folder cannot be written", func() {
		unwritable(func() {
			Expect(removed()).To(BeFalse())
			Expect(marker.Write()).To(And(MatchError(fs.ErrPermission), MatchError(ContainSubstring("run the service as root"))))
			err := marker.Check()
			Expect(err).To(MatchError(fs.ErrPermission))
			Expect(err).To(MatchError(ContainSubstring("io.balena.update.handover-timeout")))
		})
	})

	It("says that it cannot be removed", func() {
		Expect(marker.Write()).To(Succeed())
		unwritable(func() {
			Expect(marker.Write()).To(Succeed()) // it is there
			removed, err := marker.Remove()
			Expect(removed).To(BeFalse())
			Expect(err).To(MatchError(fs.ErrPermission))
			Expect(err).To(MatchError(ContainSubstring("remove marker " + path)))
		})
	})

	It("is checked without a trace, and without being made", func() {
		before, err := os.Stat(folder)
		Expect(err).NotTo(HaveOccurred())
		Expect(marker.Check()).To(Succeed())
		after, err := os.Stat(folder)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries()).To(BeEmpty())
		Expect(after.ModTime()).To(Equal(before.ModTime()))
	})

	It("needs a path", func() {
		marker = supervisor.NewMarker("")
		Expect(marker.Write()).To(MatchError(ContainSubstring("no path is configured")))
		Expect(marker.Check()).To(MatchError(ContainSubstring("no path is configured")))
		Expect(removed()).To(BeFalse())
	})

	It("can be written and removed by several at once", func() {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				defer GinkgoRecover()
				for range 50 {
					if i%4 == 0 {
						_, err := marker.Remove()
						Expect(err).NotTo(HaveOccurred())
						continue
					}
					Expect(marker.Write()).To(Succeed())
				}
			})
		}
		all.Wait()
		Expect(marker.Write()).To(Succeed())
		Expect(entries()).To(Equal([]string{"handover-complete"}))
	})
})
