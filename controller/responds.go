package controller

import (
	"context"
	"time"
)

// Responds reports whether the loop of Run goes round within that time. It
// does not while something that it does hangs, such as the start of the workload
// in a file system that does not answer.
func (c *Controller) Responds(ctx context.Context, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return c.alive(ctx) == nil
}
