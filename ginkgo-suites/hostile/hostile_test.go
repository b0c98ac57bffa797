package hostile_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	"github.com/handover-controller/handover/peer"
)

// patience is how long a loaded machine may take for what takes milliseconds.
const patience = 20 * time.Second

// memoryBound is what no instance ever takes, whatever comes in, and
// memoryGrowth what a flood adds at most to what one took before: KiB resident.
const (
	memoryBound  = 24 << 10
	memoryGrowth = 4 << 10
)

// unharmed checks that nothing happened to an instance that serves.
func (i *instance) unharmed() {
	GinkgoHelper()
	Expect(i.done).NotTo(BeClosed(), "%s", i.err)
	Expect(i.phase()).To(Equal("serving"))
	Expect(i.answer()).To(Succeed())
	Expect(i.rig.marker()).NotTo(BeAnExistingFile())
	Expect(len(i.status().Peers)).To(BeNumerically("<=", 64+16))
	i.bounded()
}

// bounded checks what the instance has in memory, and reports it.
func (i *instance) bounded() {
	GinkgoHelper()
	AddReportEntry("container "+i.letter, fmt.Sprintf("%.1f MiB resident at most", float64(i.memory())/1024))
	if !built.Race { // that takes several times as much
		Expect(i.memory()).To(BeNumerically("<", memoryBound))
	}
}

// seen is how many datagrams came to an end at the instance, in the kernel or
// in the process.
func (i *instance) seen() int {
	_, text := i.get("/metrics")
	n := 0
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if series == `handover_announcements_received_total{way="multicast"}` ||
			series == `handover_announcements_kernel_drops_total{way="multicast"}` {
			var v float64
			_, _ = fmt.Sscan(value, &v)
			n += int(v)
		}
	}
	return n
}

// dropped is how many datagrams were dropped for that reason.
func (i *instance) dropped(reason string) int {
	return i.metric(`handover_announcements_dropped_total{way="multicast",reason="` + reason + `"}`)
}

// deliver sends all datagrams, no faster than the instance takes them.
func (a *attacker) deliver(to *instance, all [][]byte) {
	GinkgoHelper()
	for batch := range slices.Chunk(all, 150) {
		before := to.seen()
		for _, raw := range batch {
			Expect(a.send(raw)).To(Succeed())
		}
		Eventually(to.seen, patience, 5*time.Millisecond).Should(BeNumerically(">=", before+len(batch)))
	}
}

