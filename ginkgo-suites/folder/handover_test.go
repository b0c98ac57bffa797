package folder_test

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// soon is what a decision by the folder may take after its cause, on a machine
// that is busy with other things. It takes milliseconds, and one that has to
// wait for silence more than ten seconds.
const soon = 8 * time.Second

// seldom makes wait for half a minute and more who is not told at once, but waits
// for the next announcement or for the Supervisor's next answer.
var seldom = []string{"HANDOVER_ANNOUNCE_INTERVAL=1m", "HANDOVER_SUPERVISOR_POLL_INTERVAL=30s"}

// longGrace lets a hold last for 56.5 s, so that none ends because its time is over.
const longGrace = "HANDOVER_SERVICE_STOP_GRACE_PERIOD=1m"

// nobody is a user who may write only where all may.
const nobody = 65534

var _ = Describe("Containers that share a folder and no network", func() {
	It("hand over within about a second of readiness, and leave nothing behind", func() {
		d := newDevice(seldom...)
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(300 * time.Millisecond)
		a.until("released")
		Expect(a.logged("stop signal").Sub(b.readySince())).To(BeNumerically("<", soon))
		Expect(a.ways(b)).To(Equal([]string{"folder"}))
		Eventually(b.ways, patience).WithArguments(a).Should(Equal([]string{"folder"}))
		Eventually(d.marker, patience).Should(BeAnExistingFile())
		a.term()
		Expect(a.exit()).To(BeZero())
		Eventually(d.files, patience).Should(HaveLen(2), "those of the other one")
		b.until("serving")
		b.term()
		Expect(b.exit()).To(BeZero())
		Expect(d.files()).To(BeEmpty())
	})

	It("hand over after SIGTERM", func() {
		d := newDevice(append(seldom, longGrace)...)
		a := d.container("a").run(0).until("serving")
		a.term()
		b := d.container("b").run(500 * time.Millisecond)
		Expect(a.exit()).To(BeZero())
		Expect(a.log.String()).To(ContainSubstring("reason=SuccessorServes"))
		Expect(a.logged("stop signal").Sub(b.readySince())).To(BeNumerically("<", soon))
		b.until("serving")
	})

	It("take the service back at once when the younger one is killed: the lock tells", func() {
		d := newDevice()
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(0)
		Eventually(d.marker, patience).Should(BeAnExistingFile())
		a.until("released")
		Consistently(a.phase, "300ms").Should(Equal("released"))
		killed := time.Now()
		b.kill() // the Supervisor still lists it as Running
		Expect(a.logged("reason=YoungerLost").Sub(killed)).To(BeNumerically("<", soon))
		Expect(a.logged("another instance has ended")).To(BeTemporally("<=", a.logged("reason=YoungerLost")))
		a.until("serving")
		Eventually(d.files, patience).Should(HaveLen(2))
	})

	It("clean up after a container that was killed when the next one starts", func() {
		d := newDevice()
		a := d.container("a").run(0).until("serving")
		both := ContainElements(HaveSuffix(".ann"), HaveSuffix(".lock"))
		Eventually(d.files, patience).Should(both)
		a.kill()
		left := d.files()
		Expect(left).To(both)
		a.start(0).until("serving")
		Eventually(d.files, patience).Should(And(HaveLen(2), Not(ContainElements(left))))
	})

	It("do not serve when they are restarted while a younger one serves", func() {
		d := newDevice()
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(0)
		a.until("released")
		a.kill()
		a.start(0).until("released")
		Expect(a.ways(b)).To(Equal([]string{"folder"}))
		b.until("serving")
	})

	It("hand over among hostile files, which stay as they are", func() {
		d := newDevice()
		name := func(digits, suffix string) string {
			return filepath.Join(d.folder, ".handover-"+(digits + "00000000000000000000000000000000")[:32]+suffix)
		}
		for i := range 1500 {
			digits := string([]byte{"0123456789abcdef"[i%16], "0123456789abcdef"[i/16%16], "0123456789abcdef"[i/256]}) + "1"
			Expect(os.WriteFile(name(digits, ".ann"), []byte{1}, 0o644)).To(Succeed())
		}
		Expect(os.Mkdir(name("1", ".ann"), 0o755)).To(Succeed())
		Expect(syscall.Mkfifo(name("2", ".ann"), 0o644)).To(Succeed())
		Expect(syscall.Mkfifo(name("2", ".lock"), 0o644)).To(Succeed())
		Expect(os.Symlink("/dev/zero", name("3", ".ann"))).To(Succeed())
		Expect(os.Symlink("updates.lock", name("4", ".lock"))).To(Succeed())
		Expect(os.WriteFile(name("5", ".ann"), make([]byte, 1<<20), 0o644)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(d.folder, "updates.lock"), nil, 0o644)).To(Succeed())
		before := len(d.files())
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(0)
		a.until("released")
		Expect(a.ways(b)).To(Equal([]string{"folder"}))
		Eventually(d.files, patience).Should(HaveLen(before + 4))
		Expect(filepath.Join(d.folder, "updates.lock")).To(BeAnExistingFile())
	})
})

