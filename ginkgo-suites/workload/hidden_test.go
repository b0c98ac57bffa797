package workload_test

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// A service that changes its user may not be looked into: containers have no
// CAP_SYS_PTRACE by default.
var _ = Describe("Readiness auto of a workload that may not be looked into", func() {
	// hidden runs the command in a container with Docker's default rights, after
	// what makes its network.
	hidden := func(network string, after time.Duration, argv ...string) *handover {
		GinkgoHelper()
		for _, tool := range []string{"setpriv", "unshare", "ip"} {
			if _, err := exec.LookPath(tool); err != nil {
				Skip("needs setpriv and unshare of util-linux, and ip of iproute2: " + err.Error())
			}
		}
		return launch{namespace: true, prelude: `
			set -- setpriv --bounding-set=-sys_ptrace "$@"
			` + network}.host(settings{
			Argv: self(append([]string{"child", "another"}, argv...)...),
			Readiness: workload.Readiness{
				AfterAuto: true, After: after, Period: 10 * time.Millisecond, ServingPeriod: 10 * time.Millisecond, Failures: 1,
			},
		})
	}
	// inNetwork makes a network with the commands; $other is a process in another
	// one, which stands for the machine's.
	inNetwork := func(commands string) string {
		return `unshare --net setpriv --bounding-set=-sys_ptrace sleep 1000 &
			export other=$!
			until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
			set -- unshare --net sh -ec 'ip link set lo up; ` + commands + `; exec "$@"' sh "$@"`
	}
	// alone is a container's network, as an engine makes it.
	alone := inNetwork(`
		ip link add eth0 type veth peer name there; ip link set there netns $other; ip link set eth0 up`)
	reason := func(h *handover) func() string { return func() string { return h.state().NotReadyReason } }
	log := func(h *handover) func() string { return func() string { return eventsText(h) } }

	It("is what listens in the container's own network", func() {
		for _, address := range []string{"0.0.0.0:8080", "[::]:8080", "127.0.0.1:8080"} {
			h := hidden(alone, time.Hour, address)
			Eventually(h.ready).Should(BeTrue())
			Expect(eventsText(h)).To(ContainSubstring("listening on port 8080"))
			Expect(syscall.Kill(h.workload(), syscall.SIGUSR1)).To(Succeed())
			Eventually(h.ready).Should(BeFalse())
			Expect(h.state().NotReadyReason).To(Equal("no process of the workload listens on a TCP port"))
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(BeZero())
		}
	})

	It("is its age where it does not listen, and the log says so", func() {
		h := hidden(alone, time.Second)
		Eventually(h.ready).Should(BeTrue())
		Expect(h.state().ReadySince.Sub(h.state().Started)).To(BeNumerically(">=", time.Second))
		Eventually(log(h)).Should(ContainSubstring("no process of the workload listens on a TCP port"))
		Expect(strings.Count(eventsText(h), "level=WARN")).To(Equal(1))
	})

	DescribeTable("is its age where what listens may be somebody else's, and the log does not say that it does not listen",
		func(network string) {
			h := hidden(network, 2*time.Second, "127.0.0.1:0")
			Eventually(reason(h)).Should(And(ContainSubstring("cannot be seen"), ContainSubstring("other programs listen in the same network")))
			Expect(h.ready()).To(BeFalse())
			Eventually(h.ready).Should(BeTrue())
			Expect(h.state().ReadySince.Sub(h.state().Started)).To(BeNumerically(">=", 2*time.Second))
			Eventually(log(h)).Should(MatchRegexp(`level=WARN msg="workload taken for ready because of its age" after=\S+ because="whether the workload listens on a TCP port cannot be seen`))
			Expect(eventsText(h)).NotTo(MatchRegexp("level=WARN.*no process of the workload listens"))
		},
		Entry("a network that another container had before", inNetwork(`
			"$3" child listen 127.0.0.1:9000 >/dev/null &
			until grep -q 0100007F:2328 /proc/self/net/tcp; do sleep 0.01; done
			set -- unshare --pid --fork --kill-child --mount-proc "$@"`)),
		Entry("one with an interface of the machine's own", inNetwork(`ip link add eth0 type veth peer name here; ip link set eth0 up`)),
	)

	DescribeTable("is not what somebody else listens on", func(address string, program ...string) {
		h := hidden(alone, time.Hour)
		Eventually(h.text).Should(ContainSubstring("up"))
		inside := []string{"nsenter", "--target=" + strconv.Itoa(h.pid()), "--net"}
		other := launch{}.run(append(append(inside, program...), self("child", "listen", address)...)...)
		Eventually(other.text).Should(ContainSubstring("up"))
		Consistently(h.ready, "200ms").Should(BeFalse())
	},
		Entry("the engine's name server", "127.0.0.11:4053", "--"),
		Entry("a docker exec", "127.0.0.1:8081", "--pid", "--", "setpriv", "--bounding-set=-sys_ptrace"),
		Entry("one with more rights, which may not be looked into either", "127.0.0.1:8082", "--pid", "--"),
	)
})

var _ = DescribeTable("A probe that fails for want of descriptors tells nothing: the workload stays ready",
	func(rule func(address string) workload.Readiness) {
		address := simulator.FreeAddress()
		r := rule(address)
		r.Period, r.ServingPeriod, r.Failures = 10*time.Millisecond, 10*time.Millisecond, 1
		h := launch{}.host(settings{Argv: self("child", "listen", address), Readiness: r})
		Eventually(h.ready).Should(BeTrue())
		limit := func(n uint64) {
			GinkgoHelper()
			Expect(unix.Prlimit(h.pid(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: 4096}, nil)).To(Succeed())
		}
		limit(3)
		Eventually(func() string { return eventsText(h) }).Should(MatchRegexp("cannot be asked.*too many open files"))
		Expect(h.ready()).To(BeTrue())
		limit(1024)
		h.signal(syscall.SIGTERM)
		Expect(h.exit()).To(BeZero())
		Expect(eventsText(h)).NotTo(ContainSubstring("not ready any more"))
	},
	Entry("tcp", func(address string) workload.Readiness { return workload.Readiness{TCP: address} }),
	Entry("command", func(string) workload.Readiness {
		return workload.Readiness{Command: workload.Command{Argv: []string{"true"}}}
	}),
)
