package peertest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

var (
	suite *testing.T
	ran   atomic.Bool
)

func TestPeertest(t *testing.T) {
	if ran.Swap(true) {
		t.Skip("Ginkgo runs a suite once per process; use ginkgo --repeat instead of -count")
	}
	suite = t
	RegisterFailHandler(Fail)
	RunSpecs(t, "peertest")
}

// bubble runs the body in virtual time.
func bubble(body func()) {
	suite.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			defer GinkgoRecover()
			body()
		})
	})
}

// ear hears all that an endpoint receives.
type ear struct {
	*peertest.Endpoint
	start time.Time
	heard []uint64
	at    []time.Duration
	ended chan struct{}
}

func listen(n *peertest.Network, name string) *ear {
	e := &ear{Endpoint: n.Attach(name), start: time.Now(), ended: make(chan struct{})}
	go func() {
		defer close(e.ended)
		buf := make([]byte, 512)
		for {
			r, err := e.Receive(buf)
			if err != nil {
				return
			}
			e.heard = append(e.heard, binary.BigEndian.Uint64(buf[1:r.N]))
			e.at = append(e.at, r.Time.Sub(e.start))
		}
	}()
	return e
}

func (e *ear) close() {
	_ = e.Close()
	<-e.ended
}

func word(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{1}, n) }

