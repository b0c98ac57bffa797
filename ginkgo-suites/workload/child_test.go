package workload_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// anotherUser is an ordinary one.
const anotherUser = 65534

// child is what this test binary does as a workload. It prints the signals
// that it gets, and ends at SIGTERM with status 0.
func child(args []string) int {
	signals := make(chan os.Signal, 100)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGQUIT, syscall.SIGWINCH, syscall.SIGTTOU, syscall.Signal(40))
	switch args[0] {
	case "terminal": // answers lines, and tells the window's size when that changes
		go func() {
			for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
				fmt.Println("line", lines.Text())
			}
		}()
	case "notify":
		if conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET")); err == nil {
			_, _ = conn.Write([]byte("READY=1"))
		}
	case "another": // user, who listens on args[1] until SIGUSR1; without it, on nothing
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(anotherUser), syscall.Setuid(anotherUser)); err != nil {
			fmt.Println(err)
			return 1
		}
		if len(args) > 1 {
			l, err := net.Listen("tcp", args[1])
			if err != nil {
				fmt.Println(err)
				return 1
			}
			closed := make(chan os.Signal, 1)
			signal.Notify(closed, syscall.SIGUSR1)
			go func() {
				<-closed
				_ = l.Close()
			}()
		}
	case "listen":
		if _, err := net.Listen("tcp", args[1]); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("up", strings.Join(args[1:], " "))
	for s := range signals {
		fmt.Println("signal", s)
		switch {
		case s == syscall.SIGTERM && args[0] != "stubborn":
			return 0
		case s == syscall.SIGWINCH:
			if size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
				fmt.Println("size", size.Row, size.Col)
			}
		}
	}
	return 0
}
