package controller_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
	"github.com/handover-controller/handover/supervisor"
)

// webService is an HTTP server of this process as a controller.Workload.
type webService struct {
	address string
	handler http.Handler
	warmUp  func()        // returns when it is ready
	changed chan struct{} // with room for one

	mu         sync.Mutex
	state      workload.State
	url        string
	stop, kill *time.Timer
}

func (s *webService) Start() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 5 * time.Second}
	s.set(func(now *workload.State) {
		*now = workload.State{Run: now.Run + 1, Running: true, PID: os.Getpid(), Started: time.Now()}
		s.url = "http://" + listener.Addr().String()
		s.stop = time.AfterFunc(time.Hour, func() { s.end(server) })
		s.kill = time.AfterFunc(time.Hour, func() { _ = server.Close() })
		s.stop.Stop() // Drain says when
		s.kill.Stop()
	})
	go func() { _ = server.Serve(listener) }()
	go func() {
		s.warmUp()
		s.set(func(now *workload.State) {
			if now.Running && !now.Draining {
				now.Ready, now.EverReady, now.ReadySince = true, true, time.Now()
			}
		})
	}()
	return nil
}

// Drain may be called again, with another plan.
func (s *webService) Drain(plan workload.Plan) {
	s.set(func(now *workload.State) {
		if !now.Running {
			return
		}
		now.Draining = true
		s.kill.Reset(time.Until(plan.KillBy(plan.SignalAt)))
		if now.SignalledAt.IsZero() {
			s.stop.Reset(time.Until(plan.SignalAt))
		}
	})
}

// end finishes what is in flight, for as long as the plan allows.
func (s *webService) end(server *http.Server) {
	s.set(func(now *workload.State) { now.Ready, now.SignalledAt = false, time.Now() })
	_ = server.Shutdown(context.Background())
	s.set(func(now *workload.State) {
		now.Running, now.Ended = false, time.Now()
		s.kill.Stop()
	})
}

// set changes the state and wakes the controller.
func (s *webService) set(change func(now *workload.State)) {
	s.mu.Lock()
	change(&s.state)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *webService) State() workload.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// URL is where it serves.
func (s *webService) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

func (s *webService) Changed() <-chan struct{} { return s.changed }

// policyOf are the settings that a decision depends on.
func policyOf(cfg *config.Config) decide.Policy {
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
		NotReadyAfter:     cfg.Readiness.Period * time.Duration(cfg.Readiness.Failures),
		LegacyExpireAfter: cfg.Announce.ExpireAfter,
	}
}

// selfOf is what an instance knows about itself.
func selfOf(self *peer.Self) decide.Self {
	s := decide.Self{
		Instance: self.Instance, Container: self.Container, FirstStart: self.FirstStart,
		StartMilli: self.StartMilli, Restarted: self.Restarted,
	}
	if self.BootID != "" {
		s.Boot = peer.BootHash(self.BootID)
	}
	return s
}

// onDevice runs the service in this process until the next container serves, or
// there is none. It returns the exit status of the process.
func onDevice(service controller.Workload, log *slog.Logger) (int, error) {
	signals := make(chan os.Signal, 2) // the very first thing: process 1 ignores what it does not handle
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	loaded, err := config.Load(config.Options{Environ: os.Environ()})
	if err != nil {
		return 78, err
	}
	cfg := &loaded.Config
	self := peer.Identify(peer.IdentifyOptions{ContainerID: cfg.Service.ContainerID, StateDir: cfg.Service.StateDir})
	for _, w := range self.Warnings {
		log.Warn(w.Error())
	}

	domain := peer.NewDomain(self.BootID, cfg.Service.AppID, cfg.Service.Name)
	multicast, err := peer.OpenMulticast(peer.MulticastConfig{
		Group: cfg.Network.Group, Port: cfg.Network.Port, StatusPort: cfg.Announce.StatusPort,
		Mode: peer.Mode(cfg.Network.Mode), Interface: cfg.Network.Interface, Logger: log,
		Filter: &peer.Filter{Domain: domain, Legacy: cfg.Announce.Legacy},
	})
	if err != nil {
		return 1, err
	}
	folder, err := peer.OpenFolder(peer.FolderConfig{
		Path: cfg.Announce.Folder, Self: self.Instance, Domain: domain, Interval: cfg.Announce.Interval, Logger: log,
	})
	if err != nil {
		return 1, errors.Join(err, multicast.Close())
	}
	node, err := peer.Start(peer.Config{
		Self: self.Identity, Domain: domain, Interval: cfg.Announce.Interval, ExpireAfter: cfg.Announce.ExpireAfter,
		Legacy: cfg.Announce.Legacy, Ways: []peer.Way{multicast, folder}, Logger: log,
	})
	if err != nil {
		return 1, err
	}
	defer func() { _ = node.Close(context.Background()) }() // says that this instance is gone

	client, err := supervisor.NewClient(supervisor.Options{
		Address: cfg.Supervisor.Address, APIKey: cfg.Supervisor.APIKey.Reveal(), Timeout: cfg.Supervisor.Timeout,
	})
	if err != nil {
		return 1, err
	}
	instance, err := controller.New(controller.Options{
		Policy: policyOf(cfg), Self: selfOf(&self), AppID: cfg.Service.AppID, Service: cfg.Service.Name,
		Peers: node, Supervisor: client, Workload: service, Marker: supervisor.NewMarker(cfg.Policy.CompletePath),
		Logger: log,
	})
	if err != nil {
		return 1, err
	}
	go func() {
		for range signals {
			instance.Tell()
		}
	}()
	return instance.Run(context.Background())
}

