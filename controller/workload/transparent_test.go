package workload_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
)

// descriptors lists the open descriptors of a process.
func descriptors(pid int) []string {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// alive tells that the process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
	return fields[0] != "Z" && fields[0] != "X"
}

func number(text string) int {
	GinkgoHelper()
	n, err := strconv.Atoi(text)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// killPrinted ends the processes that a child announced with "pid N".
func killPrinted(out output) func() {
	return func() {
		fields := out.lines()
		for i := range fields {
			if pid, err := strconv.Atoi(fields[i]); err == nil && fields[i-1] == "pid" && alive(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

var _ = Describe("What the command sees", func() {
	// run returns what the command printed.
	run := func(o workload.Options) string {
		GinkgoHelper()
		out := newOutput()
		o.Stdout = out.File
		w := start(o)
		Eventually(ended(w)).Should(BeTrue())
		Expect(w.State().ExitCode).To(BeZero(), out.text())
		return out.text()
	}

	It("is the environment it was given, byte for byte", func() {
		env := []string{"A=1", "A=2", "", "odd", "=x", "EMPTY=", "B=\xff\n", "NOTIFY_SOCKET=@mine", "PATH=/bin:/usr/bin"}
		got := run(workload.Options{Argv: []string{"cat", "/proc/self/environ"}, Env: env})
		Expect(got).To(Equal(strings.Join(env, "\x00") + "\x00"))
	})

	It("is our own environment, byte for byte, if none was given", func() {
		own, err := os.ReadFile("/proc/self/environ")
		Expect(err).NotTo(HaveOccurred())
		Expect(run(workload.Options{Argv: []string{"cat", "/proc/self/environ"}})).To(Equal(string(own)))
	})

	It("is a NOTIFY_SOCKET of its own, with that kind of readiness only", func() {
		got := run(workload.Options{
			Argv: []string{"cat", "/proc/self/environ"}, Env: []string{"NOTIFY_SOCKET=@theirs", "PATH=/bin"},
			Readiness: workload.Readiness{Notify: true},
		})
		Expect(got).To(HavePrefix("PATH=/bin\x00NOTIFY_SOCKET=@handover/notify/"))
	})

	It("is its name as it was written, its arguments and its directory", func() {
		dir, err := filepath.EvalSymlinks(GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		got := run(workload.Options{Argv: []string{"cat", "/proc/self/cmdline"}})
		Expect(got).To(Equal("cat\x00/proc/self/cmdline\x00"))
		Expect(run(workload.Options{Argv: []string{"readlink", "/proc/self/cwd"}, Dir: dir})).To(Equal(dir + "\n"))
	})

	It("is a process group of its own in our session, and us as parent", func() {
		stat := strings.Fields(run(workload.Options{Argv: []string{"cat", "/proc/self/stat"}}))
		session, err := strconv.Atoi(strings.Fields(plainly("cat", "/proc/self/stat"))[5])
		Expect(err).NotTo(HaveOccurred())
		Expect(stat[4]).To(Equal(stat[0]), "group")
		Expect(stat[5]).To(Equal(strconv.Itoa(session)))
		Expect(stat[3]).To(Equal(strconv.Itoa(os.Getpid())))
	})

	It("is no descriptor of ours, but one that we inherited", func() {
		inherited, err := os.Open("/etc/hostname")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(inherited.Close)
		// As if it had been there when this process started: not close-on-exec.
		number, err := syscall.Dup(int(inherited.Fd()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(syscall.Close, number)
		argv := []string{"sh", "-c", "for f in /proc/$$/fd/*; do echo ${f##*/} $(readlink $f); done"}
		beyond := func(text string) []string {
			text = regexp.MustCompile(`pipe:.*`).ReplaceAllString(text, "a pipe") // one is the shell's
			return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
				return line != "" && line[1] == ' ' && line[0] <= '2'
			})
		}
		plain := beyond(plainly(argv[0], argv[1:]...))
		Expect(plain).To(ContainElement(strconv.Itoa(number) + " /etc/hostname"))
		Expect(beyond(run(workload.Options{
			Argv: argv, Readiness: workload.Readiness{File: "/tmp/does/not/exist"},
		}))).To(Equal(plain))
	})

	It("are the very streams, as blocking as they were", func() {
		var pipe [2]int
		Expect(syscall.Pipe2(pipe[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK)).To(Succeed())
		reader := os.NewFile(uintptr(pipe[0]), "reader")
		DeferCleanup(reader.Close)
		DeferCleanup(syscall.Close, pipe[1])
		got := run(workload.Options{Argv: []string{"cat", "/proc/self/fdinfo/0"}, Stdin: reader})
		Expect(got).To(MatchRegexp(`flags:\s+0*4000\n`), "O_NONBLOCK")
	})

	It("are the same limits, masks and priorities as without us", func() {
		files := []string{"/proc/self/limits", "/proc/self/oom_score_adj", "/proc/self/status", "/proc/self/stat"}
		relevant := func(text string) []string {
			var kept []string
			for _, line := range strings.Split(text, "\n") {
				fields := strings.Fields(line)
				switch {
				case len(fields) == 0:
				case strings.HasPrefix(line, "Max "), len(fields) == 1, strings.HasPrefix(line, "Sig") && fields[0] != "SigQ:",
					strings.HasPrefix(line, "Cap"), fields[0] == "Umask:", fields[0] == "NoNewPrivs:", fields[0] == "Groups:":
					kept = append(kept, line)
				case len(fields) > 40: // stat: priority, nice, … policy
					kept = append(kept, fields[17], fields[18], fields[39], fields[40])
				}
			}
			return kept
		}
		plain := relevant(plainly("cat", files...))
		Expect(len(plain)).To(BeNumerically(">", 25))
		got := relevant(run(workload.Options{Argv: append([]string{"cat"}, files...)}))
		Expect(got).To(Equal(plain))
	})
})

var _ = Describe("A reaper that adopts nothing", func() {
	It("takes no exit status from others in the same process", func() {
		w := start(workload.Options{Argv: self("trap", "15")})
		for n := range 50 {
			cmd := exec.Command("sh", "-c", "exit "+strconv.Itoa(n))
			_ = cmd.Run()
			Expect(cmd.ProcessState.ExitCode()).To(Equal(n))
		}
		Expect(w.State().Running).To(BeTrue())
	})

	It("starts nothing once it is closed", func() {
		reaper := workload.NewReaper()
		w := create(workload.Options{Argv: []string{"true"}, Reaper: reaper})
		Expect(w.Start()).To(Succeed())
		Eventually(ended(w)).Should(BeTrue())
		reaper.Close()
		reaper.Close()
		Expect(w.Start()).To(MatchError(ContainSubstring("reaper is closed")))
	})
})
