package simulator

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// FreeAddress is an address on loopback on which nobody listens, for the service
// of a container that has no network of its own. The kernel gives out ports from
// 32768 on (ip(7), ip_local_port_range): one that is free there can be anybody's
// before the service listens. Where it finds none, the service will say so.
func FreeAddress() string {
	const first, last = 10000, 32767
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first+1)))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
	return "127.0.0.1:0"
}
