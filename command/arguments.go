package command

import (
	"fmt"

	"github.com/spf13/cobra"
)

// one asks for a single argument and says what it is; cobra would only count.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s needs %s; see %s --help", cmd.Name(), what, cmd.CommandPath())
		case len(args) > 1:
			return fmt.Errorf("%s takes %s and no more: %q is one too many", cmd.Name(), what, args[1])
		}
		return nil
	}
}

// some asks for one argument or more.
func some(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s needs %s; see %s --help", cmd.Name(), what, cmd.CommandPath())
		}
		return nil
	}
}
