package peer

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// fakeSystem has the interfaces that it is told to.
type fakeSystem struct {
	mu        sync.Mutex
	all       []net.Interface
	failing   error
	addresses map[string][]netip.Addr
}

func (f *fakeSystem) set(failing error, all ...net.Interface) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all, f.failing = all, failing
}

func (f *fakeSystem) system() system {
	return system{
		interfaces: func() ([]net.Interface, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.all, f.failing
		},
		addresses: func(i *net.Interface) ([]netip.Addr, error) {
			return f.addresses[i.Name], nil
		},
		subscribe: func() (*subscription, error) { return nil, errors.New("no netlink here") },
	}
}

const upMulticast = net.FlagUp | net.FlagMulticast

var _ = Describe("The choice of interfaces", func() {
	one := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	lo := net.Interface{Index: 1, Name: "lo", Flags: net.FlagUp | net.FlagLoopback}
	f := &fakeSystem{addresses: map[string][]netip.Addr{"lo": one, "eth0": one, "eth1": one, "down": one, "ppp": one}}

	DescribeTable("is",
		func(mode Mode, name string, all []net.Interface, want ...string) {
			f.set(nil, all...)
			links, err := f.system().choose(mode, name)
			Expect(err).NotTo(HaveOccurred())
			Expect(append([]string{}, linkNames(links)...)).To(Equal(append([]string{}, want...)))
		},
		Entry("all that can do multicast, sorted", ModeBridge, "", []net.Interface{
			{Name: "eth1", Flags: upMulticast}, {Name: "eth0", Flags: upMulticast}, lo,
		}, "eth0", "eth1"),
		Entry("none that is down, cannot do multicast, or has no address", ModeBridge, "", []net.Interface{
			{Name: "down", Flags: net.FlagMulticast}, {Name: "ppp", Flags: net.FlagUp}, {Name: "bare", Flags: upMulticast},
			{Name: "eth0", Flags: upMulticast},
		}, "eth0"),
		Entry("loopback for want of others", ModeBridge, "", []net.Interface{{Name: "bare", Flags: upMulticast}, lo}, "lo"),
		Entry("nothing where there is nothing", ModeBridge, "", []net.Interface{}),
		Entry("the one of that name in host mode", ModeHost, "eth0", []net.Interface{
			{Name: "eth0", Flags: upMulticast}, {Name: "eth1", Flags: upMulticast}, lo,
		}, "eth0"),
		Entry("loopback in host mode, if named", ModeHost, "lo", []net.Interface{{Name: "eth0", Flags: upMulticast}, lo}, "lo"),
		Entry("nothing in host mode while that one is missing", ModeHost, "eth9", []net.Interface{{Name: "eth0", Flags: upMulticast}, lo}),
		Entry("nothing in host mode while that one is down", ModeHost, "down", []net.Interface{{Name: "down"}, lo}),
	)

	It("is the same without netlink", func() {
		byNetlink, err := net.Interfaces()
		Expect(err).NotTo(HaveOccurred())
		byIoctl, err := ioctlInterfaces()
		Expect(err).NotTo(HaveOccurred())
		const compared = net.FlagUp | net.FlagLoopback | net.FlagMulticast | net.FlagBroadcast | net.FlagPointToPoint | net.FlagRunning
		Expect(byIoctl).To(HaveLen(len(byNetlink)))
		for _, i := range byIoctl {
			want, err := net.InterfaceByName(i.Name)
			Expect(err).NotTo(HaveOccurred())
			Expect(i.Index).To(Equal(want.Index))
			Expect(i.Flags).To(Equal(want.Flags&compared), i.Name)
			addresses, err := netlinkAddresses(want)
			Expect(err).NotTo(HaveOccurred())
			if len(addresses) > 0 {
				Expect(ioctlAddresses(&i)).To(Equal(addresses[:1]))
			}
		}
	})
})

