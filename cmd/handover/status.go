package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/endpoint"
)

func newStatus(load *loader, s streams) *cobra.Command {
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what this instance and its peers are doing",
		Long: `status shows the instance of this container: its phase and conditions, the
other instances that it hears, what the Supervisor says, and what happened last.
With --watch it follows: each change is a line. Colours are for terminals only,
and not with NO_COLOR.`,
		Example: "  handover status\n  handover status --watch\n  handover status --json",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := load.client()
			if err != nil {
				return err
			}
			p := painter(coloured(s.out, load.environ))
			if watch {
				return failed(watchStatus(c.Context(), cl, s.out, asJSON, p))
			}
			return failed(printStatus(c.Context(), cl, s.out, asJSON, p))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, as GET /status answers")
	c.Flags().BoolVar(&watch, "watch", false, "follow: one line for each change, with --json one document a line")
	return c
}

func printStatus(ctx context.Context, cl *client, out io.Writer, asJSON bool, p painter) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := cl.get(ctx, "/status")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if asJSON {
		data, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		return printJSON(out, data)
	}
	st, err := readStatus(body)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, describe(st, p))
	return err
}

// printJSON prints what is JSON, and nothing that would be an order to a terminal.
func printJSON(out io.Writer, data []byte) error {
	if !json.Valid(data) {
		return notUnderstood(errors.New("it is no JSON text"))
	}
	_, err := out.Write(append(endpoint.PrintableJSON(bytes.TrimSpace(data)), '\n'))
	return err
}

// watchStatus follows until the instance ends or the user wants no more.
func watchStatus(ctx context.Context, cl *client, out io.Writer, asJSON bool, p painter) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	body, err := cl.get(ctx, "/events")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	seen := follower{out: out, painter: p}
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, endpoint.AnswerAtMost)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if asJSON {
			if err := printJSON(out, []byte(data)); err != nil {
				return err
			}
			continue
		}
		st, err := readStatus(strings.NewReader(data))
		if err != nil {
			return err
		}
		if err := seen.print(st); err != nil {
			return err
		}
	}
	// The instance ends without a last chunk: that is the end, not a failure.
	if err := lines.Err(); err != nil && ctx.Err() == nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return nil
}

// follower prints each event once.
type follower struct {
	out     io.Writer
	painter painter
	last    controller.Event
}

func (f *follower) print(st *controller.Status) error {
	fresh := st.Events
	for i := len(fresh) - 1; i >= 0; i-- {
		if fresh[i] == f.last {
			fresh = fresh[i+1:]
			break
		}
	}
	for _, e := range fresh {
		f.last = e
		line := fmt.Sprintf("%s %s %s %-18s %s", e.Time.Format("15:04:05.000"),
			f.painter.phase(fmt.Sprintf("%-8s", e.Phase)), f.painter.kind(fmt.Sprintf("%-7s", e.Type)), e.Reason, e.Message)
		if e.Details != "" {
			line += "  " + f.painter.paint(grey, e.Details)
		}
		if _, err := fmt.Fprintln(f.out, line); err != nil {
			return err
		}
	}
	return nil
}
