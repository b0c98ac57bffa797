// Command inside is what runs in the containers of the docker suite beside
// handover: the service itself, the Supervisor with a front that sends the
// service requests, and what kills a process as the engine's machine sees it.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var err error
	switch {
	case len(args) == 1 && args[0] == "serve":
		err = serve()
	case len(args) == 1 && args[0] == "outside":
		err = outside(os.Stdin, os.Stdout)
	case len(args) == 1 && args[0] == "ready": // in a container whose service waits
		err = os.WriteFile(readyFile, nil, 0o600)
	case len(args) == 2 && args[0] == "kill":
		err = kill(args[1])
	case len(args) == 2 && args[0] == "exit":
		code, _ := strconv.Atoi(args[1])
		return code
	case len(args) == 1 && args[0] == "die":
		err = kill(strconv.Itoa(os.Getpid()))
	default:
		err = fmt.Errorf("usage: %s serve|ready|outside|kill PID|exit STATUS|die", os.Args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "inside:", err)
		return 1
	}
	return 0
}

func kill(pid string) error {
	id, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	return syscall.Kill(id, syscall.SIGKILL)
}
