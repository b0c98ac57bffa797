package interop_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"golang.org/x/sys/unix"
)

// wire is what happens to each datagram between two networks. What is delayed
// more than its successor is overtaken by it.
type wire struct {
	loss, twice float64
	delay       time.Duration // at most
}

// wire connects two networks that have nothing but loopback, each by an
// interface eth0. It takes no more than the kernel has everywhere; tc netem is
// often missing.
func (d *device) wire(one, two namespace, w wire) {
	GinkgoHelper()
	a, b := d.end(one, "10.77.9.1/24"), d.end(two, "10.77.9.2/24")
	go w.carry(a, b)
	go w.carry(b, a)
}

// end gives a network an interface, and returns a socket for all its frames of
// IPv4.
func (d *device) end(n namespace, address string) *os.File {
	GinkgoHelper()
	d.ports++
	port := d.lastPort()
	d.hub.ip("link", "add", "name", port, "type", "veth", "peer", "name", "eth0", "netns", string(n))
	d.hub.ip("link", "set", port, "up")
	n.ip("address", "add", address, "dev", "eth0")
	n.ip("link", "set", "eth0", "up")
	var file *os.File
	d.hub.do(func() error {
		device, err := net.InterfaceByName(port)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "end of a wire")
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return err
		}
		protocol := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff})
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: device.Index})
	})
	DeferCleanup(file.Close)
	return file
}

// carry brings frames from one end to the other one, until an end is closed.
func (w wire) carry(from, to *os.File) {
	for buf := make([]byte, 2048); ; {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		frame := append([]byte(nil), buf[:n]...)
		withoutChecksum(frame)
		for copies := 1; copies > 0; copies-- {
			if rand.Float64() < w.loss {
				continue
			}
			if copies == 1 && rand.Float64() < w.twice {
				copies++
			}
			time.AfterFunc(rand.N(w.delay), func() { _, _ = to.Write(frame) })
		}
	}
}

// withoutChecksum takes the checksum out of a frame with a UDP datagram: it is
// only begun, as the interface that it was sent on leaves it to the next one.
func withoutChecksum(frame []byte) {
	const ethernet, protocol = 14, 9
	if len(frame) < ethernet+20 || frame[ethernet+protocol] != unix.IPPROTO_UDP {
		return
	}
	udp := ethernet + int(frame[ethernet]&0x0f)*4
	if len(frame) >= udp+8 {
		frame[udp+6], frame[udp+7] = 0, 0
	}
}
