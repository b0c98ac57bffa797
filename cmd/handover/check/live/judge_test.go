package live

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/endpoint"
	"github.com/handover-controller/handover/peer"
)

var errNone = errors.New("nothing there")

var _ = Describe("What is judged of the configuration", func() {
	DescribeTable("is", judged,
		Entry("no file", nil, nil, configFile, check.OK, "there is no configuration file"),
		Entry("a file", nil, change(func(f *facts) { f.loaded.File = "/etc/x.yaml" }), configFile, check.OK, "read from /etc/x.yaml"),
		Entry("an unknown variable", []string{"HANDOVER_POLICY_SETTEL=1s"}, nil, configWarning, check.Warning, "HANDOVER_POLICY_SETTLE"),
	)
})

var _ = Describe("What is judged of the identity", func() {
	DescribeTable("is", judged,
		Entry("service and app", nil, nil, identityService, check.OK, "service main of app 1234"),
		Entry("no name", nil, change(func(f *facts) { f.cfg.Service.Name = "" }), identityService, check.Warning, "not known"),
		Entry("the container", nil, nil, identityContainer, check.OK, "aaaaaaaaaaaa (found in: mountinfo)"),
		Entry("no container, with a Supervisor", nil, change(func(f *facts) { f.identity.self.Container = "" }), identityContainer, check.Warning, "was not found"),
		Entry("no container at all, with a Supervisor", nil, change(func(f *facts) { f.identity.self.Container, f.identity.outside = "", true }), identityContainer, check.Error, "this is no container, so there is no container id, and the Supervisor is to be asked (supervisor.mode is auto, and there is an address"),
		Entry("no container at all, with one that is required", []string{"HANDOVER_SUPERVISOR_MODE=required"}, change(func(f *facts) { f.identity.self.Container, f.identity.outside = "", true }), identityContainer, check.Error, "(supervisor.mode is required)"),
		Entry("no container, on a developer's machine", []string{"HANDOVER_SUPERVISOR_MODE=off"}, change(func(f *facts) { f.identity.self.Container = "" }), identityContainer, check.Note, "no container"),
		Entry("no container at all, on a developer's machine", []string{"HANDOVER_SUPERVISOR_MODE=off"}, change(func(f *facts) { f.identity.self.Container, f.identity.outside = "", true }), identityContainer, check.Note, "the process that started later is the younger one"),
		Entry("no boot id", nil, change(func(f *facts) { f.identity.self.BootID = "" }), identityBoot, check.Warning, "cannot be read"),
		Entry("a record", nil, nil, identityRecord, check.OK, "is recorded in /var/lib/handover"),
		Entry("no record, and no instance", nil, change(func(f *facts) { f.identity.recordErr, f.instance.status = fs.ErrNotExist, nil }), identityRecord, check.OK, "records the first start there"),
		Entry("no record, though an instance runs", nil, change(func(f *facts) { f.identity.recordErr = fs.ErrNotExist }), identityRecord, check.Warning, "left no record"),
		Entry("a record that knows nothing", nil, change(func(f *facts) { f.identity.recordErr = peer.ErrStartUnknown }), identityRecord, check.Warning, "is not known"),
		Entry("a damaged record", nil, change(func(f *facts) { f.identity.recordErr = errNone }), identityRecord, check.Warning, "nothing there"),
		Entry("a folder that can't be written", nil, change(func(f *facts) {
			f.identity.writeErr = &fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}
			f.identity.recordErr = fs.ErrNotExist
		}), identityRecord, check.Warning, "user 1000 cannot write to service.state_dir, /var/lib/handover: permission denied"),
		Entry("a folder that only the instance can write", nil, change(func(f *facts) { f.identity.writeErr = fs.ErrPermission }),
			identityRecord, check.OK, "is recorded in"),
		Entry("a folder in memory", nil, change(func(f *facts) { f.identity.volatile = true }), identityRecord, check.Warning, "is in memory"),
	)
})

