package peer

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// link is one network interface with what is of interest here.
type link struct {
	index     int
	name      string
	mac       string // tells a new interface with an old index from the old one
	running   bool   // it has a carrier
	addresses []netip.Addr
}

// system is what the multicast way needs of the operating system, replaced in
// tests.
type system struct {
	interfaces func() ([]net.Interface, error)
	addresses  func(*net.Interface) ([]netip.Addr, error)
	subscribe  func() (*subscription, error)
	attach     func(f Filter, fd int) error // nil: Filter.attach
}

// realSystem asks by netlink, and by ioctl where netlink is forbidden.
func realSystem() system {
	return system{
		interfaces: func() ([]net.Interface, error) {
			all, err := net.Interfaces()
			if err == nil {
				return all, nil
			}
			all, ioctlErr := ioctlInterfaces()
			if ioctlErr != nil {
				return nil, errors.Join(err, ioctlErr)
			}
			return all, nil
		},
		addresses: func(i *net.Interface) ([]netip.Addr, error) {
			if all, err := netlinkAddresses(i); err == nil {
				return all, nil
			}
			return ioctlAddresses(i)
		},
		subscribe: subscribe,
	}
}

// choose returns the links to use: in host mode the one of that name, in
// bridge mode all that can do multicast, or loopback if there are none. A link
// without an IPv4 address is not used: it would send with that of another.
func (s system) choose(mode Mode, name string) ([]link, error) {
	all, err := s.interfaces()
	if err != nil {
		return nil, err
	}
	if mode == ModeHost {
		return s.links(all, func(i *net.Interface) bool { return i.Name == name }), nil
	}
	links := s.links(all, func(i *net.Interface) bool {
		return i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0
	})
	if len(links) == 0 {
		links = s.links(all, func(i *net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	}
	return links, nil
}

// links returns those interfaces that are wanted, up, and have an address.
func (s system) links(all []net.Interface, want func(*net.Interface) bool) []link {
	var links []link
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || !want(&i) {
			continue
		}
		addresses, err := s.addresses(&i)
		if err != nil || len(addresses) == 0 { // it may be vanishing just now
			continue
		}
		links = append(links, link{i.Index, i.Name, i.HardwareAddr.String(), i.Flags&net.FlagRunning != 0, addresses})
	}
	sort.SliceStable(links, func(i, j int) bool { return links[i].name < links[j].name })
	return links
}

// exists reports whether there is an interface of that name, up or not.
func (s system) exists(name string) bool {
	all, err := s.interfaces()
	return err == nil && slices.ContainsFunc(all, func(i net.Interface) bool { return i.Name == name })
}

func netlinkAddresses(i *net.Interface) ([]netip.Addr, error) {
	all, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	var v4 []netip.Addr
	for _, a := range all {
		if prefix, ok := a.(*net.IPNet); ok {
			if address, ok := netip.AddrFromSlice(prefix.IP); ok && address.Unmap().Is4() {
				v4 = append(v4, address.Unmap())
			}
		}
	}
	return v4, nil
}

// ioctlInterfaces lists interfaces without netlink, which some sandboxes forbid.
func ioctlInterfaces() ([]net.Interface, error) {
	names, err := interfaceNames()
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	var all []net.Interface
	for _, name := range names {
		request, err := unix.NewIfreq(name)
		if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request) != nil {
			continue
		}
		i := net.Interface{Name: name, Index: int(request.Uint32())}
		if unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request) != nil {
			continue
		}
		i.Flags = netFlags(request.Uint16())
		all = append(all, i)
	}
	return all, nil
}

// interfaceNames reads the names of the interfaces of this network namespace.
func interfaceNames() ([]string, error) {
	file, err := os.Open("/proc/self/net/dev")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var names []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, _, ok := strings.Cut(lines.Text(), ":"); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names, nil
}

func netFlags(raw uint16) net.Flags {
	var flags net.Flags
	for _, f := range []struct {
		raw  uint16
		flag net.Flags
	}{
		{unix.IFF_UP, net.FlagUp},
		{unix.IFF_LOOPBACK, net.FlagLoopback},
		{unix.IFF_MULTICAST, net.FlagMulticast},
		{unix.IFF_BROADCAST, net.FlagBroadcast},
		{unix.IFF_POINTOPOINT, net.FlagPointToPoint},
		{unix.IFF_RUNNING, net.FlagRunning},
	} {
		if raw&f.raw != 0 {
			flags |= f.flag
		}
	}
	return flags
}

// ioctlAddresses returns the primary IPv4 address of an interface.
func ioctlAddresses(i *net.Interface) ([]netip.Addr, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(i.Name)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFADDR, request); err != nil {
		return nil, os.NewSyscallError("ioctl", err)
	}
	four, err := request.Inet4Addr()
	if err != nil {
		return nil, err
	}
	return []netip.Addr{netip.AddrFrom4([4]byte(four))}, nil
}
