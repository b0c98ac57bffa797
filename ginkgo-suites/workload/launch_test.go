package workload_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
)

// launch says how a command is run.
type launch struct {
	// namespace makes the command process 1 of a PID namespace.
	namespace bool
	// prelude is shell text that is run first, in the process that then
	// becomes the command.
	prelude string
	// terminal is its controlling terminal and its streams.
	terminal *terminal
}

// process is a command that runs.
type process struct {
	cmd  *exec.Cmd
	out  *os.File
	done chan struct{}
}

func (l launch) run(argv ...string) *process {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	out, err := os.Create(filepath.Join(dir, "output"))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(out.Close)
	script := l.prelude + "\n" + `exec "$@"`
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if l.namespace {
		skipWithoutNamespaces()
		attr = namespace()
		script = "mount -t proc proc /proc\n" + script
	}
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, argv...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if l.terminal != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = l.terminal.slave, l.terminal.slave, l.terminal.slave
		attr.Setsid, attr.Setctty = true, true
	}
	cmd.SysProcAttr = attr
	Expect(cmd.Start()).To(Succeed())
	p := &process{cmd: cmd, out: out, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait()
	}()
	DeferCleanup(func() {
		if !l.namespace { // else the kernel does it
			p.killDescendants()
		}
		_ = cmd.Process.Kill()
		<-p.done
	})
	return p
}

// killDescendants clears up what a test left behind. The process is stopped
// meanwhile: as a subreaper it stays the parent of all orphans.
func (p *process) killDescendants() {
	if p.cmd.Process.Signal(syscall.SIGSTOP) != nil {
		return // it has ended, in order
	}
	Eventually(func() (living []info) {
		family := map[int]bool{p.pid(): true}
		all := processes()
		for grown := true; grown; {
			grown = false
			for _, q := range all {
				if family[q.parent] && !family[q.pid] && !q.dead() {
					family[q.pid], grown = true, true
					living = append(living, q)
				}
			}
		}
		for _, q := range living {
			_ = syscall.Kill(q.pid, syscall.SIGKILL)
		}
		return living
	}).Should(BeEmpty())
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(s syscall.Signal) {
	GinkgoHelper()
	Expect(p.cmd.Process.Signal(s)).To(Succeed())
}

// text is what the process has printed.
func (p *process) text() string {
	b, err := os.ReadFile(p.out.Name())
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}

// exit waits for the end, and returns the exit code; 128+n for a signal.
func (p *process) exit() int {
	GinkgoHelper()
	Eventually(p.done).Should(BeClosed())
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// handover is a host that runs.
type handover struct {
	*process
	events string
}

func (l launch) host(s settings) *handover {
	GinkgoHelper()
	if s.KillAfter == 0 {
		s.KillAfter = 20e9
	}
	s.Events = filepath.Join(GinkgoT().TempDir(), "events")
	arg, err := json.Marshal(s)
	Expect(err).NotTo(HaveOccurred())
	h := &handover{process: l.run(self("host", string(arg))...), events: s.Events}
	DeferCleanup(func() {
		log, _ := os.ReadFile(h.events)
		GinkgoWriter.Printf("events:\n%s\noutput:\n%s\n", log, h.text())
	})
	return h
}

// report returns the last state, and the signals that the host got for itself.
func (h *handover) report() (last workload.State, signals []string) {
	log, _ := os.ReadFile(h.events)
	for line := range bytes.Lines(log) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue // the log's
		}
		if e.State != nil {
			last = *e.State
		}
		if e.Signal != "" {
			signals = append(signals, e.Signal)
		}
	}
	return last, signals
}

func (h *handover) state() workload.State { s, _ := h.report(); return s }
func (h *handover) ready() bool           { return h.state().Ready }
func (h *handover) ended() bool           { return !h.state().Ended.IsZero() }

// workload is the main process as it is seen from here.
func (h *handover) workload() int {
	GinkgoHelper()
	var pid int
	Eventually(func() int { pid = h.state().PID; return pid }).ShouldNot(BeZero())
	for _, p := range processes() {
		if p.parent == h.pid() && p.ownPID == pid {
			return p.pid
		}
	}
	return 0
}

// self is the command line of this test binary.
func self(args ...string) []string {
	path, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	return append([]string{path}, args...)
}

// info is what /proc/PID/status says.
type info struct {
	pid, parent int
	ownPID      int // in its own PID namespace
	name, state string
	args        string
}

func (i info) dead() bool { return i.state == "Z" || i.state == "X" }

func processes() []info {
	entries, err := os.ReadDir("/proc")
	Expect(err).NotTo(HaveOccurred())
	var all []info
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		status, err := os.ReadFile("/proc/" + entry.Name() + "/status")
		if err != nil {
			continue
		}
		p := info{pid: pid}
		for line := range strings.Lines(string(status)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			switch fields[0] {
			case "Name:":
				p.name = fields[1]
			case "State:":
				p.state = fields[1]
			case "PPid:":
				p.parent, _ = strconv.Atoi(fields[1])
			case "NSpid:":
				p.ownPID, _ = strconv.Atoi(fields[len(fields)-1])
			}
		}
		args, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		p.args = string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
		all = append(all, p)
	}
	return all
}

// withMark lists the living processes that have the text in their arguments.
func withMark(mark string) []info {
	var found []info
	for _, p := range processes() {
		if !p.dead() && strings.Contains(p.args, mark) && p.pid != os.Getpid() {
			found = append(found, p)
		}
	}
	return found
}

// zombies counts the dead children of a process that it has not waited for.
func zombies(parent int) int {
	n := 0
	for _, p := range processes() {
		if p.parent == parent && p.state == "Z" {
			n++
		}
	}
	return n
}

var marks sync.Map

// mark is a number for `sleep` that no other test uses.
func mark() string {
	for n := 100_000 + os.Getpid(); ; n++ {
		if _, used := marks.LoadOrStore(n, true); !used {
			return strconv.Itoa(n)
		}
	}
}

func encoded(s settings) string {
	arg, err := json.Marshal(s)
	Expect(err).NotTo(HaveOccurred())
	return string(arg)
}

// quoted quotes words for a shell.
func quoted(words []string) []string {
	var all []string
	for _, word := range words {
		all = append(all, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return all
}
