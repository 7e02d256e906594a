package command

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
)

func simulationCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "simulation", Short: "Have scenarios, lists and sites only simulate",
		Long: "What simulates is recorded and announced as ever, and nobody is refused for it. A selector is the name of a scenario,\n" +
			"list:NAME or host:NAME; -g stands for all scenarios. Choices are in force at once, survive restarts, and outrank\n" +
			"files and configuration until they are reset. They are this node's own: in a fleet, choose on each node."}
	cmd.AddCommand(simulationStatus(o), simulationChoose(o, "enable", "Have selectors only simulate", true),
		simulationChoose(o, "disable", "Have selectors act for real", false), simulationReset(o))
	return cmd
}

// simulationTable lists rules; people read whether one is enforced.
func (c *call) simulationTable(s *appliance.SimulationStatus) table {
	t := table{head: []string{"selector", "simulates", "from", "by", "at", "overruled"}}
	for _, r := range s.Rules {
		at, overruled, selector := "", "", r.Selector
		if !r.At.IsZero() {
			at = c.when(r.At)
		}
		if r.Overruled || c.format != human {
			overruled = strconv.FormatBool(r.Overruled)
		}
		if c.format == human {
			if selector == decisions.SelectAll {
				selector = "all scenarios"
			}
			if r.Overruled {
				overruled = "by an operator's choice"
			}
		}
		t.rows = append(t.rows, []string{selector, strconv.FormatBool(r.On), r.From, r.By, at, overruled})
	}
	return t
}

func (c *call) writeSimulation(s *appliance.SimulationStatus) error {
	if err := c.print(s, c.simulationTable(s), ""); err != nil || c.format != human {
		return err
	}
	for _, name := range s.Unknown {
		fmt.Fprintf(c.out(), "Note: nothing here is called %s (yet).\n", printable(name))
	}
	return nil
}

func simulationStatus(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show what only simulates, and who said so", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var s appliance.SimulationStatus
		if err := c.do(http.MethodGet, "/rampart/simulation", nil, nil, &s); err != nil {
			return err
		}
		return c.writeSimulation(&s)
	})
}

func simulationChoose(o Options, name, short string, on bool) *cobra.Command {
	cmd := &cobra.Command{Use: name + " SELECTOR...", Short: short,
		Example: fmt.Sprintf("  %[1]s simulation %[2]s rampart/http-probing list:drop host:www.example.com\n  %[1]s simulation %[2]s --global", o.Prefix, name)}
	global := cmd.Flags().BoolP("global", "g", false, "all scenarios; takes back what was chosen of single ones")
	return online(o, cmd, func(c *call, args []string) error {
		if *global {
			args = append([]string{decisions.SelectAll}, args...)
		}
		if len(args) == 0 {
			return errors.New("name what is meant: a scenario, list:NAME or host:NAME, or -g for all scenarios")
		}
		if err := checkSelectors(args); err != nil {
			return err
		}
		var s appliance.SimulationStatus
		if err := c.do(http.MethodPost, "/rampart/simulation", nil, appliance.SimulationRequest{Selectors: args, On: on}, &s); err != nil {
			return err
		}
		return c.writeSimulation(&s)
	})
}

func checkSelectors(list []string) error {
	for _, text := range list {
		if _, err := decisions.ParseSelector(text); err != nil {
			return err
		}
	}
	return nil
}

func simulationReset(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "reset [SELECTOR...]", Short: "Take choices back, so that files and configuration say again",
		Long: "Without SELECTOR all choices are taken back."}
	return online(o, cmd, func(c *call, args []string) error {
		var q url.Values
		if len(args) > 0 {
			q = url.Values{"selector": args}
		}
		if err := checkSelectors(args); err != nil {
			return err
		}
		var s appliance.SimulationStatus
		if err := c.do(http.MethodDelete, "/rampart/simulation", q, nil, &s); err != nil {
			return err
		}
		return c.writeSimulation(&s)
	})
}
