package lan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// patience bounds what takes as long as it takes.
const patience = time.Minute

// stopGracePeriod is so long that no hold ends before a machine that updates many
// devices at once has come to the one that is waited for.
const stopGracePeriod = 3 * time.Minute

// device is one device of the LAN: a namespace, a boot id, a Supervisor, and
// the containers of one service.
type device struct {
	number    int
	dir       string
	sim       *simulator.Simulator
	processes *simulator.Processes

	mu     sync.Mutex
	events []simulator.Event
	log    bytes.Buffer
}

func run(args ...string) {
	GinkgoHelper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%v: %s", args, out)
}

// newDevice connects a device to the LAN. All have the same app and service:
// only the boot ids differ.
func newDevice(dir string, number int) *device {
	GinkgoHelper()
	d := &device{number: number, dir: filepath.Join(dir, fmt.Sprint("device", number))}
	Expect(os.Mkdir(d.dir, 0o755)).To(Succeed())
	boot := fmt.Sprintf("%08x-0000-4000-8000-%012x", number, number)
	Expect(os.WriteFile(d.bootID(), []byte(boot+"\n"), 0o644)).To(Succeed())
	ns, port := d.namespace(), fmt.Sprint("lan-", number)
	run("ip", "netns", "add", ns)
	run("ip", "link", "add", port, "type", "veth", "peer", "name", "supervisor0", "netns", ns)
	run("ip", "link", "set", port, "master", "lan", "up")
	run("ip", "-n", ns, "address", "add", d.address()+"/16", "dev", "supervisor0")
	run("ip", "-n", ns, "link", "set", "supervisor0", "up")
	run("ip", "-n", ns, "link", "set", "lo", "up")

	d.processes = &simulator.Processes{
		Dir: d.dir,
		Command: func(simulator.Container) []string {
			// exec all the way, so that the container's process is handover's.
			return []string{"ip", "netns", "exec", ns, "unshare", "--mount", "sh", "-c",
				`mount --bind "$1" /proc/sys/kernel/random/boot_id && exec "$2" run -- sleep 3600`, "sh", d.bootID(), binary}
		},
		Env: func(simulator.Container) []string {
			return []string{
				"HANDOVER_NETWORK_MODE=host",
				"HANDOVER_ANNOUNCE_FOLDER=off", // the network alone
				"HANDOVER_ANNOUNCE_INTERVAL=1s",
				"HANDOVER_READINESS_AFTER=300ms",
				"HANDOVER_SERVICE_STOP_GRACE_PERIOD=" + stopGracePeriod.String(),
				"GORACE=atexit_sleep_ms=0",
			}
		},
		Output: func(simulator.Container) io.Writer { return d },
	}
	version, err := simulator.ByName("19.0.5")
	Expect(err).NotTo(HaveOccurred())
	d.sim, err = simulator.New(simulator.Options{
		Version: version, Runtime: d.processes, Marker: d.processes.Marker(), Seed: uint64(number), OnEvent: d.note,
	})
	Expect(err).NotTo(HaveOccurred())
	_, err = d.sim.Listen(lanAddress + ":0")
	Expect(err).NotTo(HaveOccurred())
	return d
}

// remove takes everything away again.
func (d *device) remove() {
	d.sim.Close()
	run("ip", "netns", "delete", d.namespace())
}

func (d *device) namespace() string { return fmt.Sprint("device", d.number) }

func (d *device) bootID() string { return filepath.Join(d.dir, "boot_id") }

// Write keeps the logs of the device's containers.
func (d *device) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func (d *device) note(e simulator.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.Container != "" {
		d.events = append(d.events, e)
	}
}

// history is what happened to the device's containers.
func (d *device) history() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, e := range d.events {
		text := fmt.Sprintf("%s %d", e.Kind, e.Release.ID)
		switch e.Kind {
		case simulator.EventKill:
			text += fmt.Sprintf(" signal %d", int(e.Signal))
		case simulator.EventDie:
			text += fmt.Sprintf(" exit %d", e.Code)
		}
		all = append(all, text)
	}
	return all
}

func (d *device) logs() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// get asks handover in the newest container. It answers sooner or later: that it
// does not at once, among so many on one machine, tells nothing, so it is asked
// again.
func (d *device) get(path string) string {
	for asked := time.Now(); ; {
		text := d.tryToGet(path)
		if text != "" || time.Since(asked) > patience {
			return text
		}
		time.Sleep(20 * time.Millisecond) // the pause between two tries
	}
}

