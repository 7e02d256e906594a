package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/event"
)

func replayCommand(o Options) *cobra.Command {
	ro := appliance.ReplayOptions{}
	c := &call{o: o, offline: true}
	cmd := &cobra.Command{Use: "replay FILE…", Short: "Run scenarios over old logs, on the logs' own clock",
		Long: "Runs the engine over logs as if they were being written, and shows the alerts that would have been.\n" +
			"It works offline: no running node is asked, no decision is made, no state is touched.",
		Example: "  " + o.Prefix + " replay --type syslog /var/log/auth.log\n" +
			"  " + o.Prefix + " replay --type nginx --scenario ./new.yaml --collection none access.log access.log.1.gz -o json",
		Args: cobra.MinimumNArgs(1), SilenceUsage: true}
	f := cmd.Flags()
	f.StringVarP(&ro.Type, "type", "t", "", "what the lines are: syslog, nginx, apache2, caddy… (required)")
	f.StringToStringVar(&ro.Labels, "label", nil, "further labels, as key=value")
	f.StringArrayVar(&ro.Config.Scenarios, "scenario", nil, "scenario file or directory of your own")
	f.StringArrayVar(&ro.Config.Collections, "collection", nil, "built-in collection (default: all; none: only --scenario)")
	f.StringArrayVar(&ro.Config.Parsers, "parsers", nil, "directory with parsers of your own")
	f.StringVar(&ro.Config.Profiles, "profiles", "", "profiles file (default: built in)")
	quiet := f.BoolP("quiet", "q", false, "show no progress")
	c.outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.cmd = cmd
		if err := c.checkFormat(); err != nil {
			return err
		}
		if ro.Type == "" {
			return fmt.Errorf("what the lines are is not said; add --type syslog, nginx, apache2 or caddy")
		}
		ro.Files = args
		return c.replay(ro, *quiet)
	}
	return cmd
}

func (c *call) replay(ro appliance.ReplayOptions, quiet bool) error {
	enc := json.NewEncoder(c.out())
	enc.SetEscapeHTML(false)
	var list []event.Alert
	ro.Alert = func(a *event.Alert) {
		if c.format == jsonF {
			_ = enc.Encode(a) // a closed pipe ends the process by itself
			return
		}
		list = append(list, *a)
	}
	progress := c.cmd.ErrOrStderr()
	if !quiet && terminal(progress) {
		ro.Progress = func(n int64) { fmt.Fprintf(progress, "\r%d lines", n) }
	}
	res, err := appliance.Replay(c.cmd.Context(), ro)
	if ro.Progress != nil {
		fmt.Fprint(progress, "\r\033[K")
	}
	if err != nil {
		return err
	}
	if c.format != jsonF {
		if err := c.print(list, c.alertTable(list), "No scenario overflowed."); err != nil {
			return err
		}
	}
	if c.format == human {
		fmt.Fprintf(c.out(), "\n%s, %d of no known form%s; %s in %s\n", count(res.Lines, "line"), res.Unparsed,
			skipped(res), count(res.Alerts, "alert"), res.Elapsed.Round(time.Millisecond))
	}
	return nil
}

// skipped says what did not count.
func skipped(res appliance.ReplayResult) string {
	text := ""
	if res.TooLong > 0 {
		text += fmt.Sprintf(", %d too long and skipped", res.TooLong)
	}
	if res.Untimed > 0 {
		text += fmt.Sprintf(", %d without a time and not counted", res.Untimed)
	}
	return text
}

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
