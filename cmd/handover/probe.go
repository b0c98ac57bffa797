package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newProbe(load *loader, s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "probe",
		Short: "Exit 0 if this container's instance is healthy, for Docker's HEALTHCHECK",
		Long: `probe exits 0 if the instance of this container is healthy, else 1. It is
healthy while its workload starts or serves, and after it has handed over: the
engine restarts containers that are not, and must not restart that one. It is
not healthy when a workload that was ready is not ready any more. What another
container's instance, or a process of another user, answers does not count.`,
		Example: "  HEALTHCHECK CMD [\"handover\", \"probe\"]",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := load.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), requestTimeout)
			defer cancel()
			body, err := cl.get(ctx, "/healthz")
			if err != nil {
				return failed(err)
			}
			defer func() { _ = body.Close() }()
			_, _ = io.Copy(io.Discard, body)
			_, err = fmt.Fprintln(s.out, "healthy")
			return failed(err)
		},
	}
}
