// Package ports finds TCP ports for tests whose service is to listen later, in
// another process.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// The kernel gives out ports from 32768 on (ip(7), ip_local_port_range): one that
// is free there can be anybody's a moment later.
const first, last = 10000, 32767

// Free is an address on loopback on which nobody listens, with a port that is
// given to nobody who asks for any.
func Free() string {
	for tries := 1; ; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first+1)))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
		if tries == 1000 {
			panic(err)
		}
	}
}
