package workload

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The fields of siginfo_t that waitid(2) fills stand in a union, which begins
// at the next multiple of the pointer's size after three 32-bit integers: at
// 16 on 64-bit machines, at 12 on 32-bit ones.
const (
	siginfoPID    = (12 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	siginfoStatus = siginfoPID + 8 // after si_pid and si_uid
)

func siginfoInt(si *unix.Siginfo, offset uintptr) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(si), offset)))
}

// waitid is waitid(2) without blocking; it returns the child's pid, or 0 if
// there is none in the wanted state.
func waitid(idType, id, options int, si *unix.Siginfo) int {
	for {
		*si = unix.Siginfo{}
		switch err := unix.Waitid(idType, id, si, options|unix.WNOHANG, nil); err {
		case nil:
			return siginfoInt(si, siginfoPID)
		case unix.EINTR:
		default:
			return 0
		}
	}
}

// waitStopped takes the report that the child was stopped, and returns the
// signal that did it; 0 if there is no such report.
func waitStopped(pid int) syscall.Signal {
	var si unix.Siginfo
	if waitid(unix.P_PID, pid, unix.WSTOPPED, &si) == 0 {
		return 0
	}
	return syscall.Signal(siginfoInt(&si, siginfoStatus))
}

// hasExited tells that the child has ended, and leaves it unreaped.
func hasExited(pid int) bool {
	var si unix.Siginfo
	return waitid(unix.P_PID, pid, unix.WEXITED|unix.WNOWAIT, &si) == pid
}

// anyExited returns a child that has ended, whoever started it, and leaves it
// unreaped; 0 if there is none.
func anyExited() int {
	var si unix.Siginfo
	return waitid(unix.P_ALL, 0, unix.WEXITED|unix.WNOWAIT, &si)
}

// collect reaps a child that has ended.
func collect(pid int) (syscall.WaitStatus, bool) {
	var status syscall.WaitStatus
	for {
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		return status, err == nil && got == pid
	}
}

// exitCode is the exit code as tini and Docker report it, and the signal if it
// was one.
func exitCode(status syscall.WaitStatus) (int, syscall.Signal) {
	if status.Signaled() {
		return 128 + int(status.Signal()), status.Signal()
	}
	return status.ExitStatus(), 0
}
