package peer_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
)

// Two instances of a service hear of each other.
func Example() {
	network := peertest.NewNetwork(peertest.Options{Delay: time.Millisecond})
	start := func(container peer.ContainerID) *peer.Node {
		node, err := peer.Start(peer.Config{
			Self:   peer.Identity{Instance: peer.NewInstanceID(), Container: container},
			Domain: peer.NewDomain("6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", "1234", "main"),
			Ways:   []peer.Way{network.Attach(string(container))},
		})
		if err != nil {
			log.Fatal(err)
		}
		return node
	}
	older, younger := start("c0b32e9d619f"), start("9b1f07aa3d5c")
	younger.Say(peer.Statement{Phase: peer.PhaseServing})
	<-older.Changed()
	for _, p := range older.Peers() {
		fmt.Println(p.Container, "is", p.Phase)
	}
	_ = younger.Close(context.Background())
	_ = older.Close(context.Background())
	// Output: 9b1f07aa3d5c is serving
}

// On a device: who am I, and where do I speak?
func ExampleIdentify() {
	self := peer.Identify(peer.IdentifyOptions{StateDir: peer.DefaultStateDir})
	for _, warning := range self.Warnings {
		log.Print(warning)
	}
	multicast, err := peer.OpenMulticast(peer.MulticastConfig{StatusPort: 1537})
	if err != nil {
		log.Fatal(err)
	}
	node, err := peer.Start(peer.Config{
		Self:           self.Identity,
		Domain:         peer.NewDomain(self.BootID, "1234", "main"),
		Legacy:         true,
		StatusMessages: true,
		ServiceName:    "main",
		Ways:           []peer.Way{multicast},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = node.Close(context.Background()) }()
	node.Say(peer.Statement{Phase: peer.PhaseStarting})
}

func ExampleAnnouncement_Append() {
	a := peer.Announcement{
		Domain:   peer.NewDomain("6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", "1234", "main"),
		Instance: peer.InstanceID{0xaa}, Phase: peer.PhaseStarting, Sequence: 1,
	}
	datagram, err := a.Append(nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%x base, as handover-lib\n", datagram[:9])
	fmt.Printf("%x magic and version\n", datagram[9:12])
	fmt.Printf("%x domain\n", datagram[12:20])
	fmt.Printf("%x fields\n", datagram[20:])
	// Output:
	// 010000000000000000 base, as handover-lib
	// 484f01 magic and version
	// 7ab1f29423458295 domain
	// 0110aa00000000000000000000000000000002010107080000000000000001 fields
}
