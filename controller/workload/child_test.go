package workload_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// child is what this test binary does as a workload; its first argument is a
// role. Roles that go on end at SIGTERM with status 0, unless said otherwise.
func child(args []string) int {
	signals := make(chan os.Signal, 100)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGQUIT, syscall.SIGWINCH)
	switch args[0] {
	case "trap": // print signals by name; args[1]: the one that ends it
		fmt.Println("trapping")
		for s := range signals {
			fmt.Println(strings.ReplaceAll(s.String(), " ", "-"))
			if len(args) > 1 && strconv.Itoa(int(s.(syscall.Signal))) == args[1] {
				return 0
			}
		}
	case "family": // a child in the same group and one in a group of its own, both stubborn
		for _, attr := range []*syscall.SysProcAttr{{}, {Setpgid: true}} {
			cmd := exec.Command(os.Args[0], "child", "trap")
			cmd.Stdout, cmd.SysProcAttr = os.Stdout, attr
			if err := cmd.Start(); err != nil {
				return 1
			}
			fmt.Println("pid", cmd.Process.Pid)
		}
		<-signals
	case "listen": // on TCP args[1] until SIGUSR1, then only alive
		listener, err := net.Listen("tcp", args[1])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		go http.Serve(listener, http.HandlerFunc(serve))
		fmt.Println("address", listener.Addr())
		for s := range signals {
			switch s {
			case syscall.SIGUSR1:
				_ = listener.Close()
				fmt.Println("closed")
			case syscall.SIGTERM:
				return 0
			}
		}
	case "late": // listen on args[1] from the first SIGUSR1 to the second
		fmt.Println("waiting")
		var listener net.Listener
		for s := range signals {
			switch {
			case s != syscall.SIGUSR1:
				return 0
			case listener != nil:
				_ = listener.Close()
			default:
				var err error
				if listener, err = net.Listen("tcp", args[1]); err != nil {
					fmt.Println(err)
					return 1
				}
				fmt.Println("listening")
			}
		}
	case "notify": // send each argument as a message, then only be alive
		conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		for i, message := range args[1:] {
			if i > 0 {
				<-signals
			}
			message = strings.ReplaceAll(message, "BIG", strings.Repeat("x", 100_000))
			if _, err := conn.Write([]byte(message)); err != nil {
				fmt.Println(err)
				return 1
			}
			fmt.Println("sent", i)
		}
		<-signals
	}
	return 0
}

// serve answers /N with status N.
func serve(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		code = http.StatusOK
	}
	if code/100 == 3 {
		w.Header().Set("Location", "http://192.0.2.1/")
	}
	w.WriteHeader(code)
}
