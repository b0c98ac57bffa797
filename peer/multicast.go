package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Mode says which interfaces the multicast way uses.
type Mode string

const (
	// ModeBridge uses every interface that is up, has an IPv4 address and can
	// do multicast, but loopback; loopback if there is none.
	ModeBridge Mode = "bridge"
	// ModeHost uses one interface only, waits while it is missing, and never
	// uses another.
	ModeHost Mode = "host"
	// ModeAuto is ModeHost if the interface exists at start, else ModeBridge.
	ModeAuto Mode = "auto"
)

// Defaults of MulticastConfig, those of handover-lib.
const (
	DefaultPort      = 1536
	DefaultInterface = "supervisor0"
)

// libStatusPort is where handover-lib listens for status messages, where nothing says
// another port.
const libStatusPort = 1537

// DefaultGroup is handover-lib's multicast group.
func DefaultGroup() netip.Addr { return netip.AddrFrom4([4]byte{239, 192, 16, 16}) }

// ErrNoInterface is returned by Send while there is no interface to send on.
var ErrNoInterface = errors.New("peer: no network interface to announce on")

// MulticastConfig says where to announce; zero values mean the defaults.
type MulticastConfig struct {
	// Group is an IPv4 multicast address.
	Group netip.Addr
	// Port is never 1537, where handover-lib 0.2 listens for status messages.
	Port int
	// StatusPort is where handover-lib status messages go; 0 sends none. It is neither
	// Port nor 1536, where handover-lib listens for announcements.
	StatusPort int
	Mode       Mode
	// Interface is the interface of ModeHost.
	Interface string
	// Filter is what the kernel lets pass; nil: everything.
	Filter *Filter
	// Logger may be nil: nothing is logged.
	Logger *slog.Logger

	system system // for tests
}

// Multicast is the way over the network: a UDP multicast group with TTL 1,
// joined and sent to on each interface, never on the default one.
type Multicast struct {
	cfg    MulticastConfig
	mode   Mode
	conn   *net.UDPConn
	packet *ipv4.PacketConn
	group  net.UDPAddr
	status net.UDPAddr

	used  atomic.Pointer[[]link] // joined, sorted by name
	reach atomic.Bool            // Receive is to report EventReach

	mu       sync.Mutex     // guards what follows
	failures map[int]string // last error of sending, by interface index
	problem  string         // last problem with the interfaces
	polling  bool

	kernel      KernelStats
	kernelDrops uint32 // the kernel's counter when it was last read

	oob [128]byte // of Receive

	closeOnce sync.Once
	closeErr  error
	closing   chan struct{}
	following sync.WaitGroup
}

// OpenMulticast opens the socket, joins the group and follows the interfaces
// from then on. It fails if the configuration is impossible or the port is
// taken; interfaces that are missing are no error, they may come.
func OpenMulticast(cfg MulticastConfig) (*Multicast, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("peer: open multicast: %w", err)
	}
	var kernel KernelStats
	conn, err := listen(cfg.Port, cfg.socketOptions(&kernel.Filter))
	if err != nil {
		return nil, fmt.Errorf("peer: open multicast: %w", err)
	}
	m := &Multicast{
		cfg:      cfg,
		mode:     cfg.Mode,
		conn:     conn,
		packet:   ipv4.NewPacketConn(conn),
		group:    net.UDPAddr{IP: cfg.Group.AsSlice(), Port: cfg.Port},
		status:   net.UDPAddr{IP: cfg.Group.AsSlice(), Port: cfg.StatusPort},
		failures: make(map[int]string),
		kernel:   kernel,
		closing:  make(chan struct{}),
	}
	m.used.Store(&[]link{})
	if m.mode == ModeAuto {
		m.mode = ModeBridge
		if cfg.system.exists(cfg.Interface) {
			m.mode = ModeHost
		}
	}
	// Subscribe first, then look: so no change goes unnoticed in between.
	s, err := cfg.system.subscribe()
	if err != nil {
		s = nil
		m.logPolling(err)
	}
	complete := m.sync()
	m.reach.Store(false) // nobody has spoken yet
	m.following.Go(func() { m.follow(s, complete) })
	return m, nil
}

