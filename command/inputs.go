package command

import (
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rampart-edge/rampart/replay"
)

// typeFlag is --type: it holds for the files that stand behind it, and the first
// one for those before it as well. It is told which flag set it is parsed in, for
// that knows how many files came before.
type typeFlag struct {
	set    *pflag.FlagSet
	values []typeAt
}

// typeAt is a type and the number of files before it.
type typeAt struct {
	name string
	from int
}

// String implements pflag.Value.
func (f *typeFlag) String() string {
	if f == nil || len(f.values) == 0 {
		return ""
	}
	return f.values[len(f.values)-1].name
}

// Set implements pflag.Value.
func (f *typeFlag) Set(name string) error {
	if name == "" {
		return errors.New("a type has a name, such as nginx")
	}
	f.values = append(f.values, typeAt{name, f.set.NArg()})
	return nil
}

// Type implements pflag.Value.
func (*typeFlag) Type() string { return "type" }

// of is the type of the i-th file, "" where none was given.
func (f *typeFlag) of(i int) string {
	name := ""
	for j, v := range f.values {
		if j == 0 || v.from <= i {
			name = v.name
		}
	}
	return name
}

// typed is a file given as TYPE=FILE.
var typed = regexp.MustCompile(`^([A-Za-z0-9][\w.-]*)=(.+)$`)

// errNoType asks for what lines are.
var errNoType = errors.New("what the lines are is not said; add --type syslog, nginx, apache2 or caddy, or write nginx=FILE")

// inputs are the logs that the arguments name.
func (f *typeFlag) inputs(args []string, labels map[string]string) ([]replay.Input, error) {
	if n := len(f.values); n > 1 && f.values[n-1].from == len(args) {
		return nil, fmt.Errorf("--type %s stands behind all files; a type holds for those after it", f.values[n-1].name)
	}
	var list []replay.Input
	for i, arg := range args {
		in := replay.Input{Path: arg, Type: f.of(i), Labels: labels}
		if m := typed.FindStringSubmatch(arg); m != nil && !exists(arg) {
			in.Type, in.Path = m[1], m[2]
		}
		if in.Type == "" {
			return nil, fmt.Errorf("%s: %w", arg, errNoType)
		}
		list = append(list, in)
	}
	return list, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Graft makes at, which somebody else created, the command that c describes: its
// flags, what it runs, and the commands below it, which c loses.
func Graft(at, c *cobra.Command) {
	at.Use, at.Aliases, at.Long, at.Example = c.Use, c.Aliases, c.Long, c.Example
	at.Args, at.ValidArgsFunction, at.RunE = c.Args, c.ValidArgsFunction, c.RunE
	at.SilenceUsage, at.SilenceErrors = c.SilenceUsage, c.SilenceErrors
	at.Flags().AddFlagSet(c.Flags())
	at.PersistentFlags().AddFlagSet(c.PersistentFlags())
	at.Flags().VisitAll(func(f *pflag.Flag) {
		if t, ok := f.Value.(*typeFlag); ok {
			t.set = at.Flags()
		}
	})
	below := c.Commands()
	c.RemoveCommand(below...)
	at.AddCommand(below...)
}
