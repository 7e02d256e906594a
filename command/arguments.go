package command

import (
	"fmt"

	"github.com/spf13/cobra"
)

// exactly asks for n arguments and says what they are; cobra would only count.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return fmt.Errorf("%s takes %s and no more: %q is one too many", cmd.Name(), what, args[n])
		}
		return least(n, what)(cmd, args)
	}
}

// one asks for a single argument.
func one(what string) cobra.PositionalArgs { return exactly(1, what) }

// least asks for n arguments or more.
func least(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return fmt.Errorf("%s needs %s; see %s --help", cmd.Name(), what, cmd.CommandPath())
		}
		return nil
	}
}
