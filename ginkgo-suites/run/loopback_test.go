package run_test

import (
	"net"

	"golang.org/x/net/ipv4"
)

// multicastOnLoopback makes a socket send to groups on loopback, never on
// another interface.
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
