package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
)

// defaults is the configuration of nothing at all.
func defaults() config.Config {
	return config.Config{
		Service: config.Service{StateDir: "/var/lib/handover", StopGracePeriod: 10 * time.Second},
		Network: config.Network{
			Mode: config.NetworkAuto, Interface: "supervisor0",
			Group: netip.MustParseAddr("239.192.16.16"), Port: 1536,
		},
		Announce: config.Announce{
			Interval: 10 * time.Second, ExpireAfter: 35 * time.Second, Folder: "/tmp/balena", Legacy: true, StatusPort: 1537,
		},
		Supervisor: config.Supervisor{
			Mode: config.SupervisorAuto, Timeout: 5 * time.Second, PollInterval: time.Second,
		},
		Policy: config.Policy{
			Discovery: 3 * time.Second, UnknownAfter: 5 * time.Second, DrainTimeout: 30 * time.Second,
			DrainReserve: 3 * time.Second, DeferLimit: time.Hour, CompletePath: "/tmp/balena/handover-complete",
		},
		Process: config.Process{StopSignal: syscall.SIGTERM},
		Readiness: config.Readiness{
			AfterAuto: true, Period: 500 * time.Millisecond, Timeout: time.Second, ServingPeriod: 5 * time.Second, Failures: 3,
		},
		Status: config.Status{Socket: "/tmp/handover.sock"},
		Log:    config.Log{Level: "info", Format: "text"},
	}
}

var _ = Describe("Loading", func() {
	It("has defaults for everything", func() {
		loaded, err := config.Load(config.Options{Open: files(nil)})
		Expect(err).NotTo(HaveOccurred())
		Expect(loaded.Config).To(Equal(defaults()))
		Expect(loaded.File).To(BeEmpty())
		Expect(loaded.Warnings).To(BeEmpty())
	})

	It("can read every default of its table", func() {
		Expect(config.BadDefaults()).To(BeEmpty())
	})

	DescribeTable("takes nothing for nothing", func(content string) {
		Expect(mustLoad(content).Config).To(Equal(defaults()))
	},
		Entry("an empty file", ""),
		Entry("only a comment", "# nothing\n"),
		Entry("null", "~\n"),
		Entry("an empty document", "---\n"),
		Entry("sections without keys", "service:\nnetwork: {}\nlog: null\n"),
		Entry("keys without values", "service:\n  app_id:\n  stop_grace_period: ~\n"),
		Entry("empty texts, where nothing is the default", "service: {app_id: ''}\nreadiness: {command: ''}\nstatus: {listen: ''}"),
	)

	It("reads every key from the file", func() {
		Expect(mustLoad(everyKey).Config).To(Equal(everyValue()))
	})

	It("keeps texts as they were written", func() {
		c := mustLoad("service: {app_id: 0123, name: off, container_id: 123456789e12}\nprocess: {pre_stop: 010}\n").Config
		Expect(c.Service.AppID).To(Equal("0123"))
		Expect(c.Service.Name).To(Equal("off"))
		Expect(c.Service.ContainerID).To(Equal("123456789e12"))
		Expect(c.Process.PreStop.String()).To(Equal("010"))
	})

	It("computes announce.expire_after from the interval", func() {
		Expect(mustLoad("announce: {interval: 4s}").Config.Announce.ExpireAfter).To(Equal(14 * time.Second))
		Expect(mustLoad("announce: {interval: 100ms}").Config.Announce.ExpireAfter).To(Equal(3 * time.Second))
		Expect(mustLoad("announce: {interval: 20m}").Config.Announce.ExpireAfter).To(Equal(time.Hour))
		Expect(mustLoad("announce: {interval: 4s, expire_after: 12s}").Config.Announce.ExpireAfter).To(Equal(12 * time.Second))
	})

	It("tells an explicit time to readiness from the automatic one", func() {
		r := mustLoad("readiness: {after: 0s}").Config.Readiness
		Expect(r.AfterAuto).To(BeFalse())
		Expect(r.After).To(BeZero())
		r = mustLoad("readiness: {after: auto, tcp: ':80'}").Config.Readiness
		Expect(r.AfterAuto).To(BeTrue())
		Expect(r.TCP).To(Equal(":80"))
	})

	It("takes one secret or several", func() {
		Expect(mustLoad("announce: {secret: one}").Config.Announce.Secrets).To(Equal([]config.Secret{"one"}))
		Expect(mustLoad("announce: {secret: [one, 2]}").Config.Announce.Secrets).To(Equal([]config.Secret{"one", "2"}))
		Expect(mustLoad("", `HANDOVER_ANNOUNCE_SECRET=["one","two"]`).Config.Announce.Secrets).
			To(Equal([]config.Secret{"one", "two"}))
		Expect(mustLoad("", `HANDOVER_ANNOUNCE_SECRET=one,two`).Config.Announce.Secrets).
			To(Equal([]config.Secret{"one,two"}))
	})

	DescribeTable("takes commands as lists and as lines of shell", func(content, variable string, want config.Command) {
		var environ []string
		if variable != "" {
			environ = append(environ, "HANDOVER_PROCESS_PRE_STOP="+variable)
		}
		Expect(mustLoad(content, environ...).Config.Process.PreStop).To(Equal(want))
	},
		Entry("a list in the file", "process: {pre_stop: [a, 'b c', 1]}", "", config.Command{Argv: []string{"a", "b c", "1"}}),
		Entry("a string in the file", "process: {pre_stop: a b}", "", shell("a b")),
		Entry("lines in the file", "process:\n  pre_stop: |\n    a\n    b\n", "", shell("a\nb\n")),
		Entry("a list in the environment", "", `["a", "b c", ""]`, config.Command{Argv: []string{"a", "b c", ""}}),
		Entry("a string in the environment", "", "a b, c", shell("a b, c")),
		Entry("shell that begins like a list", "", `[ -f /x ] && rm /x`, shell(`[ -f /x ] && rm /x`)),
	)

	DescribeTable("knows signals", func(written string, want syscall.Signal) {
		Expect(mustLoad("process: {stop_signal: " + written + "}").Config.Process.StopSignal).To(Equal(want))
	},
		Entry(nil, "SIGTERM", syscall.SIGTERM),
		Entry(nil, "TERM", syscall.SIGTERM),
		Entry(nil, "sigquit", syscall.SIGQUIT),
		Entry(nil, "15", syscall.SIGTERM),
		Entry(nil, "SIGRTMIN+3", syscall.Signal(37)),
		Entry(nil, "RTMAX-1", syscall.Signal(63)),
		Entry(nil, "40", syscall.Signal(40)),
	)

	It("resolves aliases and merge keys, its own entries first", func() {
		c := mustLoad(`
announce: {interval: &pause 20s}
supervisor: &times
  timeout: 2s
  poll_interval: *pause
readiness:
  <<: [{timeout: 3s, period: 2s}, {period: 4s, failures: 7}]
  timeout: 4s
`).Config
		Expect(c.Supervisor.PollInterval).To(Equal(20 * time.Second))
		Expect(c.Readiness.Timeout).To(Equal(4 * time.Second))
		Expect(c.Readiness.Period).To(Equal(2 * time.Second))
		Expect(c.Readiness.Failures).To(Equal(7))
	})
})

