package live

import (
	"errors"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor"
)

var _ = DescribeTable("A Supervisor of version",
	func(version string, does behaviour, lookedAt, without bool) {
		d, l := behaviourOf(version)
		Expect(d).To(Equal(does))
		Expect(l).To(Equal(lookedAt))
		_, w := lacking(version)
		Expect(w).To(Equal(without))
	},
	Entry(nil, "6.9.9", tooOld, false, true),
	Entry(nil, "7.0.0", polls, true, true),
	Entry(nil, "7.12.0", polls, true, true),
	Entry(nil, "9.6.9", polls, true, true),
	Entry(nil, "9.7.0", polls, true, false),
	Entry(nil, "14.13.9", polls, true, false),
	Entry(nil, "14.13.9+rev2", polls, true, false),
	Entry(nil, "14.13.10", tells, true, false),
	Entry(nil, "v14.13.10-1-gabc", tells, true, false),
	Entry(nil, "19.0.5", tells, true, false),
	Entry(nil, "19.0.6", tells, false, false),
	Entry(nil, "20.1.0", tells, false, false),
	Entry(nil, "", unknownBehaviour, false, false),
	Entry(nil, "14.13", unknownBehaviour, false, false),
	Entry(nil, "14.x.1", unknownBehaviour, false, false),
	Entry(nil, "14.-1.1", unknownBehaviour, false, false),
)

func refused(status int, k supervisor.Kind) error {
	return &supervisor.Error{Op: "view", StatusCode: status, Kind: k}
}

