package hostile_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/ginkgo-suites/built"
)

// somebody is a user who is neither root nor the one of this suite.
const somebody = 54321

func onlyRoot(what string) {
	GinkgoHelper()
	if os.Geteuid() != 0 {
		Skip("only root can " + what + "; run this suite as root as well")
	}
}

// begin starts the program in that folder. What stands in before comes before
// it on the command line.
func (i *instance) begin(dir string, before, environ []string, arguments ...string) *instance {
	GinkgoHelper()
	line := append(append(before, program), arguments...)
	i.cmd = exec.Command(line[0], line[1:]...)
	i.cmd.Env, i.cmd.Dir = i.environ(environ...), dir
	i.cmd.Stdout, i.cmd.Stderr = i.out, i.err
	i.cmd.WaitDelay = 2 * time.Second
	Expect(i.cmd.Start()).To(Succeed())
	go func() {
		_ = i.cmd.Wait()
		close(i.done)
	}()
	DeferCleanup(func() {
		i.kill()
		if CurrentSpecReport().Failed() {
			fmt.Fprintf(GinkgoWriter, "--- container %s\n%s%s\n", i.letter, i.out, i.err)
		}
	})
	return i
}

// exit waits for the end, and returns the exit status.
func (i *instance) exit() int {
	GinkgoHelper()
	Eventually(i.done, patience).Should(BeClosed(), "%s", i.err)
	return i.cmd.ProcessState.ExitCode()
}

func (i *instance) signal(s syscall.Signal) {
	GinkgoHelper()
	Expect(i.cmd.Process.Signal(s)).To(Succeed())
}

// quiet checks that no trace of a runtime was printed.
func (i *instance) quiet() {
	GinkgoHelper()
	Expect(i.err.String()).NotTo(ContainSubstring("goroutine "))
}

var _ = Describe("The configuration file", func() {
	var dir, file string
	var a *instance
	BeforeEach(func() {
		a = newRig().container("a")
		dir = filepath.Join(a.rig.dir, "work")
		file = filepath.Join(dir, "handover.yaml")
		Expect(os.Mkdir(dir, 0o755)).To(Succeed())
	})
	// plant writes a file that has a command run.
	planted := func() string { return filepath.Join(a.rig.dir, "planted") }
	plant := func() {
		GinkgoHelper()
		Expect(os.WriteFile(file, []byte("readiness: {command: 'touch "+planted()+"'}\n"), 0o644)).To(Succeed())
	}

	It("that another user may write runs nothing as root, whatever the command", func() {
		onlyRoot("be lured")
		plant()
		Expect(os.Lchown(file, somebody, somebody)).To(Succeed())
		Expect(a.begin(dir, nil, nil, "run", "--", "sleep", "1000").exit()).To(Equal(78), "%s", a.err)
		Expect(a.err.String()).To(And(ContainSubstring(file+" belongs to user 54321"), ContainSubstring("name the file with --config or HANDOVER_CONFIG")))
		for _, command := range []string{"probe", "status", "config"} {
			Expect(a.rig.container("b").begin(dir, nil, nil, command).exit()).To(Equal(78))
		}
		Expect(planted()).NotTo(BeAnExistingFile())
	})

	It("in a folder that another user may write runs nothing as root", func() {
		onlyRoot("be lured")
		plant()
		Expect(os.Chmod(dir, 0o777)).To(Succeed())
		Expect(a.begin(dir, nil, nil, "run", "--", "sleep", "1000").exit()).To(Equal(78), "%s", a.err)
		Expect(a.err.String()).To(ContainSubstring(dir + " may be written by every user"))
		Expect(planted()).NotTo(BeAnExistingFile())
	})

	It("that was named counts all the same, with a warning", func() {
		plant()
		Expect(os.Chmod(file, 0o666)).To(Succeed())
		a.begin(dir, nil, []string{"HANDOVER_CONFIG=" + file}, "run", "--", "sleep", "1000")
		Eventually(planted, patience).Should(BeAnExistingFile(), "%s", a.err)
		Expect(a.err.String()).To(MatchRegexp("level=WARN .*another user decides what stands in the configuration file " + file))
	})

	It("is named in the log, or its absence is", func() {
		plant()
		a.begin(dir, nil, nil, "run", "--", "true")
		Expect(a.exit()).To(BeZero())
		Expect(a.err.String()).To(ContainSubstring(`msg="the configuration file was read" path=` + file))
		Expect(os.Remove(file)).To(Succeed())
		b := a.rig.container("b").begin(dir, nil, nil, "run", "--", "true")
		Expect(b.exit()).To(BeZero())
		Expect(b.err.String()).To(ContainSubstring("no configuration file was found"))
	})

	It("holds nothing up as a pipe without a writer", func() {
		Expect(unix.Mkfifo(file, 0o666)).To(Succeed())
		for n, arguments := range [][]string{{"run", "--", "sleep", "1000"}, {"probe"}, {"run", "--config", file, "--", "sleep", "1000"}} {
			i := a.rig.container(fmt.Sprint(n)).begin(dir, nil, nil, arguments...)
			Expect(i.exit()).To(Equal(78), "%v", arguments)
			Expect(i.err.String()).To(ContainSubstring("is not a regular file"))
		}
	})
})

