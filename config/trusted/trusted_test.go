package trusted_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/config/trusted"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

func TestTrusted(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Trusted paths")
}

const another = 54321 // a user

var _ = Describe("A path", func() {
	var dir string
	at := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	write := func(path string, mode fs.FileMode) {
		GinkgoHelper()
		Expect(os.WriteFile(path, nil, 0o600)).To(Succeed())
		Expect(os.Chmod(path, mode)).To(Succeed())
	}
	mkdir := func(path string, mode fs.FileMode) {
		GinkgoHelper()
		Expect(os.Mkdir(path, 0o700)).To(Succeed())
		Expect(os.Chmod(path, mode)).To(Succeed())
	}
	give := func(path string) {
		GinkgoHelper()
		if os.Geteuid() != 0 {
			Skip("only root can give a file to another user; run this suite as root as well")
		}
		Expect(os.Lchown(path, another, another)).To(Succeed())
	}
	// another user's part of the path, or nil.
	foreign := func(err error) *trusted.Error {
		var e *trusted.Error
		errors.As(err, &e)
		return e
	}
	BeforeEach(func() {
		var err error
		dir, err = filepath.EvalSymlinks(GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
	})

	Describe("that is checked", func() {
		check := func(path string) error { _, err := trusted.Check(path); return err }

		It("may lead through /tmp, links and folders of its own", func() {
			mkdir(at("folder"), 0o755)
			write(at("folder", "file"), 0o644)
			Expect(os.Symlink("folder", at("link"))).To(Succeed())
			Expect(os.Symlink(at("link", "..", "link", "file"), at("deep"))).To(Succeed())
			for _, path := range []string{at("folder", "file"), at("link", "file"), at("deep"), at(".", "folder", "..", "deep")} {
				found, err := trusted.Check(path)
				Expect(err).NotTo(HaveOccurred(), path)
				same, err := os.Stat(path)
				Expect(err).NotTo(HaveOccurred())
				Expect(os.SameFile(found, same)).To(BeTrue(), path)
			}
		})

		It("may not exist", func() {
			Expect(check(at("none"))).To(MatchError(fs.ErrNotExist))
			Expect(check(at("none", "file"))).To(MatchError(fs.ErrNotExist))
			write(at("file"), 0o600)
			Expect(check(at("file", "file"))).To(MatchError(syscall.ENOTDIR))
			Expect(os.Symlink("loop", at("loop"))).To(Succeed())
			Expect(check(at("loop"))).To(MatchError(syscall.ELOOP))
			for _, path := range []string{"", at("file") + "/"} {
				Expect(check(path)).To(MatchError(syscall.EINVAL))
			}
		})

		It("may end in a file that its own group may write, but not everybody", func() {
			write(at("file"), 0o664)
			Expect(check(at("file"))).To(Succeed())
			Expect(os.Chmod(at("file"), 0o666)).To(Succeed())
			Expect(foreign(check(at("file")))).To(HaveField("Path", at("file")))
			Expect(check(at("file"))).To(MatchError(ContainSubstring("may be written by every user (mode 0666)")))
		})

		It("may not end in a file of another user, or of another group that may write it", func() {
			write(at("file"), 0o600)
			give(at("file"))
			Expect(check(at("file"))).To(MatchError(at("file") + " belongs to user 54321"))
			Expect(os.Lchown(at("file"), 0, another)).To(Succeed())
			Expect(check(at("file"))).To(Succeed())
			Expect(os.Chmod(at("file"), 0o660)).To(Succeed())
			Expect(check(at("file"))).To(MatchError(at("file") + " may be written by group 54321 (mode 0660)"))
		})

		DescribeTable("may not lead through a folder that another user may write",
			func(mode fs.FileMode, given bool) {
				mkdir(at("folder"), mode)
				mkdir(at("folder", "below"), 0o755)
				write(at("folder", "below", "file"), 0o644)
				Expect(os.Symlink(at("folder", "below", "file"), at("link"))).To(Succeed())
				if given {
					give(at("folder"))
				}
				for _, path := range []string{at("folder", "below", "file"), at("link"), at("folder", "below", "..", "below", "file")} {
					Expect(foreign(check(path))).To(HaveField("Path", at("folder")), path)
				}
			},
			Entry("everybody", fs.FileMode(0o777), false),
			Entry("its owner", fs.FileMode(0o755), true),
			Entry("its owner, though it is sticky", 0o777|fs.ModeSticky, true),
		)

		It("may lead through a sticky folder only to what its own users made", func() {
			mkdir(at("folder"), 0o777|fs.ModeSticky)
			write(at("folder", "file"), 0o644)
			Expect(check(at("folder", "file"))).To(Succeed())
			write(at("file"), 0o644)
			Expect(os.Symlink(at("file"), at("folder", "link"))).To(Succeed())
			Expect(check(at("folder", "link"))).To(Succeed())
			give(at("folder", "link"))
			Expect(foreign(check(at("folder", "link")))).To(HaveField("Path", at("folder", "link")))
		})

		It("counts from the folder that the process works in", func() {
			mkdir(at("open"), 0o777)
			mkdir(at("open", "work"), 0o755)
			write(at("open", "work", "file"), 0o644)
			GinkgoT().Chdir(at("open", "work"))
			Expect(foreign(check("file"))).To(HaveField("Path", at("open")))
			Expect(os.Chmod(at("open"), 0o755)).To(Succeed())
			Expect(check("file")).To(Succeed())
		})

		It("spoils no line", func() {
			write(at("a\x1b[2J\nb"), 0o666)
			Expect(check(at("a\x1b[2J\nb"))).To(MatchError(ContainSubstring(`/a\x1b[2J\nb" may be written`)))
		})
	})

	Describe("whose folder is opened", func() {
		It("may lead through links of its own, and the last element is left alone", func() {
			mkdir(at("folder"), 0o777)
			Expect(os.Symlink("folder", at("link"))).To(Succeed())
			Expect(os.Symlink("nowhere", at("folder", "end"))).To(Succeed())
			folder, name, err := trusted.OpenFolder(at("link", "end"))
			Expect(err).NotTo(HaveOccurred())
			defer folder.Close()
			Expect(name).To(Equal("end"))
			Expect(unix.Unlinkat(int(folder.Fd()), name, 0)).To(Succeed())
			_, err = os.Lstat(at("folder", "end"))
			Expect(err).To(MatchError(fs.ErrNotExist))
		})

		It("does not lead through a link of another user", func() {
			mkdir(at("folder"), 0o755)
			Expect(os.Symlink("folder", at("link"))).To(Succeed())
			give(at("link"))
			_, _, err := trusted.OpenFolder(at("link", "file"))
			Expect(err).To(MatchError(at("link") + " is a link of user 54321, which is not followed"))
		})

		It("may not exist", func() {
			_, _, err := trusted.OpenFolder(at("none", "file"))
			Expect(err).To(MatchError(fs.ErrNotExist))
			write(at("file"), 0o600)
			folder, _, err := trusted.OpenFolder(at("file", "file"))
			if err == nil { // the kernel says so when the folder is used
				defer folder.Close()
				err = unix.Unlinkat(int(folder.Fd()), "file", 0)
			}
			Expect(err).To(MatchError(syscall.ENOTDIR))
		})
	})
})