func shell(line string) config.Command {
	return config.Command{Argv: []string{"/bin/sh", "-c", line}, Shell: true}
}

var _ = Describe("The file", func() {
	name := func(o config.Options) string {
		GinkgoHelper()
		loaded, err := config.Load(o)
		Expect(err).NotTo(HaveOccurred())
		if loaded.Config.Service.Name != "" {
			Expect(loaded.Origin("service.name").File).To(Equal(loaded.File))
		}
		return loaded.Config.Service.Name
	}

	It("is the one named, else that of HANDOVER_CONFIG, else handover.yaml here, else the system's", func() {
		all := map[string]string{
			"/named": "service: {name: named}", "/variable": "service: {name: variable}",
			"/dir/handover.yaml": "service: {name: here}", "/etc/handover/handover.yaml": "service: {name: system}",
		}
		o := config.Options{
			Path: "/named", Environ: []string{"HANDOVER_CONFIG=/variable"}, Dir: "/dir", Open: files(all),
		}
		Expect(name(o)).To(Equal("named"))
		o.Path = ""
		Expect(name(o)).To(Equal("variable"))
		o.Environ = []string{"HANDOVER_CONFIG="}
		Expect(name(o)).To(Equal("here"))
		o.Dir = ""
		Expect(name(o)).To(Equal("system"))
		delete(all, "/etc/handover/handover.yaml")
		Expect(name(o)).To(BeEmpty())
	})

	It("is read from the disk", func() {
		dir := GinkgoT().TempDir()
		file := filepath.Join(dir, "handover.yaml")
		Expect(os.WriteFile(file, []byte("service: {name: disk}"), 0o600)).To(Succeed())
		loaded, err := config.Load(config.Options{Dir: dir})
		Expect(err).NotTo(HaveOccurred())
		Expect(loaded.Config.Service.Name).To(Equal("disk"))
		Expect(loaded.File).To(Equal(file))
	})
})

