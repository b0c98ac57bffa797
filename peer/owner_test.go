package peer_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

// ownerVariable makes this test binary a process that has the right in that
// folder, until the end of its standard input. It prints a line when it has it.
const ownerVariable = "PEER_TEST_OWNER"

func beOwner(folder string) error {
	o := peer.NewOwner(folder)
	o.Want(true)
	<-o.Changed()
	if _, held, _, err := o.State(); !held {
		return fmt.Errorf("not held: %w", err)
	}
	fmt.Println("held")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// held reports whether an owner has the right.
func held(o *peer.Owner) func() bool {
	return func() bool {
		_, held, since, _ := o.State()
		return held && !since.IsZero()
	}
}

var _ = Describe("The right to run an exclusive workload", func() {
	const patience = 20 * time.Second
	var folder string
	owner := func() *peer.Owner {
		o := peer.NewOwner(folder)
		DeferCleanup(o.Want, false)
		return o
	}
	BeforeEach(func() { folder = GinkgoT().TempDir() })

	It("is one's at a time, and goes to who waits when it is given up", func() {
		a, b := owner(), owner()
		lockable, has, _, err := a.State()
		Expect([]bool{lockable, has}).To(Equal([]bool{true, false}))
		Expect(err).NotTo(HaveOccurred())
		Expect(filepath.Join(folder, "owner")).NotTo(BeAnExistingFile(), "nobody wanted it yet")
		a.Want(true)
		Eventually(a.Changed()).Should(Receive())
		Expect(held(a)()).To(BeTrue())
		b.Want(true)
		Consistently(held(b), "50ms", "5ms").Should(BeFalse())
		a.Want(false)
		Expect(held(a)()).To(BeFalse())
		Eventually(b.Changed(), patience).Should(Receive())
		Expect(held(b)()).To(BeTrue())
		Expect(filepath.Join(folder, "owner")).To(BeAnExistingFile())
	})

	It("does not stay with who waited for it and does not want it any more", func() {
		a, b, c := owner(), owner(), owner()
		a.Want(true)
		Eventually(held(a), patience).Should(BeTrue())
		b.Want(true)
		b.Want(false)
		c.Want(true)
		a.Want(false)
		Eventually(held(c), patience).Should(BeTrue())
		Expect(held(b)()).To(BeFalse())
		b.Want(true)
		c.Want(false)
		Eventually(held(b), patience).Should(BeTrue())
	})

	It("ends with the process, however that ends", func() {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), ownerVariable+"="+folder)
		_, err := child.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		out, err := child.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(child.Start()).To(Succeed())
		DeferCleanup(func() {
			_ = child.Process.Kill()
			_ = child.Wait()
		})
		Expect(bufio.NewReader(out).ReadString('\n')).To(Equal("held\n"))
		o := owner()
		o.Want(true)
		Consistently(held(o), "50ms", "5ms").Should(BeFalse())
		Expect(child.Process.Kill()).To(Succeed())
		Eventually(held(o), patience).Should(BeTrue())
	})

	It("is not another's who finds a file that is only readable", func() {
		Expect(os.WriteFile(filepath.Join(folder, "owner"), nil, 0o444)).To(Succeed())
		a, b := owner(), owner()
		a.Want(true)
		Eventually(held(a), patience).Should(BeTrue())
		b.Want(true)
		Consistently(held(b), "50ms", "5ms").Should(BeFalse())
	})

	It("is that of the file that has the name now", func() {
		path := filepath.Join(folder, "owner")
		a, b := owner(), owner()
		a.Want(true)
		Eventually(held(a), patience).Should(BeTrue())
		b.Want(true)
		Consistently(held(b), "50ms", "5ms").Should(BeFalse())
		Expect(os.Rename(path, path+".old")).To(Succeed())
		a.Want(false)
		Eventually(held(b), patience).Should(BeTrue())
		Expect(path).To(BeAnExistingFile())
	})

	It("ends when it is given up, whoever inherited it", func() {
		a, b := owner(), owner()
		a.Want(true)
		Eventually(held(a), patience).Should(BeTrue())
		copied := copyOf(filepath.Join(folder, "owner"))
		b.Want(true)
		Consistently(held(b), "50ms", "5ms").Should(BeFalse())
		a.Want(false)
		Eventually(held(b), patience).Should(BeTrue())
		Expect(copied.Close()).To(Succeed())
	})

	It("is not for who may only read in the folder", func() {
		if os.Geteuid() != 0 {
			Skip("starting a process of another user takes root")
		}
		folder = tempFolder()
		path := filepath.Join(folder, "owner")
		Expect(os.WriteFile(path, nil, 0o644)).To(Succeed(), "as an earlier version left it")
		a := owner()
		a.Want(true)
		Eventually(held(a), patience).Should(BeTrue())
		a.Want(false)
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))

		program := filepath.Join(tempFolder(), "owner")
		text, err := os.ReadFile(os.Args[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(program, text, 0o755)).To(Succeed())
		other := exec.Command(program)
		other.Dir, other.Env = filepath.Dir(program), append(os.Environ(), ownerVariable+"="+folder)
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		said, err := other.CombinedOutput()
		Expect(err).To(HaveOccurred())
		Expect(string(said)).To(And(ContainSubstring("permission denied"), ContainSubstring("user 65534"), ContainSubstring(path)))
		Expect(os.Chmod(folder, 0o777)).To(Succeed())
		a.Want(true)
		Eventually(held(a), patience).Should(BeTrue())
		a.Want(false)
		info, err = os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600), "nothing is added to what was there")
		Expect(os.Remove(path)).To(Succeed())
		a.Want(true)
		Eventually(held(a), patience).Should(BeTrue())
		info, err = os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o644), "who may write may have it")
	})

	Describe("in a folder of another user, who puts a file of root's there", func() {
		const somebody = 65534
		var path string
		BeforeEach(func() {
			if os.Geteuid() != 0 {
				Skip("giving files away takes root")
			}
			folder = tempFolder()
			path = filepath.Join(folder, "owner")
			Expect(os.Chown(folder, somebody, somebody)).To(Succeed())
		})
		// unchanged reports whether the file is root's as it was.
		unchanged := func(mode os.FileMode) {
			GinkgoHelper()
			info, err := os.Stat(path)
			Expect(err).NotTo(HaveOccurred())
			stat := info.Sys().(*syscall.Stat_t)
			Expect([]uint32{stat.Uid, stat.Gid}).To(Equal([]uint32{0, 0}))
			Expect(info.Mode().Perm()).To(Equal(mode))
		}

		DescribeTable("is not to be had with one that is not empty, which stays root's", func(folderMode os.FileMode) {
			Expect(os.WriteFile(path, []byte("secret"), 0o600)).To(Succeed())
			Expect(os.Chmod(folder, folderMode)).To(Succeed())
			o := owner()
			o.Want(true)
			Eventually(o.Changed(), patience).Should(Receive())
			lockable, has, _, err := o.State()
			Expect([]bool{lockable, has}).To(Equal([]bool{false, false}))
			Expect(err).To(MatchError(And(ContainSubstring(path), ContainSubstring("not empty"), ContainSubstring("remove it while no instance runs"))))
			unchanged(0o600)
		},
			Entry("where only he may write", os.FileMode(0o755)),
			Entry("where his group may write", os.FileMode(0o775)),
			Entry("where all may write", os.FileMode(0o777)),
		)

		DescribeTable("gives nothing away of one that is empty", func(folderMode, before, after os.FileMode) {
			Expect(os.WriteFile(path, nil, before)).To(Succeed())
			Expect(os.Chmod(path, before)).To(Succeed())
			Expect(os.Chmod(folder, folderMode)).To(Succeed())
			o := owner()
			o.Want(true)
			Eventually(held(o), patience).Should(BeTrue())
			unchanged(after)
		},
			Entry("where only he may write", os.FileMode(0o755), os.FileMode(0o600), os.FileMode(0o600)),
			Entry("where he could not lock it otherwise", os.FileMode(0o755), os.FileMode(0o644), os.FileMode(0o644)),
			Entry("where his group may write", os.FileMode(0o775), os.FileMode(0o600), os.FileMode(0o600)),
			Entry("where all may write", os.FileMode(0o777), os.FileMode(0o600), os.FileMode(0o600)),
			Entry("where all may write, and could write to it", os.FileMode(0o777), os.FileMode(0o666), os.FileMode(0o644)),
		)

		It("is not to be had with one of somebody else's, where nobody else may write", func() {
			Expect(os.WriteFile(path, nil, 0o644)).To(Succeed())
			Expect(os.Chown(path, 1234, 1234)).To(Succeed())
			o := owner()
			o.Want(true)
			Eventually(o.Changed(), patience).Should(Receive())
			_, has, _, err := o.State()
			Expect(has).To(BeFalse())
			Expect(err).To(MatchError(And(ContainSubstring(path), ContainSubstring("belongs to user 1234"))))
			Expect(os.Chmod(folder, 0o777)).To(Succeed())
			other := owner()
			other.Want(true)
			Eventually(held(other), patience).Should(BeTrue())
		})

		It("is his, too, if this instance makes the file", func() {
			o := owner()
			o.Want(true)
			Eventually(held(o), patience).Should(BeTrue())
			info, err := os.Stat(path)
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Sys().(*syscall.Stat_t).Uid).To(BeEquivalentTo(somebody))
			Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
		})
	})

	DescribeTable("is not to be had where something else is", func(place func(path string) error) {
		Expect(place(filepath.Join(folder, "owner"))).To(Succeed())
		o := owner()
		o.Want(true)
		Eventually(o.Changed(), patience).Should(Receive())
		lockable, has, _, err := o.State()
		Expect([]bool{lockable, has}).To(Equal([]bool{false, false}))
		Expect(err).To(MatchError(ContainSubstring(filepath.Join(folder, "owner"))))
	},
		Entry("a directory", func(path string) error { return os.Mkdir(path, 0o755) }),
		Entry("a pipe", func(path string) error { return syscall.Mkfifo(path, 0o644) }),
		Entry("a link", func(path string) error { return os.Symlink("/dev/null", path) }),
		Entry("a link to a file that does not exist", func(path string) error { return os.Symlink(path+"x", path) }),
	)
})

