package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/handover-controller/handover/cmd/handover/demo"
	"github.com/handover-controller/handover/cmd/handover/terminal"
	"github.com/handover-controller/handover/supervisor/simulator"
	"github.com/handover-controller/handover/supervisor/simulator/scenario"
)

// newDemo is `handover demo`.
func newDemo(environ []string, s streams) *cobra.Command {
	var version, name string
	var plain, list bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show a whole hand-over on this machine",
		Long: `demo shows an update under load on this machine, in some ten seconds: two
releases of a small HTTP service as real processes, this program around them, a
simulated Supervisor, a front that sends requests to whichever instance is ready.
It speaks on loopback only and leaves nothing behind.

The exit status is 0 if all went as the scenario says, else 1.`,
		Example: "  handover demo\n  handover demo --scenario without\n  handover demo --supervisor 14.13.9 --scenario twice --plain",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if list {
				return failed(listDemo(s.out))
			}
			v, err := simulator.ByName(version)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			story, err := scenario.ByName(name)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return failed(runDemo(story, v, plain, environ, s))
		},
	}
	c.Flags().StringVar(&version, "supervisor", "19.0.5", "version of the simulated Supervisor: "+versionNames())
	c.Flags().StringVar(&name, "scenario", "update", "what happens; --list names them all")
	c.Flags().BoolVar(&plain, "plain", false, "no colours, no redrawing, one line per event")
	c.Flags().BoolVar(&list, "list", false, "name the scenarios and versions")
	return c
}

func versionNames() string {
	var names []string
	for _, v := range simulator.Released() {
		names = append(names, v.Name)
	}
	return strings.Join(names, ", ")
}

// listDemo names what there is to choose from.
func listDemo(out *os.File) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "SCENARIO\tWHAT HAPPENS\tEXPECTED END")
	for _, s := range scenario.All() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Summary, s.Expected())
	}
	_, _ = fmt.Fprintln(w, "\nSUPERVISOR\tVERSION\tSIGTERM TO THE OLD CONTAINER\tKNOWN FROM")
	for _, v := range simulator.Released() {
		when, from := "some 25 ms after the new one was started", "its source"
		if v.Waits {
			when = "when the file handover-complete appears, or after a time-out"
		}
		if v.Recorded {
			from = "recordings"
		}
		_, _ = fmt.Fprintf(w, "%s\tv%s\t%s\t%s\n", v.Name, v.Name, when, from)
	}
	return w.Flush()
}

// runDemo plays a scenario.
func runDemo(story scenario.Scenario, v simulator.Version, plain bool, environ []string, s streams) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: find this program: %w", err)
	}
	// SIGPIPE, too: `handover demo | head` must clean up as well.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	printer := demo.Printer(demo.NewPlain(s.out))
	if !plain && terminal.Interactive(s.out, environ) {
		printer = demo.NewScreen(s.out, environ)
	}
	_, _ = fmt.Fprintf(s.out, "Supervisor %s (simulated), scenario %s: %s.\n\n", v.Name, story.Name, story.Summary)
	err = demo.Run(ctx, demo.Options{Scenario: story, Version: v, Program: program, Printer: printer, Out: s.out})
	if errors.Is(err, demo.ErrUnexpected) {
		return fmt.Errorf("demo: expected was: %s; %w", story.Expected(), err)
	}
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(s.out, "As expected: %s.\n", story.Expected())
	return nil
}

// newDemoService is the service that the demo's containers run.
func newDemoService(environ []string, s streams) *cobra.Command {
	return &cobra.Command{
		Use:    demo.ServiceCommand,
		Hidden: true,
		Short:  "The HTTP service that the demo's containers run",
		Args:   noArguments,
		RunE: func(*cobra.Command, []string) error {
			code := demo.Service(context.Background(), lookup(environ), s.out, s.err)
			if code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
}

// lookup finds variables in an environment.
func lookup(environ []string) func(string) string {
	return func(name string) string {
		for i := len(environ) - 1; i >= 0; i-- {
			if value, ok := strings.CutPrefix(environ[i], name+"="); ok {
				return value
			}
		}
		return ""
	}
}
