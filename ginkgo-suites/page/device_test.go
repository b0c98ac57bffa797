package page_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// Nothing comes to its end because its time is over while it is looked at.
const (
	// handoverTimeout is after how long a Supervisor that waits for the marker
	// stops the old container without it.
	handoverTimeout = 10 * time.Minute
	stopGracePeriod = 2 * time.Minute
	drainTimeout    = 10 * time.Minute
)

// onCommand is how long a service takes that is ready when becomeReady is called.
const onCommand time.Duration = -1

// device is a simulated Supervisor with real processes for containers.
type device struct {
	sim       *simulator.Simulator
	processes *simulator.Processes
	marker    simulator.MarkerMemory // what the Supervisor sees, unless that is the real one
	noRestart bool                   // of new containers

	mu        sync.Mutex
	ready     map[int64]time.Duration // by release: how long the service takes
	addresses map[string]string       // of the services, by container
	logs      map[int64]*log          // by release
}

// log is what a container wrote.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newDevice has a Supervisor that does not see the marker: one that waits for it
// does so until stopOlder, and what is released can be looked at.
func newDevice(version string) *device {
	GinkgoHelper()
	return openDevice(version, false)
}

func openDevice(version string, seesMarker bool) *device {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "handover-page")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	empty := filepath.Join(dir, "handover.yaml")
	Expect(os.WriteFile(empty, nil, 0o600)).To(Succeed())
	v, err := simulator.ByName(version)
	Expect(err).NotTo(HaveOccurred())
	d := &device{ready: map[int64]time.Duration{}, addresses: map[string]string{}, logs: map[int64]*log{}}
	d.processes = &simulator.Processes{
		Dir:     dir,
		Command: func(simulator.Container) []string { return []string{binary, "run", "--", binary, demo.ServiceCommand} },
		Output:  func(c simulator.Container) io.Writer { return d.log(c.Release.ID) },
		Env: func(c simulator.Container) []string {
			address, takes := d.service(c.ID), d.takes(c.Release.ID)
			readiness := "HANDOVER_READINESS_HTTP=http://" + address + "/ready"
			if takes == onCommand {
				readiness = "HANDOVER_READINESS_FILE=" + d.readyFile(c.ID)
			}
			return []string{
				"GORACE=atexit_sleep_ms=0 halt_on_error=1",
				"HANDOVER_CONFIG=" + empty,
				"HANDOVER_NETWORK_MODE=host", // on loopback only
				"HANDOVER_NETWORK_INTERFACE=lo",
				"HANDOVER_SERVICE_STOP_GRACE_PERIOD=" + c.Release.StopGracePeriod.String(),
				"HANDOVER_POLICY_DRAIN_TIMEOUT=" + drainTimeout.String(),
				readiness,
				"HANDOVER_READINESS_PERIOD=100ms",
				demo.VariableName + "=service",
				demo.VariableAddress + "=" + address,
				demo.VariableReadyAfter + "=" + max(0, takes).String(),
			}
		},
	}
	options := simulator.Options{
		Version: v, Runtime: d.processes, Service: "front-door",
		AppID: 1_000_000 + rand.Int64N(1_000_000), Seed: rand.Uint64(),
	}
	options.Marker = &d.marker
	if seesMarker {
		options.Marker = d.processes.Marker()
	}
	d.sim, err = simulator.New(options)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(d.sim.Close)
	_, err = d.sim.Listen("127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		if CurrentSpecReport().Failed() {
			for id := int64(1); d.logs[id] != nil; id++ {
				fmt.Fprintf(GinkgoWriter, "--- release %d\n%s\n", id, d.logs[id])
			}
		}
	})
	return d
}

func (d *device) log(release int64) *log {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logs[release] == nil {
		d.logs[release] = &log{}
	}
	return d.logs[release]
}

func (d *device) service(container string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addresses[container] == "" {
		d.addresses[container] = simulator.FreeAddress()
	}
	return d.addresses[container]
}

