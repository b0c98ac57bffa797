package peer_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// heldWay is a way on which Receive and Send stand still while it is held, as they
// do in a process that is stopped.
type heldWay struct {
	peer.Way
	until atomic.Int64 // Unix nanoseconds
}

func (w *heldWay) wait() {
	if d := time.Until(time.Unix(0, w.until.Load())); d > 0 {
		time.Sleep(d)
	}
}

func (w *heldWay) hold(d time.Duration) { w.until.Store(time.Now().Add(d).UnixNano()) }

func (w *heldWay) Send(datagram []byte, repeat bool) error {
	w.wait()
	return w.Way.Send(datagram, repeat)
}

func (w *heldWay) Receive(buf []byte) (peer.Received, error) {
	r, err := w.Way.Receive(buf)
	w.wait()
	if err == nil {
		r.Time = time.Now() // as a socket has it: the time of reading
	}
	return r, err
}

// holding joins with a way that can be held.
func holding(container int, network *peertest.Network) (*member, *heldWay) {
	var way heldWay
	return join(container, func(cfg *peer.Config) {
		way.Way = cfg.Ways[0]
		cfg.Ways[0] = &way
	}, network), &way
}

var _ = Describe("The age of what is heard", func() {
	It("is known although it waited unread", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			a, way := holding(1, network)
			b := join(2, nil, network)
			defer a.quit()
			defer b.quit()
			a.Say(serving)
			b.Say(peer.Statement{Phase: peer.PhaseStarting})
			rest(2 * time.Second)
			way.hold(8 * time.Second)
			rest(time.Second)
			said := time.Now()
			b.Say(serving)
			rest(2 * time.Second)
			network.Partition([]string{string(containerNumber(2))}) // it dies
			rest(6 * time.Second)
			p := a.sees(b)
			Expect(p.Phase).To(Equal(peer.PhaseServing))
			Expect(p.PhaseSince).To(BeTemporally("~", said, 50*time.Millisecond))
			Expect(p.LastHeard).To(BeTemporally("<", said.Add(2*time.Second)))
		})
	})

	// again sends what an instance that is gone has said to one that was started
	// since, so long after.
	again := func(after time.Duration, secret string) (heard *peer.Peer, stats peer.WayStats) {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			signed := func(cfg *peer.Config) {
				if secret != "" {
					cfg.Secrets = [][]byte{[]byte(secret)}
				}
			}
			packets := record(network)
			dead := join(2, signed, network)
			dead.Say(serving)
			rest(time.Second)
			network.Partition([]string{string(containerNumber(2))})
			recorded := *packets
			dead.quit()
			rest(after)
			a := join(1, signed, network)
			defer a.quit()
			a.Say(serving)
			raw := network.Raw("again")
			for _, p := range recorded {
				raw.Send(p.Data)
			}
			rest(10 * time.Millisecond)
			heard, stats = a.sees(dead), a.Stats().Way("memory")
		})
		return heard, stats
	}

	for _, secret := range []string{"", "of the service"} {
		It("is that of the sending, when it was recorded and is sent again; signed: "+secret, func() {
			heard, stats := again(20*time.Second, secret)
			Expect(stats.Dropped(peer.DropStale)).To(BeZero())
			Expect(time.Since(heard.LastHeard)).NotTo(BeNil())
			Expect(heard.LastHeard.Sub(heard.FirstHeard)).To(BeNumerically("<", 2*time.Second))
			heard, stats = again(31*time.Second, secret)
			Expect(heard).To(BeNil())
			Expect(stats.Dropped(peer.DropStale)).To(BeNumerically(">", 3))
		})
	}

	It("is no reason to believe what was sent in the future", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			var log logBuffer
			a, b := join(1, func(c *peer.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }, network), join(2, nil, network)
			defer a.quit()
			defer b.quit()
			a.Say(serving)
			b.Say(serving)
			rest(time.Second)
			raw := network.Raw("forger")
			for _, timed := range []bool{false, true} {
				forged := forge(2, uint64(uptime()+time.Minute))
				forged.Timed = timed
				data, err := forged.Append(nil, nil)
				Expect(err).NotTo(HaveOccurred())
				raw.Send(data)
			}
			rest(time.Second)
			Expect(a.Stats().Way("memory").Dropped(peer.DropStale)).To(BeEquivalentTo(2))
			Expect(strings.Count(log.String(), "another CLOCK_BOOTTIME")).To(Equal(1), "and that is said once")
			b.Say(peer.Statement{Phase: peer.PhaseReleased})
			rest(time.Second)
			Expect(a.sees(b).Phase).To(Equal(peer.PhaseReleased), "what it says itself is not silenced")
		})
	})

	It("is that of receipt for versions that do not say it", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			a := join(1, nil, network)
			defer a.quit()
			a.Say(serving)
			earlier := forge(2, uint64(time.Minute))
			data, err := earlier.Append(nil, nil)
			Expect(err).NotTo(HaveOccurred())
			rest(time.Second)
			network.Raw("earlier").Send(data)
			rest(10 * time.Millisecond)
			Expect(a.Peers()).To(HaveLen(1))
			Expect(a.Peers()[0].LastHeard).To(BeTemporally("~", time.Now(), 20*time.Millisecond))
		})
	})
})

