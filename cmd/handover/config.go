package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newConfig(load *loader, s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print the effective configuration, each value with where it came from",
		Long: `config prints the effective configuration as YAML, each value with where it
came from: the default, a line of the file, or an environment variable. Secrets
are masked. Bad configuration is reported, all of it at once, with exit status 78.`,
		Example: "  handover config\n  HANDOVER_POLICY_SETTLE=2s handover config --config handover.yaml",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := load.load()
			if err != nil {
				return err
			}
			for _, w := range loaded.Warnings {
				fmt.Fprintln(s.err, "handover: warning:", w)
			}
			return failed(loaded.Print(s.out))
		},
	}
}
