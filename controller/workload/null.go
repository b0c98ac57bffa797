package workload

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openNull opens /dev/null, which the commands of handover have for the streams
// that lead nowhere. Where it is missing none of them can be started: then the log
// says so, once.
func (w *Workload) openNull(what string) (*os.File, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return null, err
	}
	err = fmt.Errorf("%w: every container should have it: see what is mounted at /dev", err)
	w.noNull.Do(func() {
		w.log.Warn("without "+os.DevNull+" no readiness, pre-stop or preflight command can be started", "command", what, "error", err)
	})
	return nil, err
}