var _ = Describe("A folder that not everybody can write to", func() {
	It("serves a hand-over from a container that may only read it", func() {
		d := newDevice()
		a := d.container("a").as(nobody).run(0).until("serving")
		b := d.container("b").run(0)
		a.until("released")
		Expect(a.ways(b)).To(Equal([]string{"folder"}))
		Expect(a.warnings()).To(Equal(1), a.log.String())
		Expect(b.ways(a)).To(BeEmpty(), "nobody hears who cannot write")
		b.kill()
		a.until("serving")
	})

	It("works between users where all may write", func() {
		d := newDevice()
		Expect(os.Chmod(d.folder, 0o777)).To(Succeed())
		a := d.container("a").run(0).until("serving")
		b := d.container("b").as(nobody).run(0)
		a.until("released")
		b.until("serving")
		Eventually(b.ways, patience).WithArguments(a).Should(Equal([]string{"folder"}))
		b.kill()
		a.until("serving")
		Eventually(d.files, patience).Should(HaveLen(2))
	})
})

var _ = Describe("With a network", func() {
	const loopback = "HANDOVER_NETWORK_INTERFACE=lo"

	It("containers hear each other by both ways", func() {
		d := newDevice(loopback)
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(0)
		a.until("released")
		both := []string{"folder", "multicast"}
		Eventually(a.ways, patience).WithArguments(b).Should(Equal(both))
		Eventually(b.ways, patience).WithArguments(a).Should(Equal(both))
	})

	It("a folder that is missing is one warning, and changes nothing", func() {
		d := newDevice(loopback, "HANDOVER_POLICY_COMPLETE_PATH=/dev/null/handover-complete")
		Expect(os.Remove(d.folder)).To(Succeed())
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(0)
		a.until("released")
		Expect(a.ways(b)).To(Equal([]string{"multicast"}))
		Expect(a.warnings()).To(Equal(1), a.log.String())
		Expect(d.folder).NotTo(BeAnExistingFile())
	})
})

var _ = Describe("Without network and folder", func() {
	It("no container ends before it must", func() {
		d := newDevice("HANDOVER_ANNOUNCE_FOLDER=off", "HANDOVER_POLICY_DISCOVERY=1s",
			"HANDOVER_SERVICE_STOP_GRACE_PERIOD=10s", "HANDOVER_POLICY_DRAIN_RESERVE=4s")
		a := d.container("a").run(0).until("serving")
		b := d.container("b").run(0).until("serving")
		Consistently(a.phase, "1s", "50ms").Should(Equal("serving"))
		Expect(d.files()).To(BeEmpty())
		told := time.Now()
		a.term()
		Expect(a.exit()).To(BeZero())
		Expect(a.ended.Sub(told)).To(BeNumerically(">", 5400*time.Millisecond))
		Expect(a.log.String()).To(ContainSubstring("reason=HoldEnded"))
		b.until("serving")
	})
})
