package folder_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("An exclusive resource (a lock, a port, a terminal)", func() {
	// gap is how long nobody had it between these two lines.
	gap := func(r *resource, freed, taken string) time.Duration {
		GinkgoHelper()
		lines, times := r.taken()
		for i := range lines[1:] {
			if lines[i] == freed && lines[i+1] == taken {
				return times[i+1].Sub(times[i])
			}
		}
		Fail(fmt.Sprintf("%q is not followed by %q: %q", freed, taken, lines))
		return 0
	}
	// alone fails if two workloads ever had it.
	alone := func(all ...*container) {
		GinkgoHelper()
		for _, c := range all {
			Expect(c.log.String()).NotTo(ContainSubstring("conflict"))
		}
	}

	It("passes from the old workload to the new one", func() {
		r := newResource()
		d := newDevice(r.settings...)
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(300 * time.Millisecond)
		a.until("released")
		b.until("serving")
		Eventually(d.marker, patience).Should(BeAnExistingFile())
		Expect(b.logged("prepared")).To(BeTemporally("<", b.logged("workload started")))
		took := gap(r, "free a", "take b")
		AddReportEntry("without an owner", took.String())
		Expect(took).To(BeNumerically("<", soon))
		alone(a, b)
	})

	It("waits for one that is kept by nobody who is heard, and says so once", func() {
		r := newResource()
		d := newDevice(r.settings...)
		keeper, err := os.OpenFile(filepath.Join(d.folder, "owner"), os.O_RDWR|os.O_CREATE, 0o644)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = keeper.Close() })
		Expect(syscall.Flock(int(keeper.Fd()), syscall.LOCK_EX)).To(Succeed())
		a := d.container("a").run(0).until("prepared")
		a.logged("reason=OwnerLockUnheard")
		Expect(a.log.String()).To(And(ContainSubstring("level=WARN"), ContainSubstring("lslocks")))
		Expect(a.phase()).To(Equal("prepared"))
		Expect(keeper.Close()).To(Succeed())
		a.until("serving")
		Expect(strings.Count(a.log.String(), "OwnerLockUnheard")).To(Equal(1))
	})

	It("passes after SIGTERM", func() {
		r := newResource()
		d := newDevice(append(r.settings, longGrace)...)
		a := d.container("a").run(0).until("serving")
		a.term()
		b := d.container("b").run(300 * time.Millisecond)
		Expect(a.exit()).To(BeZero())
		b.until("serving")
		Expect(gap(r, "free a", "take b")).To(BeNumerically("<", soon))
		alone(a, b)
	})

	It("goes back to the old one when the new one fails", func() {
		r := newResource()
		d := newDevice(r.settings...)
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(time.Hour)
		b.logged("workload started")
		Expect(os.WriteFile(filepath.Join(r.dir, "fail-b"), nil, 0o600)).To(Succeed())
		Expect(b.exit()).To(Equal(3))
		a.until("serving")
		Expect(gap(r, "free b", "take a")).To(BeNumerically("<", soon))
		alone(a, b)
		Expect(d.marker()).NotTo(BeAnExistingFile())
	})

	It("is not free before all processes of a workload that failed have ended", func() {
		r := newResource()
		d := newDevice(r.settings...)
		a := d.container("a").run(0).until("serving")
		b := d.container("b")
		fails := filepath.Join(r.dir, "fails")
		b.argv = []string{"sh", "-c", `"$0" & while [ ! -e "$1" ]; do sleep 0.02; done; exit 3`, service, fails}
		b.run(0, "SERVICE_STAYS=1").until("serving")
		a.until("released")
		Expect(os.WriteFile(fails, nil, 0o600)).To(Succeed())
		Expect(b.exit()).To(Equal(3))
		a.until("serving")
		alone(a, b)
	})

	It("goes back to an old one that has been told to stop, with take-back", func() {
		r := newResource()
		d := newDevice(append(r.settings, "HANDOVER_POLICY_STANDBY=2m", "HANDOVER_SERVICE_STOP_GRACE_PERIOD=3m")...)
		a := d.container("a").run(0).until("serving")
		a.term()
		b := d.container("b").run(time.Hour)
		b.logged("workload started")
		a.until("released")
		Expect(os.WriteFile(filepath.Join(r.dir, "fail-b"), nil, 0o600)).To(Succeed())
		Expect(b.exit()).To(Equal(3))
		a.until("holding")
		Eventually(func() string { lines, _ := r.taken(); return lines[len(lines)-1] }, patience).Should(Equal("take a"))
		Expect(os.Remove(filepath.Join(r.dir, "fail-b"))).To(Succeed())
		b.start(0).until("serving")
		Expect(gap(r, "free a", "take b")).To(BeNumerically("<", soon))
		alone(a, b)
	})

	It("is never had by two, whoever is killed", func() {
		r := newResource()
		d := newDevice(r.settings...)
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(0).until("serving")
		for range 5 {
			b.kill()
			Eventually(a.phase, patience).Should(Equal("serving"))
			alone(a, b)
			a.kill()
			b.start(0).until("serving")
			alone(b)
			a.start(0).until("released")
			alone(a, b)
		}
	})

	It("is not asked for before the preflight command has succeeded", func() {
		r := newResource()
		d := newDevice(r.settings...)
		a := d.container("a").run(0).until("serving")
		passed := filepath.Join(r.dir, "passed")
		b := d.container("b").run(0, fmt.Sprintf("HANDOVER_PROCESS_PREFLIGHT=[\"test\", \"-e\", %q]", passed))
		b.logged("PreflightFailed")
		Consistently(a.phase, "300ms").Should(Equal("serving"))
		Expect(b.phase()).To(Equal("starting"))
		Expect(os.WriteFile(passed, nil, 0o600)).To(Succeed())
		b.until("serving")
		a.until("released")
		alone(a, b)
	})

	It("is shared by word alone where there is no lock, with a loud warning", func() {
		r := newResource()
		d := newDevice(append(r.settings, "HANDOVER_ANNOUNCE_FOLDER=off", "HANDOVER_NETWORK_INTERFACE=lo")...)
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(0).until("serving")
		a.until("released")
		alone(a, b)
		Expect(a.log.String()).To(ContainSubstring("policy.exclusive has no lock"))
	})
})
