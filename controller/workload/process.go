package workload

import (
	"errors"
	"os"
	"syscall"

	"github.com/handover-controller/handover/peer/procfs"
)

// command is a process to start: the workload, its pre-stop command, or a
// readiness command.
type command struct {
	argv  []string
	env   []string
	dir   string
	files [3]uintptr
	// started and stopped are called on the reaper's thread with its lock
	// held: right after the fork, and when a signal stopped the process.
	started func(pid int)
	stopped func(pid int, s syscall.Signal)
}

// fork starts the command in a process group of its own. The error is that of
// execvp(3). It does not use os/exec: that waits by itself.
func (c *command) fork(r *Reaper) (*process, error) {
	attr := &syscall.ProcAttr{
		Dir:   c.dir,
		Env:   c.env,
		Files: c.files[:],
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	// With process 1 the kernel ends all the others anyway.
	if os.Getpid() != 1 {
		attr.Sys.Pdeathsig = syscall.SIGKILL
	}
	pid, err := execvp(c.argv[0], c.dir, c.env, func(path string) (int, error) {
		return r.forkExec(path, c.argv, attr)
	})
	if err != nil {
		return nil, err
	}
	return &process{reaper: r, pid: pid, stopped: c.stopped, done: make(chan struct{})}, nil
}

// process is a child process that was started by a reaper, leader of its own
// process group.
type process struct {
	reaper  *Reaper
	pid     int
	stopped func(pid int, s syscall.Signal)
	done    chan struct{} // closed when it has been reaped

	// status, swept and outlived may be read once done is closed; else all are
	// guarded by the reaper's lock.
	status     syscall.WaitStatus
	wasStopped bool
	wakeOnce   bool // it was told to end: continue it if it is stopped
	sweep      bool // kill the rest of the group when the process ends
	swept      bool // that was done
	outlived   int  // how many lived then
}

var errProcessEnded = errors.New("process has ended")

// check takes what the kernel has to say of the process. The rest of its group
// is killed before the process is reaped: until then, no other group can have
// the number. The reaper's lock is held.
func (p *process) check() {
	if s := waitStopped(p.pid); s != 0 {
		p.wasStopped = true
		switch {
		case p.wakeOnce:
			p.wakeOnce = false
			_ = syscall.Kill(-p.pid, syscall.SIGCONT)
		case p.stopped != nil:
			p.stopped(p.pid, s)
		}
	}
	if !hasExited(p.pid) {
		return
	}
	if p.sweep {
		for _, other := range procfs.All() {
			if other.Group == p.pid && other.PID != p.pid && !other.Dead() {
				p.outlived++
			}
		}
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		p.swept = true
	}
	status, ok := collect(p.pid)
	if !ok {
		return
	}
	delete(p.reaper.registered, p.pid)
	p.status = status
	close(p.done)
}

// locked calls f with the reaper's lock held, unless the process was reaped.
func (p *process) locked(f func() error) error {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if p.reaper.registered[p.pid] != p {
		return errProcessEnded
	}
	return f()
}

// signal sends s to the process alone.
func (p *process) signal(s syscall.Signal) error {
	return p.locked(func() error { return syscall.Kill(p.pid, s) })
}

// terminate sends the stop signal, and continues the process if a signal has
// stopped it, or just does: it could not obey otherwise.
func (p *process) terminate(s syscall.Signal) error {
	return p.locked(func() error {
		err := syscall.Kill(p.pid, s)
		if p.wasStopped {
			_ = syscall.Kill(-p.pid, syscall.SIGCONT)
		} else {
			p.wakeOnce = true // the report may be on its way
		}
		return err
	})
}

// kill sends SIGKILL to the process and its whole group. A process that has
// moved to another group is hit too.
func (p *process) kill() error {
	return p.locked(func() error {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		return syscall.Kill(p.pid, syscall.SIGKILL)
	})
}

// sweepAtEnd says whether the rest of the group is killed when the process ends.
func (p *process) sweepAtEnd(sweep bool) {
	_ = p.locked(func() error { p.sweep = sweep; return nil })
}