// socketOptions are the group's and the filter, if there is one; attached tells
// whether the kernel took it. If not, this process drops itself what the kernel
// would have dropped: no reason to do without the way.
func (c *MulticastConfig) socketOptions(attached *bool) []sockopt {
	options := groupOptions()
	if c.Filter == nil {
		return options
	}
	return append(options, sockopt{"SO_ATTACH_FILTER", func(fd int) error {
		err := c.system.attach(*c.Filter, fd)
		if *attached = err == nil; err != nil {
			c.Logger.Info("the kernel takes no packet filter, so foreign datagrams wake this process and are dropped here",
				"error", err)
		}
		return nil
	}})
}

func (c *MulticastConfig) complete() error {
	if !c.Group.IsValid() {
		c.Group = DefaultGroup()
	}
	if c.Port == 0 {
		c.Port = DefaultPort
	}
	if c.Interface == "" {
		c.Interface = DefaultInterface
	}
	if c.Mode == "" {
		c.Mode = ModeAuto
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.system.interfaces == nil {
		c.system = realSystem()
	}
	if c.system.attach == nil {
		c.system.attach = Filter.attach
	}
	c.Group = c.Group.Unmap()
	switch {
	case !c.Group.Is4() || !c.Group.IsMulticast():
		return fmt.Errorf("%s is not an IPv4 multicast address", c.Group)
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("port %d is not in 1–65535", c.Port)
	case c.StatusPort < 0 || c.StatusPort > 65535:
		return fmt.Errorf("status port %d is not in 0–65535", c.StatusPort)
	case c.StatusPort == c.Port:
		return fmt.Errorf("port and status port are both %d: a status message would crash handover-lib peers", c.Port)
	case c.StatusPort == DefaultPort:
		return fmt.Errorf("the status port is %d: a status message would crash handover-lib peers, which listen there", c.StatusPort)
	case c.Port == libStatusPort:
		return fmt.Errorf("the port is %d: an announcement would crash handover-lib proxy helpers, which listen there", c.Port)
	case c.Mode != ModeAuto && c.Mode != ModeBridge && c.Mode != ModeHost:
		return fmt.Errorf("mode %q is none of auto, bridge, host", c.Mode)
	}
	return nil
}

// Name returns "multicast".
func (m *Multicast) Name() string { return "multicast" }

// MulticastStatus is what a Multicast does at the moment.
type MulticastStatus struct {
	// Mode is ModeBridge or ModeHost.
	Mode Mode
	// Interfaces names the interfaces in use, sorted. Empty means that nobody
	// can be heard; in ModeHost it waits for its interface then.
	Interfaces []string
	// Addresses are this host's IPv4 addresses on them.
	Addresses []netip.Addr
}

// Status returns what the way does at the moment.
func (m *Multicast) Status() MulticastStatus {
	s := MulticastStatus{Mode: m.mode}
	for _, l := range *m.used.Load() {
		s.Interfaces = append(s.Interfaces, l.name)
		s.Addresses = append(s.Addresses, l.addresses...)
	}
	return s
}

// Send sends the datagram on every interface in use. It fails if none of them
// took it. What would crash handover-lib peers is refused.
func (m *Multicast) Send(datagram []byte, _ bool) error {
	if len(datagram) < baseSize || len(datagram) > MaxDatagram || datagram[0] != baseVersion {
		return errors.New("peer: send datagram: refused, it is none of this protocol")
	}
	return m.send(datagram, &m.group)
}

// SendStatus sends a handover-lib status message on every interface in use.
func (m *Multicast) SendStatus(message StatusMessage) error {
	if m.cfg.StatusPort == 0 {
		return errors.New("peer: send status message: switched off")
	}
	message.Addresses = m.Status().Addresses
	return m.send(message.Append(nil), &m.status)
}

func (m *Multicast) send(datagram []byte, to *net.UDPAddr) error {
	links := *m.used.Load()
	if len(links) == 0 {
		return ErrNoInterface
	}
	var errs []error
	for _, l := range links {
		err := m.sendOn(l, datagram, to)
		m.noteSent(l, err)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(links) {
		return fmt.Errorf("peer: send datagram: %w", errors.Join(errs...))
	}
	return nil
}

// sendOn sends on one interface. A full socket is an error and not waited for:
// not even a deadline is set, which would wake an idle process again later.
func (m *Multicast) sendOn(l link, datagram []byte, to *net.UDPAddr) error {
	raw, err := m.conn.SyscallConn()
	if err != nil {
		return err
	}
	// With its own address: on loopback the kernel would take another's.
	from := ipv4.ControlMessage{IfIndex: l.index, Src: l.addresses[0].AsSlice()}
	address := &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = os.NewSyscallError("sendmsg", unix.Sendmsg(int(fd), datagram, from.Marshal(), address, unix.MSG_DONTWAIT))
		return true
	})
	return errors.Join(err, sent)
}

