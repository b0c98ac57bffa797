package workload_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
)

var _ = Describe("Starting a command", func() {
	It("tells when it runs and when it has ended", func() {
		w := create(workload.Options{Argv: self("trap", "15")})
		Expect(w.State()).To(Equal(workload.State{NotReadyReason: "not started"}))
		Expect(w.Signal(syscall.SIGHUP)).To(MatchError(workload.ErrNotRunning))

		before := time.Now()
		Expect(w.Start()).To(Succeed())
		Expect(w.Changed()).To(Receive())
		s := w.State()
		Expect(s.Running).To(BeTrue())
		Expect(s.Run).To(Equal(1))
		Expect(s.Started).To(BeTemporally("~", before, 10*time.Second))
		Expect(syscall.Kill(s.PID, 0)).To(Succeed())
		Expect(w.Start()).To(MatchError(workload.ErrRunning))

		Expect(w.Signal(syscall.SIGKILL)).To(Succeed())
		Eventually(ended(w)).Should(BeTrue())
		Eventually(w.Changed()).Should(Receive())
		s = w.State()
		Expect(s.Running).To(BeFalse())
		Expect(s.Ready).To(BeFalse())
		Expect(s.NotReadyReason).To(Equal("ended"))
		Expect(s.ExitCode).To(Equal(137))
		Expect(s.Killed).To(BeFalse(), "it was not us")
		Expect(w.Signal(syscall.SIGHUP)).To(MatchError(workload.ErrNotRunning))
	})

	DescribeTable("reports the exit status as tini and Docker do",
		func(script string, code int, s syscall.Signal) {
			w := start(workload.Options{Argv: []string{"sh", "-c", script}})
			Eventually(ended(w)).Should(BeTrue())
			Expect(w.State().ExitCode).To(Equal(code))
			Expect(w.State().Signal).To(Equal(s))
		},
		Entry("success", "exit 0", 0, syscall.Signal(0)),
		Entry("failure", "exit 3", 3, syscall.Signal(0)),
		Entry("the highest", "exit 255", 255, syscall.Signal(0)),
		Entry("SIGTERM", "kill -TERM $$", 143, syscall.SIGTERM),
		Entry("SIGKILL", "kill -KILL $$", 137, syscall.SIGKILL),
		Entry("SIGSEGV", "kill -SEGV $$", 139, syscall.SIGSEGV),
		Entry("a real-time signal", "kill -40 $$", 168, syscall.Signal(40)),
	)

	It("starts again what has ended", func() {
		out := newOutput()
		w := create(workload.Options{Argv: []string{"sh", "-c", "echo run; exit 4"}, Stdout: out.File})
		for n := 1; n <= 3; n++ {
			Expect(w.Start()).To(Succeed())
			Eventually(ended(w)).Should(BeTrue())
			Expect(w.State().Run).To(Equal(n))
			Expect(w.State().ExitCode).To(Equal(4))
			Expect(out.lines()).To(HaveLen(n))
		}
		Expect(w.Close()).To(Succeed())
		Expect(w.Start()).To(MatchError(workload.ErrClosed))
	})

	It("kills what still runs when it is closed, and can be closed again", func() {
		w, out := started(workload.Options{Argv: self("family")})
		Eventually(out.lines).Should(HaveLen(6)) // two pids, two trapping
		first, _ := familyPIDs(out)
		DeferCleanup(killPrinted(out))
		Expect(w.Close()).To(Succeed())
		Expect(w.State().Killed).To(BeTrue())
		Expect(w.State().ExitCode).To(Equal(137))
		Expect(alive(first)).To(BeFalse())
		Expect(w.Close()).To(Succeed())
	})

	Describe("that cannot be started", func() {
		var dir string
		write := func(name, content string, mode os.FileMode) {
			Expect(os.WriteFile(filepath.Join(dir, name), []byte(content), mode)).To(Succeed())
		}
		BeforeEach(func() {
			dir = GinkgoT().TempDir()
			write("plain", "#!/bin/sh\n", 0o644)
			write("garbage", "\x01\x02\x03\x04", 0o755)
			write("no-interpreter", "#!/does/not/exist\n", 0o755)
			Expect(os.Mkdir(filepath.Join(dir, "folder"), 0o755)).To(Succeed())
		})

		DescribeTable("it says what is wrong and what to do",
			func(name, workDir string, code int, kind, system error, says string) {
				o := workload.Options{
					Argv: []string{strings.ReplaceAll(name, "DIR", dir)},
					Env:  []string{"PATH=/does/not/exist:" + dir, "PATH=/bin"},
					Dir:  workDir,
				}
				w := create(o)
				err := w.Start()
				var start *workload.StartError
				Expect(errors.As(err, &start)).To(BeTrue(), "%v", err)
				Expect(start.ExitCode).To(Equal(code))
				Expect(start.Command).To(Equal(o.Argv[0]))
				Expect(err).To(MatchError(kind))
				Expect(err).To(MatchError(system))
				Expect(err).To(MatchError(ContainSubstring(says)))
				Expect(err).To(MatchError(ContainSubstring(strconv.Quote(o.Argv[0]))))
				Expect(w.State().Running).To(BeFalse())
				Expect(w.State().Run).To(BeZero())
			},
			Entry("not in PATH, of which the first counts", "sh", "", 127, workload.ErrNotFound, syscall.ENOENT, "not in PATH"),
			Entry("no such file", "DIR/nothing", "", 127, workload.ErrNotFound, syscall.ENOENT, "correct the path"),
			Entry("a file as a folder", "DIR/plain/x", "", 127, workload.ErrNotFound, syscall.ENOENT, "correct the path"),
			Entry("an empty name", "", "", 127, workload.ErrNotFound, syscall.ENOENT, "not in PATH"),
			Entry("a missing interpreter", "DIR/no-interpreter", "", 127, workload.ErrNotFound, syscall.ENOENT, "first line"),
			Entry("not executable", "DIR/plain", "", 126, workload.ErrNotExecutable, syscall.EACCES, "chmod +x"),
			Entry("not executable, in PATH", "plain", "", 126, workload.ErrNotExecutable, syscall.EACCES, "chmod +x"),
			Entry("a directory", "DIR/folder", "", 126, workload.ErrNotExecutable, syscall.EACCES, "directory"),
			Entry("a directory, in PATH", "folder", "", 126, workload.ErrNotExecutable, syscall.EACCES, "directory"),
			Entry("not a program", "DIR/garbage", "", 126, workload.ErrNotExecutable, syscall.ENOEXEC, "architecture"),
			Entry("no working directory", "/bin/sh", "/does/not/exist", 126, workload.ErrNotExecutable, syscall.ENOENT, "working directory"),
			Entry("a file as working directory", "/bin/sh", "/etc/passwd", 126, workload.ErrNotExecutable, syscall.ENOTDIR, "working directory"),
		)

		It("does not take a directory of PATH that may not be searched for the command", func() {
			if os.Geteuid() == 0 {
				Skip("root may search every directory; run this suite as an ordinary user as well")
			}
			sealed := filepath.Join(dir, "sealed")
			Expect(os.Mkdir(sealed, 0o000)).To(Succeed())
			w := create(workload.Options{Argv: []string{"nothing"}, Env: []string{"PATH=" + sealed + ":/bin"}})
			Expect(w.Start()).To(MatchError(workload.ErrNotFound))
			ran := start(workload.Options{Argv: []string{"true"}, Env: []string{"PATH=" + sealed + ":/usr/bin:/bin"}})
			Eventually(ended(ran)).Should(BeTrue())
		})

		It("leaves no file and no process behind, and can be started once the cause is gone", func() {
			path := filepath.Join(dir, "late")
			w := create(workload.Options{Argv: []string{path}, Readiness: workload.Readiness{Notify: true}})
			files := descriptors(os.Getpid())
			for range 3 {
				Expect(w.Start()).To(MatchError(workload.ErrNotFound))
			}
			Eventually(func() []string { return descriptors(os.Getpid()) }).Should(HaveLen(len(files)))
			write("late", "#!/bin/sh\nexit 5\n", 0o755)
			Expect(w.Start()).To(Succeed())
			Eventually(ended(w)).Should(BeTrue())
			Expect(w.State().ExitCode).To(Equal(5))
			Expect(w.State().Run).To(Equal(1))
		})
	})

	It("looks for the command relative to its directory, and for an empty PATH entry there", func() {
		dir := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(dir, "here"), []byte("#!/bin/sh\nexit 6\n"), 0o755)).To(Succeed())
		for _, o := range []workload.Options{
			{Argv: []string{"./here"}, Dir: dir},
			{Argv: []string{"here"}, Dir: dir, Env: []string{"PATH=:/bin"}},
		} {
			w := start(o)
			Eventually(ended(w)).Should(BeTrue())
			Expect(w.State().ExitCode).To(Equal(6))
		}
	})

	DescribeTable("refuses options that cannot be meant",
		func(o workload.Options, says string) {
			_, err := workload.New(o)
			Expect(err).To(MatchError(ContainSubstring(says)))
		},
		Entry("no command", workload.Options{}, "no command"),
		Entry("a zero byte", workload.Options{Argv: []string{"a\x00b"}}, "zero byte"),
		Entry("an unknown signal", workload.Options{Argv: []string{"a"}, StopSignal: 65}, "stop signal 65"),
		Entry("two kinds of readiness", workload.Options{
			Argv: []string{"a"}, Readiness: workload.Readiness{File: "/x", Notify: true},
		}, "more than one"),
		Entry("a bad URL", workload.Options{Argv: []string{"a"}, Readiness: workload.Readiness{HTTP: "localhost:80"}}, "http://"),
		Entry("a bad address", workload.Options{Argv: []string{"a"}, Readiness: workload.Readiness{TCP: "80"}}, "host:port"),
		Entry("a negative time", workload.Options{Argv: []string{"a"}, Readiness: workload.Readiness{After: -1}}, "negative"),
	)
})
