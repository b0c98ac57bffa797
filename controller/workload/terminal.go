package workload

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer/procfs"
)

// terminal is our controlling terminal, which is lent to the workload's process
// group while we would stand in its foreground.
//
// The shell's way, tcsetpgrp in the child, would have the child ignore SIGTTOU
// for ever. So we do it, after the fork. The child may have asked the terminal
// before, and be stopped for it: it is continued when that is seen.
type terminal struct {
	fd     int // -1: there is none
	own    int // our process group
	reaper *Reaper
}

// findTerminal looks for the terminal among the workload's streams. TIOCGPGRP
// succeeds for our controlling terminal only.
func findTerminal(r *Reaper, fds [3]uintptr) *terminal {
	t := &terminal{own: unix.Getpgrp(), reaper: r}
	for _, fd := range fds {
		t.fd = int(fd)
		if _, ok := t.foreground(); ok {
			return t
		}
	}
	t.fd = -1
	return t
}

func (t *terminal) foreground() (group int, ok bool) {
	n, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return int(int32(n)), err == nil
}

// started lends the terminal to a workload that was just forked, if we stand
// in the foreground. The reaper's lock is held.
func (t *terminal) started(group int) {
	if now, ok := t.foreground(); ok && now == t.own {
		_ = t.lend(group)
	}
}

// lend puts the workload into the foreground. The reaper's lock is held.
func (t *terminal) lend(group int) error {
	t.reaper.ignoreTTOU()
	return unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
}

// takeBack puts us into the foreground when the workload has ended, unless
// somebody else stands there by now: a shell that put us into the background.
func (t *terminal) takeBack(group int) {
	now, ok := t.foreground()
	if !ok || now == t.own || t.own == 0 { // 0: not of our PID namespace
		return
	}
	if now == group || os.Getpid() == 1 || syscall.Kill(-now, 0) == syscall.ESRCH {
		_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, t.own)
	}
}

// stopped is called when the workload's main process was stopped by a signal,
// with the reaper's lock held and the process unreaped.
func (t *terminal) stopped(group int, s syscall.Signal) {
	switch s {
	case syscall.SIGTTIN, syscall.SIGTTOU:
		now, ok := t.foreground()
		if !ok {
			return
		}
		// If its group stands in the foreground, it asked before it did so.
		if now != group && (!t.claim() || t.lend(group) != nil) {
			return
		}
	case syscall.SIGTSTP:
		// Ctrl-Z. Without a shell above us that could continue the job, the
		// kernel would have ignored it: it would not be stopped without us.
		t.suspend(group)
	default:
		return
	}
	_ = syscall.Kill(-group, syscall.SIGCONT)
}

// claim returns when we stand in the foreground; false if that will never be.
// It reads nothing. In the background a read stops our whole group, which a
// shell then shows as a stopped job; when the shell continues us, the kernel
// looks again. For an orphaned group the read fails. Process 1 cannot be
// stopped, and would go round in circles.
func (t *terminal) claim() bool {
	for os.Getpid() != 1 {
		_, err := unix.Read(t.fd, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
	return false
}

// suspend stops us with the workload, if there is a shell above us that has
// job control: it sees us as the job, and continues us. It returns after that.
func (t *terminal) suspend(group int) {
	if !t.hasShell() {
		return
	}
	// The whole job, as Ctrl-Z would have. The signal may be taken by another
	// thread while this one runs on: it waits for the end of the stop.
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	if syscall.Kill(0, syscall.SIGSTOP) == nil {
		<-continued
		t.started(group)
	}
}

// hasShell tells that the nearest process above us that is not of our group is
// of our session: that is what makes our group not an orphaned one (setpgid(2)).
func (t *terminal) hasShell() bool {
	session, err := unix.Getsid(0)
	for pid := os.Getppid(); err == nil && pid != 0; {
		p, ok := procfs.Read(pid)
		if !ok {
			return false
		}
		if p.Group != t.own {
			return p.Session == session
		}
		pid = p.Parent
	}
	return false
}
