package peertest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Options say how bad a Network is. Probabilities are from 0 to 1 and apply to
// each datagram for each receiver.
type Options struct {
	// Seed makes a run repeatable.
	Seed uint64
	// Way is the name of the endpoints' way; "memory" if empty. Two networks of
	// different names are two ways for one node.
	Way string
	// Loss is the probability that a datagram does not arrive.
	Loss float64
	// Duplicate is the probability that it arrives twice.
	Duplicate float64
	// Delay is how long a datagram takes; up to Jitter is added at random.
	Delay, Jitter time.Duration
	// Reorder is the probability that a datagram is held back by ReorderBy
	// (20 ms if zero), so that later ones overtake it.
	Reorder   float64
	ReorderBy time.Duration
}

// Packet is one transmission.
type Packet struct {
	Time time.Time
	// From is the name of the endpoint, Address what receivers see.
	From    string
	Address netip.AddrPort
	Data    []byte
	// Repeat is what the sender said of it, see peer.Way.
	Repeat bool
	// Status tells that it went to the port of handover-lib status messages,
	// to which no endpoint listens.
	Status bool
}

// Network connects endpoints. All methods may be called at any time.
type Network struct {
	mu        sync.Mutex
	options   Options
	rand      *rand.Rand
	endpoints []*Endpoint
	attached  int
	group     map[string]int // by endpoint's name; nil: no partition
	cut       map[[2]string]bool
	observers []func(Packet)
}

// NewNetwork returns a network without endpoints.
func NewNetwork(o Options) *Network {
	if o.Way == "" {
		o.Way = "memory"
	}
	n := &Network{rand: rand.New(rand.NewPCG(o.Seed, 0)), cut: make(map[[2]string]bool)}
	n.Set(o)
	return n
}

// Set changes how bad the network is from now on. Seed and Way stay.
func (n *Network) Set(o Options) {
	if o.ReorderBy == 0 {
		o.ReorderBy = 20 * time.Millisecond
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.options.Way != "" {
		o.Way, o.Seed = n.options.Way, n.options.Seed
	}
	n.options = o
}

// Attach adds an endpoint. Its address is one of its own; the name serves for
// partitions and need not be unique.
func (n *Network) Attach(name string) *Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := newEndpoint(n, name, n.nextAddress())
	n.endpoints = append(n.endpoints, e)
	return e
}

// nextAddress numbers the endpoints from 10.0.0.1.
func (n *Network) nextAddress() netip.AddrPort {
	n.attached++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n.attached >> 8), byte(n.attached)}), 1536)
}

// Raw adds a sender that receives nothing and sends any bytes.
func (n *Network) Raw(name string) *Raw {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &Raw{network: n, name: name, address: n.nextAddress()}
}

// Partition lets only endpoints of the same group hear each other. Endpoints
// that are in no group form one.
func (n *Network) Partition(groups ...[]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.group = make(map[string]int)
	for i, names := range groups {
		for _, name := range names {
			n.group[name] = i + 1
		}
	}
}

// Cut keeps what one endpoint says from another, in this direction only.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = true
}

// Heal ends all partitions and cuts.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.group = nil
	clear(n.cut)
}

// Observe calls the function for every transmission, before any loss. It must
// not call the network.
func (n *Network) Observe(observer func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.observers = append(n.observers, observer)
}

// Addresses returns the addresses of the endpoints that are attached, sorted.
func (n *Network) Addresses() []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []netip.Addr
	for _, e := range n.endpoints {
		all = append(all, e.address.Addr())
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// String describes the network's quality, for the messages of tests.
func (n *Network) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.options
	return fmt.Sprintf("%s: seed %d, loss %v, duplicate %v, delay %v+%v, reorder %v",
		o.Way, o.Seed, o.Loss, o.Duplicate, o.Delay, o.Jitter, o.Reorder)
}

// send gives the packet to everybody who hears it, its sender too: multicast
// is looped back.
func (n *Network) send(p Packet) {
	p.Time = time.Now()
	p.Data = slices.Clone(p.Data)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, observe := range n.observers {
		observe(p)
	}
	if p.Status {
		return
	}
	for _, e := range n.endpoints {
		if !n.hears(p.From, e.name) || n.chance(n.options.Loss) {
			continue
		}
		n.deliver(e, p)
		if n.chance(n.options.Duplicate) {
			n.deliver(e, p)
		}
	}
}

func (n *Network) hears(from, to string) bool {
	return n.group[from] == n.group[to] && !n.cut[[2]string{from, to}]
}

func (n *Network) chance(p float64) bool { return p > 0 && n.rand.Float64() < p }

// deliver brings the packet to the endpoint, now or later.
func (n *Network) deliver(e *Endpoint, p Packet) {
	delay := n.options.Delay
	if n.options.Jitter > 0 {
		delay += time.Duration(n.rand.Int64N(int64(n.options.Jitter)))
	}
	if n.chance(n.options.Reorder) {
		delay += n.options.ReorderBy
	}
	if delay <= 0 {
		e.enqueue(item{packet: p})
		return
	}
	time.AfterFunc(delay, func() { e.enqueue(item{packet: p}) })
}

func (n *Network) detach(e *Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.endpoints = slices.DeleteFunc(n.endpoints, func(other *Endpoint) bool { return other == e })
}
