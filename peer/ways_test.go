package peer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

var _ = Describe("With several ways, a node", func() {
	// twice runs the body with two nodes on two networks.
	twice := func(body func(multicast, folder *peertest.Network, a, b *member)) {
		bubble(func() {
			multicast := peertest.NewNetwork(peertest.Options{Seed: 1, Way: "multicast", Delay: time.Millisecond})
			folder := peertest.NewNetwork(peertest.Options{Seed: 2, Way: "folder", Delay: 3 * time.Millisecond})
			a, b := join(1, nil, multicast, folder), join(2, nil, multicast, folder)
			defer a.quit()
			defer b.quit()
			body(multicast, folder, a, b)
		})
	}

	It("merges what it hears, and says by which ways", func() {
		twice(func(multicast, folder *peertest.Network, a, b *member) {
			folder.Set(peertest.Options{Loss: 1})
			b.Say(serving)
			rest(time.Second)
			Expect(a.sees(b).Ways).To(Equal([]string{"multicast"}))
			folder.Set(peertest.Options{})
			rest(10 * time.Second)
			Expect(a.sees(b).Ways).To(Equal([]string{"folder", "multicast"}))
			Expect(a.Peers()).To(HaveLen(1))
		})
	})

	It("counts the second copy as a duplicate", func() {
		twice(func(_, _ *peertest.Network, a, b *member) {
			b.Say(serving)
			rest(65 * time.Second)
			stats := a.Stats()
			first, second := stats.Way("multicast"), stats.Way("folder")
			Expect(first.Dropped(peer.DropDuplicate)).To(BeZero())
			Expect(second.Dropped(peer.DropDuplicate)).To(Equal(second.Received))
			Expect(first.Received).To(Equal(second.Received))
			stats = b.Stats()
			Expect(stats.Way("folder").Sent).To(BeEquivalentTo(first.Received))
			Expect(stats.Way("carrier pigeon")).To(Equal(peer.WayStats{Name: "carrier pigeon"}))
		})
	})

	It("hears by one when the other is dead", func() {
		twice(func(multicast, folder *peertest.Network, a, b *member) {
			multicast.Set(peertest.Options{Loss: 1})
			b.Say(serving)
			rest(10 * time.Millisecond)
			Expect(a.sees(b).Phase).To(Equal(peer.PhaseServing))
			Expect(a.sees(b).Ways).To(Equal([]string{"folder"}))
		})
	})

	It("tells ways which transmissions are mere repeats", func() {
		twice(func(_, folder *peertest.Network, a, b *member) {
			packets := record(folder)
			a.Say(peer.Statement{Phase: peer.PhaseServing, Eager: true, Ask: true})
			rest(35 * time.Second)
			var news []time.Duration
			for _, p := range *packets {
				if !p.Repeat {
					news = append(news, p.Time.Sub((*packets)[0].Time).Round(time.Second))
				}
			}
			Expect(news).To(Equal([]time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second}))
		})
	})

	It("believes a way with locks that a peer is fresh, or dead", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{Seed: 1})
			folder := network.Attach("a")
			a := join(1, func(c *peer.Config) { c.Ways = []peer.Way{folder} })
			defer a.quit()
			b := join(2, nil, network)
			defer b.quit()
			b.Say(serving)
			rest(time.Second)
			a.woken()

			until := time.Now().Add(15 * time.Second)
			folder.Fresh(b.id(), until)
			Expect(a.woken()).To(BeTrue())
			Expect(a.sees(b).FreshUntil).To(Equal(until))
			folder.Fresh(b.id(), until.Add(time.Second))
			Expect(a.woken()).To(BeFalse(), "nobody waits for it")
			a.Say(peer.Statement{Phase: peer.PhaseServing, Ask: true})
			rest(time.Second)
			a.woken()
			folder.Fresh(b.id(), until.Add(2*time.Second))
			Expect(a.woken()).To(BeTrue())
			a.Say(serving)
			rest(time.Second)
			a.woken()

			folder.Died(b.id())
			Expect(a.woken()).To(BeTrue())
			Expect(a.sees(b).Dead).To(BeTrue())
			folder.Died(peer.NewInstanceID())
			Expect(a.woken()).To(BeFalse())
		})
	})

	It("says it again when a way reaches more listeners", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{Seed: 1})
			way := network.Attach("a")
			a := join(1, func(c *peer.Config) { c.Ways = []peer.Way{way} })
			defer a.quit()
			b := join(2, nil, network)
			defer b.quit()
			b.Say(serving)
			network.Partition([]string{"a"})
			a.Say(serving)
			rest(5 * time.Second)
			network.Heal()
			way.Reach()
			rest(time.Second)
			Expect(b.sees(a)).NotTo(BeNil())
			Expect(a.sees(b)).NotTo(BeNil(), "who hears it for the first time answers")
		})
	})
})

