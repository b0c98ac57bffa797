package live

import (
	"io"
	"io/fs"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

func TestLive(t *testing.T) {
	SetDefaultEventuallyTimeout(10 * time.Second)
	RegisterFailHandler(Fail)
	RunSpecs(t, "handover check on the device")
}

const (
	app     = "1234"
	own     = peer.ContainerID("aaaaaaaaaaaa")
	ownLong = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	other   = "bbbbbbbbbbbb"
	secret  = "the-key-that-nobody-may-see"
)

// loaded is a configuration from these variables alone.
func loaded(environ ...string) *config.Loaded {
	GinkgoHelper()
	none := func(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }
	l, err := config.Load(config.Options{Environ: environ, Open: none})
	Expect(err).NotTo(HaveOccurred())
	return l
}

// healthy are the facts of a device on which all is well, with these variables
// besides those of balena.
func healthy(environ ...string) *facts {
	GinkgoHelper()
	l := loaded(append([]string{
		"BALENA_APP_ID=" + app, "BALENA_SERVICE_NAME=main",
		"BALENA_SUPERVISOR_ADDRESS=http://127.0.0.1:48484", "BALENA_SUPERVISOR_API_KEY=" + secret,
	}, environ...)...)
	f := &facts{
		cfg: &l.Config, loaded: l, version: "1.2.3", uid: "1000",
		identity: &identity{self: peer.Self{
			Identity: peer.Identity{Container: own}, BootID: "cbef2293-eab5-408f-b870-cb9e32368abc", ContainerSource: "mountinfo",
		}},
		network: &network{mode: peer.ModeBridge, trips: []peer.RoundTrip{
			{Interface: "eth0", Addresses: []netip.Addr{netip.MustParseAddr("172.17.0.2")}, Took: 300 * time.Microsecond},
		}},
		folder: &folder{kind: 0xef53},
		supervisor: &answers{version: "19.0.5", view: supervisor.View{Containers: []supervisor.Container{
			{ID: ownLong, Service: "main", AppID: app, Status: "Running"},
		}}},
		marker: &marker{},
		status: &addresses{socket: l.Config.Status.Socket},
	}
	f.instance = &instance{path: "/tmp/handover.sock", pid: 1, init: "handover", status: serving(), metrics: metrics{starts: 1, starting: 2 * time.Second}}
	return f
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ago(d time.Duration) *time.Time { t := now.Add(-d); return &t }

// notReady is a workload that was started so long ago.
func notReady(d time.Duration) change {
	return func(f *facts) {
		st := f.instance.status
		st.Phase = "starting"
		st.Workload.Ready, st.Workload.Started = false, ago(d)
		st.Conditions = []decide.Condition{{
			Type: decide.Ready, Status: decide.False, Message: "the workload is not ready: GET http://127.0.0.1/helth: 404 Not Found",
		}}
	}
}

// serving is the status of an instance that serves alone.
func serving() *controller.Status {
	return &controller.Status{
		Time: now, Phase: "serving", Message: "alone",
		Instance:   controller.InstanceStatus{ID: "0011", Container: string(own), Version: "1.2.3"},
		Workload:   controller.WorkloadStatus{Running: true, Ready: true, Started: ago(time.Hour)},
		Supervisor: controller.SupervisorStatus{Mode: "required", RequestedAt: ago(time.Minute)},
	}
}

// of are the findings of one check.
func of(r check.Report, about name) check.Report {
	var found check.Report
	for _, f := range r {
		if f.Check == string(about) {
			found.Add(f)
		}
	}
	return found
}

// expectOne expects one finding of that check, of that level and with that text.
func expectOne(r check.Report, about name, level check.Level, text string) {
	GinkgoHelper()
	found := of(r, about)
	Expect(found).To(HaveLen(1), "%s in %+v", about, r)
	Expect(found[0].Level).To(Equal(level), "%+v", found[0])
	Expect(found[0].Found).To(ContainSubstring(text))
	if level >= check.Warning {
		Expect(found[0].Why).NotTo(BeEmpty())
		Expect(found[0].Do).NotTo(BeEmpty())
	}
	Expect(found[0].Found + found[0].Why + found[0].Do).NotTo(ContainSubstring("%s"))
}

// change is what differs from a healthy device.
type change func(f *facts)

// judged is a table's body: this changed, that is found.
func judged(environ []string, c change, about name, level check.Level, text string) {
	GinkgoHelper()
	f := healthy(environ...)
	if c != nil {
		c(f)
	}
	expectOne(f.judge(), about, level, text)
}