var _ = Describe("What is judged of the Supervisor", func() {
	view := func(err error) change { return func(f *facts) { f.supervisor.viewErr = err } }
	listed := func(c ...supervisor.Container) change {
		return func(f *facts) { f.supervisor.view.Containers = c }
	}
	beside := func(status supervisor.Status) change {
		return listed(supervisor.Container{ID: ownLong, Service: "main", AppID: app, Status: supervisor.StatusRunning},
			supervisor.Container{ID: strings.Repeat("b", 64), Service: "main", AppID: app, Status: status})
	}
	waiting := func(status supervisor.Status) change {
		return func(f *facts) {
			f.supervisor.view.AppState, f.supervisor.view.Commit = "applying", "aaa"
			f.supervisor.target = supervisor.Target{ReleaseID: 1002, Commit: "bbb", Status: status}
		}
	}
	unauthorized := refused(401, supervisor.KindUnauthorized)
	down := &supervisor.Error{Op: "ping", Kind: supervisor.KindUnreachable, Err: syscall.ECONNREFUSED}
	DescribeTable("is", judged,
		Entry("auto", nil, nil, supervisorMode, check.OK, "auto, and there is an address"),
		Entry("required", []string{"HANDOVER_SUPERVISOR_MODE=required"}, nil, supervisorMode, check.OK, "is required"),
		Entry("off", []string{"HANDOVER_SUPERVISOR_MODE=off"}, nil, supervisorMode, check.Warning, "is off"),
		Entry("an address", nil, nil, supervisorAddress, check.OK, "http://127.0.0.1:48484"),
		Entry("no address", []string{"BALENA_SUPERVISOR_ADDRESS="}, change(func(f *facts) { f.cfg.Supervisor.Address = "" }), supervisorAddress, check.Warning, "is not known"),
		Entry("a key that cannot be sent", nil, change(func(f *facts) { f.supervisor.client = errNone }), supervisorAddress, check.Error, "nothing there"),
		Entry("one that answers", nil, change(func(f *facts) { f.supervisor.pinged = 12 * time.Millisecond }), supervisorReach, check.OK, "after 12ms"),
		Entry("one that does not", nil, change(func(f *facts) { f.supervisor = &answers{ping: down, viewErr: down, verErr: down} }),
			supervisorReach, check.Error, "unreachable: connection refused"),
		Entry("one that refuses ping alone", nil, change(func(f *facts) { f.supervisor.ping = refused(404, supervisor.KindNotFound) }), supervisorReach, check.OK, "answers"),
		Entry("a key that it accepts", nil, nil, supervisorKey, check.OK, "accepts"),
		Entry("no key that it wants", nil, change(func(f *facts) { f.cfg.Supervisor.APIKey = "" }), supervisorKey, check.Note, "local mode"),
		Entry("a missing key", nil, change(func(f *facts) { f.cfg.Supervisor.APIKey = ""; f.supervisor.viewErr = unauthorized }), supervisorKey, check.Error, "there is none"),
		Entry("a key that was rotated", nil, view(unauthorized), supervisorKey, check.Warning, "was rotated"),
		Entry("a key that never worked", nil, change(func(f *facts) { f.supervisor.viewErr = unauthorized; f.instance.status.Supervisor.RequestedAt = nil }), supervisorKey, check.Error, "it is wrong, or it was rotated"),
		Entry("a key and no instance", nil, change(func(f *facts) { f.supervisor.viewErr = unauthorized; f.instance.status = nil }), supervisorKey, check.Error, "it is wrong, or it was rotated"),
		Entry("a version", nil, nil, supervisorVersion, check.OK, "v19.0.5"),
		Entry("none", nil, change(func(f *facts) { f.supervisor.version, f.supervisor.verErr = "", refused(404, supervisor.KindNotFound) }), supervisorVersion, check.Note, "is unknown"),
		Entry("one that sends SIGTERM", []string{"HANDOVER_SERVICE_STOP_GRACE_PERIOD=60s"}, nil, supervisorBehaviour, check.OK, "serves on for up to 56.5s"),
		Entry("one that is newer than known", nil, version("21.0.0"), supervisorBehaviour, check.Note, "newer than what is known"),
		Entry("one that polls", nil, version("14.13.9"), supervisorBehaviour, check.OK, "waits for the file handover-complete"),
		Entry("one that polls, and no marker", nil, change(func(f *facts) { f.supervisor.version, f.marker.err = "14.13.9", errNone }), supervisorBehaviour, check.Warning, "cannot be written here"),
		Entry("one that is very old", nil, version("6.0.0"), supervisorBehaviour, check.Warning, "older than what is known"),
		Entry("one of unknown version", nil, change(func(f *facts) { f.supervisor.version, f.supervisor.verErr = "", refused(404, supervisor.KindNotFound) }), supervisorBehaviour, check.Note, "unknown, as its version is"),
		Entry("a list with this container", nil, nil, supervisorContainers, check.OK, "lists this container as Running, and 1 container of the service"),
		Entry("a list without", nil, listed(), supervisorContainers, check.Warning, "lists 0 containers, and this one (aaaaaaaaaaaa) is not among them"),
		Entry("a list with it as another service", nil, listed(supervisor.Container{ID: ownLong, Service: "db", AppID: app}), supervisorContainers, check.Warning, `service "db" of app "1234", the configuration has service "main"`),
		Entry("no list", nil, view(refused(404, supervisor.KindNotFound)), supervisorContainers, check.Error, "has no list"),
		Entry("no usable list", nil, view(refused(503, supervisor.KindServer)), supervisorContainers, check.Warning, "server"),
		Entry("a list, and no own id", nil, change(func(f *facts) { f.identity.self.Container = "" }), supervisorContainers, check.Note, "1 container of service main"),
		Entry("no update", nil, nil, supervisorUpdate, check.OK, "no update is stuck"),
		Entry("another container that was stopped by hand", nil, beside(supervisor.StatusExited), supervisorUpdate, check.Warning, "the container bbbbbbbbbbbb of the service is there and does not run (exited)"),
		Entry("another container that was not started", nil, beside(supervisor.StatusInstalled), supervisorUpdate, check.Note, "the container bbbbbbbbbbbb of the service was created and does not run"),
		Entry("another container that runs", nil, beside(supervisor.StatusRunning), supervisorUpdate, check.OK, "no update is stuck"),
		Entry("an update that waits", nil, waiting(supervisor.StatusDownloaded), supervisorUpdate, check.Note, "Renaming a container with the same name as its current name"),
		Entry("an update that is downloaded", nil, waiting(supervisor.StatusDownloading), supervisorUpdate, check.OK, "no update is stuck"),
		Entry("what the instance has", nil, nil, supervisorInstance, check.OK, "an answer of 1m0s ago"),
		Entry("what the instance lacks", nil, change(func(f *facts) { f.instance.status.Supervisor.Error = "supervisor: view: timeout" }), supervisorInstance, check.Warning, "view: timeout"),
		Entry("an instance that does not ask", nil, change(func(f *facts) { f.instance.status.Supervisor.Mode = "off" }), supervisorInstance, check.Warning, "does not ask"),
		Entry("a strategy out of sight", nil, nil, supervisorStrategy, check.Note, "cannot be seen from inside"),
		Entry("a strategy that was seen to work", nil, withHandover(lanes(time.Second, time.Second)), supervisorStrategy, check.OK, "has an effect"),
		Entry("a hand-over in the list", nil, listed(supervisor.Container{ID: ownLong, Service: "main", AppID: app}, supervisor.Container{ID: "bb", Service: "main", AppID: app}),
			supervisorStrategy, check.OK, "more than one container"),
	)

	DescribeTable("says that v9.7 is needed", func(v string) {
		f := healthy()
		f.supervisor.version, f.supervisor.viewErr = v, refused(404, supervisor.KindNotFound)
		Expect(of(f.judge(), supervisorVersion)).To(ContainElement(HaveField("Level", check.Error)))
	}, Entry(nil, "7.0.0"), Entry(nil, "9.6.0"))

	It("says nothing of a Supervisor that is not to be asked", func() {
		f := healthy("HANDOVER_SUPERVISOR_MODE=off")
		for _, about := range []name{supervisorAddress, supervisorReach, supervisorKey, supervisorVersion} {
			Expect(of(f.judge(), about)).To(BeEmpty())
		}
	})
})

