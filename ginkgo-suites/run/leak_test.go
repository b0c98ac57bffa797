package run_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"

	"github.com/handover-controller/handover/controller/decide"
)

// inProcess is an instance in the process of this test, made of the real parts:
// sockets, folder, HTTP, processes.
type inProcess struct {
	id         string
	node       *peer.Node
	workload   *workload.Workload
	controller *controller.Controller
	ended      chan error
}

func (r *rig) inProcess(number int, own *peer.Owner) *inProcess {
	GinkgoHelper()
	var now unix.Timespec
	Expect(unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)).To(Succeed())
	boot := "11111111-1111-1111-1111-111111111111"
	i := &inProcess{id: fmt.Sprintf("%012x%052x", number+1, 0), ended: make(chan error, 1)}
	log := slog.New(slog.DiscardHandler)
	self := decide.Self{
		Instance: peer.NewInstanceID(), Container: peer.ContainerID(i.id[:12]), Boot: peer.BootHash(boot),
		FirstStart: peer.FirstStart{Boot: peer.BootHash(boot), Since: time.Duration(now.Nano())}, StartMilli: time.Now().UnixMilli(),
	}
	domain := peer.NewDomain(boot, r.app, "main")
	multicast, err := peer.OpenMulticast(peer.MulticastConfig{
		Group: netip.MustParseAddr("239.192.16.16"), Port: 1536, Mode: peer.ModeHost, Interface: "lo", Logger: log,
		Filter: &peer.Filter{Domain: domain, Legacy: true},
	})
	Expect(err).NotTo(HaveOccurred())
	folder, err := peer.OpenFolder(peer.FolderConfig{Path: r.dir, Self: self.Instance, Domain: domain, Interval: 10 * time.Second, Logger: log})
	Expect(err).NotTo(HaveOccurred())
	i.node, err = peer.Start(peer.Config{
		Self:   peer.Identity{Instance: self.Instance, Container: self.Container, FirstStart: self.FirstStart, StartMilli: self.StartMilli, FirstSequence: uint64(now.Nano())},
		Domain: domain, Interval: 10 * time.Second, ExpireAfter: 35 * time.Second, Legacy: true, Ways: []peer.Way{multicast, folder}, Logger: log,
	})
	Expect(err).NotTo(HaveOccurred())
	i.workload, err = workload.New(workload.Options{Argv: []string{"sleep", "1000"}, Readiness: workload.Readiness{File: filepath.Join(r.dir, "ready"+i.id[:12])}, Logger: log})
	Expect(err).NotTo(HaveOccurred())
	client, err := supervisor.NewClient(supervisor.Options{Address: r.supervisor.url(), APIKey: apiKey, Timeout: 5 * time.Second})
	Expect(err).NotTo(HaveOccurred())
	o := controller.Options{
		Policy: decide.Policy{
			PollInterval: time.Second, Discovery: 3 * time.Second, UnknownAfter: 5 * time.Second, Exclusive: own != nil,
			StopGracePeriod: time.Minute, DrainTimeout: 30 * time.Second, DrainReserve: 3 * time.Second,
			NotReadyAfter: 1500 * time.Millisecond, LegacyExpireAfter: 35 * time.Second,
		},
		Self: self, AppID: r.app, Service: "main", Peers: i.node, Supervisor: client, Workload: i.workload,
		Marker: supervisor.NewMarker(r.marker()), Logger: log,
	}
	if own != nil {
		o.Owner = own
	}
	i.controller, err = controller.New(o)
	Expect(err).NotTo(HaveOccurred())
	r.supervisor.list(i.id, "Running", r.created.Add(time.Duration(number)*time.Second))
	go func() {
		_, err := i.controller.Run(context.Background())
		i.ended <- err
	}()
	return i
}

// ready makes the workload ready, once it runs.
func (i *inProcess) ready(r *rig) {
	GinkgoHelper()
	Eventually(func() bool { return i.workload.State().Running }, patience, time.Millisecond).Should(BeTrue())
	Expect(os.WriteFile(filepath.Join(r.dir, "ready"+i.id[:12]), nil, 0o600)).To(Succeed())
}

// end waits for the end and takes the instance apart.
func (i *inProcess) end(r *rig) {
	GinkgoHelper()
	Eventually(i.ended, patience, time.Millisecond).Should(Receive(BeNil()))
	Expect(i.workload.Close()).To(Succeed())
	Expect(i.node.Close(context.Background())).To(Succeed())
	r.supervisor.set(i.id, "")
	Expect(os.Remove(filepath.Join(r.dir, "ready"+i.id[:12]))).To(Succeed())
}

// resources are what could leak.
type resources struct{ goroutines, descriptors, heap int }

func inUse() resources {
	GinkgoHelper()
	open, err := os.ReadDir("/proc/self/fd")
	Expect(err).NotTo(HaveOccurred())
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return resources{runtime.NumGoroutine(), len(open), int(m.HeapAlloc)}
}

var _ = Describe("Hand-overs in one process, one after the other", func() {
	It("leave nothing behind", func() {
		// Set LEAK_HANDOVERS=1000 for the long run.
		count := 60
		if testing.Short() {
			count = 20
		}
		if text := os.Getenv("LEAK_HANDOVERS"); text != "" {
			var err error
			count, err = strconv.Atoi(text)
			Expect(err).NotTo(HaveOccurred())
		}
		r := newRig()
		var before resources
		old := r.inProcess(0, nil)
		old.ready(r)
		for n := 1; n <= count; n++ {
			if n == 10 {
				before = inUse() // what is made once has been made
			}
			var own *peer.Owner
			if n%2 == 0 {
				own = peer.NewOwner(r.dir)
			}
			young := r.inProcess(n, own)
			told := n%3 != 0
			if told {
				r.supervisor.set(old.id, "Stopping")
				old.controller.Tell()
			}
			young.ready(r)
			if !told {
				Eventually(func() string { return old.controller.Status().Phase }, patience, time.Millisecond).Should(Equal("released"))
				old.controller.Tell()
			}
			old.end(r)
			old = young
		}
		var after resources
		Eventually(func(g Gomega) {
			after = inUse()
			g.Expect(after.goroutines).To(BeNumerically("<=", before.goroutines+2))
			g.Expect(after.descriptors).To(BeNumerically("<=", before.descriptors+2))
		}, patience).Should(Succeed())
		Expect(after.heap).To(BeNumerically("<", before.heap+4<<20))
		AddReportEntry("in use", fmt.Sprintf("after 10 hand-overs: %+v, after %d: %+v", before, count, after))
		old.controller.Tell()
		old.end(r)
	})
})