// A service that is one program with its hand-over. It is not run here: it would
// speak on this machine's network.
func Example_device() {
	service := &webService{
		address: ":8080", handler: http.DefaultServeMux, warmUp: func() {}, changed: make(chan struct{}, 1),
	}
	code, err := onDevice(service, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// listing is a Supervisor that lists the same containers at any time.
type listing []supervisor.Container

func (l listing) View(context.Context) (supervisor.View, error) {
	return supervisor.View{RequestedAt: time.Now(), ReceivedAt: time.Now(), Containers: l}, nil
}

func (listing) Releases(context.Context, string) (supervisor.Releases, error) {
	return supervisor.Releases{}, nil
}

func (listing) Target(context.Context, string, string) (supervisor.Target, error) {
	return supervisor.Target{}, nil
}

// Two instances of a service in one process, over a network in memory: the old
// one is told to stop when the new one has just been started, as Supervisors
// since v14.13.10 do, and serves on until the new one is ready.
func Example() {
	const app, name, boot = "1234", "main", "6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3"
	network := peertest.NewNetwork(peertest.Options{Delay: time.Millisecond})
	device := listing{
		{ID: "9b1f07aa3d5c", Status: "Running", AppID: app, Service: name, CreatedAt: time.Now()},
		{ID: "c0b32e9d619f", Status: "Running", AppID: app, Service: name, CreatedAt: time.Now().Add(-time.Hour)},
	}
	defaults, err := config.Load(config.Options{Dir: os.DevNull})
	if err != nil {
		fmt.Println(err)
		return
	}
	folder, err := os.MkdirTemp("", "balena")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	start := func(container peer.ContainerID, since time.Duration, service *webService) (*controller.Controller, chan int) {
		self := peer.Self{BootID: boot, Identity: peer.Identity{
			Instance: peer.NewInstanceID(), Container: container,
			FirstStart: peer.FirstStart{Boot: peer.BootHash(boot), Since: since},
		}}
		node, err := peer.Start(peer.Config{
			Self: self.Identity, Domain: peer.NewDomain(boot, app, name), Ways: []peer.Way{network.Attach(string(container))},
		})
		if err != nil {
			panic(err)
		}
		instance, err := controller.New(controller.Options{
			Policy: policyOf(&defaults.Config), Self: selfOf(&self), AppID: app, Service: name,
			Peers: node, Supervisor: device, Workload: service,
			Marker: supervisor.NewMarker(filepath.Join(folder, "handover-complete")), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			panic(err)
		}
		exit := make(chan int, 1)
		go func() {
			code, _ := instance.Run(context.Background())
			_ = node.Close(context.Background())
			exit <- code
		}()
		return instance, exit
	}
	reach := func(instance *controller.Controller, phase peer.Phase) {
		now, _, changed := instance.Glance()
		for ; now != phase; now, _, changed = instance.Glance() {
			<-changed
		}
	}

	begun, finish := make(chan struct{}), make(chan struct{})
	oldService := newExampleService(func() {}, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		fmt.Fprint(w, "finished")
	})
	oldInstance, oldExit := start("c0b32e9d619f", time.Hour, oldService)
	reach(oldInstance, peer.PhaseServing)
	fmt.Println("the old one serves")

	answer := make(chan string)
	go func() { answer <- get(oldService.URL()) }()
	<-begun

	warm := make(chan struct{})
	newService := newExampleService(func() { <-warm }, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	newInstance, newExit := start("9b1f07aa3d5c", 2*time.Hour, newService)
	oldInstance.Tell() // SIGTERM
	reach(oldInstance, peer.PhaseHolding)
	fmt.Println("the old one was told to stop, and serves on")
	close(warm)
	reach(newInstance, peer.PhaseServing)
	fmt.Println("the new one serves:", get(newService.URL()))
	reach(oldInstance, peer.PhaseDraining)
	close(finish)
	fmt.Println("the old one's last request:", <-answer)
	fmt.Println("the old one's exit status:", <-oldExit)

	newInstance.Tell() // there is no third one: a plain stop
	<-newExit
	// Output:
	// the old one serves
	// the old one was told to stop, and serves on
	// the new one serves: hello
	// the old one's last request: finished
	// the old one's exit status: 0
}

func newExampleService(warmUp func(), handler http.HandlerFunc) *webService {
	return &webService{address: "127.0.0.1:0", handler: handler, warmUp: warmUp, changed: make(chan struct{}, 1)}
}

func get(url string) string {
	answer, err := http.Get(url) //nolint:noctx // an example
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}