// talk sends that many datagrams, one each millisecond, and waits.
func talk(r *peertest.Raw, n int) {
	for i := range n {
		r.Send(word(uint64(i)))
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}

var _ = Describe("The network", func() {
	DescribeTable("is as bad as it is told to be",
		func(o peertest.Options, count, disorder int, earliest, latest time.Duration) {
			bubble(func() {
				o.Seed = 5
				n := peertest.NewNetwork(o)
				e := listen(n, "e")
				talk(n.Raw("r"), 1000)
				e.close()
				Expect(len(e.heard)).To(BeNumerically("~", count, 60))
				swapped := 0
				for i := 1; i < len(e.heard); i++ {
					if e.heard[i] < e.heard[i-1] {
						swapped++
					}
				}
				Expect(swapped).To(BeNumerically("~", disorder, 60))
				for i, at := range e.at {
					late := at - time.Duration(e.heard[i])*time.Millisecond
					Expect(late).To(And(BeNumerically(">=", earliest), BeNumerically("<=", latest)))
				}
			})
		},
		Entry("perfect", peertest.Options{}, 1000, 0, time.Duration(0), time.Duration(0)),
		Entry("losing", peertest.Options{Loss: 0.4}, 600, 0, time.Duration(0), time.Duration(0)),
		Entry("dead", peertest.Options{Loss: 1}, 0, 0, time.Duration(0), time.Duration(0)),
		Entry("doubling", peertest.Options{Duplicate: 0.5}, 1500, 0, time.Duration(0), time.Duration(0)),
		Entry("slow", peertest.Options{Delay: time.Second}, 1000, 0, time.Second, time.Second),
		Entry("unsteady", peertest.Options{Delay: time.Second, Jitter: 10 * time.Millisecond}, 1000, 400, time.Second, 1010*time.Millisecond),
		Entry("reordering", peertest.Options{Reorder: 0.1}, 1000, 90, time.Duration(0), 20*time.Millisecond),
	)

	It("does the same again with the same seed", func() {
		var runs [][]uint64
		for _, seed := range []uint64{1, 1, 2} {
			bubble(func() {
				n := peertest.NewNetwork(peertest.Options{Seed: seed, Loss: 0.5, Jitter: 5 * time.Millisecond})
				e := listen(n, "e")
				talk(n.Raw("r"), 200)
				e.close()
				runs = append(runs, e.heard)
			})
		}
		Expect(runs[0]).To(Equal(runs[1]))
		Expect(runs[0]).NotTo(Equal(runs[2]))
	})

	It("can be partitioned, cut in one direction, and healed", func() {
		bubble(func() {
			n := peertest.NewNetwork(peertest.Options{})
			a, b, c := listen(n, "a"), listen(n, "b"), listen(n, "c")
			say := func(e *ear, w uint64) {
				Expect(e.Send(word(w), false)).To(Succeed())
				synctest.Wait()
			}
			n.Partition([]string{"a"}, []string{"b"})
			say(a, 1)
			n.Partition([]string{"a", "b"})
			say(a, 2)
			n.Heal()
			n.Cut("a", "b")
			say(a, 3)
			say(b, 4)
			n.Heal()
			say(a, 5)
			for _, e := range []*ear{a, b, c} {
				e.close()
			}
			Expect(a.heard).To(Equal([]uint64{1, 2, 3, 4, 5}), "its own, too")
			Expect(b.heard).To(Equal([]uint64{2, 4, 5}))
			Expect(c.heard).To(Equal([]uint64{3, 4, 5}))
		})
	})

	It("shows observers everything, and status messages to nobody else", func() {
		bubble(func() {
			n := peertest.NewNetwork(peertest.Options{Loss: 1, Way: "folder"})
			var seen []string
			n.Observe(func(p peertest.Packet) {
				seen = append(seen, fmt.Sprintf("%s %s %d %v %v", p.From, p.Address.Addr(), len(p.Data), p.Repeat, p.Status))
			})
			e := listen(n, "e")
			Expect(e.Name()).To(Equal("folder"))
			Expect(e.Send(word(1), true)).To(Succeed())
			Expect(e.SendStatus(peer.StatusMessage{})).To(Succeed())
			raw := n.Raw("raw")
			raw.Send(nil)
			raw.SendFrom(e.Address(), []byte{1})
			e.close()
			Expect(seen).To(Equal([]string{
				"e 10.0.0.1 9 true false", "e 10.0.0.1 120 false true", "raw 10.0.0.2 0 false false", "raw 10.0.0.1 1 false false",
			}))
			Expect(e.heard).To(BeEmpty())
			Expect(raw.Address().Addr().String()).To(Equal("10.0.0.2"))
			Expect(n.String()).To(ContainSubstring("folder: seed 0, loss 1"))
		})
	})

	It("loses what nobody reads in time, as a full socket does", func() {
		bubble(func() {
			n := peertest.NewNetwork(peertest.Options{})
			e := n.Attach("e")
			raw := n.Raw("r")
			for range 10_000 {
				raw.Send(word(1))
			}
			count := 0
			for buf := make([]byte, 9); ; count++ {
				time.AfterFunc(time.Second, func() { _ = e.Close() })
				if _, err := e.Receive(buf); errors.Is(err, net.ErrClosed) {
					break
				}
			}
			Expect(count).To(BeNumerically("<=", 512))
			Expect(e.Send(nil, false)).To(MatchError(net.ErrClosed))
			Expect(n.Addresses()).To(BeEmpty())
		})
	})
})

var _ = Describe("A handover-lib peer", func() {
	// with runs the body with such a peer of start time 100.
	with := func(body func(p *peertest.LegacyPeer, n *peertest.Network, raw *peertest.Raw)) {
		bubble(func() {
			n := peertest.NewNetwork(peertest.Options{})
			p := peertest.NewLegacyPeer(n.Attach("p"), 100)
			body(p, n, n.Raw("raw"))
			Expect(p.Close()).To(Succeed())
		})
	}
	rest := func(d time.Duration) {
		time.Sleep(d)
		synctest.Wait()
	}

	It("announces itself in nine bytes, every ten seconds", func() {
		with(func(p *peertest.LegacyPeer, n *peertest.Network, _ *peertest.Raw) {
			sent := 0
			n.Observe(func(packet peertest.Packet) {
				sent++
				Expect(packet.Data).To(Equal(word(100)))
			})
			rest(time.Minute)
			Expect(sent).To(BeZero())
			p.StartBroadcasting()
			rest(time.Minute)
			Expect(sent).To(Equal(7))
			Expect(p.ShuttingDown()).To(BeZero())
			Expect(p.Heard()).To(HaveLen(7))
		})
	})

	It("shuts down for a later start time only, and is silent and deaf then", func() {
		with(func(p *peertest.LegacyPeer, n *peertest.Network, raw *peertest.Raw) {
			p.StartBroadcasting()
			raw.Send(word(0))
			raw.Send(word(99))
			raw.Send(word(1 << 63)) // negative
			raw.Send(append(word(100), "and more"...))
			rest(time.Second)
			Expect(p.ShuttingDown()).To(BeZero())
			raw.Send(append(word(101), "and more"...))
			rest(time.Second)
			Expect(p.ShuttingDown()).To(BeEquivalentTo(101))
			Expect(n.Addresses()).To(BeEmpty())
			raw.Send(nil)
			rest(time.Minute)
			Expect(p.Crashed()).NotTo(HaveOccurred())
			Expect(p.Heard()).To(HaveLen(6))
		})
	})

	DescribeTable("crashes on",
		func(datagram []byte) {
			with(func(p *peertest.LegacyPeer, _ *peertest.Network, raw *peertest.Raw) {
				p.StartBroadcasting()
				rest(time.Second)
				raw.Send(datagram)
				rest(time.Minute)
				Expect(p.Crashed()).To(HaveOccurred())
				Expect(p.ShuttingDown()).To(BeZero())
			})
		},
		Entry("nothing", []byte{}),
		Entry("eight bytes", word(200)[:8]),
		Entry("another version", append([]byte{2}, word(200)...)),
		Entry("a status message", (&peer.StatusMessage{}).Append(nil)),
	)
})