func (d *device) tryToGet(path string) string {
	containers := d.sim.Containers()
	if len(containers) == 0 {
		return ""
	}
	socket := d.processes.Socket(containers[len(containers)-1].ID)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	answer, err := client.Get("http://handover" + path)
	if err != nil {
		return ""
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

func (d *device) status() controller.Status {
	var s controller.Status
	_ = json.Unmarshal([]byte(d.get("/status")), &s)
	return s
}

// metric is one of the newest container's.
func (d *device) metric(name string) int {
	GinkgoHelper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindStringSubmatch(d.get("/metrics"))
	Expect(found).NotTo(BeNil(), name)
	n, err := strconv.Atoi(found[1])
	Expect(err).NotTo(HaveOccurred())
	return n
}

func release(n int64) simulator.Release {
	return simulator.Release{
		ID: 1000 + n, ImageID: 500 + n, Commit: strings.Repeat(string(rune('a'+n)), 32), Image: fmt.Sprint("image", n),
		StopGracePeriod: stopGracePeriod,
	}
}

var _ = Describe("Many devices on one LAN, all announcing on it", Ordered, func() {
	var devices []*device // of all specs: a LAN takes a while to set up
	var dir string
	BeforeAll(func() {
		var err error
		dir, err = os.MkdirTemp("", "handover-lan")
		Expect(err).NotTo(HaveOccurred())
	})
	AfterAll(func() {
		for _, d := range devices {
			d.remove()
		}
		Expect(os.RemoveAll(dir)).To(Succeed())
	})
	count := 50
	if testing.Short() {
		count = 8
	}

	// install starts devices up to that number, and waits until all serve.
	install := func(upTo int) {
		GinkgoHelper()
		for len(devices) < upTo {
			d := newDevice(dir, len(devices)+1)
			devices = append(devices, d)
			d.sim.SetTarget(release(1))
		}
		for _, d := range devices {
			Eventually(func() string { return d.status().Phase }, patience).Should(Equal("serving"), "device %d\n%s", d.number, d.logs())
		}
	}

	// The cost is that of a device at rest, measured without asking it anything:
	// what the test hears on the LAN tells when to look.
	It("cost one device the same, however many there are", func(ctx SpecContext) {
		const received = `handover_announcements_received_total{way="multicast"}`
		const dropped = `handover_announcements_kernel_drops_total{way="multicast"}`
		const sent = `handover_announcements_sent_total{way="multicast"}`
		const rounds = 4 // some seconds, in which all announce themselves several times
		lan := listen()
		var table strings.Builder
		DeferCleanup(func() {
			AddReportEntry("cost of one device as the LAN grows", table.String())
			GinkgoWriter.Print(table.String())
		})
		var alone use
		for _, n := range []int{1, count / 5, count} {
			install(n)
			for _, d := range devices {
				Eventually(ctx, d.rests).WithPolling(100*time.Millisecond).Should(BeTrue(), "device %d", d.number)
			}
			first := devices[0]
			filtered := first.metric(`handover_announcements_filter{way="multicast"}`) == 1
			before, droppedBefore, sentBefore := first.metric(received), first.metric(dropped), first.metric(sent)
			heard := lan.heard()
			cost := first.cost()
			Eventually(ctx, func() bool {
				now := lan.heard()
				for _, d := range devices {
					if now[d.address()]-heard[d.address()] < rounds {
						return false
					}
				}
				return true
			}).WithPolling(100 * time.Millisecond).Should(BeTrue())
			used := first.cost().since(cost)
			got, own := first.metric(received)-before, first.metric(sent)-sentBefore
			fmt.Fprintf(&table, "%d devices: received %d while it sent %d itself, dropped by the kernel %d, %s\n",
				n, got, own, first.metric(dropped)-droppedBefore, used)
			if !filtered {
				continue // whatever is heard costs
			}
			// Its own announcements, which come back, and nothing else.
			Expect(got).To(BeNumerically("<=", own+2))
			Expect(first.metric(dropped)-droppedBefore).To(BeNumerically(">=", (rounds-1)*(n-1)), "the others'")
			if n == 1 {
				alone = used
			}
			// Woken by every announcement, with 49 others it wakes up 150 times more.
			Expect(used.wakeUps).To(BeNumerically("<=", 3*alone.wakeUps+20), table.String())
			Expect(used.processor).To(BeNumerically("<=", 3*alone.processor+0.001), table.String())
		}
	}, SpecTimeout(4*time.Minute))

	It("hand over exactly once each, updated in any order, and touch no other device", func(ctx SpecContext) {
		expected := []string{
			"create 1001", "start 1001", "update 1001", "rename 1001", "create 1002", "start 1002",
			"kill 1001 signal 15", "die 1001 exit 0", "stop 1001", "destroy 1001",
		}
		order := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1)).Perm(len(devices))
		for _, i := range order[:len(order)/2] {
			devices[i].sim.SetTarget(release(2))
		}
		By("half of them, while the others just serve")
		for _, i := range order[:len(order)/2] {
			d := devices[i]
			Eventually(ctx, d.history).Should(Equal(expected), "device %d\n%s", d.number, d.logs())
		}
		for _, i := range order[len(order)/2:] {
			Expect(devices[i].history()).To(Equal(expected[:2]))
			st := devices[i].status()
			Expect(st.Phase).To(Equal("serving"))
			Expect(st.Instance.ID).NotTo(BeEmpty())
			Expect(st.Peers).To(BeEmpty())
		}
		By("the other half")
		for _, i := range order[len(order)/2:] {
			devices[i].sim.SetTarget(release(2))
		}
		for _, d := range devices {
			Eventually(ctx, d.history).Should(Equal(expected), "device %d\n%s", d.number, d.logs())
			Eventually(ctx, func() string { return d.status().Phase }).Should(Equal("serving"), "device %d\n%s", d.number, d.logs())
			for _, p := range d.status().Peers {
				Expect(p.Container).To(BeElementOf(d.containers()), "device %d must know nobody else's containers", d.number)
			}
		}
	}, SpecTimeout(4*time.Minute))
})

