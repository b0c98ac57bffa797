package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/endpoint"
	"github.com/handover-controller/handover/peer"
)

// serveStatus serves the status API on the socket and, if configured, on an
// address. It returns how to stop that.
func serveStatus(ctx context.Context, cfg *config.Config, self *peer.Self, ctl *controller.Controller, log *slog.Logger) func() {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	if cfg.Status.Socket == "" {
		log.Warn("status.socket is off: `handover status` and `handover probe` do not work here, so a HEALTHCHECK with them fails")
	} else {
		o := endpoint.Options{Handler: ctl.SocketHandler(), Logger: log}
		socket := &endpoint.Keeper{
			Socket: endpoint.Socket{Path: cfg.Status.Socket, Container: string(self.Container)}, Logger: log,
			Serve: func(l *endpoint.Listener) (end func()) { return endpoint.Serve(l, o) },
			Changed: func() <-chan struct{} {
				_, _, changed := ctl.Glance()
				return changed
			},
		}
		socket.Tend()
		serving.Go(func() { socket.Run(ctx) })
	}
	if cfg.Status.Listen != "" {
		a := &statusAddress{address: cfg.Status.Listen, shared: sharesAddresses(cfg.Network), ctl: ctl, log: log, options: endpoint.Options{
			Handler: ctl.Handler(), Logger: log, Names: endpoint.Names(cfg.Status.Listen, cfg.Service.Name, os.Getenv("BALENA_DEVICE_UUID"), cfg.Status.Names),
		}}
		serving.Go(func() { a.serve(ctx) })
	}
	return func() {
		cancel()
		serving.Wait()
	}
}

// sharesAddresses reports whether all containers have the same addresses: those
// of the host.
func sharesAddresses(n config.Network) bool {
	if n.Mode != config.NetworkAuto {
		return n.Mode == config.NetworkHost
	}
	_, err := net.InterfaceByName(n.Interface)
	return err == nil
}

// How often the status address is tried while it is in use.
const (
	tryQuickly = 150 * time.Millisecond
	trySlowly  = time.Second
	// quickFor: a hand-over is under way, or something has just happened.
	quickFor = time.Minute
	// strangerAfter: if no other instance was heard for so long, then it is another
	// program that has the address.
	strangerAfter = 5 * time.Second
)

// statusAddress is status.listen. Where the older and the younger instance share
// it, the older one has it until it has released.
type statusAddress struct {
	address string
	shared  bool
	ctl     *controller.Controller
	log     *slog.Logger
	options endpoint.Options
}

// serve serves on the address whenever it is this instance's turn, until ctx ends.
func (a *statusAddress) serve(ctx context.Context) {
	for a.turn(ctx, true) {
		l := a.listen(ctx)
		if l == nil {
			continue
		}
		end := endpoint.Serve(l, a.options)
		over := a.turn(ctx, false)
		end()
		if over {
			a.log.Info("the status address is left to the younger instance; this one answers on its socket", "address", a.address)
		}
	}
}

// turn waits until it is this instance's turn to have the address, or no more.
// It returns false when ctx has ended.
func (a *statusAddress) turn(ctx context.Context, mine bool) bool {
	for ctx.Err() == nil {
		phase, _, changed := a.ctl.Glance()
		if mine == (!a.shared || phase != peer.PhaseReleased) {
			return true
		}
		if !a.shared {
			changed = nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	return false
}

// listen waits until the address is free. It returns nil when ctx has ended, or
// it is not this instance's turn any more.
func (a *statusAddress) listen(ctx context.Context) net.Listener {
	began := time.Now()
	said := "" // nothing is said twice
	say := func(level slog.Level, text string, more ...any) {
		if said != text {
			said = text
			a.log.Log(ctx, level, text, append([]any{"address", a.address}, more...)...)
		}
	}
	for {
		phase, others, changed := a.ctl.Glance()
		if a.shared && phase == peer.PhaseReleased {
			return nil
		}
		l, err := endpoint.Listen(ctx, a.address)
		if err == nil {
			if said != "" {
				a.log.Info("the status address is served now", "address", a.address)
			}
			return l
		}
		pause, waited := trySlowly, time.Since(began)
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, syscall.EADDRINUSE):
			pause = 10 * time.Second
			say(slog.LevelWarn, "the status address cannot be used: correct status.listen; it is tried again", "error", err)
		case a.shared && others:
			say(slog.LevelInfo, "another instance has the status address; it is served here when that one has released it")
			if waited < quickFor {
				pause = tryQuickly
			}
		case a.shared && waited < strangerAfter:
			pause = tryQuickly
		default:
			say(slog.LevelWarn, "another program has the status address: free it, or correct status.listen; it is tried again", "error", err)
		}
		if !a.shared {
			changed = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		case <-changed: // such as that the older one has released
			select {
			case <-ctx.Done():
			case <-time.After(tryQuickly / 3): // it is given up a little after that is said
			}
		}
	}
}