var _ = Describe("What is judged of the marker", func() {
	lies := func(version string, before time.Duration) change {
		return func(f *facts) {
			f.supervisor.version = version
			f.marker = &marker{there: true, written: f.instance.status.Workload.Started.Add(-before)}
		}
	}
	then := func(all ...change) change {
		return func(f *facts) {
			for _, c := range all {
				c(f)
			}
		}
	}
	missing := change(func(f *facts) {
		f.marker.err = supervisor.NewMarker("/none/of/these/handover-complete").Check()
	})
	DescribeTable("is", judged,
		Entry("that it can be written", nil, nil, markerFolder, check.OK, "/tmp/balena/handover-complete can be written"),
		Entry("that it can't, and nobody looks", nil, missing, markerFolder, check.Note, "there is no folder /tmp/balena"),
		Entry("that it can't, and somebody looks", nil, then(version("14.13.9"), missing), markerFolder, check.Warning, "there is no folder /tmp/balena"),
		Entry("that it can't, and nobody is asked", []string{"HANDOVER_SUPERVISOR_MODE=off"}, then(version(""), missing), markerFolder, check.Note, "there is no folder /tmp/balena"),
		Entry("why it can't", nil, change(func(f *facts) {
			f.supervisor.version = ""
			f.marker.err = errors.New("supervisor: check marker /tmp/balena/handover-complete: a folder is in its place; hand-overs still work")
		}), markerFolder, check.Warning, "cannot be written: a folder is in its place"),
		Entry("none", nil, nil, markerStale, check.OK, "no marker"),
		Entry("a stale one", nil, lies("14.13.9", time.Minute), markerStale, check.Warning, "from before this instance started its workload"),
		Entry("one that somebody wrote", nil, lies("14.13.9", -time.Minute), markerStale, check.Warning, "2026-01-02T02:05:05Z lies at /tmp/balena/handover-complete, and no hand-over is under way"),
		Entry("a stale one that nobody looks at", nil, lies("19.0.5", time.Minute), markerStale, check.Note, "from before"),
		Entry("one before the start", nil, then(lies("14.13.9", 0), func(f *facts) { f.instance.status = nil }), markerStale, check.Note, "removes it when it starts"),
		Entry("one that was written for the Supervisor", nil, then(lies("14.13.9", -time.Minute), func(f *facts) { f.instance.status.Phase = "released" }), markerStale, check.Note, "was completed"),
		Entry("one in a hand-over", nil, then(lies("14.13.9", -time.Minute), withPeer("younger", "multicast")), markerStale, check.Note, "under way"),
		Entry("one after a hand-over", nil, then(lies("14.13.9", time.Minute), func(f *facts) {
			f.instance.status.Peers = []controller.PeerStatus{{Container: other, Gone: true}}
		}), markerStale, check.Warning, "no hand-over is under way"),
	)
})

// version changes the Supervisor's.
func version(v string) change { return func(f *facts) { f.supervisor.version = v } }
