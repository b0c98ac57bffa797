// Command soak hands over again and again, as `handover demo` does it once: real
// processes, a simulated Supervisor, a front and a steady load, on loopback only.
// In the end it reports how the requests fared, how long things took, and what
// grew or was left behind.
//
//	go run ./ginkgo-suites/soak --handovers 200 --supervisor 17.6
//	go run ./ginkgo-suites/soak --soak 8h --plain
//
// It builds the program as it is released, or takes the one that --program
// names. The exit status is 0 if every hand-over went as it should, no request
// failed, and nothing grew beyond its bound or was left behind; 1 if not; 64 for
// wrong arguments. Ctrl-C ends it, with the report so far.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/handover-controller/handover/cmd/handover/demo"
	"github.com/handover-controller/handover/cmd/handover/terminal"
	"github.com/handover-controller/handover/supervisor/simulator"
)

const exitUsage = 64 // EX_USAGE of sysexits.h

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

func run(args, environ []string, out *os.File, errOut io.Writer) int {
	o, err := options(args, environ, out, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(errOut, "soak:", err)
		return exitUsage
	}
	// Also SIGPIPE: what was started must be ended.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := soak(ctx, o); err != nil {
		_, _ = fmt.Fprintln(errOut, "soak:", err)
		return 1
	}
	return 0
}

// options are what the arguments say.
func options(args, environ []string, out *os.File, errOut io.Writer) (demo.SoakOptions, error) {
	o := demo.SoakOptions{Out: out}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&o.For, "soak", 0, "hand over for so long, such as 10m")
	flags.IntVar(&o.Handovers, "handovers", 0, "hand over so many times")
	flags.BoolVar(&o.Trouble, "trouble", false, "freeze instances for 0 to 6 s, and restart the Supervisor, in the middle of hand-overs")
	version := flags.String("supervisor", "19.0.5", "version of the simulated Supervisor")
	plain := flags.Bool("plain", false, "no line of progress, one line per hand-over")
	flags.StringVar(&o.Program, "program", "", "path of handover; without it, it is built")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(errOut, "Usage: soak (--soak DURATION | --handovers NUMBER) [--supervisor VERSION] [--trouble] [--plain] [--program PATH]")
		flags.SetOutput(errOut)
		flags.PrintDefaults()
	}
	if err != nil {
		return o, err
	}
	switch given := func(name string) bool { return isSet(flags, name) }; {
	case flags.NArg() > 0:
		return o, fmt.Errorf("it takes no arguments, but there is %q", flags.Arg(0))
	case !given("soak") && !given("handovers"):
		return o, errors.New("say for how long with --soak, such as --soak 10m, or how often with --handovers")
	case given("soak") && o.For <= 0:
		return o, errors.New("--soak must be above 0s, such as 10m")
	case given("handovers") && o.Handovers < 1:
		return o, errors.New("--handovers must be 1 or more")
	}
	if o.Version, err = simulator.ByName(*version); err != nil {
		return o, err
	}
	if o.Program != "" {
		// The containers have folders of their own.
		if o.Program, err = filepath.Abs(o.Program); err != nil {
			return o, err
		}
		if _, err := exec.LookPath(o.Program); err != nil {
			return o, fmt.Errorf("--program must be the path of handover: %w", err)
		}
	}
	if !*plain && terminal.Interactive(out, environ) {
		o.Columns = func() int { return terminal.Columns(out) }
	}
	return o, nil
}

func isSet(flags *flag.FlagSet, name string) bool {
	set := false
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// soak builds the program, if there is none, and soaks it.
func soak(ctx context.Context, o demo.SoakOptions) error {
	if o.Program == "" {
		dir, err := os.MkdirTemp("", "handover-soak-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.Program = filepath.Join(dir, "handover")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-ldflags=-s -w",
			"-o", o.Program, "github.com/handover-controller/handover/cmd/handover")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.WaitDelay = time.Second
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build handover: %w\n%s", err, text)
		}
	}
	return demo.Soak(ctx, o)
}
