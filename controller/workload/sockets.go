package workload

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// listeners are listening TCP sockets of our network namespace, by their inode.
type listeners map[string]listener

// listener is what the kernel tells everybody of a socket.
type listener struct {
	address netip.AddrPort
	user    uint64 // who opened it
}

// engineNames is where a Docker engine answers the names of a container's
// network. It opens that socket inside the container's namespace, from outside.
var engineNames = netip.AddrFrom4([4]byte{127, 0, 0, 11})

func (l listener) port() string { return strconv.Itoa(int(l.address.Port())) }

// listeningSockets asks the kernel for the listening sockets alone (sock_diag(7)),
// which takes microseconds. Where it may not be asked, or does not know how to
// answer, they are picked from the list of all sockets: for that the kernel walks
// a table that is the larger the more memory there is, which takes milliseconds.
func listeningSockets() (listeners, error) {
	if all, err := askKernel(); err == nil {
		return all, nil
	}
	return readTables()
}

// Of the kernel's linux/sock_diag.h and linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	diagRequestSize  = 56 // struct inet_diag_req_v2
	diagMessageSize  = 72 // struct inet_diag_msg
	stateListen      = 10
)

func askKernel() (listeners, error) {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(socket) }()
	// The kernel answers in the call; this is for what only pretends to be one.
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return nil, err
	}
	found, buffer := listeners{}, make([]byte, 8<<10)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, unix.SizeofNlMsghdr+diagRequestSize)
		binary.NativeEndian.PutUint32(request, uint32(len(request)))
		binary.NativeEndian.PutUint16(request[4:], sockDiagByFamily)
		binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
		body := request[unix.SizeofNlMsghdr:]
		body[0], body[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(body[4:], 1<<stateListen)
		if err := unix.Sendto(socket, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, err
		}
		if err := receive(socket, buffer, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

var errDiag = errors.New("workload: sock_diag: not an answer")

// receive reads the answer to one request to its end.
func receive(socket int, buffer []byte, found listeners) error {
	for {
		n, _, err := unix.Recvfrom(socket, buffer, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return err
		}
		for i := range messages {
			switch m := &messages[i]; m.Header.Type {
			case unix.NLMSG_DONE:
				return nil
			case sockDiagByFamily:
				if inode, l, ok := parseDiag(m.Data); ok {
					found[inode] = l
				}
			default:
				return errDiag // an error
			}
		}
	}
}

// parseDiag reads a struct inet_diag_msg.
func parseDiag(b []byte) (inode string, l listener, ok bool) {
	if len(b) < diagMessageSize || b[1] != stateListen {
		return "", listener{}, false
	}
	size := 4
	if b[0] == unix.AF_INET6 {
		size = 16
	}
	address, _ := netip.AddrFromSlice(b[8 : 8+size])
	l.address = netip.AddrPortFrom(address, binary.BigEndian.Uint16(b[4:]))
	l.user = uint64(binary.NativeEndian.Uint32(b[64:]))
	return strconv.FormatUint(uint64(binary.NativeEndian.Uint32(b[68:])), 10), l, true
}

// readTables reads the lists of all sockets.
func readTables() (listeners, error) {
	sockets := listeners{}
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(file, "6") {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if inode, l, ok := parseListening(lines.Text()); ok {
				sockets[inode] = l
			}
		}
		_ = f.Close()
	}
	return sockets, nil
}

// tcpListen is the state TCP_LISTEN in /proc/net/tcp.
const tcpListen = "0A"

// parseListening reads a line of /proc/net/tcp: number, local address, remote
// address, state, queues, timer, retransmissions, user, time-out, inode.
func parseListening(line string) (inode string, l listener, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != tcpListen {
		return "", listener{}, false
	}
	host, port, _ := strings.Cut(fields[1], ":")
	number, portErr := strconv.ParseUint(port, 16, 16)
	user, userErr := strconv.ParseUint(fields[7], 10, 32)
	address, addressOK := parseWords(host)
	if portErr != nil || userErr != nil || !addressOK {
		return "", listener{}, false
	}
	return fields[9], listener{netip.AddrPortFrom(address, uint16(number)), user}, true
}

// parseWords reads an address as the kernel prints it: each four bytes are a
// number in the machine's own order.
func parseWords(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}, false
	}
	for word := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	return netip.AddrFromSlice(b)
}

// socketInode is the inode of what a file descriptor in /proc points to.
func socketInode(target string) (inode string, ok bool) {
	inode, ok = strings.CutPrefix(target, "socket:[")
	return strings.TrimSuffix(inode, "]"), ok
}

// eachSocket calls f with each socket that the process has open, and the path of
// its descriptor, until f returns false. The error says why not all were seen.
func eachSocket(process string, f func(inode, link string) bool) error {
	folder := "/proc/" + process + "/fd"
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		target, linkErr := os.Readlink(folder + "/" + name)
		if linkErr != nil {
			if !errors.Is(linkErr, fs.ErrNotExist) { // closed meanwhile
				err = linkErr
			}
			continue
		}
		if inode, ok := socketInode(target); ok && !f(inode, folder+"/"+name) {
			return nil
		}
	}
	return err
}

// users are those that a process runs as: its real, effective, saved and file
// system user. Everybody may know them.
func users(pid int) []uint64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return nil
	}
	var all []uint64
	for line := range strings.Lines(string(status)) {
		ids, ok := strings.CutPrefix(line, "Uid:")
		if !ok {
			continue
		}
		for _, id := range strings.Fields(ids) {
			if n, err := strconv.ParseUint(id, 10, 32); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}
