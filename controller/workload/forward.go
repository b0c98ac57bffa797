package workload

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
)

// ForwardedSignals returns the signals that are passed on to the workload: all
// that somebody may send to the container, but for
//
//   - SIGTERM and SIGINT, which tell this process to stop,
//   - SIGCHLD, SIGPIPE, SIGXCPU, SIGXFSZ, SIGPROF and SIGURG, which are about
//     this process,
//   - SIGTTIN and SIGTTOU, which are about its place on the terminal,
//   - SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV and SIGSYS, which report a fault
//     of the process that gets them,
//   - SIGKILL and SIGSTOP, and 32 to 34, which no Go program can receive,
//   - and those that this process ignores: the workload then ignores them too.
//     Call this before anything subscribes to them.
//
// What was ignored when this process was executed is known of SIGHUP (as after
// nohup(1)), SIGINT, SIGCONT, SIGTSTP, SIGTTIN and SIGTTOU only. Go's runtime
// takes all others before the program begins, and keeps to itself whether they
// were ignored: they are forwarded, and are the default for the workload. Whoever
// wants the workload to ignore one of them ignores it in the workload's command:
// sh -c 'trap "" USR1; exec service'.
func ForwardedSignals() []os.Signal {
	ignored := ignoredSignals()
	var signals []os.Signal
	add := func(s syscall.Signal) {
		if !ignored[s] && !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	for _, s := range []syscall.Signal{
		syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
		syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGVTALRM, syscall.SIGWINCH, syscall.SIGIO, syscall.SIGPWR, syscall.SIGSTKFLT,
	} {
		add(s)
	}
	for s := syscall.Signal(35); s <= 64; s++ {
		add(s)
	}
	return signals
}

// Signaler takes signals; *Workload is one.
type Signaler interface {
	Signal(syscall.Signal) error
}

// Forwarder passes the signals that this process receives on to the workload's
// main process. While no workload runs, they are dropped.
//
// It also catches SIGPIPE and drops it, so that a log on a broken pipe does
// not end this process; being caught and not ignored, it is the default for
// the workload. It does the same with the signals of faults, if somebody sent
// them: Go's runtime would end this process with a trace of its goroutines. A
// fault of this process itself still does that.
type Forwarder struct {
	signals chan os.Signal
	stop    chan struct{}
	once    sync.Once
	done    chan struct{}
}

// NewForwarder subscribes to ForwardedSignals at once.
func NewForwarder(to Signaler) *Forwarder {
	f := &Forwarder{
		signals: make(chan os.Signal, 64),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	signal.Notify(f.signals, append(ForwardedSignals(), droppedSignals()...)...)
	go f.run(to)
	return f
}

// droppedSignals are caught, and passed on to nobody.
func droppedSignals() []os.Signal {
	return []os.Signal{
		syscall.SIGPIPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS,
	}
}

func (f *Forwarder) run(to Signaler) {
	defer close(f.done)
	dropped := droppedSignals()
	for {
		select {
		case s := <-f.signals:
			if !slices.Contains(dropped, s) {
				_ = to.Signal(s.(syscall.Signal)) // nothing runs: dropped
			}
		case <-f.stop:
			return
		}
	}
}

// Close unsubscribes; signals are passed on no more.
func (f *Forwarder) Close() {
	f.once.Do(func() {
		signal.Stop(f.signals)
		close(f.stop)
	})
	<-f.done
}
