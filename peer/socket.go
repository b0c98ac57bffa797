package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sockopt is one thing to do to a socket before it is bound.
type sockopt struct {
	name  string
	apply func(fd int) error
}

func intOption(name string, option, value int) sockopt {
	return sockopt{name, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, option, value) }}
}

// groupOptions are what a socket of the group needs, all set before bind, so
// that there is no moment in which it hears more than it should. The filter is
// one option more, if there is one (MulticastConfig.socketOptions): attached
// before bind, no unfiltered datagram is ever queued.
func groupOptions() []sockopt {
	return []sockopt{
		// handover-lib shares the port by SO_REUSEADDR; where one socket adds
		// SO_REUSEPORT, the others cannot bind.
		{"SO_REUSEADDR", func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}},
		// Without it the socket hears groups that other sockets have joined, on
		// interfaces that are not ours. Where the kernel has no such option, the
		// check of IP_PKTINFO must do.
		optional(intOption("IP_MULTICAST_ALL", unix.IP_MULTICAST_ALL, 0)),
		intOption("IP_PKTINFO", unix.IP_PKTINFO, 1),
		// What was received while this process was paused is not fresh.
		optional(sockopt{"SO_TIMESTAMPNS", func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		}}),
		intOption("IP_MULTICAST_LOOP", unix.IP_MULTICAST_LOOP, 1),
		intOption("IP_MULTICAST_TTL", unix.IP_MULTICAST_TTL, 1),
	}
}

// optional lets an option pass that the kernel does not know.
func optional(o sockopt) sockopt {
	return sockopt{o.name, func(fd int) error {
		if err := o.apply(fd); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			return err
		}
		return nil
	}}
}

// listen opens a UDP socket on the port of all IPv4 addresses. Bound like
// this it would also get what is sent to this host alone; the destination is
// checked at receipt.
func listen(port int, options []sockopt) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			for _, o := range options {
				if err := o.apply(int(fd)); err != nil {
					failed = fmt.Errorf("set %s: %w", o.name, err)
					return
				}
			}
		})
		return errors.Join(err, failed)
	}}
	conn, err := config.ListenPacket(context.Background(), "udp4", "0.0.0.0:"+strconv.Itoa(port))
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}
