package workload

import (
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer/procfs"
)

var _ = Describe("A plan", func() {
	t0 := time.Unix(1_000_000, 0)
	at := func(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }
	never := time.Time{}

	DescribeTable("says what is due",
		func(p Plan, now time.Time, done progress, want step, until time.Time) {
			got, wait := p.next(now, done)
			Expect(got).To(Equal(want))
			if want == stepWait {
				Expect(wait).To(BeTemporally("==", until))
			}
		},
		Entry("the zero plan: signal", Plan{}, at(0), progress{}, stepSignal, never),
		Entry("the zero plan: kill", Plan{}, at(0), progress{signalled: at(0)}, stepKill, never),
		Entry("drain delay", Plan{SignalAt: at(5), KillAt: at(9)}, at(0), progress{}, stepWait, at(5)),
		Entry("drain delay over", Plan{SignalAt: at(5), KillAt: at(9)}, at(5), progress{}, stepSignal, never),
		Entry("drain delay over the deadline", Plan{SignalAt: at(9), KillAt: at(5)}, at(0), progress{}, stepWait, at(5)),
		Entry("drain delay before pre-stop", Plan{SignalAt: at(5)}, at(0), progress{hasPreStop: true}, stepWait, at(5)),
		Entry("pre-stop", Plan{SignalAt: at(5)}, at(6), progress{hasPreStop: true}, stepPreStop, never),
		Entry("pre-stop runs, half of the time", Plan{KillAt: at(10)}, at(1),
			progress{hasPreStop: true, preStopStarted: at(0)}, stepWait, at(5)),
		Entry("pre-stop runs, without a time", Plan{KillAfter: 7 * time.Second}, at(1),
			progress{hasPreStop: true, preStopStarted: at(0)}, stepWait, at(7)),
		Entry("pre-stop too long", Plan{KillAt: at(10)}, at(5),
			progress{hasPreStop: true, preStopStarted: at(0)}, stepAbortPreStop, never),
		Entry("pre-stop, deadline moved into the past", Plan{KillAt: at(1)}, at(5),
			progress{hasPreStop: true, preStopStarted: at(2)}, stepAbortPreStop, never),
		Entry("pre-stop runs, drain delay moved: too late", Plan{SignalAt: at(60), KillAt: at(100)}, at(5),
			progress{hasPreStop: true, preStopStarted: at(0)}, stepWait, at(50)),
		Entry("pre-stop over", Plan{SignalAt: at(60), KillAt: at(100)}, at(5),
			progress{hasPreStop: true, preStopStarted: at(0), preStopEnded: at(5)}, stepSignal, never),
		Entry("signalled", Plan{KillAfter: 3 * time.Second}, at(5), progress{signalled: at(4)}, stepWait, at(7)),
		Entry("signalled, the time is earlier", Plan{KillAt: at(6), KillAfter: 3 * time.Second}, at(5),
			progress{signalled: at(4)}, stepWait, at(6)),
		Entry("signalled, the duration is over earlier", Plan{KillAt: at(60), KillAfter: 3 * time.Second}, at(5),
			progress{signalled: at(4)}, stepWait, at(7)),
		Entry("pre-stop runs, the duration is over earlier", Plan{KillAt: at(60), KillAfter: 3 * time.Second}, at(5),
			progress{hasPreStop: true, preStopStarted: at(4)}, stepWait, at(7)),
		Entry("pre-stop runs, half of the time is over earlier", Plan{KillAt: at(8), KillAfter: 3 * time.Second}, at(5),
			progress{hasPreStop: true, preStopStarted: at(4)}, stepWait, at(6)),
		Entry("too late", Plan{KillAfter: 3 * time.Second}, at(7), progress{signalled: at(4)}, stepKill, never),
		Entry("killed", Plan{}, at(7), progress{signalled: at(4), killed: true}, stepWait, never),
	)
})

var _ = DescribeTable("Reading /proc/net/tcp",
	func(line, inode, address string, user int, good bool) {
		gotInode, got, ok := parseListening(line)
		Expect(ok).To(Equal(good))
		if good {
			Expect(gotInode).To(Equal(inode))
			Expect(got).To(Equal(listener{netip.MustParseAddrPort(address), uint64(user)}))
		}
	},
	Entry("listening", "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31415 1 0 100 0 0 10 0",
		"31415", "127.0.0.1:8080", 1000, true),
	Entry("IPv6", "   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 27 1 0",
		"27", "[::1]:80", 0, true),
	Entry("established", "   2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 31416 1 0", "", "", 0, false),
	Entry("the heading", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", "", "", 0, false),
	Entry("an address that is none", "   0: 0100:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31415 1 0 100 0 0 10 0", "", "", 0, false),
	Entry("nothing", "", "", "", 0, false),
)

var _ = DescribeTable("What execvp(3) tries",
	func(name, searchPath string, want ...string) { Expect(candidates(name, searchPath)).To(Equal(want)) },
	Entry("a path", "a/b", "/bin", "a/b"),
	Entry("a name", "b", "/bin:/usr/bin", "/bin/b", "/usr/bin/b"),
	Entry("empty entries", "b", ":/bin:", "./b", "/bin/b", "./b"),
	Entry("an empty PATH", "b", "", "./b"),
)

var _ = Describe("The environment", func() {
	It("has PATH once, the first", func() {
		Expect(searchPath([]string{"XPATH=/x", "PATH=/a", "PATH=/b"})).To(Equal("/a"))
		Expect(searchPath([]string{"PATH="})).To(BeEmpty())
		Expect(searchPath(nil)).To(Equal(defaultPath))
	})

	It("without repeats is what the runtime keeps", func() {
		Expect(withoutRepeats([]string{"A=1", "odd", "A=2", "", "odd", "=x", "=y", "B="})).
			To(Equal([]string{"A=1", "odd", "odd", "=x", "B="}))
	})
})

var _ = Describe("A run that is over", func() {
	It("has no say in the next one", func() {
		w, err := New(Options{Argv: []string{"sleep", "1000"}, Readiness: Readiness{After: time.Hour}})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(w.Close)
		Expect(w.Start()).To(Succeed())
		earlier := w.run
		Expect(w.Signal(syscall.SIGKILL)).To(Succeed())
		Eventually(earlier.ended).Should(BeClosed())
		earlier.setReady(true, "late")
		Expect(w.State().Ready).To(BeFalse())
		Expect(w.Start()).To(Succeed())
		earlier.setReady(true, "late")
		Expect(w.State().Ready).To(BeFalse())
		Expect(w.State().EverReady).To(BeFalse())
	})
})

var _ = Describe("siginfo_t", func() {
	It("has its union where the kernel has it", func() {
		want := uintptr(16)
		if unsafe.Sizeof(uintptr(0)) == 4 {
			want = 12
		}
		Expect(siginfoPID).To(Equal(want))
		Expect(unsafe.Sizeof(unix.Siginfo{})).To(BeEquivalentTo(128))
	})
})

var _ = Describe("An orphan", func() {
	It("is the workload's if it is younger and was not there before", func() {
		o := origin{since: 100, strangers: map[int]uint64{7: 100, 8: 99}}
		Expect(o.adopted(procfs.Stat{PID: 5, Start: 99})).To(BeFalse(), "older")
		Expect(o.adopted(procfs.Stat{PID: 5, Start: 100})).To(BeTrue(), "of the same tick")
		Expect(o.adopted(procfs.Stat{PID: 7, Start: 100})).To(BeFalse(), "of the same tick, but there before")
		Expect(o.adopted(procfs.Stat{PID: 8, Start: 200})).To(BeTrue(), "another one with the same number")
	})
})
