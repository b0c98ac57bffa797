package workload_test

import (
	"fmt"
	"time"

	"github.com/handover-controller/handover/controller/workload"
)

// A service is started, and drained as soon as it is ready.
func ExampleWorkload() {
	w, err := workload.New(workload.Options{
		Argv:      []string{"sh", "-c", `trap 'echo finishing; exit 0' TERM; echo serving; sleep 60 & wait`},
		PreStop:   workload.Command{Argv: []string{"echo", "pre-stop"}},
		Readiness: workload.Readiness{After: 200 * time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	if err := w.Start(); err != nil {
		fmt.Println(err) // a *workload.StartError knows the exit code
		return
	}
	for range w.Changed() {
		switch s := w.State(); {
		case !s.Ended.IsZero():
			fmt.Println("exit code", s.ExitCode)
			return
		case s.Ready && !s.Draining:
			w.Drain(workload.Plan{KillAfter: 10 * time.Second})
		}
	}
	// Output:
	// serving
	// pre-stop
	// finishing
	// exit code 0
}