// containers are the short ids of all containers that the device ever had.
func (d *device) containers() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, e := range d.events {
		all = append(all, e.Container[:12])
	}
	return slices.Compact(all)
}

// cost is what a process has used.
type cost struct {
	at       time.Time
	cpu      time.Duration
	switches int
}

// cost is that of handover in the newest container.
func (d *device) cost() cost {
	GinkgoHelper()
	id := d.sim.Containers()[0].ID
	pid := handoverOf(id)
	Expect(pid).NotTo(BeZero(), "no process of container %.12s", id)
	c := cost{at: time.Now()}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	Expect(err).NotTo(HaveOccurred())
	for _, task := range tasks {
		stat, _ := os.ReadFile(filepath.Join(task, "schedstat"))
		if fields := strings.Fields(string(stat)); len(fields) > 0 {
			ns, _ := strconv.ParseInt(fields[0], 10, 64)
			c.cpu += time.Duration(ns)
		}
		text, _ := os.ReadFile(filepath.Join(task, "status"))
		if found := regexp.MustCompile(`voluntary_ctxt_switches:\t(\d+)`).FindStringSubmatch(string(text)); found != nil {
			n, _ := strconv.Atoi(found[1])
			c.switches += n
		}
	}
	return c
}

// use is what a process uses in a second: wake-ups, and seconds of a processor.
type use struct{ wakeUps, processor float64 }

func (c cost) since(before cost) use {
	took := c.at.Sub(before.at).Seconds()
	return use{float64(c.switches-before.switches) / took, (c.cpu - before.cpu).Seconds() / took}
}

func (u use) String() string {
	return fmt.Sprintf("%.1f wake-ups/s, %.2f ms of processor time a second", u.wakeUps, u.processor*1000)
}

// rests reports whether nothing has happened to the newest container for a while:
// it has said all that it had to say, and announces itself once in an interval.
func (d *device) rests() bool {
	st := d.status()
	return len(st.Events) > 0 && st.Time.Sub(st.Events[len(st.Events)-1].Time) > 1500*time.Millisecond
}

// address is where the device's announcements come from.
func (d *device) address() string { return fmt.Sprintf("10.98.%d.2", d.number) }

// ear counts the announcements on the LAN by the address that they come from.
type ear struct {
	mu    sync.Mutex
	count map[string]int
}

func listen() *ear {
	GinkgoHelper()
	lan, err := net.InterfaceByName("lan")
	Expect(err).NotTo(HaveOccurred())
	conn, err := net.ListenMulticastUDP("udp4", lan, &net.UDPAddr{IP: net.IPv4(239, 192, 16, 16), Port: 1536})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	e := &ear{count: map[string]int{}}
	go func() {
		for buf := make([]byte, 2048); ; {
			_, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			e.mu.Lock()
			e.count[from.IP.String()]++
			e.mu.Unlock()
		}
	}()
	return e
}

func (e *ear) heard() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.count)
}

// handoverOf finds the container's main process: it has the id in its
// environment and this program as parent.
func handoverOf(id string) int {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		env, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err == nil && bytes.Contains(env, []byte("HANDOVER_SERVICE_CONTAINER_ID="+id)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	return 0
}
