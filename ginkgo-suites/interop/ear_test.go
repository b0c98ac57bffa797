package interop_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

// handover-lib's group and ports.
const (
	group      = "239.192.16.16"
	port       = 1536
	statusPort = 1537
)

// ear is a socket that hears a group, as one of handover-lib's proxy helpers.
type ear struct {
	mu   sync.Mutex
	data []hearing
}

type hearing struct {
	at  time.Time
	raw []byte
}

// listenIn opens a socket in a namespace that has joined a group on all its
// interfaces.
func listenIn(n namespace, group string, port int) *ear {
	GinkgoHelper()
	e := &ear{}
	var conn net.PacketConn
	n.do(func() (err error) {
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
			_ = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
			return err
		}}
		if conn, err = config.ListenPacket(context.Background(), "udp4", fmt.Sprint("0.0.0.0:", port)); err != nil {
			return err
		}
		return joinEverywhere(conn, net.ParseIP(group))
	})
	DeferCleanup(conn.Close)
	go func() {
		for buf := make([]byte, 2048); ; {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			e.mu.Lock()
			e.data = append(e.data, hearing{time.Now(), append([]byte(nil), buf[:n]...)})
			e.mu.Unlock()
		}
	}()
	return e
}

func joinEverywhere(conn net.PacketConn, group net.IP) error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			if err := ipv4.NewPacketConn(conn).JoinGroup(&i, &net.UDPAddr{IP: group}); err != nil {
				return fmt.Errorf("join on %s: %w", i.Name, err)
			}
		}
	}
	return nil
}

// all returns what was heard so far.
func (e *ear) all() []hearing {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]hearing(nil), e.data...)
}

func (e *ear) heard() [][]byte {
	var all [][]byte
	for _, h := range e.all() {
		all = append(all, h.raw)
	}
	return all
}

// phases returns which phases were heard of a container, in order.
func (e *ear) phases(letter string) []string { return phases(e.heard(), letter) }

// legacy returns how many of handover-lib's own announcements were heard.
func (e *ear) legacy() int {
	n := 0
	for _, raw := range e.heard() {
		if len(raw) == 9 {
			n++
		}
	}
	return n
}

// announcement reads a datagram of this device.
func announcement(raw []byte) (peer.Announcement, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return peer.Announcement{}, err
	}
	var a peer.Announcement
	err = a.Decode(raw, peer.NewDomain(strings.TrimSpace(string(boot)), appID, serviceName), nil)
	return a, err
}

// tap sees every IPv4 packet on an interface, whoever it is for.
type tap struct {
	mu      sync.Mutex
	packets []packet
}

type packet struct {
	From, To netip.Addr
	Protocol byte
	Port     uint16 // of UDP
	Size     int    // of UDP, without headers
}

// tapIn taps an interface of a namespace.
func tapIn(n namespace, name string) *tap {
	GinkgoHelper()
	t := &tap{}
	var file *os.File
	n.do(func() error {
		device, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		protocol := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff})
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "tap")
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: device.Index})
	})
	DeferCleanup(file.Close)
	go func() {
		for buf := make([]byte, 2048); ; {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			t.note(buf[:n])
		}
	}()
	return t
}

func (t *tap) note(raw []byte) {
	if len(raw) < 20 {
		return
	}
	p := packet{From: netip.AddrFrom4([4]byte(raw[12:])), To: netip.AddrFrom4([4]byte(raw[16:])), Protocol: raw[9]}
	if header := int(raw[0]&0x0f) * 4; p.Protocol == unix.IPPROTO_UDP && len(raw) >= header+8 {
		p.Port = binary.BigEndian.Uint16(raw[header+2:])
		p.Size = int(binary.BigEndian.Uint16(raw[header+4:])) - 8
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.packets = append(t.packets, p)
}

// all returns every packet so far.
func (t *tap) all() []packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.packets)
}

// datagrams returns the UDP packets to the default group, to these ports if
// there are any.
func (t *tap) datagrams(ports ...uint16) []packet {
	return slices.DeleteFunc(t.all(), func(p packet) bool {
		return p.Protocol != unix.IPPROTO_UDP || p.To.String() != group || len(ports) > 0 && !slices.Contains(ports, p.Port)
	})
}
