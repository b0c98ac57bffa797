package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handover-controller/handover/config"
)

// Exit statuses of handover itself; those of `handover run` are the workload's.
const (
	exitFailure = 1  // what was asked for did not succeed
	exitUsage   = 64 // EX_USAGE: wrong arguments
	exitConfig  = 78 // EX_CONFIG: wrong configuration, or limits that are too low
)

type streams struct{ in, out, err *os.File }

// exitError ends the program with a status. Without an error nothing is
// printed: everything has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// execute runs the command line and returns the exit status.
func execute(args, environ []string, s streams) int {
	if err := checkLimits(); err != nil {
		fmt.Fprintln(s.err, "handover:", err)
		return exitConfig
	}
	root := newRoot(environ, s)
	root.SetArgs(args)
	ran, err := root.ExecuteC()
	var exit *exitError
	var bad *config.Error
	var file *fs.PathError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(s.err, "handover:", exit.err)
		}
		return exit.code
	case errors.As(err, &bad):
		fmt.Fprintln(s.err, bad)
		return exitConfig
	case errors.As(err, &file): // a full disk, say
		fmt.Fprintln(s.err, "handover:", err)
		return exitFailure
	}
	// What is left are cobra's own errors, all of them about the arguments.
	fmt.Fprintf(s.err, "handover: %v\nTry '%s --help'.\n", err, ran.CommandPath())
	return exitUsage
}

// failed is an error that is not about the arguments.
func failed(err error) error {
	var bad *config.Error
	if err == nil || errors.As(err, &bad) {
		return err
	}
	return &exitError{exitFailure, err}
}

func newRoot(environ []string, s streams) *cobra.Command {
	load := &loader{environ: environ}
	root := &cobra.Command{
		Use:   "handover",
		Short: "Hand over between two containers of a service on a balena device",
		Long: `handover is the entry point of a service's container on a balena device. It
runs the service, and when the Supervisor starts a new container for an update,
it keeps the old one serving until the new one is ready.`,
		Example:       "  handover run -- node server.js\n  handover status",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       thisBuild().version,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("unknown command %q", args[0])
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
			}
			return err
		},
		RunE: func(*cobra.Command, []string) error {
			return errors.New("a command is missing")
		},
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.PersistentFlags().StringVar(&load.path, "config", "", "configuration file (default $HANDOVER_CONFIG, ./handover.yaml or /etc/handover/handover.yaml)")
	root.AddCommand(newRun(load, s), newStatus(load, s), newProbe(load, s), newCheck(load, s), newDefer(load, s), newConfig(load, s), newVersion(s), newDemo(environ, s), newDemoService(environ, s))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion")
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Example = "  handover help run"
			show := c.Run
			c.Run, c.RunE = nil, func(c *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return fmt.Errorf("help: unknown command %q", strings.Join(args, " "))
				}
				show(c, args)
				return nil
			}
		case "completion":
			c.Example = "  handover completion bash > /etc/bash_completion.d/handover"
			c.Args = nil
			c.RunE = func(*cobra.Command, []string) error {
				return errors.New("completion: name a shell: bash, fish, powershell or zsh")
			}
			for _, shell := range c.Commands() {
				shell.Example = "  handover completion " + shell.Name()
			}
		}
	}
	return root
}

// noArguments is cobra.NoArgs in words that fit a command without subcommands.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but there is %q", c.Name(), args[0])
	}
	return nil
}

// loader loads the configuration once the flags are known.
type loader struct {
	path    string
	environ []string
}

func (l *loader) load() (*config.Loaded, error) {
	return config.Load(config.Options{Path: l.path, Environ: l.environ})
}

// client returns a client of this container's instance.
func (l *loader) client() (*client, error) {
	loaded, err := l.load()
	if err != nil {
		return nil, err
	}
	c, err := newClient(&loaded.Config)
	return c, failed(err)
}