// younger is nine bytes of a handover-lib that was started later.
func younger() []byte {
	return binary.BigEndian.AppendUint64([]byte{1}, uint64(time.Now().Add(time.Hour).UnixMilli()))
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

var _ = Describe("Hostile datagrams", func() {
	It("of every length, version and kind change nothing", func() {
		r := newRig()
		evil := r.attacker()
		heard := evil.overhear()
		a := r.container("a")
		a.ready()
		a.serve().until("serving", patience)

		good := evil.forge(strange())
		header := good[:20]
		var all [][]byte
		for n := range 2001 {
			all = append(all, [][]byte{make([]byte, n), noise(n), append([]byte{1}, noise(n)...)}[n%3])
			if n <= 520 || n%50 == 0 {
				all = append(all, append(bytes.Clone(header), make([]byte, n)...), append(bytes.Clone(header), noise(n)...))
			}
		}
		for version := range 256 {
			for _, raw := range [][]byte{bytes.Clone(good), younger()} {
				raw[0] = byte(version)
				all = append(all, raw)
			}
		}
		for n := range good {
			all = append(all, good[:n]) // cut off
		}
		for range 1000 {
			raw := evil.forge(strange())
			for range 1 + rand.IntN(4) {
				raw[20+rand.IntN(len(raw)-20)] = byte(rand.Uint32())
			}
			all = append(all, raw)
		}
		for kind := range 256 { // one field more: too long, as long as can be, empty, acks without end
			all = append(all,
				append(bytes.Clone(good), byte(kind), 255),
				append(append(bytes.Clone(good), byte(kind), 255), make([]byte, 255)...),
				append(bytes.Clone(good), byte(kind), 0),
				append(bytes.Clone(good), bytes.Repeat([]byte{byte(kind), 16, 15: 1, 17: 0}, 20)...),
			)
		}
		evil.deliver(a, all)
		a.unharmed()
		Eventually(a.dropped, patience).WithArguments("malformed").Should(BeNumerically(">", 1000))

		By("repeating what it said itself")
		Eventually(func() int { return len(heard) }, patience).Should(BeNumerically(">", 5))
		var own [][]byte
		for range 5 {
			raw := <-heard
			for range 20 {
				own = append(own, raw)
			}
		}
		evil.deliver(a, own)
		a.unharmed()
	})

	It("alone end nobody, forged as well as can be without a secret", func() {
		r := newRig()
		evil := r.attacker()
		a := r.container("a")
		a.ready()
		a.serve().until("serving", patience)
		listed := strings.Repeat("c", 64)
		r.supervisor.list(listed, "Installed", r.created)
		for range 4 {
			var all [][]byte
			for range 30 {
				all = append(all, younger(), evil.forge(strange()), evil.forge(listed), evil.forge(a.id()))
			}
			evil.deliver(a, all)
			Consistently(a.phase, "300ms", "50ms").Should(Equal("serving"))
		}
		a.unharmed()
		Expect(a.status().Peers).NotTo(BeEmpty(), "they were believed to be there")

		By("the real one")
		b := r.container("b")
		b.ready()
		b.serve()
		a.until("released", patience)
		Expect(b.answer()).To(Succeed())
	})

	It("in the name of one that runs and is not ready count for nothing without the secret", func() {
		const secret = "HANDOVER_ANNOUNCE_SECRET=a long enough secret"
		r := newRig()
		evil := r.attacker()
		a := r.container("a")
		a.ready()
		a.serve(secret).until("serving", patience)
		b := r.container("b").serve(secret)
		b.until("starting", patience)
		forged := func() (all [][]byte) {
			for range 30 {
				cut := evil.forge(b.id(), "another secret")
				cut[len(cut)-1]++
				all = append(all, evil.forge(b.id()), evil.forge(b.id(), "another secret"), cut, younger())
			}
			return all
		}
		for range 3 {
			evil.deliver(a, forged())
			Consistently(a.phase, "300ms", "50ms").Should(Equal("serving"))
		}
		a.unharmed()
		Eventually(a.dropped, patience).WithArguments("signature").Should(BeNumerically(">=", 3*60))
		Eventually(a.dropped, patience).WithArguments("unsigned").Should(BeNumerically(">=", 3*30))
		Expect(a.status().Peers).To(HaveLen(1))
		b.ready()
		a.until("released", patience)
	})

	DescribeTable("in the name of the younger one, without a secret, do not keep it from being heard: none can be from the future",
		func(as func(b *instance) peer.InstanceID) {
			r := newRig()
			evil := r.attacker()
			a := r.container("a")
			a.ready()
			a.serve().until("serving", patience)
			b := r.container("b").serve()
			b.until("starting", patience)
			evil.deliver(a, [][]byte{evil.silence(b.id(), as(b))})
			Eventually(a.dropped, patience).WithArguments("stale").Should(BeNumerically(">", 0))
			b.ready()
			a.until("released", patience)
			Expect(b.phase()).To(Equal("serving"))
			Expect(b.answer()).To(Succeed())
		},
		Entry("with its instance id and a sequence number that it never reaches", func(b *instance) peer.InstanceID {
			raw, err := hex.DecodeString(b.status().Instance.ID)
			Expect(err).NotTo(HaveOccurred())
			return peer.InstanceID(raw)
		}),
		Entry("as a process that replaces it in its container", func(*instance) peer.InstanceID { return peer.NewInstanceID() }),
	)
})

// everNew says the same of an instance that nobody has heard of, each time of
// another one, and now.
func everNew(forged []byte) func() []byte {
	name := 0
	fields := forged[38:] // after that of the instance
	digits := fields[bytes.Index(fields, []byte{0x05, 12})+2:]
	sequence := fields[bytes.Index(fields, []byte{0x07, 8})+2:]
	return func() []byte {
		name++
		binary.BigEndian.PutUint64(forged[22:], uint64(name))
		copy(digits, fmt.Sprintf("%012x", name))
		if name%100 == 1 {
			binary.BigEndian.PutUint64(sequence, present())
		}
		return forged
	}
}

var _ = Describe("Under a flood", func() {
	var (
		r    *rig
		evil *attacker
		a, b *instance
	)
	BeforeEach(func() {
		r = newRig()
		evil = r.attacker()
		a, b = r.container("a"), r.container("b")
		a.ready()
	})

	// handOver starts the younger instance in the middle of the flood, and makes
	// it ready when the older one, which serves, has heard it, or does not for a
	// while; after that many datagrams of the flood at least. It returns how many a
	// second it were.
	handOver := func(flood func() []byte, came func() int, atLeast int, settings ...string) (rate int) {
		GinkgoHelper()
		before := a.memory()
		stop := evil.flood(flood)
		b.serve(settings...).until("starting", patience)
		Consistently(a.phase, "1s", "20ms").Should(Equal("serving"))
		Eventually(came, patience, "100ms").Should(BeNumerically(">", atLeast))
		Expect(a.phase()).To(Equal("serving"))
		Expect(a.done).NotTo(BeClosed())
		ready := time.Now()
		b.ready()
		a.until("released", 3*patience)
		took := time.Since(ready)
		rate = stop()
		grown := a.memory() - before
		AddReportEntry("flood", fmt.Sprintf("%d datagrams a second; handed over %s after the younger one was ready; %.1f MiB more in memory at most",
			rate, took.Round(time.Millisecond), float64(grown)/1024))
		for _, e := range a.status().Events {
			if e.Reason == "StopSignalSent" {
				Expect(e.Time).To(BeTemporally(">=", ready))
			}
		}
		b.until("serving", patience)
		Expect(b.answer()).To(Succeed())
		Eventually(r.marker(), patience).Should(BeAnExistingFile())
		Expect(len(a.status().Peers)).To(BeNumerically("<=", 64+16))
		a.bounded()
		b.bounded()
		if !built.Race {
			Expect(grown).To(BeNumerically("<", memoryGrowth))
		}
		return rate
	}

	// asked checks what a flood was, after all else was as it must be.
	asked := func(rate int) {
		if rate < floodAsked {
			Skip(fmt.Sprintf("this machine has sent only %d datagrams a second, and a flood is %d; all else was as it must be", rate, floodAsked))
		}
	}

	It("of datagrams of other services, a hand-over goes through as ever", func() {
		a.serve().until("serving", patience)
		if a.metric(`handover_announcements_filter{way="multicast"}`) != 1 {
			Skip("the kernel takes no packet filter here, or the program sets none")
		}
		foreign := evil.forge(strange())
		foreign[12]++ // the domain
		received := func() int { return a.metric(`handover_announcements_received_total{way="multicast"}`) }
		stopped := func() int { return a.metric(`handover_announcements_kernel_drops_total{way="multicast"}`) }
		before := received()
		rate := handOver(func() []byte { return foreign }, stopped, 10_000)
		Expect(received()-before).To(BeNumerically("<", 500), "the flood is not among them")
		asked(rate)
	})

	It("of forged announcements of ever new instances, a hand-over goes through, only later", func() {
		a.serve().until("serving", patience)
		read := func() int { return a.metric(`handover_announcements_received_total{way="multicast"}`) }
		asked(handOver(everNew(evil.forge(strange())), read, 1000))
	})

	// Of so many, few of a peer's are among those that are read, and nothing that is
	// believed makes it speak more often: by multicast alone a hand-over takes from
	// seconds to a minute. The folder is not concerned.
	It("of announcements that are wrongly signed, a hand-over goes through by the folder, and none is believed", func() {
		both := []string{"HANDOVER_ANNOUNCE_SECRET=a long enough secret", "HANDOVER_ANNOUNCE_FOLDER=" + r.dir}
		a.serve(both...).until("serving", patience)
		refused := func() int { return a.dropped("signature") }
		rate := handOver(everNew(evil.forge(strange(), "another secret")), refused, 1000, both...)
		Expect(a.status().Peers).To(HaveLen(1))
		Expect(b.status().Peers).To(HaveLen(1))
		asked(rate)
	})
})
