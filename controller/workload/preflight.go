package workload

import (
	"context"
	"errors"
	"fmt"
)

// Preflight runs the preflight command, with the workload's environment,
// directory and output, and without input. The error is nil if its exit status
// is 0; when ctx ends it is killed, with its process group.
func (w *Workload) Preflight(ctx context.Context) error {
	o := &w.options
	null, err := w.openNull("process.preflight")
	if err != nil {
		return fmt.Errorf("workload: preflight command: %w", err)
	}
	defer null.Close()
	p, err := w.reaper.start(w.command(o.Preflight.Argv, o.Env, null, o.Stdout, o.Stderr))
	if err != nil {
		return fmt.Errorf("workload: preflight command not started: %w", err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.kill()
		<-p.done
		return errors.New("workload: preflight command killed, it is not wanted any more")
	}
	if code, _ := exitCode(p.status); code != 0 {
		return fmt.Errorf("workload: preflight command: exit status %d", code)
	}
	return nil
}