// deaf mounts a file system that never answers, and returns its folder.
func (r *rig) deaf() string {
	GinkgoHelper()
	onlyRoot("mount a file system")
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		Skip("/dev/fuse cannot be opened, so there is no file system that does not answer: " + err.Error())
	}
	dir := filepath.Join(r.dir, "deaf")
	Expect(os.Mkdir(dir, 0o755)).To(Succeed())
	if err := unix.Mount("deaf", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
		_ = unix.Close(fd)
		Skip("no file system can be mounted here: " + err.Error())
	}
	DeferCleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = unix.Close(fd) // whoever still waits gets an error
	})
	return dir
}

// waits reports whether a thread of the instance waits in that file system. Where
// the kernel does not tell in which, any one counts.
func (i *instance) waits() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", i.cmd.Process.Pid))
	for _, t := range threads {
		where, err := os.ReadFile(filepath.Join(t, "wchan"))
		if strings.Contains(string(where), "fuse") {
			return true
		}
		stat, _ := os.ReadFile(filepath.Join(t, "stat"))
		if (err != nil || string(where) == "0") && strings.Contains(string(stat), ") D ") {
			return true
		}
	}
	return false
}

var _ = Describe("A file system that does not answer", func() {
	DescribeTable("does not keep SIGTERM from ending an instance that has started nothing yet",
		func(variable string) {
			a := newRig().container("a")
			a.begin(a.rig.dir, nil, []string{strings.ReplaceAll(variable, "DEAF", a.rig.deaf())}, "run", "--", "sleep", "1000")
			Eventually(a.waits, patience, "5ms").Should(BeTrue(), "%s", a.err)
			a.signal(syscall.SIGTERM)
			Expect(a.exit()).To(Equal(128+15), "%s", a.err)
			// A thread may have waited for something else, just before.
			Expect(a.err.String()).To(Or(ContainSubstring("look for a file system that does not answer"),
				ContainSubstring("told to stop before the service was started")))
			a.quiet()
		},
		Entry("with the configuration in it", "HANDOVER_CONFIG=DEAF/handover.yaml"),
		Entry("with the marker in it", "BALENA_SERVICE_HANDOVER_COMPLETE_PATH=DEAF/handover-complete"),
		Entry("with the readiness file in it", "HANDOVER_READINESS_FILE=DEAF/ready"),
	)
})

var _ = Describe("A link that another user planted", func() {
	var a *instance
	var precious, link string
	BeforeEach(func() {
		onlyRoot("be lured")
		a = newRig().container("a")
		folder := filepath.Join(a.rig.dir, "precious")
		precious, link = filepath.Join(folder, "file"), filepath.Join(a.rig.dir, "link")
		Expect(os.Mkdir(folder, 0o755)).To(Succeed())
		Expect(os.WriteFile(precious, []byte("precious"), 0o600)).To(Succeed())
		Expect(os.Symlink(folder, link)).To(Succeed())
		Expect(os.Lchown(link, somebody, somebody)).To(Succeed())
	})

	DescribeTable("does not lead root to a file of its own",
		func(variable, complaint string) {
			a.begin(a.rig.dir, nil, []string{"HANDOVER_READINESS_AFTER=", variable + "=" + filepath.Join(link, "file")}, "run", "--", "sleep", "1000")
			Eventually(a.err.String, patience).Should(ContainSubstring("workload started"))
			Expect(a.err.String()).To(And(ContainSubstring(complaint), ContainSubstring(link+" is a link of user 54321, which is not followed")))
			Expect(os.ReadFile(precious)).To(BeEquivalentTo("precious"))
		},
		Entry("by the readiness file", "HANDOVER_READINESS_FILE", "readiness file of an earlier run cannot be removed"),
		Entry("by the marker", "BALENA_SERVICE_HANDOVER_COMPLETE_PATH", "check marker"),
	)
})

var _ = Describe("A signal that nobody should send", func() {
	begin := func() *instance {
		GinkgoHelper()
		a := newRig().container("a")
		a.begin(a.rig.dir, nil, []string{"HANDOVER_READINESS_AFTER=0s"}, "run", "--", "sleep", "1000")
		a.until("serving", patience)
		return a
	}

	DescribeTable("goes to the service", func(s syscall.Signal) {
		a := begin()
		a.signal(s)
		Expect(a.exit()).To(Equal(128 + int(s)))
		a.quiet()
		Expect(a.err.String()).To(ContainSubstring("workload ended"))
	},
		Entry("SIGSTKFLT", syscall.SIGSTKFLT),
		Entry("SIGIO", syscall.SIGIO),
		Entry("SIGPWR", syscall.SIGPWR),
		Entry("a real-time signal", syscall.Signal(64)),
	)

	It("changes nothing if it stands for a fault", func() {
		a := begin()
		for _, s := range []syscall.Signal{syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS, syscall.SIGPIPE, syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGPROF} {
			a.signal(s)
		}
		a.signal(syscall.SIGUSR1) // comes after all the others have
		Expect(a.exit()).To(Equal(128 + int(syscall.SIGUSR1)))
		a.quiet()
	})
})

