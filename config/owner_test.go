package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/config"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

var _ = Describe("The file that another user may write", func() {
	const another = 54321
	var dir, file string
	BeforeEach(func() {
		dir = GinkgoT().TempDir()
		file = filepath.Join(dir, "handover.yaml")
		Expect(os.WriteFile(file, []byte("service: {name: planted}"), 0o644)).To(Succeed())
	})
	problem := func(o config.Options) config.Problem {
		GinkgoHelper()
		_, err := config.Load(o)
		var all *config.Error
		Expect(errors.As(err, &all)).To(BeTrue(), "%v", err)
		Expect(all.Problems).To(HaveLen(1))
		return all.Problems[0]
	}
	asRoot := func() {
		GinkgoHelper()
		if os.Geteuid() != 0 {
			Skip("only root refuses the file of another user; run this suite as root as well")
		}
	}

	It("is refused by root, with what to do", func() {
		asRoot()
		Expect(os.Chown(file, another, another)).To(Succeed())
		p := problem(config.Options{Dir: dir})
		Expect(p.File).To(Equal(file))
		Expect(p.Message).To(Equal("the file is not used: another user decides what stands in it, and it names commands that run as root: " + file + " belongs to user 54321"))
		Expect(p.Hint).To(Equal("chown and chmod " + file + "; or, if that user may decide what runs as root, name the file with --config or HANDOVER_CONFIG"))
	})

	It("is refused by root if only its folder can be written", func() {
		asRoot()
		Expect(os.Chmod(dir, 0o777)).To(Succeed())
		p := problem(config.Options{Dir: dir})
		Expect(p.Message).To(HaveSuffix(dir + " may be written by every user (mode 0777)"))
		Expect(p.Hint).To(HavePrefix("chown and chmod " + dir + ";"))
	})

	It("is refused by root where it was found by the working folder", func() {
		asRoot()
		GinkgoT().Chdir(dir)
		Expect(os.Chmod(dir, 0o777)).To(Succeed())
		Expect(problem(config.Options{}).Message).To(HaveSuffix(dir + " may be written by every user (mode 0777)"))
	})

	DescribeTable("is read with a warning if it was named",
		func(options func() config.Options) {
			Expect(os.Chmod(file, 0o666)).To(Succeed())
			loaded, err := config.Load(options())
			Expect(err).NotTo(HaveOccurred())
			Expect(loaded.Config.Service.Name).To(Equal("planted"))
			Expect(loaded.Warnings).To(ConsistOf("another user decides what stands in the configuration file " + file +
				", and so which commands run: " + file + " may be written by every user (mode 0666)"))
		},
		Entry("by the caller", func() config.Options { return config.Options{Path: file} }),
		Entry("by its variable", func() config.Options { return config.Options{Environ: []string{"HANDOVER_CONFIG=" + file}} }),
	)

	It("is read without a word if nobody else may write it", func() {
		for _, o := range []config.Options{{Dir: dir}, {Path: file}} {
			loaded, err := config.Load(o)
			Expect(err).NotTo(HaveOccurred())
			Expect(loaded.Warnings).To(BeEmpty())
		}
	})

	Describe("with something else in its place", func() {
		BeforeEach(func() { Expect(os.Remove(file)).To(Succeed()) })
		notRegular := func() {
			GinkgoHelper()
			for _, o := range []config.Options{{Dir: dir}, {Path: file}} {
				p := problem(o)
				Expect(p.Message).To(Equal("is not a regular file"))
				Expect(p.Hint).To(ContainSubstring("remove what stands there"))
			}
		}

		It("does not wait for the writer of a pipe", func(SpecContext) {
			Expect(unix.Mkfifo(file, 0o666)).To(Succeed())
			notRegular()
		}, NodeTimeout(time.Minute))

		It("opens no device and no socket, not by a link either", func() {
			Expect(os.Symlink("/dev/zero", file)).To(Succeed())
			notRegular()
			Expect(os.Remove(file)).To(Succeed())
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			Expect(err).NotTo(HaveOccurred())
			defer unix.Close(fd)
			Expect(unix.Bind(fd, &unix.SockaddrUnix{Name: file})).To(Succeed())
			notRegular()
		})
	})
})