var _ = Describe("A node that was stopped for a while", func() {
	It("reads what has arrived before it forgets anybody", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			a, way := holding(1, network)
			b := join(2, nil, network)
			defer a.quit()
			defer b.quit()
			a.Say(serving)
			b.Say(serving)
			rest(5 * time.Second)
			a.woken()
			way.hold(50 * time.Second)
			rest(50*time.Second + 200*time.Millisecond)
			Expect(a.sees(b)).NotTo(BeNil())
			rest(5 * time.Second)
			Expect(a.sees(b)).NotTo(BeNil())
			Expect(time.Since(a.sees(b).LastHeard)).To(BeNumerically("<", 11*time.Second))
		})
	})

	It("forgets who stays silent soon after", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			a, way := holding(1, network)
			b := join(2, nil, network)
			defer a.quit()
			defer b.quit()
			a.Say(serving)
			b.Say(serving)
			rest(5 * time.Second)
			network.Partition([]string{string(containerNumber(2))})
			way.hold(50 * time.Second)
			rest(52 * time.Second)
			Expect(a.sees(b)).To(BeNil())
		})
	})
})

var _ = Describe("An announcement of this service that cannot be understood", func() {
	It("tells that somebody is there, unless it is this instance's own", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			a := join(1, func(cfg *peer.Config) { cfg.Secrets = [][]byte{[]byte("new")} }, network)
			defer a.quit()
			a.Say(serving)
			own := forge(1, uint64(uptime()))
			data, err := own.Append(nil, nil)
			Expect(err).NotTo(HaveOccurred())
			raw := network.Raw("raw")
			raw.Send(data)
			raw.Send([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}) // handover-lib's may be anybody's
			rest(time.Second)
			Expect(a.Refused()).To(BeZero())
			for _, change := range []func(*peer.Config){
				nil, // unsigned
				func(cfg *peer.Config) { cfg.Secrets = [][]byte{[]byte("old")} },
			} {
				b := join(2, change, network)
				b.Say(serving)
				rest(time.Second)
				Expect(time.Since(a.Refused())).To(BeNumerically("<=", time.Second))
				Expect(a.Peers()).To(BeEmpty())
				seen := a.Refused()
				rest(time.Second)
				b.Say(peer.Statement{Phase: peer.PhaseHolding, Told: true})
				rest(time.Second)
				b.quit()
				rest(time.Minute)
				Expect(a.Refused()).To(BeTemporally("~", seen, time.Second), "who is told, or ends, does not follow")
			}
		})
	})
})