// release makes release n the target: its page is at that address, and its
// service becomes ready so long after its start, or onCommand.
func (d *device) release(n int64, address string, ready time.Duration) {
	d.mu.Lock()
	d.ready[n] = ready
	d.mu.Unlock()
	d.sim.SetTarget(simulator.Release{
		ID: n, ImageID: 500 + n, Commit: fmt.Sprintf("%040d", n), Image: fmt.Sprint("image", n),
		StopGracePeriod: stopGracePeriod, HandoverTimeout: handoverTimeout, NoRestart: d.noRestart,
		Env: []string{"HANDOVER_STATUS_LISTEN=" + address},
	})
}

// takes is how long the service of a release takes to be ready.
func (d *device) takes(release int64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready[release]
}

func (d *device) readyFile(container string) string {
	return filepath.Join(d.processes.Folder(container), "service-is-ready")
}

// becomeReady makes a service ready that is onCommand.
func (d *device) becomeReady(n int64) {
	GinkgoHelper()
	id := d.container(n)
	door := d.door(n)
	// What lies there before the service starts is removed.
	Eventually(func() bool { return statusAt(door).Workload.Running }).Should(BeTrue())
	Expect(os.WriteFile(d.readyFile(id), nil, 0o600)).To(Succeed())
}

// stopOlder has a Supervisor that waits for the marker see one.
func (d *device) stopOlder() {
	GinkgoHelper()
	Expect(d.marker.Write()).To(Succeed())
}

// container is the container of a release, once there is one.
func (d *device) container(n int64) string {
	GinkgoHelper()
	id := ""
	Eventually(func() string {
		for _, c := range d.sim.Containers() {
			if c.Release.ID == n {
				id = c.ID
			}
		}
		return id
	}, patience, "10ms").ShouldNot(BeEmpty())
	return id
}

// work asks the service of a release for something that takes until it is done,
// or a minute. The service has it in hand when this returns.
func (d *device) work(n int64) (done func()) {
	GinkgoHelper()
	address := d.service(d.container(n))
	one := &http.Client{Transport: &http.Transport{}} // one connection, which the service has taken
	answer, err := one.Get("http://" + address + "/")
	Expect(err).NotTo(HaveOccurred())
	_, _ = io.Copy(io.Discard, answer.Body)
	Expect(answer.Body.Close()).To(Succeed())

	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	sent := make(chan struct{})
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/?takes=1m", nil)
	Expect(err).NotTo(HaveOccurred())
	go func() {
		if answer, err := one.Do(request); err == nil {
			_ = answer.Body.Close()
		}
		one.CloseIdleConnections()
	}()
	Eventually(sent).Should(BeClosed())
	return cancel
}

// door is an address at which an instance answers that does so on its socket.
func (d *device) door(n int64) string {
	GinkgoHelper()
	socket := d.processes.Socket(d.container(n))
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "handover"})
	proxy.FlushInterval = -1
	proxy.ErrorLog = stdlog.New(io.Discard, "", 0)
	proxy.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	server := httptest.NewServer(proxy)
	DeferCleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}

// client opens a connection for each request, as another visitor would.
var client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// statusAt is the status at an address; the zero one while nobody answers.
func statusAt(address string) controller.Status {
	var st controller.Status
	if answer, err := client.Get("http://" + address + "/status"); err == nil {
		defer func() { _ = answer.Body.Close() }()
		_ = json.NewDecoder(answer.Body).Decode(&st)
	}
	return st
}

func phaseAt(address string) func() string { return func() string { return statusAt(address).Phase } }

// follow keeps every status that an instance says, until it ends.
func (d *device) follow(n int64) func() []string {
	socket := d.processes.Socket(d.container(n))
	unix := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	var answer *http.Response
	Eventually(func() (err error) {
		answer, err = unix.Get("http://handover/events")
		return err
	}, patience, "20ms").Should(Succeed())
	var mu sync.Mutex
	var all []string
	go func() {
		defer func() { _ = answer.Body.Close() }()
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				mu.Lock()
				all = append(all, data)
				mu.Unlock()
			}
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string{}, all...)
	}
}
