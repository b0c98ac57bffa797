package simulator

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Processes is a Runtime of real processes. A container is a process with a
// folder of its own instead of a file system, and nothing of its own besides:
// no namespaces, no limits, no terminal. What a container finds at fixed places
// it is told by variables that handover understands:
//
//	HANDOVER_SERVICE_CONTAINER_ID          the container's id
//	HANDOVER_SERVICE_STATE_DIR             the container's writable layer
//	HANDOVER_STATUS_SOCKET                 in the container's folder
//	HANDOVER_ANNOUNCE_FOLDER               the folder that all containers share
//	BALENA_SERVICE_HANDOVER_COMPLETE_PATH  the marker in it
//
// When the process ends, what it left behind is killed, as the kernel does with
// the processes of a PID namespace: all that have the container's id and Dir in
// their environment.
type Processes struct {
	// Dir is where the containers' folders are made; it must exist.
	Dir string
	// Command is what a container runs.
	Command func(Container) []string
	// Env is added to a container's environment, and wins; may be nil.
	Env func(Container) []string
	// Output is where standard output and error go; nil: nowhere.
	Output func(Container) io.Writer
	// Prepare is called before each start; may be nil.
	Prepare func(c Container, folder string) error

	once sync.Once
	jobs chan func()
}

// Shared is the folder that all containers share, as /tmp/balena.
func (p *Processes) Shared() string { return filepath.Join(p.Dir, "shared") }

// Marker is the marker in the shared folder.
func (p *Processes) Marker() MarkerFile {
	return MarkerFile(filepath.Join(p.Shared(), "handover-complete"))
}

// Folder is a container's own folder.
func (p *Processes) Folder(id string) string { return filepath.Join(p.Dir, id[:12]) }

// Socket is the status socket of handover in a container.
func (p *Processes) Socket(id string) string { return filepath.Join(p.Folder(id), "handover.sock") }

// StateDir is where handover in a container keeps the record of its first start.
func (p *Processes) StateDir(id string) string { return filepath.Join(p.Folder(id), "state") }

// Start implements Runtime.
func (p *Processes) Start(c Container) (Process, error) {
	for _, dir := range []string{p.Shared(), p.Folder(c.ID)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("simulator: start container %.12s: %w", c.ID, err)
		}
	}
	if p.Prepare != nil {
		if err := p.Prepare(c, p.Folder(c.ID)); err != nil {
			return nil, fmt.Errorf("simulator: prepare container %.12s: %w", c.ID, err)
		}
	}
	argv := p.Command(c)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = p.Folder(c.ID)
	cmd.Env = p.environ(c)
	// If this program is killed, its containers are, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	if p.Output != nil {
		out := p.Output(c)
		cmd.Stdout, cmd.Stderr = out, out
	}
	if err := p.onThread(cmd.Start); err != nil {
		return nil, fmt.Errorf("simulator: start container %.12s: %w", c.ID, err)
	}
	r := &realProcess{id: c.ID, dir: p.Dir, cmd: cmd, done: make(chan struct{})}
	go r.wait()
	return r, nil
}

// onThread calls f on one thread that lives on: a process that is to end with
// its parent ends with the thread that started it.
func (p *Processes) onThread(f func() error) error {
	p.once.Do(func() {
		p.jobs = make(chan func())
		go func() {
			runtime.LockOSThread()
			for job := range p.jobs {
				job()
			}
		}()
	})
	result := make(chan error)
	p.jobs <- func() { result <- f() }
	return <-result
}

// environ is a container's environment: what the Supervisor gives, PATH, what
// stands for fixed places, and Env.
func (p *Processes) environ(c Container) []string {
	env := slices.Clone(c.Env)
	env = append(env,
		"PATH="+os.Getenv("PATH"),
		"BALENA_SERVICE_HANDOVER_COMPLETE_PATH="+string(p.Marker()),
		containerVariable+c.ID,
		"HANDOVER_SERVICE_STATE_DIR="+p.StateDir(c.ID),
		"HANDOVER_STATUS_SOCKET="+p.Socket(c.ID),
		"HANDOVER_ANNOUNCE_FOLDER="+p.Shared(),
	)
	if p.Env != nil {
		env = append(env, p.Env(c)...)
	}
	return env
}

const containerVariable = "HANDOVER_SERVICE_CONTAINER_ID="

// realProcess is the process of a container.
type realProcess struct {
	id   string
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
	code int
}

func (r *realProcess) Done() <-chan struct{} { return r.done }

func (r *realProcess) Code() int { return r.code }

// PID is the process's id, for those who want to look at it.
func (r *realProcess) PID() int { return r.cmd.Process.Pid }

func (r *realProcess) Signal(s syscall.Signal) {
	_ = r.cmd.Process.Signal(s) // it may have ended
}

func (r *realProcess) wait() {
	_ = r.cmd.Wait() // the status says it all
	status, _ := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	r.code = status.ExitStatus()
	if status.Signaled() {
		r.code = 128 + int(status.Signal())
	}
	sweep(r.id, r.dir)
	close(r.done)
}

// sweepAtMost bounds how long a container's end waits for what SIGKILL does not
// end at once, and for a process to become another program.
const sweepAtMost = time.Second

// sweep kills what still runs of a container, until nothing does.
func sweep(id, dir string) {
	for until := time.Now().Add(sweepAtMost); killAll(id, dir) && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
}

// killAll kills what runs of a container, and tells whether there was any. Its
// id and folder are in no other process's environment; the id alone may be: in
// another simulation with the same seed.
func killAll(id, dir string) (found bool) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	cookie, place := []byte(containerVariable+id), []byte("="+filepath.Clean(dir)+"/")
	buffer := make([]byte, environAtMost)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env := environOf(pid, buffer)
		if !bytes.Contains(env, cookie) || !bytes.Contains(env, place) {
			continue
		}
		if stat := statOf(pid); len(stat) == 0 || stat[0] == "Z" {
			continue
		}
		found = true
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return found
}

// environAtMost is how much of an environment is looked at.
const environAtMost = 128 << 10

// environOf is a process's environment; empty if it has none, has ended, or is
// not ours to look at. While a process becomes another program it has none for
// a moment. It is read at once: of one that becomes another program between two
// reads the second finds nothing.
func environOf(pid int, buffer []byte) []byte {
	// Counted from the state on, which is field 3 in proc_pid_stat(5).
	const state, flags, envStart, envEnd = 0, 6, 47, 48
	const kernelThread = 0x00200000 // PF_KTHREAD
	until := time.Now().Add(sweepAtMost)
	for none := 0; none < 10 && time.Now().Before(until); time.Sleep(100 * time.Microsecond) {
		f, err := os.Open(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			return nil
		}
		n, _ := f.Read(buffer) // nothing, if it fails
		_ = f.Close()
		if n > 0 {
			return buffer[:n]
		}
		stat := statOf(pid)
		if len(stat) <= envEnd || stat[state] == "Z" || stat[state] == "X" {
			return nil
		}
		if f, err := strconv.ParseUint(stat[flags], 10, 64); err != nil || f&kernelThread != 0 {
			return nil
		}
		// It has none if it stays so: in execve(2), too, there is such a moment.
		if stat[envStart] != "0" && stat[envStart] == stat[envEnd] {
			none++
		} else {
			none = 0
		}
	}
	return nil
}

// statOf is what the kernel tells of a process, from its state on.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The name before it may hold anything, also parentheses.
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}
