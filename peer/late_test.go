package peer_test

import (
	"net"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// scripted is a way that hands over what a spec wants, and sends nothing.
type scripted struct {
	items  chan scriptedItem
	closed chan struct{}
	once   sync.Once
}

type scriptedItem struct {
	received peer.Received
	datagram []byte
}

func newScripted() *scripted {
	return &scripted{items: make(chan scriptedItem, 10), closed: make(chan struct{})}
}

func (s *scripted) Name() string            { return "scripted" }
func (s *scripted) Send([]byte, bool) error { return nil }
func (s *scripted) Close() error            { s.once.Do(func() { close(s.closed) }); return nil }
func (s *scripted) brings(r peer.Received, datagram []byte) {
	s.items <- scriptedItem{r, datagram}
	rest(0)
}

func (s *scripted) Receive(buf []byte) (peer.Received, error) {
	select {
	case i := <-s.items:
		r := i.received
		r.N = copy(buf, i.datagram)
		return r, nil
	case <-s.closed:
		return peer.Received{}, net.ErrClosed
	}
}

// scriptedFolder is one that keeps words, as a folder does.
type scriptedFolder struct{ *scripted }

func (scriptedFolder) Ask([]byte) error { return nil }

// sentAgo forges what an instance in that container has said so long ago.
func sentAgo(container int, ago time.Duration) peer.Announcement {
	a := forge(container, uint64(uptime()-ago))
	a.Timed = true
	return a
}

var _ = Describe("A node that did not run for a while", func() {
	It("takes in what a peer that it knows has said meanwhile, however long ago", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			a, way := holding(1, network)
			defer a.quit()
			b := join(2, func(cfg *peer.Config) { cfg.ExpireAfter = time.Hour }, network)
			a.Say(serving)
			b.Say(serving)
			rest(5 * time.Second)
			way.hold(50 * time.Second)
			b.Say(peer.Statement{Phase: peer.PhaseReleased, Told: true})
			rest(time.Second)
			said := time.Now()
			b.quit()
			rest(50 * time.Second)
			p := a.sees(b)
			Expect(p.Gone).To(BeTrue())
			Expect(p.Told).To(BeTrue())
			Expect(p.PhaseSince).To(BeTemporally("~", said, 50*time.Millisecond))
		})
	})

	It("answers a newcomer with a whole burst, late as it hears it", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			a, way := holding(1, network)
			defer a.quit()
			a.Say(serving)
			rest(5 * time.Second)
			way.hold(4 * time.Second)
			b := join(2, nil, network)
			defer b.quit()
			b.Say(peer.Statement{Phase: peer.PhaseStarting})
			rest(4*time.Second - time.Millisecond)
			packets := record(network)
			rest(time.Second)
			Expect(a.sees(b)).NotTo(BeNil())
			said, _ := from(*packets, a)
			Expect(said).To(BeNumerically(">=", 7))
		})
	})

	It("forgets nobody whose words wait, also if it runs again at the very moment at which their time is over", func() {
		bubble(func() {
			network := peertest.NewNetwork(peertest.Options{})
			var way heldWay
			a := join(1, func(cfg *peer.Config) {
				cfg.Interval = time.Minute // nothing else wakes it
				way.Way = cfg.Ways[0]
				cfg.Ways[0] = &way
			}, network)
			defer a.quit()
			b := join(2, func(cfg *peer.Config) { cfg.Interval, cfg.ExpireAfter = time.Second, 4*time.Second }, network)
			defer b.quit()
			a.Say(serving)
			b.Say(serving)
			rest(5 * time.Second)
			a.woken()
			way.hold(4*time.Second + 100*time.Millisecond - time.Since(a.sees(b).LastHeard))
			rest(10 * time.Second)
			Expect(a.woken()).To(BeFalse(), "it was forgotten, and came back")
			Expect(a.sees(b)).NotTo(BeNil())
		})
	})
})

var _ = Describe("A word that a folder has kept", func() {
	It("introduces nobody when it is older than the pause between two, whoever holds the lock", func() {
		bubble(func() {
			folder := scriptedFolder{newScripted()}
			a := join(1, func(cfg *peer.Config) { cfg.Ways = []peer.Way{folder} })
			defer a.quit()
			a.Say(serving)
			say := func(said peer.Announcement, longest time.Duration) bool {
				said.ForgetAfter = longest
				folder.brings(peer.Received{Time: time.Now()}, encode(said, nil))
				for _, p := range a.Peers() {
					if p.Instance == said.Instance {
						Expect(p.LastHeard).To(BeTemporally("==", time.Now().Add(time.Duration(said.Sequence)-uptime())))
						return true
					}
				}
				return false
			}
			Expect(say(sentAgo(2, 14*time.Second), 35*time.Second)).To(BeTrue())
			Expect(say(sentAgo(3, 31*time.Second), 35*time.Second)).To(BeFalse())
			Expect(say(sentAgo(4, 89*time.Second), 210*time.Second)).To(BeTrue(), "it writes once a minute")
			Expect(say(sentAgo(5, 91*time.Second), 210*time.Second)).To(BeFalse())
			stats := a.Stats()
			Expect(stats.Way("scripted").Dropped(peer.DropStale)).To(BeEquivalentTo(2))
		})
	})
})

var _ = Describe("An announcement that is refused for its signature", func() {
	// tells reports whether one of that container, sent so long ago, shows that
	// somebody is there.
	tells := func(container int, ago time.Duration, phase peer.Phase, found peer.DropReason) bool {
		var refused time.Time
		bubble(func() {
			way := newScripted()
			a := join(1, func(cfg *peer.Config) {
				cfg.Ways, cfg.Secrets = []peer.Way{way}, [][]byte{[]byte("ours")}
			})
			defer a.quit()
			said := sentAgo(container, ago)
			said.Phase = phase
			way.brings(peer.Received{Time: time.Now(), Drop: found}, encode(said, keyring("theirs")))
			stats := a.Stats()
			Expect(stats.Way("scripted").Dropped(peer.DropSignature)).To(BeEquivalentTo(1))
			refused = a.Refused()
			if !refused.IsZero() {
				Expect(refused).To(BeTemporally("==", time.Now().Add(time.Duration(said.Sequence)-uptime())))
			}
		})
		return !refused.IsZero()
	}

	for _, found := range []peer.DropReason{peer.NotDropped, peer.DropSignature} {
		It("tells that somebody is there, also where the way has refused it by itself: "+found.String(), func() {
			Expect(tells(2, time.Second, peer.PhaseServing, found)).To(BeTrue())
		})
		It("tells nothing if it is a last word, of this container, recorded, or invented: "+found.String(), func() {
			Expect(tells(2, time.Second, peer.PhaseGone, found)).To(BeFalse())
			Expect(tells(1, time.Second, peer.PhaseServing, found)).To(BeFalse())
			Expect(tells(2, 31*time.Second, peer.PhaseServing, found)).To(BeFalse())
			Expect(tells(2, -time.Second, peer.PhaseServing, found)).To(BeFalse())
		})
	}
})
