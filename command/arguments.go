package command

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// exactly asks for n arguments and says what they are; cobra would only count.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := most(n, what)(cmd, args); err != nil {
			return err
		}
		return least(n, what)(cmd, args)
	}
}

// most asks for n arguments or fewer.
func most(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return fmt.Errorf("%s takes %s and no more: %q is one too many", cmd.Name(), what, args[n])
		}
		return nil
	}
}

// subcommand is what a command says that only has others below it.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "? "
	}
	return fmt.Errorf("%s has no %q; %ssee %s --help", cmd.CommandPath(), args[0], hint, cmd.CommandPath())
}

// subject is an address, a network or an id as part of a path: the slash of a network
// may stay.
func subject(arg string) string { return strings.ReplaceAll(url.PathEscape(arg), "%2F", "/") }

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
