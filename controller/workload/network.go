package workload

import (
	"net"

	"github.com/vishvananda/netlink"
)

// ownNetwork reports whether our network namespace is one that was made for a
// container: each of its interfaces has its other end in another namespace, as
// veth, macvlan and ipvlan have. Hosts have devices, bridges and dummies. What is
// not known for certain is not a container's.
func ownNetwork() bool {
	links, err := netlink.LinkList()
	if err != nil {
		return false
	}
	for _, link := range links {
		a := link.Attrs()
		switch {
		case a.Flags&net.FlagLoopback != 0, a.NetNsID >= 0:
		case a.Flags&net.FlagUp == 0 && link.Type() != "device":
			// The kernel puts tunnels that nobody uses (sit0, tunl0) everywhere.
		default:
			return false
		}
	}
	return true
}
