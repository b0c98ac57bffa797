package peertest

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/handover-controller/handover/peer"
)

// queueLength is how many datagrams an endpoint holds for its reader. Further
// ones are lost, as with a full socket.
const queueLength = 512

// Endpoint is one node's access to a Network. It is a peer.Way and a
// peer.StatusSender.
type Endpoint struct {
	network *Network
	name    string
	way     string
	address netip.AddrPort
	queue   chan item
	closed  chan struct{}
	once    sync.Once
}

// item is a datagram, or an event if its kind is set.
type item struct {
	packet Packet
	event  peer.Received
}

func newEndpoint(n *Network, name string, address netip.AddrPort) *Endpoint {
	return &Endpoint{
		network: n, name: name, way: n.options.Way, address: address,
		queue: make(chan item, queueLength), closed: make(chan struct{}),
	}
}

// Name returns the name of the network's way.
func (e *Endpoint) Name() string { return e.way }

// Address returns the address that others see.
func (e *Endpoint) Address() netip.AddrPort { return e.address }

// Send sends to every endpoint that is reachable, this one included.
func (e *Endpoint) Send(datagram []byte, repeat bool) error {
	select {
	case <-e.closed:
		return net.ErrClosed
	default:
	}
	e.network.send(Packet{From: e.name, Address: e.address, Data: datagram, Repeat: repeat})
	return nil
}

// SendStatus shows the message to the network's observers.
func (e *Endpoint) SendStatus(m peer.StatusMessage) error {
	m.Addresses = []netip.Addr{e.address.Addr()}
	e.network.send(Packet{From: e.name, Address: e.address, Data: m.Append(nil), Status: true})
	return nil
}

// Receive waits for the next datagram or event.
func (e *Endpoint) Receive(buf []byte) (peer.Received, error) {
	select {
	case <-e.closed:
		return peer.Received{}, net.ErrClosed
	case i := <-e.queue:
		r := i.event
		r.Time = time.Now()
		if r.Event == peer.EventDatagram {
			r.N = copy(buf, i.packet.Data)
			r.From = i.packet.Address
			r.Interface = "memory"
		}
		return r, nil
	}
}

// Died makes the endpoint report that the process of a peer has ended, as a
// way with locks does.
func (e *Endpoint) Died(id peer.InstanceID) {
	e.enqueue(item{event: peer.Received{Event: peer.EventDied, Instance: id}})
}

// Fresh makes the endpoint report that a peer lives and that what it last said
// holds until then.
func (e *Endpoint) Fresh(id peer.InstanceID, until time.Time) {
	e.enqueue(item{event: peer.Received{Event: peer.EventFresh, Instance: id, Until: until}})
}

// Reach makes the endpoint report that it reaches more listeners than before.
func (e *Endpoint) Reach() {
	e.enqueue(item{event: peer.Received{Event: peer.EventReach}})
}

func (e *Endpoint) enqueue(i item) {
	select {
	case e.queue <- i:
	default:
	}
}

// Close detaches the endpoint.
func (e *Endpoint) Close() error {
	e.once.Do(func() {
		close(e.closed)
		e.network.detach(e)
	})
	return nil
}

// Raw puts any bytes on a Network and receives nothing.
type Raw struct {
	network *Network
	name    string
	address netip.AddrPort
}

// Send sends the bytes from the sender's own address.
func (r *Raw) Send(datagram []byte) { r.SendFrom(r.address, datagram) }

// SendFrom sends the bytes as if they came from the address.
func (r *Raw) SendFrom(address netip.AddrPort, datagram []byte) {
	r.network.send(Packet{From: r.name, Address: address, Data: datagram})
}

// Address returns the sender's own address.
func (r *Raw) Address() netip.AddrPort { return r.address }