// noteSent logs an error of sending once, and its end once.
func (m *Multicast) noteSent(l link, err error) {
	text := ""
	if err != nil && !errors.Is(err, net.ErrClosed) {
		text = rootCause(err)
	}
	m.mu.Lock()
	last := m.failures[l.index]
	m.failures[l.index] = text
	m.mu.Unlock()
	switch text {
	case last:
	case "":
		m.cfg.Logger.Info("announcements can be sent again", "interface", l.name)
	default:
		m.cfg.Logger.Warn("cannot send announcements, trying again", "interface", l.name, "error", text)
	}
}

// rootCause is an error's text without addresses, which may vary.
func rootCause(err error) string {
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Error()
	}
	return err.Error()
}

// Receive waits for the next datagram of the group.
func (m *Multicast) Receive(buf []byte) (Received, error) {
	for {
		if m.reach.CompareAndSwap(true, false) {
			return Received{Time: time.Now(), Event: EventReach}, nil
		}
		n, oobn, flags, from, err := m.conn.ReadMsgUDPAddrPort(buf, m.oob[:])
		if errors.Is(err, os.ErrDeadlineExceeded) { // see interrupt
			if err := m.conn.SetReadDeadline(time.Time{}); err != nil {
				return Received{}, fmt.Errorf("peer: receive datagram: %w", err)
			}
			continue
		}
		if err != nil {
			return Received{}, fmt.Errorf("peer: receive datagram: %w", err)
		}
		r := Received{N: n, From: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
		m.inspect(&r, parseAncillary(m.oob[:oobn]), flags)
		return r, nil
	}
}

// interrupt makes Receive report EventReach.
func (m *Multicast) interrupt() {
	m.reach.Store(true)
	_ = m.conn.SetReadDeadline(time.Unix(1, 0)) // fails only once closed
}

// inspect finds out when and on which interface the datagram came in, and
// whether it was sent to the group.
func (m *Multicast) inspect(r *Received, a ancillary, flags int) {
	r.Time = a.receiptTime(time.Now())
	links := *m.used.Load()
	i := slices.IndexFunc(links, func(l link) bool { return l.index == a.index })
	switch {
	case i < 0, a.to != m.cfg.Group:
		r.Drop = DropInterface
		return
	case flags&unix.MSG_TRUNC != 0:
		r.Drop = DropOversized
	}
	r.Interface = links[i].name
}

// Close leaves the group and frees everything.
func (m *Multicast) Close() error {
	m.closeOnce.Do(func() {
		close(m.closing)
		m.closeErr = m.conn.Close()
		m.following.Wait()
	})
	return m.closeErr
}
