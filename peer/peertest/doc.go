// Package peertest is an in-memory network for nodes of package peer: it
// loses, delays, doubles and reorders datagrams and can be partitioned. It is
// made for tests and demonstrations of hand-overs, yours among them.
//
// Everything waits on timers and channels only, so that whole hand-overs run
// in a testing/synctest bubble, in virtual time:
//
//	synctest.Test(t, func(t *testing.T) {
//		network := peertest.NewNetwork(peertest.Options{Seed: 1, Loss: 0.3, Delay: 2 * time.Millisecond})
//		node, err := peer.Start(peer.Config{Ways: []peer.Way{network.Attach("old")}, …})
//		…
//	})
//
// With one Seed the same transmissions meet the same fate, as long as they are
// made in the same order.
//
// A Folder is the other way, a folder that the containers of a service share:
// nothing is lost in it, and it tells when a process has died.
//
// A Raw sender puts any bytes on the network, as a hostile neighbour could. A
// LegacyPeer does to datagrams what handover-lib does, and records a crash
// where that one would end.
//
// What it does not do: it has no interfaces, no TTL and no packet filter, and
// it delivers to a full queue as little as a kernel does to a full socket.
package peertest
