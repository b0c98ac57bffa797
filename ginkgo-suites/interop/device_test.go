package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// What all containers here belong to, unless a spec says otherwise. The name is
// the one in the recorded status messages.
const (
	appID       = "1001"
	serviceName = "api"
)

// device is a device for one spec: bridges in a namespace, containers in
// namespaces of their own, the folder that they share, and a Supervisor that
// every container reaches on its own loopback, whatever becomes of its network.
type device struct {
	hub        namespace
	dir        string
	supervisor *fakeSupervisor
	created    time.Time
	ports      int
	hosts      int
}

// newDevice makes one with the bridges br0 and br1.
func newDevice() *device {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "handover-interop")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	d := &device{hub: newNamespace(), dir: dir, supervisor: newSupervisor(), created: time.Now().Add(-time.Hour)}
	Expect(os.Mkdir(d.shared(), 0o755)).To(Succeed())
	for i, bridge := range []string{"br0", "br1"} {
		d.hub.ip("link", "add", "name", bridge, "type", "bridge")
		d.hub.ip("address", "add", fmt.Sprintf("10.77.%d.1/24", i), "dev", bridge)
		d.hub.ip("link", "set", bridge, "up")
	}
	return d
}

// shared is the folder that is /tmp/balena in containers.
func (d *device) shared() string { return filepath.Join(d.dir, "balena") }

func (d *device) marker() string { return filepath.Join(d.shared(), "handover-complete") }

// lonely makes a container's network with nothing but loopback.
func (d *device) lonely() namespace {
	GinkgoHelper()
	n := newNamespace()
	d.supervisor.listenIn(n)
	return n
}

// network makes a container's network with an interface eth0 on br0.
func (d *device) network() namespace {
	GinkgoHelper()
	n := d.lonely()
	d.plug(n, "eth0", "br0")
	return n
}

// plug gives a namespace an interface on a bridge, up and with an address. It
// returns the name of the bridge's port.
func (d *device) plug(n namespace, name, bridge string) (port string) {
	GinkgoHelper()
	d.hosts++
	return d.plugAs(n, name, bridge, fmt.Sprintf("10.77.%s.%d/24", bridge[len("br"):], 1+d.hosts))
}

func (d *device) plugAs(n namespace, name, bridge, address string) (port string) {
	GinkgoHelper()
	d.ports++
	port = d.lastPort()
	d.hub.ip("link", "add", "name", port, "type", "veth", "peer", "name", name, "netns", string(n))
	d.hub.ip("link", "set", port, "master", bridge, "up")
	n.ip("address", "add", address, "dev", name)
	n.ip("link", "set", name, "up")
	return port
}

// lastPort is the name of the bridge's port that was made last.
func (d *device) lastPort() string { return fmt.Sprintf("port%d", d.ports) }

// list makes the Supervisor list a container, created after all before.
func (d *device) list(id, status string) {
	d.supervisor.list(id, serviceName, status, d.created)
	d.created = d.created.Add(time.Minute)
}
