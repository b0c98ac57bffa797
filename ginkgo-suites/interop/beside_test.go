package interop_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/ipv4"

	"github.com/handover-controller/handover/peer"
)

// BenchmarkBeside measures the program beside handover-lib, around and in the
// same service of Node.js, and prints a table. It takes some five minutes:
//
//	go test -run '^$' -bench Beside -timeout 30m ./ginkgo-suites/interop
//
// It is a suite of its own, so that it can use what the specs use; `-ginkgo.focus`
// selects a part of it.
func BenchmarkBeside(b *testing.B) {
	if specsRan {
		b.Skip("the specs ran in this process; without them: -run '^$'")
	}
	RegisterFailHandler(Fail)
	Describe("Side by side with handover-lib", Ordered, ContinueOnFailure, besideHandoverLib)
	config, reporter := GinkgoConfiguration()
	if len(config.FocusStrings) == 0 {
		config.FocusStrings = []string{"Side by side"}
	}
	RunSpecs(b, "handover beside handover-lib", config, reporter)
	for b.Loop() { // so that this is not called again
	}
	b.ReportMetric(0, "ns/op")
}

// besideHandoverLib are measurements; each adds to the table.
func besideHandoverLib() {
	var rows []string
	add := func(what, ours, lib string) { rows = append(rows, fmt.Sprintf("| %s | %s | %s |", what, ours, lib)) }

	BeforeAll(func() {
		needLibrary()
		needIptables()
		Expect(buildRelease()).To(Succeed())
		add("", "`handover`", handoverLib)
		add("---", "---", "---")
	})
	AfterAll(func() { fmt.Printf("\n%s\n\n%s.\n", strings.Join(rows, "\n"), machine()) })

	// Both ways of announcing, as by default; by multicast alone; and with the
	// readiness check that is the default.
	const alone = "HANDOVER_ANNOUNCE_FOLDER=off"
	const listening = "HANDOVER_READINESS_FILE="

	It("readiness to stop", func() {
		var ours, multicast, auto, told, lib []time.Duration
		for range 20 {
			ours = append(ours, takesOver(underOurs, takeOver{}))
			lib = append(lib, takesOver(withLib, takeOver{}))
			multicast = append(multicast, takesOver(underOurs, takeOver{environ: []string{alone}}))
			auto = append(auto, takesOver(underOurs, takeOver{environ: []string{listening}, from: "up"}))
			told = append(told, takesOver(underOurs, takeOver{told: true}))
		}
		add("the new one is ready → the old one is stopped, no loss", medianAndWorst(ours), medianAndWorst(lib))
		add("the same without the shared folder", medianAndWorst(multicast), "the same")
		add("the new one listens → the old one is stopped, with the default readiness check", medianAndWorst(auto), "none: the service must say so")
		add("ready → stopped, when the Supervisor stops the old one first", medianAndWorst(told), "it obeys at once: nobody serves until the new one is ready")
	})

	It("readiness to stop on bad networks", func() {
		half := sorted(100, 10, func() time.Duration { return takesOver(underOurs, takeOver{loss: 0.5, environ: []string{alone}}) })
		most := sorted(100, 20, func() time.Duration { return takesOver(underOurs, takeOver{loss: 0.9, environ: []string{alone}}) })
		folder := sorted(20, 5, func() time.Duration { return takesOver(underOurs, takeOver{loss: 0.9}) })
		lib := sorted(20, 20, func() time.Duration { return takesOver(withLib, takeOver{loss: 0.5}) })
		add("ready → stopped, 50 % lost each way, by multicast alone",
			fmt.Sprintf("median %s, 99 %% %s, worst %s of 100", short(half[49]), short(half[98]), short(half[99])),
			fmt.Sprintf("median %s, worst %s of 20", short(lib[9]), short(lib[19])))
		add("the same with 90 % lost",
			fmt.Sprintf("median %s, 95 %% %s, worst %s of 100", short(most[49]), short(most[94]), short(most[99])), "not measured")
		add("90 % lost, with the shared folder", medianAndWorst(folder), "has none")
	})

	It("start-up", func() {
		d := newDevice()
		n := d.routed()
		var took [everyWay][]time.Duration
		for run := range 20 {
			for w := range way(everyWay) {
				c := d.contend(n, w, fmt.Sprintf("%064x", run))
				took[w] = append(took[w], c.said("up")-c.started)
				c.end()
			}
		}
		without := median(took[bare])
		add("start of the service, until it listens",
			fmt.Sprintf("+%s", short(median(took[underOurs])-without)),
			fmt.Sprintf("+%s, on %s of the service alone", short(median(took[withLib])-without), short(without)))
	})

	It("idling", func() {
		const each, long = 5, 60 * time.Second
		const looks = way(everyWay) // under handover, with the default readiness check
		var all [everyWay + 1][each]*contender
		for i := range each {
			for w := range way(everyWay) {
				d := newDevice()
				all[w][i] = d.contend(d.routed(), w, containerID("a"))
			}
			d := newDevice()
			all[looks][i] = d.contend(d.routed(), underOurs, containerID("a"), listening)
		}
		for _, c := range all {
			for _, c := range c {
				c.serves()
			}
		}
		time.Sleep(15 * time.Second) // what follows the start is not idleness
		var ran [everyWay + 1][each]time.Duration
		var slept [everyWay + 1][each]int
		for w, c := range all {
			for i, c := range c {
				ran[w][i], slept[w][i] = c.processor(), c.sleeps()
			}
		}
		time.Sleep(long) // what is measured
		hour := func(w way) float64 {
			var used []time.Duration
			for i, c := range all[w] {
				used = append(used, c.processor()-ran[w][i])
			}
			return median(used).Seconds() * float64(time.Hour/long)
		}
		wakes := func(w way) int {
			var woken []int
			for i, c := range all[w] {
				woken = append(woken, c.sleeps()-slept[w][i])
			}
			return int(int64(median(woken)) * int64(time.Minute) / int64(long))
		}
		memory := func(w way, name string) float64 {
			var sizes []int
			for _, c := range all[w] {
				sizes = append(sizes, c.memory(name))
			}
			return float64(median(sizes)) / 1024
		}
		for _, m := range [][2]string{{"VmRSS:", "resident memory"}, {"RssAnon:", "of it anonymous, no file's"}} {
			add(m[1], fmt.Sprintf("%.1f MiB", memory(underOurs, m[0])),
				fmt.Sprintf("+%.1f MiB, on %.1f of the service alone", memory(withLib, m[0])-memory(bare, m[0]), memory(bare, m[0])))
		}
		add("processor time of an idle hour", fmt.Sprintf("%.2f s; with the default readiness check %.2f s", hour(underOurs), hour(looks)),
			fmt.Sprintf("+%.2f s, on %.2f of the service alone", hour(withLib)-hour(bare), hour(bare)))
		add("wake-ups a minute, idle", fmt.Sprintf("%d; with the default readiness check %d", wakes(underOurs), wakes(looks)),
			fmt.Sprintf("+%d, on %d of the service alone", wakes(withLib)-wakes(bare), wakes(bare)))
	})

	It("floods", func() {
		foreign := peer.Announcement{
			Domain: peer.NewDomain("another boot", appID, serviceName), Instance: peer.NewInstanceID(), Phase: peer.PhaseStarting, Sequence: 1,
		}
		raw, err := foreign.Append(nil, nil)
		Expect(err).NotTo(HaveOccurred())
		ours, lib := isFlooded(underOurs, raw), isFlooded(withLib, raw)
		add("under a flood of another service's announcements", ours.rate(), lib.rate())
		add("· processor", ours.processor, lib.processor)
		add("· resident memory", ours.memory, lib.memory)
		add("· ready → stopped", ours.took, lib.took)
		add("after one datagram of another version", after([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0}, underOurs), after([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0}, withLib))
	})
}

