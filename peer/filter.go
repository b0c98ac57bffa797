package peer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Filter has the kernel drop what a node would drop for its first bytes:
// datagrams of another version, another domain or an impossible length. They
// take no room in the socket then and wake nobody.
//
// It only spares work. Every datagram that a node with the same settings
// accepts passes, and whatever passes is examined as if there were no filter.
// Where the kernel takes none, all is the same but the work.
type Filter struct {
	// Domain is the only one whose datagrams pass.
	Domain Domain
	// Legacy lets handover-lib's nine bytes pass, if their start time is above
	// zero. A node with Config.Legacy and without a secret needs them, no other.
	Legacy bool
}

const (
	// udpHeader is where a filter on a UDP socket finds the payload: the kernel
	// runs it with the UDP header still in front
	// (net/ipv4/udp.c, udp_queue_rcv_one_skb). Link and IP header are gone, all
	// fragments are there, and padding is cut off, so that the length is exact.
	udpHeader = 8
	// minExtended is the shortest datagram with an extension that Decode can
	// accept: instance, phase and sequence number are required.
	minExtended = fieldsOffset + (2 + len(InstanceID{})) + (2 + 1) + (2 + 8)

	filterDrop = 0
	filterPass = 1 << 16 // bytes to keep: more than any datagram has
)

// Targets of a jump, until the length of the program is known.
const (
	toDrop   = 0xff
	toLegacy = 0xfe
)

// program returns the filter's instructions. README.md tells them in words.
func (f Filter) program() []bpf.Instruction {
	at := func(offset, size int) bpf.Instruction {
		return bpf.LoadAbsolute{Off: uint32(udpHeader + offset), Size: size}
	}
	must := func(value uint32) bpf.Instruction {
		return bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipFalse: toDrop}
	}
	dropIf := func(cond bpf.JumpTest, value uint32) bpf.Instruction {
		return bpf.JumpIf{Cond: cond, Val: value, SkipTrue: toDrop}
	}
	word := func(b []byte) uint32 {
		return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	program := []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtLen}}
	if f.Legacy {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: udpHeader + baseSize, SkipTrue: toLegacy})
	}
	program = append(program,
		dropIf(bpf.JumpLessThan, uint32(udpHeader+minExtended)),
		dropIf(bpf.JumpGreaterThan, udpHeader+MaxDatagram),
		at(0, 1), must(baseVersion),
		at(baseSize, 2), must(magicFirst<<8|magicSecond),
		at(baseSize+2, 1), must(extensionVersion),
		at(domainOffset, 4), must(word(f.Domain[:4])),
		at(domainOffset+4, 4), must(word(f.Domain[4:])),
		bpf.RetConstant{Val: filterPass},
	)
	legacy := len(program)
	if f.Legacy {
		// The start time is signed and must be above zero.
		program = append(program,
			at(0, 1), must(baseVersion),
			at(1, 4), dropIf(bpf.JumpBitsSet, 1<<31),
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 2},
			at(5, 4), dropIf(bpf.JumpEqual, 0),
			bpf.RetConstant{Val: filterPass},
		)
	}
	drop := len(program)
	program = append(program, bpf.RetConstant{Val: filterDrop})
	for i, instruction := range program {
		if jump, ok := instruction.(bpf.JumpIf); ok {
			jump.SkipTrue = aim(jump.SkipTrue, i, legacy, drop)
			jump.SkipFalse = aim(jump.SkipFalse, i, legacy, drop)
			program[i] = jump
		}
	}
	return program
}

// aim returns how many instructions the one at i skips to get to the target.
func aim(skip uint8, i, legacy, drop int) uint8 {
	switch skip {
	case toDrop:
		return uint8(drop - i - 1)
	case toLegacy:
		return uint8(legacy - i - 1)
	}
	return skip
}

// attach sets the filter on a socket. It needs no privilege.
func (f Filter) attach(fd int) error {
	raw, err := bpf.Assemble(f.program())
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}))
}

// covers reports why a node would not hear its peers through this filter.
func (f Filter) covers(domain Domain, legacy bool) error {
	switch {
	case f.Domain != domain:
		return fmt.Errorf("its filter is for domain %s, the node for %s", f.Domain, domain)
	case legacy && !f.Legacy:
		return errors.New("its filter drops the nine bytes of handover-lib that the node is to understand")
	}
	return nil
}

// KernelStats is what the kernel does for a way that has a socket.
type KernelStats struct {
	// Filter: foreign datagrams are dropped before they wake this process.
	Filter bool
	// DropsKnown: this kernel tells Drops (Linux 4.12 and later).
	DropsKnown bool
	// Drops counts the datagrams that the kernel dropped at the socket, for
	// whatever reason: refused by the filter, no room in the receive queue, or
	// a wrong checksum. It does not say which. They are not in
	// WayStats.Received.
	Drops uint64
}

// KernelCounter is a Way with a socket.
type KernelCounter interface {
	// Kernel asks the kernel, so that it costs nothing as long as nobody asks.
	Kernel() KernelStats
}

// Kernel returns what the kernel does for the socket of the group.
func (m *Multicast) Kernel() KernelStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now, err := socketDrops(m.conn); err == nil {
		// The kernel's counter has 32 bits and may come round.
		m.kernel.Drops += uint64(now - m.kernelDrops)
		m.kernelDrops, m.kernel.DropsKnown = now, true
	}
	return m.kernel
}

// socketDrops reads the socket's counter of drops.
func socketDrops(conn *net.UDPConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info [unix.SK_MEMINFO_DROPS + 1]uint32
	var errno unix.Errno
	size := uint32(unsafe.Sizeof(info))
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, os.NewSyscallError("getsockopt", errno)
	case size < uint32(unsafe.Sizeof(info)):
		return 0, errors.New("the kernel does not count drops")
	}
	return info[unix.SK_MEMINFO_DROPS], nil
}
