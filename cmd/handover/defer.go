package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/handover-controller/handover/controller"
)

func newDefer(load *loader, s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "defer DURATION",
		Short: "Ask for time before the service is drained",
		Long: `defer is for the service itself: no drain of it begins before that time is
over. A new request replaces the last one, 0 withdraws it. After SIGTERM it lasts
at most until the hold must end: stop_grace_period, less what the drain needs. A
second SIGTERM ends it at once. A service that is started again has to ask again.
One request may ask for policy.defer_limit at most, which is an hour by default.

It prints until when the drain is held up. The exit status is 1 if it is too
late, because the drain has begun, or if the time is too long.`,
		Example: "  handover defer 30s\n  handover defer 0",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("defer: name one duration, such as 30s; 0 withdraws a deferral")
			}
			_, err := controller.ParseDeferral(args[0])
			return err
		},
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := load.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), requestTimeout)
			defer cancel()
			body, err := cl.do(ctx, http.MethodPost, "/defer?duration="+url.QueryEscape(args[0]))
			if err != nil {
				return failed(err)
			}
			defer func() { _ = body.Close() }()
			var answer controller.Deferral
			if err := json.NewDecoder(body).Decode(&answer); err != nil {
				return failed(notUnderstood(err))
			}
			if answer.DeferredUntil == nil {
				_, err = fmt.Fprintln(s.out, "not deferred")
			} else {
				_, err = fmt.Fprintf(s.out, "deferred until %s (%v)\n", answer.DeferredUntil.Local().Format(time.TimeOnly),
					time.Until(*answer.DeferredUntil).Round(time.Second))
			}
			return failed(err)
		},
	}
}