var _ = Describe("Secrets", func() {
	withSecrets := func(secrets ...string) func(*peer.Config) {
		return func(c *peer.Config) {
			for _, s := range secrets {
				c.Secrets = append(c.Secrets, []byte(s))
			}
		}
	}
	It("can be rotated while instances with and without the new one hear each other", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			old := join(1, withSecrets("old"), network)
			next := join(2, withSecrets("old", "new"), network)
			last := join(3, withSecrets("new", "old"), network)
			none := join(4, nil, network)
			all := []*member{old, next, last, none}
			for _, m := range all {
				m.Say(serving)
			}
			rest(time.Second)
			Expect(old.sees(next)).NotTo(BeNil())
			Expect(old.sees(last)).To(BeNil())
			Expect(next.sees(old)).NotTo(BeNil())
			Expect(next.sees(last)).NotTo(BeNil())
			Expect(last.sees(next)).NotTo(BeNil())
			Expect(last.sees(none)).To(BeNil())
			Expect(none.sees(last)).NotTo(BeNil(), "so that secrets can be introduced")
			Expect(last.Stats().Ways[0].Dropped(peer.DropUnsigned)).NotTo(BeZero())
			Expect(old.Stats().Ways[0].Dropped(peer.DropSignature)).NotTo(BeZero())
			for _, m := range all {
				m.quit()
			}
		})
	})
})

// brokenWay fails to receive until it is closed, and always to send.
type brokenWay struct {
	once   sync.Once
	closed chan struct{}
	calls  int
}

func (w *brokenWay) Name() string            { return "broken" }
func (w *brokenWay) Send([]byte, bool) error { return errors.New("nobody there") }
func (w *brokenWay) Close() error {
	w.once.Do(func() { close(w.closed) })
	return errors.New("cannot be closed")
}

func (w *brokenWay) Receive([]byte) (peer.Received, error) {
	select {
	case <-w.closed:
		return peer.Received{}, net.ErrClosed
	default:
		w.calls++
		return peer.Received{}, errors.New("no luck")
	}
}

var _ = Describe("A way that does not work", func() {
	It("is tried ever more rarely, logged once, and harms no other", func() {
		bubble(func() {
			var log bytes.Buffer
			network := peertest.NewNetwork(peertest.Options{})
			way := &brokenWay{closed: make(chan struct{})}
			a := join(1, func(c *peer.Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				c.Ways = append(c.Ways, way)
			}, network)
			b := join(2, nil, network)
			a.Say(serving)
			b.Say(serving)
			rest(time.Hour)
			Expect(a.sees(b)).NotTo(BeNil())
			Expect(b.sees(a)).NotTo(BeNil())
			Expect(way.calls).To(BeNumerically("~", 3600, 20))
			Expect(strings.Count(log.String(), "no luck")).To(Equal(1))
			stats := a.Stats()
			Expect(stats.Way("broken").Sent).To(BeZero())
			Expect(stats.Way("broken").SendErrors).To(Equal(stats.Way("memory").Sent))
			Expect(a.Close(context.Background())).To(MatchError("cannot be closed"))
			b.quit()
		})
	})
})