// takeOver is how one container takes over from another.
type takeOver struct {
	loss    float64
	told    bool     // the Supervisor stops the old one when the new one has started
	environ []string // for both
	from    string   // what is measured from, if it is not readiness
}

// takesOver returns how long after the younger one's readiness the old one's
// service was told to stop.
func takesOver(w way, t takeOver) time.Duration {
	GinkgoHelper()
	d := newDevice()
	d.supervisor.delay = 10 * time.Millisecond
	one, two := d.routed(), d.routed()
	if t.loss > 0 {
		one.lose(t.loss)
		two.lose(t.loss)
	}
	old := d.contend(one, w, containerID("a"), t.environ...)
	defer old.end()
	old.serves()
	young := d.contend(two, w, containerID("b"), t.environ...)
	defer young.end()
	young.said("up")
	if t.told {
		d.supervisor.set(containerID("a"), "Stopping")
		Expect(old.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		Eventually(old.out.String, patience, time.Millisecond).Should(ContainSubstring("phase=holding"))
	}
	young.ready()
	from := young.said("ready")
	if t.from != "" {
		from = young.said(t.from)
	}
	return old.said("stopping") - from
}

// suffering is what a flood does.
type suffering struct {
	offered                 int
	processor, memory, took string
}

func (s suffering) rate() string { return fmt.Sprintf("%d 000 a second offered", s.offered/1000) }

// isFlooded floods both containers for some seconds, and lets the younger one
// take over meanwhile.
func isFlooded(w way, raw []byte) suffering {
	GinkgoHelper()
	d := newDevice()
	d.supervisor.delay = 10 * time.Millisecond
	old := d.contend(d.routed(), w, containerID("a"))
	old.serves()
	young := d.contend(d.routed(), w, containerID("b"))
	young.said("up")

	stop := d.flood(raw)
	before, ran, began := old.memory("VmRSS:"), old.processor(), monotonic()
	time.Sleep(10 * time.Second) // what is measured
	busy := (old.processor() - ran).Seconds() / (monotonic() - began).Seconds()
	after := old.memory("VmRSS:")
	young.ready()
	from := young.said("ready")
	var at time.Duration
	ended := func() bool { at = old.heard("stopping"); return at > 0 || !old.lives() }
	took := "not within a minute"
	for waited := monotonic(); !ended() && monotonic()-waited < time.Minute; {
		time.Sleep(time.Millisecond) // the pause between two looks
	}
	if at > 0 {
		took = short(at - from)
	}
	s := suffering{
		processor: fmt.Sprintf("%.1f %% of one", 100*busy),
		memory:    fmt.Sprintf("%.1f → %.1f MiB", float64(before)/1024, float64(after)/1024),
		took:      took,
	}
	s.offered = stop()
	old.end()
	young.end()
	return s
}

// after tells what becomes of a container when a datagram has come in.
func after(raw []byte, w way) string {
	GinkgoHelper()
	d := newDevice()
	c := d.contend(d.routed(), w, containerID("a"))
	defer c.end()
	c.serves()
	d.sender()(raw)
	select {
	case <-c.done:
		for line := range strings.Lines(c.out.String()) {
			if strings.HasPrefix(line, "Error: ") {
				return "the service ends: `" + strings.TrimSpace(line) + "`"
			}
		}
		return "the service ends"
	case <-time.After(2 * time.Second):
		return "serves on"
	}
}

// flood sends a datagram to all containers on br0, again and again, until it is
// stopped; that returns how many a second it were.
func (d *device) flood(raw []byte) (stop func() int) {
	GinkgoHelper()
	var conn net.PacketConn
	d.hub.do(func() (err error) {
		if conn, err = net.ListenPacket("udp4", "10.77.0.1:0"); err != nil {
			return err
		}
		bridge, err := net.InterfaceByName("br0")
		if err != nil {
			return err
		}
		return ipv4.NewPacketConn(conn).SetMulticastInterface(bridge)
	})
	DeferCleanup(conn.Close)
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	const rate, batch = 60_000, 60
	messages := make([]ipv4.Message, batch)
	for i := range messages {
		messages[i] = ipv4.Message{Buffers: [][]byte{raw}, Addr: &net.UDPAddr{IP: net.ParseIP(group), Port: port}}
	}
	sent, start, ended := 0, monotonic(), make(chan struct{})
	go func() {
		defer close(ended)
		for p := ipv4.NewPacketConn(conn); ctx.Err() == nil; {
			for due := int((monotonic() - start).Seconds() * rate); sent < due && ctx.Err() == nil; {
				n, err := p.WriteBatch(messages, 0)
				if err != nil {
					return
				}
				sent += n
			}
			time.Sleep(500 * time.Microsecond) // the pace of the flood
		}
	}()
	return func() int {
		took := monotonic() - start
		cancel()
		<-ended
		return int(float64(sent) / took.Seconds())
	}
}

// sorted calls f so often, so many at once, and sorts what it returned.
func sorted(runs, atOnce int, f func() time.Duration) []time.Duration {
	GinkgoHelper()
	all := make([]time.Duration, runs)
	inParallel(runs, atOnce, func(run int) { all[run] = f() })
	slices.Sort(all)
	return all
}

func median[T int | time.Duration](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[(len(all)-1)/2]
}

func medianAndWorst(all []time.Duration) string {
	return fmt.Sprintf("median %s, worst %s of %d", short(median(all)), short(slices.Max(all)), len(all))
}

// short tells a time as exactly as it matters.
func short(t time.Duration) string {
	switch {
	case t < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", t.Seconds()*1000)
	case t < time.Second:
		return fmt.Sprintf("%.0f ms", t.Seconds()*1000)
	default:
		return fmt.Sprintf("%.1f s", t.Seconds())
	}
}

// machine tells where this runs, and how busy it is.
func machine() string {
	version, _ := exec.Command("node", "--version").Output()
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s, %d processors, Linux %s, Node.js %s, load at the end %s", runtime.GOARCH, runtime.NumCPU(),
		strings.TrimSpace(string(kernel)), strings.TrimSpace(string(version)), strings.TrimSpace(string(load)))
}
