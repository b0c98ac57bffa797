package workload

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// probe asks once whether the workload is ready; the error says why not. What
// it found stands in the string, for the log.
type probe func(context.Context) (string, error)

// polling returns a watch that asks the probe until the context ends.
func (r *run) polling(rd Readiness, p probe) func(context.Context) {
	return func(ctx context.Context) { r.poll(ctx, rd, p, nil) }
}

// poll asks until the context ends, or, if giveUp is not nil, until that time, which
// may move, without the workload ever having been ready. It returns true in that case.
func (r *run) poll(ctx context.Context, rd Readiness, p probe, giveUp func() time.Time) bool {
	pause := firstPause // before the next probe, while never ready
	ready, ever, failures := false, false, 0
	for {
		began := time.Now()
		found, err := probeOnce(ctx, rd.Timeout, p)
		took := time.Since(began)
		if ctx.Err() != nil {
			return false
		}
		if !scarce(err) {
			r.unasked.over()
		}
		wait := rd.ServingPeriod
		switch {
		case err == nil:
			ready, ever, failures = true, true, 0
			r.setReady(true, found)
		case scarce(err):
			// Nothing is known of the workload: what was known stays.
			wait = rd.Period
			r.unknown(err)
		case ready && failures+1 < rd.Failures:
			failures++
		case ever:
			ready, wait = false, rd.Period
			r.setReady(false, err.Error())
		default:
			r.setReady(false, err.Error())
			wait = min(max(pause, took), rd.Period)
			pause *= 2
		}
		if !ever && giveUp != nil {
			left := time.Until(giveUp())
			if left <= 0 {
				return true
			}
			wait = min(wait, left)
		}
		if !sleep(ctx, wait) {
			return false
		}
	}
}

// scarce reports whether a probe failed for want of descriptors, processes or
// memory: of ours or of the whole machine. That says nothing of the workload.
func scarce(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EAGAIN,
	}, func(e error) bool { return errors.Is(err, e) })
}

func probeOnce(ctx context.Context, timeout time.Duration, p probe) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return p(ctx)
}
