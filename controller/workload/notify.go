package workload

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// notifySize is how much of a message is read; sd_notify's are well below 4 KiB.
// Of a longer one the lines that fit count.
const notifySize = 8 << 10

// notifySocket is a datagram socket for sd_notify(3), with an abstract address
// that is random, and different for each run.
type notifySocket struct {
	conn *net.UnixConn
}

func listenNotify() (*notifySocket, error) {
	var id [16]byte
	_, _ = rand.Read(id[:])
	address := &net.UnixAddr{Net: "unixgram", Name: fmt.Sprintf("@handover/notify/%x", id)}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		return nil, fmt.Errorf("workload: open the notify socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) {
			err = os.NewSyscallError("SO_PASSCRED", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
		})
		err = errors.Join(err, controlErr)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("workload: open the notify socket: %w", err)
	}
	return &notifySocket{conn: conn}, nil
}

func (s *notifySocket) address() string { return s.conn.LocalAddr().String() }

func (s *notifySocket) close() { _ = s.conn.Close() }

// receive returns the next message of a process in our PID namespace; the
// kernel vouches for that, and names others process 0. In a network that is
// shared with the host, others can reach the socket.
func (s *notifySocket) receive(buffer []byte) (message []byte, err error) {
	// There is room for the sender's credentials and nothing else: the kernel
	// then closes files that a message brings with it.
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, controlN, flags, _, err := s.conn.ReadMsgUnix(buffer, control)
		if err != nil {
			return nil, err
		}
		if !fromVisibleProcess(control[:controlN]) {
			continue
		}
		message = buffer[:n]
		if flags&syscall.MSG_TRUNC != 0 {
			message = message[:bytes.LastIndexByte(message, '\n')+1]
		}
		return message, nil
	}
}

func fromVisibleProcess(control []byte) bool {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return false
	}
	for i := range messages {
		if sender, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			return sender.Pid != 0
		}
	}
	return false
}

// watchNotify listens until the socket is closed, at the end of the run.
func (r *run) watchNotify(s *notifySocket) {
	buffer := make([]byte, notifySize)
	r.setReady(false, "the workload has not said READY=1 on $NOTIFY_SOCKET")
	for {
		message, err := s.receive(buffer)
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(string(message), "\n") {
			switch line {
			case "READY=1":
				r.setReady(true, "READY=1")
			case "STOPPING=1":
				r.setReady(false, "STOPPING=1")
			}
		}
	}
}
