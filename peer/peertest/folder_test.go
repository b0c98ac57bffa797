package peertest_test

import (
	"context"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// reader takes down what a member of a folder receives.
type reader struct {
	*peertest.Member
	mu    sync.Mutex
	heard []string
	ended chan struct{}
}

func opens(f *peertest.Folder, id byte) *reader {
	r := &reader{Member: f.Open(peer.InstanceID{id}), ended: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(r.ended)
		buf := make([]byte, peer.MaxDatagram)
		for {
			received, err := r.Receive(buf)
			if err != nil {
				return
			}
			text := string(buf[:received.N])
			switch received.Event {
			case peer.EventFresh:
				text = fmt.Sprintf("%d fresh until %v", received.Instance[0], received.Until.Sub(began))
			case peer.EventDied:
				text = fmt.Sprintf("%d died", received.Instance[0])
			}
			r.mu.Lock()
			r.heard = append(r.heard, text)
			r.mu.Unlock()
		}
	}()
	return r
}

// take returns what was heard since the last time.
func (r *reader) take() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := r.heard
	r.heard = nil
	return heard
}

func (r *reader) ends() {
	_ = r.Close()
	<-r.ended
}

var _ = Describe("A folder in memory", func() {
	It("tells what is written, for how long it is fresh, and who dies", func() {
		bubble(func() {
			f := peertest.NewFolder(peertest.FolderOptions{})
			a, b := opens(f, 1), opens(f, 2)
			defer a.ends()
			Expect(a.Name()).To(Equal("folder"))
			Expect(b.Send([]byte("hello"), false)).To(Succeed())
			Expect(a.take()).To(Equal([]string{"hello", "2 fresh until 15s"}))
			Expect(b.take()).To(BeEmpty(), "nobody hears himself")

			By("writing again")
			time.Sleep(10 * time.Second)
			Expect(b.Send([]byte("hello again"), false)).To(Succeed())
			Expect(a.take()).To(Equal([]string{"hello again", "2 fresh until 25s"}))

			By("ending in order")
			Expect(b.Send([]byte("gone"), false)).To(Succeed())
			b.ends()
			Expect(a.take()).To(Equal([]string{"gone", "2 died"}))
		})
	})

	It("skips repeats, but for one when somebody came", func() {
		bubble(func() {
			f := peertest.NewFolder(peertest.FolderOptions{})
			a := opens(f, 1)
			defer a.ends()
			Expect(a.Send([]byte("one"), true)).To(Succeed(), "the first one is written in any case")
			Expect(a.Send([]byte("two"), true)).To(MatchError(peer.ErrSkipped))
			b := opens(f, 2)
			defer b.ends()
			Expect(b.take()).To(Equal([]string{"one", "1 fresh until 15s"}))
			Expect(a.Send([]byte("three"), true)).To(MatchError(peer.ErrSkipped), "who came has not been seen")
			Expect(b.Send([]byte("hello"), false)).To(Succeed())
			Expect(a.take()).To(Equal([]string{"hello", "2 fresh until 15s"}))
			Expect(a.Send([]byte("four"), true)).To(Succeed())
			Expect(b.take()).To(ContainElement("four"))
		})
	})

	It("tells of a process that was killed, and of its last word", func() {
		bubble(func() {
			f := peertest.NewFolder(peertest.FolderOptions{Delay: time.Millisecond})
			a, b := opens(f, 1), opens(f, 2)
			defer a.ends()
			Expect(b.Send([]byte("hello"), false)).To(Succeed())
			Expect(a.take()).To(BeEmpty())
			time.Sleep(2 * time.Millisecond)
			Expect(a.take()).To(HaveLen(2))
			Expect(b.Send([]byte("last word"), false)).To(Succeed())
			b.Die()
			<-b.ended
			time.Sleep(2 * time.Millisecond)
			Expect(a.take()).To(Equal([]string{"last word", "2 died"}))
			Expect(b.Send([]byte("from the dead"), false)).To(HaveOccurred())
			time.Sleep(2 * time.Millisecond)
			Expect(a.take()).To(BeEmpty())
			c := opens(f, 3)
			defer c.ends()
			Expect(c.take()).To(BeEmpty(), "there are no leftovers")
		})
	})

	It("keeps the old word where nothing can be changed, and fails one write late", func() {
		bubble(func() {
			f := peertest.NewFolder(peertest.FolderOptions{})
			a, b := opens(f, 1), opens(f, 2)
			defer a.ends()
			defer b.ends()
			Expect(b.Send([]byte("hello"), false)).To(Succeed())
			Expect(a.take()).To(HaveLen(2))
			f.ReadOnly(true)
			Expect(b.Send([]byte("changed"), false)).To(Succeed())
			Expect(a.take()).To(BeEmpty())
			Expect(b.Send([]byte("changed"), true)).To(HaveOccurred())
			f.ReadOnly(false)
			Expect(b.Send([]byte("changed"), true)).To(HaveOccurred(), "it was tried again in vain")
			Expect(a.take()).To(Equal([]string{"changed"}), "and then with success, fresh for as long as before")
		})
	})

	It("takes back what is not true any more where nothing can be written", func() {
		bubble(func() {
			f := peertest.NewFolder(peertest.FolderOptions{})
			a, b := opens(f, 1), opens(f, 2)
			defer a.ends()
			defer b.ends()
			Expect(b.Send([]byte("hello"), false)).To(Succeed())
			Expect(a.take()).To(HaveLen(2))
			f.Full(true)
			Expect(b.Send([]byte("changed"), false)).To(Succeed())
			Expect(a.take()).To(Equal([]string{"2 fresh until -1ns"}))
		})
	})

	It("is looked at with each own word where no change is told, and vouches for a second", func() {
		bubble(func() {
			f := peertest.NewFolder(peertest.FolderOptions{})
			a, b := opens(f, 1), opens(f, 2)
			defer a.ends()
			f.Blind(true)
			Expect(b.Send([]byte("hello"), false)).To(Succeed())
			Expect(a.take()).To(BeEmpty())
			_ = a.Send([]byte("anybody there?"), true)
			Expect(a.take()).To(Equal([]string{"hello", "2 fresh until 1s"}))
			b.ends()
			Expect(a.take()).To(BeEmpty())
			_ = a.Send([]byte("anybody there?"), true)
			Expect(a.take()).To(Equal([]string{"2 died"}))
		})
	})

	It("is a way for nodes, that are heard without a network", func() {
		bubble(func() {
			f := peertest.NewFolder(peertest.FolderOptions{Delay: time.Millisecond})
			domain := peer.NewDomain("11111111-1111-1111-1111-111111111111", "1", "main")
			start := func(id byte) (*peer.Node, *peertest.Member) {
				m := f.Open(peer.InstanceID{id})
				n, err := peer.Start(peer.Config{
					Self: peer.Identity{Instance: peer.InstanceID{id}}, Domain: domain, Ways: []peer.Way{m},
				})
				Expect(err).NotTo(HaveOccurred())
				n.Say(peer.Statement{Phase: peer.PhaseServing})
				return n, m
			}
			a, _ := start(1)
			b, m := start(2)
			time.Sleep(time.Minute)
			peers := a.Peers()
			Expect(peers).To(HaveLen(1))
			Expect(peers[0].FreshUntil).To(BeTemporally(">", time.Now()), "it says nothing new, and is fresh all the time")
			Expect(peers[0].Ways).To(Equal([]string{"folder"}))
			m.Die()
			time.Sleep(2 * time.Millisecond)
			Expect(a.Peers()[0].Dead).To(BeTrue())
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			Expect(a.Close(ctx)).To(Succeed())
			Expect(b.Close(ctx)).To(Succeed())
		})
	})
})
