package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/replay"
)

// choiceFlags adds the flags that say which items run and where they are.
func choiceFlags(cmd *cobra.Command) *replay.Choice {
	ch := &replay.Choice{}
	f := cmd.Flags()
	hubFlags(cmd, &ch.Hub, &ch.Data)
	f.StringArrayVar(&ch.Collections, "collection", nil, "collection to load (default: the built-in ones; none: none)")
	f.StringArrayVar(&ch.Parsers, "parser", nil, "further parser: name, file, or folder of <stage>/<file>")
	f.StringArrayVar(&ch.Postoverflows, "postoverflow", nil, "further postoverflow: name, file, or folder of <stage>/<file>")
	f.StringArrayVar(&ch.Scenarios, "scenario", nil, "further scenario: name, file, or folder of files")
	f.StringArrayVar(&ch.Contexts, "context", nil, "further context: name, file, or folder of files")
	f.BoolVar(&ch.Only, "only", false, "run the scenarios named with --scenario alone, none of those of collections")
	f.StringVar(&ch.Profiles, "profiles", "", "profiles file (default: built in)")
	f.BoolVar(&ch.Plain, "slow", false, "run everything the plain way, without fast paths; the results are the same")
	return ch
}

// hubFlags adds the flags that say where a Hub is.
func hubFlags(cmd *cobra.Command, dir, data *string) {
	cmd.Flags().StringVar(dir, "hub", "", "folder of a Hub (with .index.json, or parsers, scenarios…)")
	cmd.Flags().StringVar(data, "data", "", "folder with the data files of the Hub's items")
}

// advise adds to a name that nothing has where names come from.
func advise(ch *replay.Choice, err error) error {
	for _, p := range hub.Problems(err) {
		if p.Path == "" && p.Name != "" && ch.Hub == "" {
			return errors.Join(err, errors.New("built-in collections are rampart/http, rampart/sshd and rampart/wordpress; names of the Hub need --hub DIR"))
		}
	}
	return err
}

// warn tells people what of the Hub does not run; it goes beside the output.
func (c *call) warn(problems []*hub.Problem) {
	const most = 10
	for i, p := range problems {
		if i == most {
			fmt.Fprintf(c.cmd.ErrOrStderr(), "… %d more; %s lint shows all\n", len(problems)-most, c.o.Prefix)
			return
		}
		fmt.Fprintf(c.cmd.ErrOrStderr(), "warning: %s\n", printable(p.Error()))
	}
}
