package folder_test

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// serve is the workload: this test binary. It says by a file when it is ready,
// finishes on SIGTERM, and does not outlive the instance that started it: in a
// container, the kernel sees to that.
func serve() int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	parent := os.Getppid()
	delay, err := time.ParseDuration(os.Getenv("SERVICE_READY_AFTER"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := take(); err != nil {
		fmt.Fprintln(os.Stderr, "conflict:", err)
		return 9
	}
	defer free()
	ready, alone := time.After(delay), time.NewTicker(20*time.Millisecond)
	for {
		select {
		case <-ready:
			if err := os.WriteFile(os.Getenv("HANDOVER_READINESS_FILE"), nil, 0o600); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		case <-alone.C:
			if os.Getppid() != parent && os.Getenv("SERVICE_STAYS") == "" {
				return 1
			}
		case <-failing():
			fmt.Fprintln(os.Stderr, "failed")
			return 3
		case <-stop:
			return 0
		}
	}
}
