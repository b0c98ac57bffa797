package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"

	"github.com/handover-controller/handover/controller/decide"
)

// This file turns the configuration into the options of the other packages.

func policy(cfg *config.Config) decide.Policy {
	return decide.Policy{
		PollInterval:      cfg.Supervisor.PollInterval,
		Settle:            cfg.Policy.Settle,
		Discovery:         cfg.Policy.Discovery,
		UnknownAfter:      cfg.Policy.UnknownAfter,
		StopGracePeriod:   cfg.Service.StopGracePeriod,
		DrainDelay:        cfg.Policy.DrainDelay,
		DrainTimeout:      cfg.Policy.DrainTimeout,
		DrainReserve:      cfg.Policy.DrainReserve,
		Standby:           cfg.Policy.Standby,
		Exclusive:         cfg.Policy.Exclusive,
		NotReadyAfter:     cfg.Readiness.Period * time.Duration(cfg.Readiness.Failures),
		LegacyExpireAfter: cfg.Announce.ExpireAfter,
	}
}

func identity(self *peer.Self) decide.Self {
	s := decide.Self{
		Instance: self.Instance, Container: self.Container, FirstStart: self.FirstStart,
		StartMilli: self.StartMilli, Restarted: self.Restarted,
	}
	if self.BootID != "" {
		s.Boot = peer.BootHash(self.BootID)
	}
	return s
}

// newSupervisor returns nil if the Supervisor is not to be asked.
func newSupervisor(cfg *config.Config) (*supervisor.Client, error) {
	sv := cfg.Supervisor
	if sv.Mode == config.SupervisorOff || sv.Mode == config.SupervisorAuto && sv.Address == "" {
		return nil, nil //nolint:nilnil // no client is not an error
	}
	return supervisor.NewClient(supervisor.Options{Address: sv.Address, APIKey: sv.APIKey.Reveal(), Timeout: sv.Timeout})
}

// newMarker warns if the marker can't be written.
func newMarker(cfg *config.Config, log *slog.Logger) *supervisor.Marker {
	m := supervisor.NewMarker(cfg.Policy.CompletePath)
	if err := m.Check(); err != nil {
		log.Warn(err.Error())
	}
	return m
}

// newNode returns the node with its ways: the network and, unless it is off,
// the shared folder.
func newNode(cfg *config.Config, self *peer.Self, log *slog.Logger) (*peer.Node, error) {
	domain := peer.NewDomain(self.BootID, cfg.Service.AppID, cfg.Service.Name)
	secrets := make([][]byte, 0, len(cfg.Announce.Secrets))
	for _, s := range cfg.Announce.Secrets {
		secrets = append(secrets, []byte(s.Reveal()))
	}
	multicast, err := peer.OpenMulticast(peer.MulticastConfig{
		Group: cfg.Network.Group, Port: cfg.Network.Port, StatusPort: cfg.Announce.StatusPort,
		Mode: peer.Mode(cfg.Network.Mode), Interface: cfg.Network.Interface, Logger: log,
		Filter: &peer.Filter{Domain: domain, Legacy: cfg.Announce.Legacy && len(secrets) == 0},
	})
	if err != nil {
		return nil, err
	}
	ways := []peer.Way{multicast}
	if cfg.Announce.Folder != "" {
		folder, err := peer.OpenFolder(peer.FolderConfig{
			Path: cfg.Announce.Folder, Self: self.Instance, Domain: domain, Secrets: secrets,
			Interval: cfg.Announce.Interval, Logger: log,
		})
		if err != nil {
			return nil, errors.Join(err, multicast.Close())
		}
		ways = append(ways, folder)
	}
	return peer.Start(peer.Config{
		Self: self.Identity, Domain: domain,
		Interval: cfg.Announce.Interval, ExpireAfter: cfg.Announce.ExpireAfter,
		Legacy: cfg.Announce.Legacy, Secrets: secrets,
		StatusMessages: cfg.Announce.StatusPort != 0, ServiceName: cfg.Service.Name,
		Ways: ways, Logger: log,
	})
}

// exclusive adds what policy.exclusive needs.
func exclusive(cfg *config.Config, wl *workload.Workload, log *slog.Logger, o *controller.Options) {
	if cfg.Announce.Folder == "" {
		log.Warn("policy.exclusive has no lock to rely on, because announce.folder is off: only what is heard and listed keeps two workloads apart, and that is weaker")
	} else {
		o.Owner = peer.NewOwner(cfg.Announce.Folder)
	}
	if !cfg.Process.Preflight.IsZero() {
		o.Preflight = wl.Preflight
	}
}

func newWorkload(cfg *config.Config, argv []string, reaper *workload.Reaper, log *slog.Logger) (*workload.Workload, error) {
	r := cfg.Readiness
	if r.AfterAuto {
		r.After = cfg.AliveAfter()
	}
	return workload.New(workload.Options{
		Argv: argv, StopSignal: cfg.Process.StopSignal, PreStop: workload.Command{Argv: cfg.Process.PreStop.Argv},
		Preflight: workload.Command{Argv: cfg.Process.Preflight.Argv}, Exclusive: cfg.Policy.Exclusive,
		Readiness: workload.Readiness{
			HTTP: r.HTTP, TCP: r.TCP, Command: workload.Command{Argv: r.Command.Argv}, File: r.File, Notify: r.Notify,
			After: r.After, AfterAuto: r.AfterAuto, ListensWithin: cfg.ListensWithin(), Period: r.Period, Timeout: r.Timeout,
			ServingPeriod: r.ServingPeriod, Failures: r.Failures,
		},
		Reaper: reaper, Logger: log,
	})
}
