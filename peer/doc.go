// Package peer lets the instances of one service on one device find each
// other and follow what each says of itself. A Node announces its own instance
// by one or several ways (the multicast group, a shared folder, memory) and
// keeps a table of the others; Identify finds out which instance this is.
//
// # What it guarantees
//
//   - No datagram, whatever its length, content or number, crashes a node,
//     makes it take more memory than the table's fixed size, send more than
//     about twenty answers per second, or read more than two thousand
//     datagrams per second and way. What is dropped is counted, by reason if it
//     got as far as this process.
//   - What it sends never crashes handover-lib peers: the version byte is 0x01
//     and there are at least nine bytes. They act on it only while this
//     instance is serving or prepared.
//   - Instances of other services and other devices are not taken for peers.
//   - A change of phase is said in a burst, so that a lost datagram costs
//     milliseconds; a request is answered within 50 ms.
//   - LastHeard is when a datagram was sent, on the clock that all containers of a
//     device have in common, or received, if that is earlier. So what waited unread,
//     or was recorded and is sent again, does not count as said now; duplicates and
//     replays never renew it. Wall clocks do not enter it.
//   - Nobody is forgotten because this process did not run: what has arrived
//     meanwhile is read first.
//   - A container has at most one record, that of its latest process; late or
//     replayed datagrams of the ones before do not bring them back.
//   - An idle node wakes up once per announce interval. With a folder, whose
//     files are written then, also when a peer writes its own.
//   - In a folder, a peer's death is seen when its process ends, and never while
//     it lives; a file system that is slow or full holds up no other way.
//   - After Close there are no goroutines and no open files.
//
// # What it does not
//
//   - Without a secret, anybody who can send to the group can pretend to be a
//     peer, or, where no folder shows that it lives, a peer's next process or to be
//     gone in its name, until that peer speaks again. So the Supervisor's word is
//     needed before an instance ends itself. Nine-byte datagrams of handover-lib can
//     always be forged and replayed.
//   - The age of what earlier versions said, and handover-lib: receipt counts.
//   - Delivery. Datagrams get lost; under a flood most of them. Peers shows
//     what was heard, and when; silence proves nothing.
//   - Who can write to the folder can pretend a life, and a death to those who
//     did not see the life. A peer that is frozen is vouched for, for up to one and
//     a half announce intervals: it lives.
//   - Statements made in quick succession: only the last may ever be said.
//   - Who is younger, and what follows from it: that is the controller's.
//
// README.md beside this file specifies the wire, for implementations in other
// languages too. Package peertest has an in-memory network for tests.
package peer