// copyOf copies the descriptor of a file that this process has open, as a child
// has it that was forked and has not come to its exec.
func copyOf(path string) *os.File {
	GinkgoHelper()
	links, err := filepath.Glob("/proc/self/fd/*")
	Expect(err).NotTo(HaveOccurred())
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == path {
			fd, err := strconv.Atoi(filepath.Base(link))
			Expect(err).NotTo(HaveOccurred())
			fd, err = syscall.Dup(fd)
			Expect(err).NotTo(HaveOccurred())
			return os.NewFile(uintptr(fd), path)
		}
	}
	Fail("no descriptor of " + path + " is open")
	return nil
}

// The folder may come later than the instance.
func TestOwnerWithoutFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "later")
	synctest.Test(t, func(t *testing.T) {
		o := peer.NewOwner(folder)
		o.Want(true)
		synctest.Wait()
		if lockable, _, _, err := o.State(); lockable || err == nil {
			t.Error("there is no such folder")
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // the pause between two tries
		synctest.Wait()
		if lockable, held, _, err := o.State(); !lockable || !held || err != nil {
			t.Error("it was not found:", lockable, held, err)
		}
		o.Want(false)
		synctest.Wait()
	})
}

// Who does not want it any more leaves nothing behind in the folder.
func TestOwnerNoLongerWanted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "owner")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		o := peer.NewOwner(filepath.Dir(path))
		o.Want(true)
		synctest.Wait()
		if lockable, _, _, err := o.State(); lockable || err == nil {
			t.Error("a directory is no lock")
		}
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		o.Want(false)
		synctest.Wait()
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Error("it was made:", err)
		}
		o.Want(true)
		synctest.Wait()
		if _, held, _, _ := o.State(); !held {
			t.Error("wanted again, and not held")
		}
		o.Want(false)
	})
}
