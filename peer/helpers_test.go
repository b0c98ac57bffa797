package peer_test

import (
	"context"
	"fmt"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// member is a node with what it was started with.
type member struct {
	*peer.Node
	cfg peer.Config
}

// containerNumber makes a container id of a small number.
func containerNumber(n int) peer.ContainerID { return peer.ContainerID(fmt.Sprintf("c0ffee%06d", n)) }

// join starts a node in that container on the networks.
func join(container int, change func(*peer.Config), networks ...*peertest.Network) *member {
	GinkgoHelper()
	cfg := peer.Config{
		Self: peer.Identity{
			Instance: peer.NewInstanceID(), Container: containerNumber(container),
			FirstStart: peer.FirstStart{Boot: [4]byte{1}, Since: time.Duration(container) * time.Second},
			StartMilli: int64(1000 * container), FirstSequence: 1,
		},
		Domain: testDomain, Legacy: true, ServiceName: "main", Uptime: uptime,
	}
	for _, n := range networks {
		cfg.Ways = append(cfg.Ways, n.Attach(string(cfg.Self.Container)))
	}
	if change != nil {
		change(&cfg)
	}
	node, err := peer.Start(cfg)
	Expect(err).NotTo(HaveOccurred())
	opened = append(opened, node)
	return &member{node, cfg}
}

func (m *member) id() peer.InstanceID { return m.cfg.Self.Instance }

// uptime is a boot clock that goes with virtual time.
func uptime() time.Duration {
	return time.Hour + time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

// sees returns the record of the other, nil if there is none.
func (m *member) sees(other *member) *peer.Peer {
	for _, p := range m.Peers() {
		if p.Instance == other.id() {
			return &p
		}
	}
	return nil
}

func (m *member) quit() {
	GinkgoHelper()
	Expect(m.Close(context.Background())).To(Succeed())
}

// woken reports whether Changed was woken since the last call.
func (m *member) woken() bool {
	synctest.Wait()
	select {
	case <-m.Changed():
		return true
	default:
		return false
	}
}

// rest lets virtual time pass.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// serving is the plainest statement.
var serving = peer.Statement{Phase: peer.PhaseServing}

// record keeps what is sent on a network. It is to be read after rest only.
func record(n *peertest.Network) *[]peertest.Packet {
	var all []peertest.Packet
	n.Observe(func(p peertest.Packet) { all = append(all, p) })
	return &all
}

// from counts the packets of a node, status messages apart.
func from(packets []peertest.Packet, m *member) (announcements, status int) {
	for _, p := range packets {
		switch {
		case p.From != string(m.cfg.Self.Container):
		case p.Status:
			status++
		default:
			announcements++
		}
	}
	return announcements, status
}

// forge returns an announcement of an invented instance.
func forge(container int, sequence uint64) peer.Announcement {
	return peer.Announcement{
		Domain: testDomain, Instance: peer.NewInstanceID(), Phase: peer.PhaseServing, Sequence: sequence,
		Container: containerNumber(container).Digits(),
	}
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o644) }