var _ = Describe("Limits that are too low", func() {
	It("end it with one line that says which, before anything is started", func() {
		if built.Race {
			Skip("the race detector's runtime needs more than these limits; run this suite without it as well")
		}
		for _, limit := range []struct{ option, text string }{
			{"-n 8", "handover: the limit of open files is 8, and handover needs at least 24"},
			{"-v 880000", "handover: the limit of addresses is 901120000 bytes, and handover needs at least 943718400 bytes"},
		} {
			a := newRig().container("a")
			a.begin(a.rig.dir, []string{"sh", "-c", "ulimit " + limit.option + `; exec "$@"`, "sh"}, nil, "run", "--", "echo", "started")
			Expect(a.exit()).To(Equal(78), "%s", a.err)
			Expect(a.err.String()).To(And(HavePrefix(limit.text), HaveSuffix("\n")))
			Expect(strings.Count(a.err.String(), "\n")).To(Equal(1))
			Expect(a.out.String()).To(BeEmpty())
		}
	})

	It("of processes do the same for who is not root", func() {
		onlyRoot("become another user")
		prlimit, err := exec.LookPath("prlimit")
		if err != nil {
			Skip("prlimit is missing; install util-linux")
		}
		if built.Race {
			Skip("the race detector's runtime needs more than these limits; run this suite without it as well")
		}
		Expect(os.Chmod(filepath.Dir(program), 0o755)).To(Succeed())
		a := newRig().container("a")
		a.begin("/", []string{"setpriv", fmt.Sprint("--reuid=", somebody), "--clear-groups", prlimit, "--nproc=8:8"}, nil, "run", "--", "echo", "started")
		Expect(a.exit()).To(Equal(78), "%s", a.err)
		Expect(a.err.String()).To(HavePrefix("handover: the limit of processes is 8, and handover needs at least 12"))
		Expect(a.out.String()).To(BeEmpty())
	})
})

var _ = Describe("A container without /dev", func() {
	It("says why a readiness command cannot be started", func() {
		onlyRoot("make a mount namespace")
		unshare, err := exec.LookPath("unshare")
		if err != nil {
			Skip("unshare is missing; install util-linux")
		}
		if err := exec.Command(unshare, "--mount", "true").Run(); err != nil {
			Skip("no mount namespace can be made here: " + err.Error())
		}
		a := newRig().container("a")
		a.begin(a.rig.dir, []string{unshare, "--mount", "sh", "-c", `mount -t tmpfs none /dev && exec "$@"`, "sh"},
			[]string{"HANDOVER_READINESS_COMMAND=true"}, "run", "--", "sleep", "1000")
		Eventually(a.err.String, patience).Should(MatchRegexp(`level=WARN msg="without /dev/null no readiness.* command=readiness.command .*open /dev/null: no such file`))
	})
})

var _ = Describe("An init that wants to be process 1", func() {
	It("is told apart from a service that fails", func() {
		a := newRig().container("a")
		init := filepath.Join(a.rig.dir, "init")
		Expect(os.WriteFile(init, []byte("#!/bin/sh\n[ $$ = 1 ] || exit 100\n"), 0o755)).To(Succeed())
		Expect(a.begin(a.rig.dir, nil, nil, "run", "--", init).exit()).To(Equal(100))
		Expect(a.err.String()).To(ContainSubstring("many insist on being process 1 of the container, and that is handover"))
	})
})

var _ = DescribeTable("A deferral for longer than is allowed is refused, with what is allowed",
	func(limit, wish, allowed string) {
		a := newRig().container("a").serve("HANDOVER_POLICY_DEFER_LIMIT=" + limit)
		a.ready()
		a.until("serving", patience)
		cmd := exec.Command(program, "defer", wish)
		cmd.Env = a.environ()
		text, _ := cmd.CombinedOutput()
		Expect(cmd.ProcessState.ExitCode()).To(Equal(1))
		Expect(string(text)).To(ContainSubstring("at most " + allowed + " is allowed (policy.defer_limit)"))
		Expect(a.status().Instance.DeferredUntil).To(BeNil())
	},
	Entry("by default", "", "2562047h", "1h0m0s"),
	Entry("by configuration", "5m", "301s", "5m0s"),
	Entry("where none is allowed", "0", "1ms", "0s"),
)