var _ = Describe("What is judged of the running instance", func() {
	nobody := func(i instance) change {
		return func(f *facts) { f.instance = &i }
	}
	DescribeTable("is", judged,
		Entry("its phase", nil, nil, processInstance, check.OK, "it is serving (alone)"),
		Entry("a workload that is not ready", nil, change(func(f *facts) { f.instance.status.Workload.Ready = false }), processInstance, check.Note, "not ready"),
		Entry("a workload that is not ready yet", nil, notReady(9*time.Second), processInstance, check.Note, "the workload is not ready: GET http://127.0.0.1/helth: 404 Not Found"),
		Entry("a workload that is not ready for long", nil, notReady(10*time.Second), processInstance, check.Warning, "the workload is not ready: GET http://127.0.0.1/helth: 404 Not Found"),
		Entry("another container's socket", nil, change(func(f *facts) { f.instance.status.Instance.Container = other }), processInstance, check.Warning, "that of container bbbbbbbbbbbb"),
		Entry("nobody", nil, nobody(instance{init: "node"}), processInstance, check.Note, "no instance answers on /tmp/handover.sock"),
		Entry("nobody, though process 1 is handover", nil, nobody(instance{init: "handover"}), processInstance, check.Warning, "process 1 is handover"),
		Entry("another container's instance", nil, nobody(instance{init: "node", other: endpoint.ErrElsewhere}), processInstance, check.Warning, "that of another container"),
		Entry("somebody who does not answer", nil, nobody(instance{path: "/tmp/handover.sock", pid: 7, err: errNone}), processInstance, check.Error, "(process 7), but there is no usable answer: nothing there"),
		Entry("no socket", []string{"HANDOVER_STATUS_SOCKET=off"}, nobody(instance{off: true}), processInstance, check.Note, "status.socket is off"),
		Entry("a guarded workload", nil, nil, processGuard, check.OK, "is guarded"),
		Entry("a panic", nil, change(func(f *facts) { f.instance.status.Failure = "handover panicked" }), processGuard, check.Error, "handover panicked"),
		Entry("process 1", nil, nil, processInit, check.OK, "process 1"),
		Entry("the host's process 1", nil, change(func(f *facts) {
			f.instance.pid, f.instance.cgroup, f.instance.cgroupOfOne = 7, "0::/\n", "0::/../../init.scope\n"
		}), processInit, check.Note, "process 7 of the host"),
		Entry("the host's process 1 where cgroups have no namespace", nil, change(func(f *facts) {
			f.instance.pid, f.instance.cgroup, f.instance.cgroupOfOne = 7, "1:name=systemd:/docker/"+string(f.container())+"\n", "1:name=systemd:/init.scope\n"
		}), processInit, check.Note, "process 7 of the host"),
		Entry("another process than 1", nil, change(func(f *facts) { f.instance.pid, f.instance.init = 7, "sh" }), processInit, check.Warning, `process 7, and process 1 is "sh"`),
		Entry("another process, outside a container", nil, change(func(f *facts) { f.instance.pid, f.identity.self.Container = 7, "" }), processInit, check.Note, "process 7"),
		Entry("a process out of sight", nil, change(func(f *facts) { f.instance.pid = 0 }), processInit, check.Note, "cannot be seen"),
		Entry("the same version", nil, nil, processVersion, check.OK, "1.2.3"),
		Entry("another version", nil, change(func(f *facts) { f.version = "2.0.0" }), processVersion, check.Warning, "of version 1.2.3, this program of version 2.0.0"),
		Entry("no peers", nil, nil, processPeers, check.OK, "no other instance"),
		Entry("a peer", nil, withPeer("younger", "multicast", "folder"), processPeers, check.OK, "container bbbbbbbbbbbb is heard by multicast and folder: it is younger than this one, and starting"),
		Entry("a peer of unknown age", nil, withPeer("unknown", "folder"), processPeers, check.OK, "neither known to be younger nor older"),
		Entry("no hand-over", nil, nil, processHandovers, check.OK, "not seen a hand-over"),
		Entry("a hand-over that is over", nil, withHandover(lanes(2*time.Second, time.Second)), processHandovers, check.OK, "between 2 containers, began at 2026-01-02T02:04:05Z and took 1m0s"),
		Entry("a hand-over that goes on", nil, withHandover(controller.Handover{Began: now, Lanes: make([]controller.Lane, 2)}), processHandovers, check.Note, "is under way"),
	)
})

// withPeer adds a peer that starts.
func withPeer(age string, ways ...string) change {
	return func(f *facts) {
		f.instance.status.Peers = append(f.instance.status.Peers, controller.PeerStatus{Container: other, Age: age, Phase: "starting", Ways: ways})
	}
}

func withHandover(h controller.Handover) change {
	return func(f *facts) { f.instance.status.Handovers = []controller.Handover{h} }
}

