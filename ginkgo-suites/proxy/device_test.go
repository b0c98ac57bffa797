package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// device is a simulated Supervisor whose containers are real processes, each
// with an address of its own on loopback, as on a bridge.
type device struct {
	sim       *simulator.Simulator
	processes *simulator.Processes
	ports     ports
	example   example

	mu        sync.Mutex
	ready     map[int64]time.Duration // by release: how long the service takes
	addresses map[string]netip.Addr   // by container
	logs      map[int64]*log          // by release
}

// ports are those of the example, or what stands for them here.
type ports struct{ service, status int }

func newDevice(version string, e example) *device {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "handover-proxy")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	empty := filepath.Join(dir, "handover.yaml")
	Expect(os.WriteFile(empty, nil, 0o600)).To(Succeed())
	v, err := simulator.ByName(version)
	Expect(err).NotTo(HaveOccurred())
	d := &device{
		ports: ports{freePort(), freePort()}, example: e,
		ready: map[int64]time.Duration{}, addresses: map[string]netip.Addr{}, logs: map[int64]*log{},
	}
	d.processes = &simulator.Processes{
		Dir:     dir,
		Command: func(simulator.Container) []string { return []string{binary, "run", "--", binary, demo.ServiceCommand} },
		Output:  func(c simulator.Container) io.Writer { return d.log(c.Release.ID) },
		Env: func(c simulator.Container) []string {
			service := netip.AddrPortFrom(d.address(c.ID), uint16(d.ports.service))
			status := netip.AddrPortFrom(d.address(c.ID), uint16(d.ports.status))
			return append(e.environ(),
				"GORACE=atexit_sleep_ms=0 halt_on_error=1",
				"HANDOVER_CONFIG="+empty,
				"HANDOVER_NETWORK_MODE=host", // on loopback only
				"HANDOVER_NETWORK_INTERFACE=lo",
				"HANDOVER_READINESS_HTTP=http://"+service.String()+"/ready",
				"HANDOVER_STATUS_LISTEN="+status.String(),
				demo.VariableName+"="+name(c.Release.ID),
				demo.VariableAddress+"="+service.String(),
				demo.VariableReadyAfter+"="+d.readyAfter(c.Release.ID).String(),
			)
		},
	}
	d.sim, err = simulator.New(simulator.Options{
		Version: v, Runtime: d.processes, Marker: d.processes.Marker(), Service: e.service,
		AppID: 1_000_000 + rand.Int64N(1_000_000), Seed: rand.Uint64(),
	})
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

// name is what the service of a release calls itself.
func name(release int64) string { return fmt.Sprint("release-", release) }

// release makes release n the target, whose service becomes ready so long after
// its start.
func (d *device) release(n int64, ready time.Duration) {
	d.mu.Lock()
	d.ready[n] = ready
	d.mu.Unlock()
	d.sim.SetTarget(simulator.Release{
		ID: n, ImageID: 500 + n, Commit: fmt.Sprintf("%040d", n), Image: fmt.Sprint("image", n),
		StopGracePeriod: d.example.grace, HandoverTimeout: d.example.timeout,
	})
}

func (d *device) readyAfter(release int64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready[release]
}

func (d *device) log(release int64) *log {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logs[release] == nil {
		d.logs[release] = &log{}
	}
	return d.logs[release]
}

// address is the container's, which nobody else on this machine has.
func (d *device) address(container string) netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.addresses[container].IsValid() {
		a := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(256)), byte(1 + rand.IntN(250))})
		if !slices.Contains(values(d.addresses), a) {
			d.addresses[container] = a
		}
	}
	return d.addresses[container]
}

func values(m map[string]netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// running are the addresses of the containers that were started and are not yet
// removed, as Docker's name server gives them.
func (d *device) running() []netip.Addr {
	var all []netip.Addr
	for _, c := range d.sim.Containers() {
		if c.Starts > 0 {
			all = append(all, d.address(c.ID))
		}
	}
	return all
}

// container is the container of a release, empty if there is none.
func (d *device) container(n int64) string {
	for _, c := range d.sim.Containers() {
		if c.Release.ID == n {
			return c.ID
		}
	}
	return ""
}

// phase is what the instance of a release says of itself on its socket.
func (d *device) phase(n int64) string {
	id := d.container(n)
	if id == "" {
		return "gone"
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.processes.Socket(id))
		},
	}}
	answer, err := client.Get("http://handover/status")
	if err != nil {
		return ""
	}
	defer func() { _ = answer.Body.Close() }()
	var st controller.Status
	_ = json.NewDecoder(answer.Body).Decode(&st)
	return st.Phase
}

// freePort is one on which nobody listens on any address.
func freePort() int {
	GinkgoHelper()
	l, err := net.Listen("tcp4", ":0")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	Expect(err).NotTo(HaveOccurred())
	n, err := strconv.Atoi(port)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// log is what a process wrote.
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
	return strings.Clone(l.b.String())
}
