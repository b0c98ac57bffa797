package demo

import (
	"context"
	"time"
)

// busy is how late this process can be woken until what fails says little about
// handing over: a proxy cannot look away within policy.drain_delay any more.
const busy = proxyTime / 2

// watchMachine tells how late this process is woken, which is how long it waits
// for the processor, until ctx ends.
func watchMachine(ctx context.Context, tell func(late time.Duration)) {
	const every = 10 * time.Millisecond
	tick := time.NewTimer(every)
	defer tick.Stop()
	for {
		before := time.Now()
		tick.Reset(every)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tell(time.Since(before) - every)
	}
}
