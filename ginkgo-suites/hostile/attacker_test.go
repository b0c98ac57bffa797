package hostile_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

// attacker is somebody else on the network who knows everything but secrets.
type attacker struct {
	rig    *rig
	conn   *net.UDPConn
	boot   string
	domain peer.Domain
}

func (r *rig) attacker() *attacker {
	GinkgoHelper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	Expect(multicastOnLoopback(conn)).To(Succeed())
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	Expect(err).NotTo(HaveOccurred())
	id := strings.TrimSpace(string(boot))
	return &attacker{rig: r, conn: conn, boot: id, domain: peer.NewDomain(id, r.app, "main")}
}

func multicastOnLoopback(conn *net.UDPConn) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	p := ipv4.NewPacketConn(conn)
	if err := p.SetMulticastTTL(0); err != nil {
		return err
	}
	return p.SetMulticastInterface(lo)
}

func (a *attacker) send(raw []byte) error {
	_, err := a.conn.WriteToUDP(raw, &a.rig.group)
	return err
}

// forge returns an announcement of an invented instance in that container,
// younger than any other and serving.
func (a *attacker) forge(container string, secret ...string) []byte {
	GinkgoHelper()
	var keys *peer.Keyring
	if len(secret) > 0 {
		var err error
		keys, err = peer.NewKeyring([]byte(secret[0]))
		Expect(err).NotTo(HaveOccurred())
	}
	id, err := peer.ShortContainerID(container)
	Expect(err).NotTo(HaveOccurred())
	forged := peer.Announcement{
		StartMilli: time.Now().UnixMilli(), Domain: a.domain, Instance: peer.NewInstanceID(), Phase: peer.PhaseServing,
		FirstStart: peer.FirstStart{Boot: peer.BootHash(a.boot), Since: 1 << 60},
		Container:  id.Digits(), Sequence: present(), Timed: true, ForgetAfter: time.Hour,
	}
	raw, err := forged.Append(nil, keys)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// present is the sequence number of what is sent now.
func present() uint64 {
	GinkgoHelper()
	var t unix.Timespec
	Expect(unix.ClockGettime(unix.CLOCK_BOOTTIME, &t)).To(Succeed())
	return uint64(t.Nano())
}

// silence forges an announcement that would keep a container from being heard: what
// it says itself would be taken for a replay from then on.
func (a *attacker) silence(container string, instance peer.InstanceID) []byte {
	GinkgoHelper()
	var forged peer.Announcement
	Expect(forged.Decode(a.forge(container), a.domain, nil)).To(Succeed())
	forged.StartMilli, forged.Phase, forged.Instance, forged.Sequence = 0, peer.PhaseStarting, instance, 1<<60
	raw, err := forged.Append(nil, nil)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// strange returns the id of a container that the Supervisor does not list.
func strange() string { return fmt.Sprintf("%016x%016x%032x", rand.Uint64(), rand.Uint64(), 0) }

// overhear collects what the others say, to be replayed.
func (a *attacker) overhear() <-chan []byte {
	GinkgoHelper()
	ear, err := peer.OpenMulticast(peer.MulticastConfig{
		Group: a.rig.group.AddrPort().Addr().Unmap(), Port: a.rig.group.Port, Mode: peer.ModeHost, Interface: "lo",
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(ear.Close)
	heard := make(chan []byte, 1000)
	go func() {
		buf := make([]byte, peer.MaxDatagram+1)
		for {
			r, err := ear.Receive(buf)
			if err != nil {
				return
			}
			select {
			case heard <- append([]byte(nil), buf[:r.N]...):
			default: // enough is enough
			}
		}
	}()
	return heard
}

// floodAsked is what a flood must be at least, in datagrams per second, floodRate
// what it aims at: more than that, and less than takes both processors.
const (
	floodAsked = 50_000
	floodRate  = 80_000
)

// flood sends what next returns, until it is stopped; that returns how many a
// second it were.
func (a *attacker) flood(next func() []byte) (stop func() (rate int)) {
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	start, sent, ended := time.Now(), 0, make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			for due := int(time.Since(start).Seconds() * floodRate); sent < due; sent++ {
				if ctx.Err() != nil || a.send(next()) != nil {
					return
				}
			}
			time.Sleep(200 * time.Microsecond) // the pace of the flood
		}
	}()
	return func() int {
		took := time.Since(start)
		cancel()
		<-ended
		return int(float64(sent) / took.Seconds())
	}
}
