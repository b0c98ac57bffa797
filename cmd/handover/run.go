package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
)

// farewell bounds how long saying `gone` may hold up the end of the process.
const farewell = 200 * time.Millisecond

func newRun(load *loader, s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG...]",
		Short: "Run the service and hand over to the next container",
		Long: `run is the entry point of the container. It runs the command, speaks with the
service's other containers and with the Supervisor, and on SIGTERM keeps the
command serving until the new container is ready.

The exit status is the command's own, 128+n if a signal ended it, 127 if it was
not found, 126 if it cannot be executed; 0 after a hand-over; 78 for bad
configuration.`,
		Example: "  handover run -- node server.js\n  handover run --config /etc/handover.yaml -- python -m worker",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("run: the command to run is missing: handover run -- COMMAND [ARG...]")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			// The very first thing: process 1 ignores a signal that it does not handle.
			signals := make(chan os.Signal, 4)
			signal.Notify(signals, stopSignals()...)
			defer signal.Stop(signals)
			var at progress
			forwarder := workload.NewForwarder(&at)
			defer forwarder.Close()
			smallFootprint()
			return untilOver(signals, &at, func() error { return runService(load, s, args, &at) })
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}

// stopSignals tell this instance to stop. A SIGINT that is ignored, as in the
// background of a shell, stays so for the workload.
func stopSignals() []os.Signal {
	all := []os.Signal{syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGINT) {
		all = append(all, syscall.SIGINT)
	}
	return all
}

// runService builds the instance from its parts, runs it, and takes it apart.
func runService(load *loader, s streams, argv []string, at *progress) error {
	loaded, err := load.load()
	if err != nil {
		return err
	}
	cfg := &loaded.Config
	log := newLogger(cfg.Log, s.err)
	for _, w := range loaded.Warnings {
		log.Warn(w)
	}
	logFile(loaded.File, log)
	for _, g := range loaded.Gaps {
		log.Warn(g.Message, "why", g.Why, "hint", g.Hint)
	}
	self := peer.Identify(peer.IdentifyOptions{ContainerID: cfg.Service.ContainerID, StateDir: cfg.Service.StateDir})
	for _, w := range self.Warnings {
		log.Warn(w.Error())
	}
	reaper, err := workload.NewAdoptingReaper()
	if err != nil { // some sandboxes and emulators: their process 1 gets the orphans, as it would without handover
		log.Warn("orphans of the workload are left to process 1 of the container", "error", err.Error())
		reaper = workload.NewReaper()
	}
	defer reaper.Close()
	wl, err := newWorkload(cfg, argv, reaper, log)
	if err != nil {
		return failed(err)
	}
	defer func() { _ = wl.Close() }()

	node, err := newNode(cfg, &self, log)
	if err != nil {
		return failed(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		_ = node.Close(ctx)
	}()
	ctl, err := newController(cfg, &self, node, wl, log)
	if err != nil {
		return failed(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopServing := serveStatus(ctx, cfg, &self, ctl, log)
	defer stopServing()
	if s := at.built(wl, ctl); s != 0 {
		log.Info("told to stop before the service was started: it is not started", "signal", s.String())
		return &exitError{code: 128 + int(s)}
	}
	go giveBackOnceIdle(ctx, func() bool {
		phase, _, _ := ctl.Glance()
		return phase == peer.PhaseServing
	})

	code, err := ctl.Run(ctx)
	var notStarted *workload.StartError
	switch {
	case errors.As(err, &notStarted):
		return &exitError{code: notStarted.ExitCode} // it has been logged
	case err != nil:
		return failed(err)
	case code != 0:
		return &exitError{code: code}
	}
	return nil
}

// logFile says which file counts: there are four places where one may stand.
func logFile(name string, log *slog.Logger) {
	if name == "" {
		log.Info("no configuration file was found: the environment and the defaults count")
		return
	}
	if path, err := filepath.Abs(name); err == nil {
		name = path
	}
	log.Info("the configuration file was read", "path", name)
}

func newLogger(c config.Log, out *os.File) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		// With their unit: a bare number of nanoseconds is nobody's guess.
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration {
				a.Value = slog.StringValue(a.Value.Duration().String())
			}
			return a
		}
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// newController connects the parts.
func newController(cfg *config.Config, self *peer.Self, node *peer.Node, wl *workload.Workload, log *slog.Logger) (*controller.Controller, error) {
	client, err := newSupervisor(cfg)
	if err != nil {
		return nil, err
	}
	o := controller.Options{
		Policy: policy(cfg), Self: identity(self), AppID: cfg.Service.AppID, Service: cfg.Service.Name,
		Peers: node, Workload: wl, Marker: newMarker(cfg, log), Logger: log, Version: thisBuild().version,
	}
	if o.DeferLimit = cfg.Policy.DeferLimit; o.DeferLimit == 0 {
		o.DeferLimit = -1 // none is allowed; 0 would be the usual limit
	}
	if cfg.Policy.Exclusive {
		exclusive(cfg, wl, log, &o)
	}
	if client == nil {
		o.Policy.SupervisorOff = true
	} else {
		o.Supervisor = client
	}
	return controller.New(o)
}
