package simulator

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Container is a container as its process finds itself in it.
type Container struct {
	// ID are 64 hexadecimal digits.
	ID string
	// Name is the name under which it was created.
	Name    string
	Release Release
	// CreatedAt is by the device's clock.
	CreatedAt time.Time
	// Starts counts the processes that were started in it, this one included.
	Starts int
	// Env is the environment that a real Supervisor gives, and the release's
	// own variables.
	Env []string
}

// Runtime starts the processes of containers.
type Runtime interface {
	// Start starts the container's process, for the first time or again. An
	// error is a container that cannot be started; it stays created.
	Start(Container) (Process, error)
}

// Process is what runs in a container.
type Process interface {
	// Signal delivers SIGTERM or SIGKILL. It does not block, and has no effect
	// once the process has ended.
	Signal(syscall.Signal)
	// Done is closed when the process has ended.
	Done() <-chan struct{}
	// Code is its exit status, 128+n for a signal; valid once Done is closed.
	Code() int
}

// Script says what a scripted process does.
type Script struct {
	// ExitsAfter: it ends by itself; 0 is never.
	ExitsAfter time.Duration
	// Code is its exit status, but for SIGKILL.
	Code int
	// StopTakes is how long it lives after SIGTERM.
	StopTakes time.Duration
	// IgnoresStop: SIGTERM has no effect.
	IgnoresStop bool
	// AgainTakes is how long it lives after a second SIGTERM, if that is not
	// longer than after the first one; 0: a second one has no effect.
	AgainTakes time.Duration
}

// Scripted is a Runtime of processes that only wait. The function is asked
// at each start.
type Scripted func(Container) Script

// Start implements Runtime.
func (f Scripted) Start(c Container) (Process, error) {
	p := &scripted{script: f(c), done: make(chan struct{})}
	if p.script.ExitsAfter > 0 {
		time.AfterFunc(p.script.ExitsAfter, func() { p.end(p.script.Code) })
	}
	return p, nil
}

type scripted struct {
	script Script
	told   atomic.Bool
	once   sync.Once
	done   chan struct{}
	code   int
}

func (p *scripted) Done() <-chan struct{} { return p.done }

func (p *scripted) Code() int { return p.code }

func (p *scripted) Signal(s syscall.Signal) {
	switch {
	case s == syscall.SIGKILL:
		p.end(128 + int(s))
	case p.script.IgnoresStop:
	case p.told.CompareAndSwap(false, true):
		time.AfterFunc(p.script.StopTakes, func() { p.end(p.script.Code) })
	case p.script.AgainTakes > 0:
		time.AfterFunc(p.script.AgainTakes, func() { p.end(p.script.Code) })
	}
}

func (p *scripted) end(code int) {
	p.once.Do(func() {
		p.code = code
		close(p.done)
	})
}