var _ = Describe("The environment", func() {
	It("wins over the file, a key's own variable over the others", func() {
		const file = "service: {app_id: file}\n"
		Expect(mustLoad(file).Config.Service.AppID).To(Equal("file"))
		Expect(mustLoad(file, "BALENA_APP_ID=balena").Config.Service.AppID).To(Equal("balena"))
		l := mustLoad(file, "BALENA_APP_ID=balena", "HANDOVER_SERVICE_APP_ID=own")
		Expect(l.Config.Service.AppID).To(Equal("own"))
		Expect(l.Origin("service.app_id")).To(Equal(config.Origin{Variable: "HANDOVER_SERVICE_APP_ID"}))
	})

	It("does not count what is empty", func() {
		l := mustLoad("service: {app_id: file}", "HANDOVER_SERVICE_APP_ID=", "BALENA_APP_ID=")
		Expect(l.Config.Service.AppID).To(Equal("file"))
	})

	It("does not look at variables that have lost", func() {
		c := mustLoad("", "HANDOVER_NETWORK_INTERFACE=eth0", "NETWORK_INTERFACE=something for another program").Config
		Expect(c.Network.Interface).To(Equal("eth0"))
	})

	It("has a variable for every key", func() {
		Expect(mustLoad("", everyVariable()...).Config).To(Equal(everyValue()))
	})

	It("understands the variables of balena and of handover-lib", func() {
		c := mustLoad("",
			"BALENA_APP_ID=1", "BALENA_SERVICE_NAME=main", "BALENA_SUPERVISOR_ADDRESS=http://127.0.0.1:48484",
			"BALENA_SUPERVISOR_API_KEY=k", "BALENA_SERVICE_HANDOVER_COMPLETE_PATH=/tmp/x", "NETWORK_INTERFACE=eth1",
			"SHUTDOWN_BROADCAST_ADDRESS=239.1.1.1", "SHUTDOWN_PORT=1600", "HANDOVER_NETWORK_MODE=host",
			"HANDOVER_STATUS_PORT=1601").Config
		want := defaults()
		want.Service.AppID, want.Service.Name = "1", "main"
		want.Supervisor.Address, want.Supervisor.APIKey = "http://127.0.0.1:48484", "k"
		want.Policy.CompletePath = "/tmp/x"
		want.Network = config.Network{
			Mode: config.NetworkHost, Interface: "eth1", Group: netip.MustParseAddr("239.1.1.1"), Port: 1600,
		}
		want.Announce.StatusPort = 1601
		Expect(c).To(Equal(want))
	})

	It("lets HANDOVER_ANNOUNCE_STATUS_PORT win over HANDOVER_STATUS_PORT", func() {
		c := mustLoad("", "HANDOVER_STATUS_PORT=1601", "HANDOVER_ANNOUNCE_STATUS_PORT=0").Config
		Expect(c.Announce.StatusPort).To(BeZero())
	})

	It("warns of unknown variables that look like ours", func() {
		l := mustLoad("", "HANDOVER_POLICY_SETLE=1s", "HANDOVER_STATUS_PORT=1600", "HANDOVER_FROBNICATE_X=secret",
			"HANDOVER_SETTLE=1s", "HOME=/", "HANDOVER_UNSET=")
		Expect(l.Warnings).To(HaveExactElements(
			"HANDOVER_FROBNICATE_X is no variable of handover and is ignored",
			"HANDOVER_POLICY_SETLE is no variable of handover and is ignored; the nearest known one is HANDOVER_POLICY_SETTLE",
			"HANDOVER_SETTLE is no variable of handover and is ignored; the nearest known one is HANDOVER_POLICY_SETTLE",
		))
		_, err := config.Load(config.Options{
			Environ: []string{"HANDOVER_CONFIG=f"}, Open: files(map[string]string{"f": ""}),
		})
		Expect(err).NotTo(HaveOccurred())
	})

	It("warns of a preflight command that is never run", func() {
		Expect(mustLoad("process: {preflight: x}").Warnings).To(ConsistOf(ContainSubstring("process.preflight (handover.yaml:1)")))
		Expect(mustLoad("process: {preflight: x}\npolicy: {exclusive: true}").Warnings).To(BeEmpty())
	})
})
