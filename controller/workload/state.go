package workload

import (
	"syscall"
	"time"
)

// State is what is known of the workload: of its present run, or of the last
// one when it has ended. It is a copy.
type State struct {
	// Run counts the starts; 0 before the first one.
	Run int
	// Running is true from the start until everything is over: the main
	// process has ended and, after a drain, its leftovers too.
	Running bool
	// PID is the main process of this run, and its process group.
	PID int
	// Started is when it was executed.
	Started time.Time

	// Ready is true from when the readiness rule says so. It is false again
	// once the rule has failed Failures times, with the stop signal, and when
	// the main process has ended.
	Ready bool
	// EverReady tells that this run has been ready.
	EverReady bool
	// Listens tells that readiness auto has found a TCP socket on which this run
	// listens.
	Listens bool
	// ReadySince is when Ready last became true; zero while it is false.
	ReadySince time.Time
	// NotReadyReason says why Ready is false, in words for people: what the
	// readiness rule has found last. It is one line without secrets, and empty
	// while Ready is true.
	NotReadyReason string
	// Overdue is the reason of which the log says that the workload is still not
	// ready: some seconds after its start, and later when the reason is another
	// one, but less and less often. It is empty while Ready is true.
	Overdue string

	// Draining is true from Drain until the end of the run.
	Draining bool
	// SignalledAt is when the stop signal was sent; zero if it was not.
	SignalledAt time.Time
	// Killed tells that SIGKILL was sent: a deadline passed, or Close was
	// called.
	Killed bool

	// Ended is when the run was over; zero while Running.
	Ended time.Time
	// ExitCode is the main process' exit code once Ended is set; 128+n if
	// signal n ended it.
	ExitCode int
	// Signal is the signal that ended it, 0 if it exited.
	Signal syscall.Signal
}

// Reasons for NotReadyReason that are not the readiness rule's own.
const (
	reasonNotStarted = "not started"
	reasonStarting   = "starting"
	reasonStopping   = "stop signal sent"
	reasonEnded      = "ended"
)

// setReady notes what the readiness rule has found.
func (s *State) setReady(ready bool, reason string, now time.Time) {
	switch {
	case !ready:
		s.Ready, s.ReadySince, s.NotReadyReason = false, time.Time{}, reason
	case !s.Ready:
		s.Ready, s.EverReady, s.ReadySince, s.NotReadyReason, s.Overdue = true, true, now, "", ""
	}
}
