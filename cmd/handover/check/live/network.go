package live

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/peer"
)

// backWithin is how long a datagram may take from an interface to itself.
const backWithin = 3 * time.Second

// network is what became of a datagram on each interface.
type network struct {
	late  bool
	mode  peer.Mode
	trips []peer.RoundTrip
	err   error // there was none
}

func lookAtNetwork(ctx context.Context, cfg *config.Config) *network {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	n := new(network)
	n.mode, n.trips, n.err = peer.TryMulticast(ctx, peer.MulticastConfig{
		Group: cfg.Network.Group, Port: cfg.Network.Port, Mode: peer.Mode(cfg.Network.Mode), Interface: cfg.Network.Interface,
	})
	return n
}

const loopback = "lo"

func (f *facts) judgeNetwork(r *report) {
	if f.network.late {
		r.late(networkMulticast, "the network")
		return
	}
	n := f.network
	// With the folder there is a second way.
	level, without := check.Error, "other instances are not heard, and do not hear this one"
	if f.folderWorks() {
		level, without = check.Warning, "announcements go through the shared folder alone; there is no second way if that fails"
	}
	group := f.cfg.Network.Group.String() + ":" + strconv.Itoa(f.cfg.Network.Port)
	if n.err != nil {
		r.add(level, networkMulticast, "multicast cannot be used: %s", n.err.Error()).because(
			without,
			"free the UDP port, or set network.port to another one in all releases of the service; handover shares it with programs that set SO_REUSEADDR")
		return
	}
	f.judgeMode(r, n)
	f.judgeInterfaces(r, n, level, without)
	for _, t := range n.trips {
		if t.Err != nil {
			r.add(level, networkMulticast, "a datagram to %s does not come back on %s: %s", group, t.Interface, reason(t.Err)).because(
				without,
				"look for a packet filter on UDP and IGMP in the container and on the host, and whether the interface does multicast (ip link)")
			continue
		}
		r.ok(networkMulticast, "a datagram to %s on %s came back after %s; this shows this container's side only, that another instance is heard shows the rest", group, t.Interface, short(t.Took))
	}
	f.judgePeers(r, n)
}

func (f *facts) judgeMode(r *report, n *network) {
	why := "set"
	if f.cfg.Network.Mode == config.NetworkAuto {
		why = "auto, as there is no interface " + f.cfg.Network.Interface
		if n.mode == peer.ModeHost {
			why = "auto, as there is an interface " + f.cfg.Network.Interface
		}
	}
	uses := "every interface that can do multicast"
	if n.mode == peer.ModeHost {
		uses = f.cfg.Network.Interface + " alone"
	}
	r.ok(networkMode, "network.mode is %s (%s): announcements use %s", string(n.mode), why, uses)
}

func (f *facts) judgeInterfaces(r *report, n *network, level check.Level, without string) {
	var uses []string
	for _, t := range n.trips {
		var addresses []string
		for _, a := range t.Addresses {
			addresses = append(addresses, a.String())
		}
		uses = append(uses, t.Interface+" ("+strings.Join(addresses, ", ")+")")
	}
	switch {
	case len(n.trips) > 0 && n.mode == peer.ModeBridge && n.trips[0].Interface == loopback:
		r.add(level, networkInterfaces, "there is no network interface but loopback").because(
			without,
			"give the service a network in the compose file")
	case len(n.trips) > 0:
		r.ok(networkInterfaces, "announcements use %s", strings.Join(uses, ", "))
	case n.mode == peer.ModeHost:
		r.add(level, networkInterfaces, "the interface %s (network.interface) is missing, down, or has no IPv4 address", f.cfg.Network.Interface).because(
			without+"; handover waits for this interface and uses no other one",
			"set network.interface to one that exists; without network_mode: host in the compose file, leave network.mode at auto or set bridge")
	default:
		r.add(level, networkInterfaces, "there is no network interface that is up and has an IPv4 address").because(
			without,
			"give the service a network in the compose file")
	}
}

// judgePeers: who is heard in the folder should be heard by multicast as well.
func (f *facts) judgePeers(r *report, n *network) {
	st := f.instance.status
	if st == nil {
		return
	}
	for i := range st.Peers {
		p := &st.Peers[i]
		switch heard := slices.Contains(p.Ways, "multicast"); {
		case heard:
			r.ok(networkPeers, "%s is heard by multicast: the network carries announcements between the containers", who(p))
		case !p.Gone && len(n.trips) > 0:
			r.warn(networkPeers, "%s is heard by %s, and not by multicast", who(p), strings.Join(p.Ways, " and ")).because(
				"if the folder fails, the two do not hear each other",
				"give both releases the same network, network.mode, network.group and network.port")
		}
	}
}

// reason is why a datagram did not come back.
func reason(err error) string {
	if errors.Is(err, peer.ErrNotBack) {
		return "it was sent, and not received within " + backWithin.String()
	}
	return strings.TrimPrefix(err.Error(), "peer: try multicast: ")
}