// lanes is a hand-over in which the younger one took that long to become ready,
// and this instance's drain that long.
func lanes(readiness, drain time.Duration) controller.Handover {
	began := now.Add(-time.Hour)
	at := func(d time.Duration) *time.Time { t := began.Add(d); return &t }
	return controller.Handover{Began: began, Ended: at(time.Minute), Lanes: []controller.Lane{
		{Own: true, Spans: []controller.Span{
			{Phase: "serving", From: began, To: at(readiness)},
			{Phase: "draining", From: *at(readiness), To: at(readiness + drain)},
			{Phase: "released", From: *at(readiness + drain), To: at(time.Minute)},
		}},
		{Container: other, Spans: []controller.Span{
			{Phase: "starting", From: began, To: at(readiness)},
			{Phase: "serving", From: *at(readiness), To: at(time.Minute)},
		}},
	}}
}

var _ = Describe("What is judged of the network", func() {
	host := func(trips ...peer.RoundTrip) change {
		return func(f *facts) { f.network = &network{mode: peer.ModeHost, trips: trips} }
	}
	noFolder := func(c change) change {
		return func(f *facts) { f.folder.access = fs.ErrPermission; c(f) }
	}
	bridge := func(trips ...peer.RoundTrip) change {
		return func(f *facts) { f.network = &network{mode: peer.ModeBridge, trips: trips} }
	}
	lo := peer.RoundTrip{Interface: "lo", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	silent := peer.RoundTrip{Interface: "eth0", Err: fmt.Errorf("x: %w", peer.ErrNotBack)}
	DescribeTable("is", judged,
		Entry("auto, bridge", nil, nil, networkMode, check.OK, "network.mode is bridge (auto, as there is no interface supervisor0): announcements use every"),
		Entry("auto, host", nil, host(lo), networkMode, check.OK, "network.mode is host (auto, as there is an interface supervisor0): announcements use supervisor0 alone"),
		Entry("set", []string{"HANDOVER_NETWORK_MODE=host"}, host(lo), networkMode, check.OK, "host (set)"),
		Entry("the interfaces", nil, nil, networkInterfaces, check.OK, "eth0 (172.17.0.2)"),
		Entry("a missing interface", []string{"HANDOVER_NETWORK_MODE=host"}, host(), networkInterfaces, check.Warning, "supervisor0 (network.interface) is missing"),
		Entry("a missing interface, and no folder", []string{"HANDOVER_NETWORK_MODE=host"}, noFolder(host()), networkInterfaces, check.Error, "supervisor0 (network.interface) is missing"),
		Entry("no interface", nil, bridge(), networkInterfaces, check.Warning, "there is no network interface that is up"),
		Entry("loopback for want of others", nil, bridge(lo), networkInterfaces, check.Warning, "but loopback"),
		Entry("loopback, as set", nil, host(lo), networkInterfaces, check.OK, "lo (127.0.0.1)"),
		Entry("a round trip", nil, nil, networkMulticast, check.OK, "239.192.16.16:1536 on eth0 came back after 300µs; this shows this container's side only"),
		Entry("a lost datagram", nil, bridge(silent), networkMulticast, check.Warning, "does not come back on eth0: it was sent, and not received within 3s"),
		Entry("a lost datagram, and no folder", nil, noFolder(bridge(silent)), networkMulticast, check.Error, "does not come back"),
		Entry("a refusal", nil, bridge(peer.RoundTrip{Interface: "eth0", Err: errNone}), networkMulticast, check.Warning, "nothing there"),
		Entry("a port that is taken", nil, change(func(f *facts) { f.network = &network{err: syscall.EADDRINUSE} }), networkMulticast, check.Warning, "address already in use"),
		Entry("a peer that is heard", nil, withPeer("younger", "multicast"), networkPeers, check.OK, "bbbbbbbbbbbb is heard by multicast"),
		Entry("a peer that is not", nil, withPeer("younger", "folder"), networkPeers, check.Warning, "heard by folder, and not by multicast"),
	)
})

var _ = Describe("What is judged of the shared folder", func() {
	exclusive := []string{"HANDOVER_POLICY_EXCLUSIVE=true"}
	with := func(d folder) change { return func(f *facts) { f.folder = &d } }
	DescribeTable("is", judged,
		Entry("one that can be written", nil, nil, folderAccess, check.OK, "/tmp/balena can be written"),
		Entry("off", []string{"HANDOVER_ANNOUNCE_FOLDER=off"}, with(folder{off: true}), folderAccess, check.Note, "is off"),
		Entry("none", nil, with(folder{access: fs.ErrNotExist}), folderAccess, check.Warning, "does not exist"),
		Entry("one that can't be written", nil, with(folder{access: syscall.EROFS}), folderAccess, check.Warning, "user 1000 cannot write to the shared folder /tmp/balena (announce.folder): read-only file system"),
		Entry("one that is mounted", nil, nil, folderShared, check.OK, "mounted"),
		Entry("one of the container's own", nil, with(folder{kind: 0x794c7630, own: true}), folderShared, check.Warning, "own file system"),
		Entry("one on a container's layer, though no container is known", []string{"HANDOVER_SUPERVISOR_MODE=off"}, change(func(f *facts) {
			f.folder, f.identity.self.Container = &folder{kind: 0x794c7630}, ""
		}), folderShared, check.Warning, "own file system"),
		Entry("its type", nil, nil, folderType, check.OK, "ext4"),
		Entry("an unknown type", nil, with(folder{kind: 0x123456}), folderType, check.OK, "0x123456"),
		Entry("a type of 32 bits with a sign", nil, with(folder{kind: -0xacb2be}), folderType, check.Warning, "cifs"),
		Entry("one of another machine", nil, with(folder{kind: 0x6969}), folderType, check.Warning, "nfs"),
		Entry("locks", nil, nil, folderLock, check.OK, "can be locked"),
		Entry("no locks", nil, with(folder{lock: errNone}), folderLock, check.Warning, "cannot be locked: nothing there"),
		Entry("inotify", nil, nil, folderWatch, check.OK, "are told"),
		Entry("no inotify", nil, with(folder{watch: errNotTold}), folderWatch, check.Warning, "a new file was not told"),
		Entry("enough for an exclusive workload", exclusive, nil, folderExclusive, check.OK, "/tmp/balena"),
		Entry("off, with an exclusive workload", exclusive, with(folder{off: true}), folderExclusive, check.Error, "no lock to rely on"),
		Entry("not writable, with an exclusive workload", exclusive, with(folder{access: fs.ErrPermission}), folderExclusive, check.Error, "no lock to rely on"),
		Entry("without locks, with an exclusive workload", exclusive, with(folder{lock: errNone}), folderExclusive, check.Error, "no lock to rely on"),
		Entry("the container's own, with an exclusive workload", exclusive, with(folder{own: true}), folderExclusive, check.Error, "no lock to rely on"),
	)
})

var _ = Describe("What is judged of the status", func() {
	stopped := func(a addresses) change {
		return func(f *facts) { f.instance.status, f.status = nil, &a }
	}
	runs := func(a addresses) change { return func(f *facts) { f.status = &a } }
	listen := []string{"HANDOVER_STATUS_LISTEN=:8090"}
	DescribeTable("is", judged,
		Entry("a socket", nil, nil, statusSocket, check.OK, "the status socket is /tmp/handover.sock"),
		Entry("a place for one", nil, stopped(addresses{socket: "/tmp/handover.sock"}), statusSocket, check.OK, "can be made"),
		Entry("another place", nil, stopped(addresses{socket: "/dev/shm/handover.sock", socketErr: errNone}), statusSocket, check.Note, "will be /dev/shm/handover.sock"),
		Entry("no place", nil, stopped(addresses{socketErr: errNone}), statusSocket, check.Warning, "cannot be made: nothing there"),
		Entry("no socket", []string{"HANDOVER_STATUS_SOCKET=off"}, nil, statusSocket, check.Note, "is off"),
		Entry("no address", nil, nil, statusListen, check.OK, "is off"),
		Entry("its own address", listen, runs(addresses{server: "0011"}), statusListen, check.OK, "serves its status at :8090"),
		Entry("another instance's", listen, runs(addresses{server: "0022"}), statusListen, check.Note, "another instance"),
		Entry("another program's", listen, runs(addresses{taken: true}), statusListen, check.Warning, "another program"),
		Entry("an address that can't be", listen, stopped(addresses{listen: errNone}), statusListen, check.Warning, "cannot be used: nothing there"),
		Entry("a free address", listen, stopped(addresses{}), statusListen, check.OK, "is free"),
		Entry("a free address, though an instance runs", listen, runs(addresses{}), statusListen, check.Warning, "nobody serves"),
		Entry("a free address of one that has released", listen, change(func(f *facts) { f.instance.status.Phase = "released" }), statusListen, check.OK, "is free"),
	)
})