var _ = Describe("The socket", func() {
	It("has all its options set", func() {
		conn, err := listen(0, groupOptions())
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		raw, err := conn.SyscallConn()
		Expect(err).NotTo(HaveOccurred())
		option := func(level, name int) (value int) {
			GinkgoHelper()
			Expect(raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, name) })).To(Succeed())
			Expect(err).NotTo(HaveOccurred())
			return value
		}
		Expect(option(unix.SOL_SOCKET, unix.SO_REUSEADDR)).To(Equal(1))
		Expect(option(unix.SOL_SOCKET, unix.SO_REUSEPORT)).To(Equal(0))
		Expect(option(unix.IPPROTO_IP, unix.IP_MULTICAST_ALL)).To(Equal(0))
		Expect(option(unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP)).To(Equal(1))
		Expect(option(unix.IPPROTO_IP, unix.IP_MULTICAST_TTL)).To(Equal(1))
		Expect(option(unix.IPPROTO_IP, unix.IP_PKTINFO)).To(Equal(1))
	})
	It("is not opened if an option fails, unless it is optional", func() {
		fail := func(err error) sockopt { return sockopt{"FUN", func(int) error { return err }} }
		_, err := listen(0, []sockopt{fail(unix.EINVAL)})
		Expect(err).To(MatchError(ContainSubstring("set FUN: invalid argument")))
		conn, err := listen(0, []sockopt{optional(fail(unix.ENOPROTOOPT))})
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.Close()).To(Succeed())
		_, err = listen(0, []sockopt{optional(fail(unix.EPERM))})
		Expect(err).To(HaveOccurred())
	})
})

// Without netlink, interfaces are looked for every ten seconds, which is said
// once; and errors of listing and joining are got over. Only the timers are
// virtual here, the socket is real.
func TestFollowWithoutNetlink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		var log bytes.Buffer
		lo, err := net.InterfaceByName("lo")
		g.Expect(err).NotTo(HaveOccurred())
		f := &fakeSystem{addresses: map[string][]netip.Addr{
			"lo": {netip.MustParseAddr("127.0.0.1")}, "odd": {netip.MustParseAddr("10.0.0.1")},
		}}
		m, err := OpenMulticast(MulticastConfig{
			Port: 20000 + rand.IntN(12000), Mode: ModeBridge, system: f.system(),
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		g.Expect(err).NotTo(HaveOccurred())
		using := func(names ...string) {
			t.Helper()
			g.Expect(m.Status().Interfaces).To(Equal(names))
		}
		rest := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		using()
		rest(time.Minute)
		g.Expect(strings.Count(log.String(), "looking for them regularly")).To(Equal(1))
		g.Expect(strings.Count(log.String(), "there is no network interface")).To(Equal(1))

		f.set(nil, *lo)
		rest(11 * time.Second)
		using("lo")
		g.Expect(m.Send([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, false)).To(Succeed())

		// An interface that does not exist for the kernel: joining it fails.
		f.set(nil, *lo, net.Interface{Index: 1 << 20, Name: "odd", Flags: upMulticast})
		rest(time.Minute)
		using()
		g.Expect(strings.Count(log.String(), "cannot join")).To(Equal(1))
		f.set(nil, *lo)
		rest(11 * time.Second)
		using("lo")

		f.set(errors.New("out of luck"), *lo)
		rest(time.Minute)
		using("lo")
		g.Expect(strings.Count(log.String(), "out of luck")).To(Equal(1))
		f.set(nil)
		rest(11 * time.Second)
		using()
		g.Expect(m.Send([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, false)).To(MatchError(ErrNoInterface))
		g.Expect(m.Close()).To(Succeed())
	})
}

// An interface that takes no datagram is complained of once, and its recovery
// is told once.
func TestSendFailuresAreLoggedOnce(t *testing.T) {
	g := NewWithT(t)
	var log bytes.Buffer
	m := &Multicast{
		cfg: MulticastConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}, failures: map[int]string{},
	}
	l := link{index: 3, name: "eth0"}
	for _, err := range []error{nil, unix.EPERM, unix.EPERM, unix.ENOBUFS, nil, nil, net.ErrClosed} {
		m.noteSent(l, err)
	}
	g.Expect(strings.Count(log.String(), "cannot send")).To(Equal(2))
	g.Expect(strings.Count(log.String(), "can be sent again")).To(Equal(1))
}
