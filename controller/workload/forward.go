package workload

import (
	"os"
	"os/signal"
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
//   - synchronous faults,
//   - SIGKILL and SIGSTOP, and 32 to 34, which no Go program can receive,
//   - and those that this process ignores, as after nohup(1): the workload
//     then ignores them too. Call this before anything subscribes to them.
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
		syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGVTALRM, syscall.SIGWINCH, syscall.SIGIO, syscall.SIGPWR,
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
// the workload.
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
	signal.Notify(f.signals, append(ForwardedSignals(), syscall.SIGPIPE)...)
	go f.run(to)
	return f
}

func (f *Forwarder) run(to Signaler) {
	defer close(f.done)
	for {
		select {
		case s := <-f.signals:
			if s != syscall.SIGPIPE {
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
