package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/cmd/handover/check/compose"
	"github.com/handover-controller/handover/cmd/handover/check/live"
	"github.com/handover-controller/handover/config"
)

func newCheck(load *loader, s streams) *cobra.Command {
	var asJSON bool
	var file string
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for what would make a hand-over go wrong",
		Long: `check looks at everything that a hand-over needs, and prints what it found: how
bad it is, why it matters, and what to do. Run it in the service's container,
beside handover run (balena exec, docker exec), before it, or on your own
machine. It looks at

  the configuration           every problem and every warning
  the identity                app, service, container, record of the first start
  the running instance        phase, process 1, version, peers, past hand-overs
  the network                 interfaces, a multicast round trip on each
  the shared folder           access, file system, locks, inotify
  the Supervisor              address, key, version and what that means
  the marker                  its folder, and one that was left behind
  the stop grace period       whether the time to readiness fits into it
  the status                  its socket and its address

With --compose it looks at that compose file instead, and at what lies beside it:
Dockerfiles, handover.yaml, package.json. That needs no device.

It changes nothing: what it writes it removes again, and nobody acts on what it
sends. It takes up to about ten seconds. The exit status is 1 if there is an
error, 2 if there is a warning, else 0; 78 if the configuration cannot be used.
No secret is printed.`,
		Example: "  handover check\n  handover check --compose docker-compose.yml\n  balena exec CONTAINER handover check --json",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("compose") && file == "" {
				return errors.New("--compose names no file")
			}
			report, status, err := runCheck(c.Context(), load, file)
			if err != nil {
				return failed(err)
			}
			if asJSON {
				err = report.WriteJSON(s.out)
			} else {
				err = report.WriteText(s.out, painter(coloured(s.out, load.environ)).level)
			}
			if err != nil {
				return failed(err)
			}
			if status != 0 {
				return &exitError{code: status} // everything has been said
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "compose", "", "look at this compose file instead")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: the worst level and all findings")
	return c
}

// runCheck returns what was found, and the exit status that it means.
func runCheck(ctx context.Context, load *loader, file string) (check.Report, int, error) {
	if file != "" {
		report := compose.Lint(compose.Options{Path: file})
		return report, report.ExitStatus(), nil
	}
	loaded, err := load.load()
	var bad *config.Error
	if errors.As(err, &bad) {
		return live.Problems(bad), exitConfig, nil
	}
	if err != nil {
		return nil, 0, err
	}
	o := live.Options{Loaded: loaded, Version: thisBuild().version}
	if cl, err := newClient(&loaded.Config); err == nil { // else it is off, which is said
		o.Get = cl.get
	}
	report := live.Check(ctx, o)
	return report, report.ExitStatus(), nil
}

// level paints the name of a level, which may be padded.
func (p painter) level(l check.Level, text string) string {
	c := plain
	switch l {
	case check.OK:
		c = green
	case check.Warning:
		c = yellow
	case check.Error:
		c = red
	}
	return p.paint(c, text)
}
