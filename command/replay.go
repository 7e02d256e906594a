package command

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/replay"
)

// replayOptions are the flags of replay.
type replayOptions struct {
	choice  *replay.Choice
	types   typeFlag
	labels  map[string]string
	quiet   bool
	failing bool   // an alert is a failure
	dump    string // folder
}

func replayCommand(o Options) *cobra.Command {
	c := &call{o: o, offline: true}
	cmd := &cobra.Command{Use: "replay FILE…", Short: "Run scenarios over old logs, on the logs' own clock",
		Long: "Runs the engine over logs as if they were being written, and shows the alerts that would have been.\n" +
			"It works offline: no running node is asked, no decision is made, no state is touched.\n\n" +
			"Files are read side by side in the order of their lines' time, whatever their order here; gzip is\n" +
			"recognised, and - is the standard input. Within one file lines keep their order: one that is older than the\n" +
			"line before it counts at its own time, right after that one. A line without a time is not counted.\n\n" +
			"A type holds for the files behind it. TYPE=FILE says it for one file.",
		Example: "  " + o.Prefix + " replay --type syslog /var/log/auth.log\n" +
			"  " + o.Prefix + " replay --type nginx access.log access.log.1.gz --type syslog auth.log\n" +
			"  " + o.Prefix + " replay nginx=access.log --scenario ./new.yaml --only --fail-on-alert\n" +
			"  " + o.Prefix + " replay syslog=auth.log --hub ./hub --data ./hub-data --collection crowdsecurity/sshd -o json",
		Args: least(1, "at least one log FILE"), SilenceUsage: true}
	r := &replayOptions{choice: choiceFlags(cmd)}
	r.types.set = cmd.Flags()
	f := cmd.Flags()
	f.VarP(&r.types, "type", "t", "what the lines of the files behind it are: syslog, nginx, apache2, caddy…")
	f.StringToStringVar(&r.labels, "label", nil, "further labels of all lines, as key=value")
	f.BoolVar(&r.failing, "fail-on-alert", false, "end with status 1 if there was any alert")
	f.StringVar(&r.dump, "dump", "", "write what every node, bucket and overflow had into this folder, for short logs")
	f.BoolVarP(&r.quiet, "quiet", "q", false, "show no progress")
	c.outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.cmd = cmd
		if err := c.checkFormat(); err != nil {
			return err
		}
		inputs, err := r.types.inputs(args, r.labels)
		if err != nil {
			return err
		}
		return c.replay(r, inputs)
	}
	return cmd
}

func (c *call) replay(r *replayOptions, inputs []replay.Input) error {
	r.choice.Record = r.dump != ""
	s, err := replay.Open(*r.choice, nil)
	if err != nil {
		return advise(r.choice, err)
	}
	c.warn(s.Problems)
	sum := newSummary()
	show, finish := c.alertSink(sum)
	var failed error
	bar := c.newBar(r.quiet)
	res, err := s.Run(c.cmd.Context(), inputs, replay.Options{
		Alert: func(a *event.Alert) {
			sum.add(a)
			if failed == nil {
				failed = show(a)
			}
		},
		Progress: func(p replay.Progress) {
			bar.draw(p.Bytes, p.Total, count(p.Lines, "line")+", "+count(sum.total, "alert"))
		}})
	bar.clear()
	if err = errors.Join(err, failed); err == nil {
		err = finish()
	}
	if err != nil {
		return err
	}
	if r.dump != "" {
		if err := s.Results.WriteDumps(r.dump); err != nil {
			return err
		}
	}
	if c.format == human {
		fmt.Fprintf(c.out(), "\n%s, %d of no known form%s; %s in %s\n", count(res.Lines, "line"), res.Unparsed,
			skipped(res), count(res.Alerts, "alert"), res.Elapsed.Round(time.Millisecond))
	}
	if r.failing && res.Alerts > 0 {
		return fmt.Errorf("%s, and --fail-on-alert allows none", count(res.Alerts, "alert"))
	}
	return nil
}

// alertSink returns what shows an alert as it comes, and what ends the output. For
// people the alerts follow at the end, with the summary.
func (c *call) alertSink(sum *summary) (show func(*event.Alert) error, finish func() error) {
	switch c.format {
	case jsonF:
		enc := json.NewEncoder(c.out())
		enc.SetEscapeHTML(false)
		return func(a *event.Alert) error { return enc.Encode(a) }, func() error { return nil }
	case raw:
		w := csv.NewWriter(c.out())
		err := w.Write(c.alertTable(nil).head)
		return func(a *event.Alert) error {
				return w.WriteAll(c.alertTable([]event.Alert{*a}).printable())
			}, func() error {
				w.Flush()
				return errors.Join(err, w.Error())
			}
	}
	return func(*event.Alert) error { return nil }, func() error {
		if err := c.print(nil, c.alertTable(sum.shown), "No scenario overflowed."); err != nil {
			return err
		}
		return c.writeSummary(sum)
	}
}

// skipped says what did not count.
func skipped(res replay.Result) string {
	text := ""
	if res.TooLong > 0 {
		text += fmt.Sprintf(", %d too long and skipped", res.TooLong)
	}
	if res.Untimed > 0 {
		text += fmt.Sprintf(", %d without a time and not counted", res.Untimed)
	}
	if res.Whitelisted > 0 {
		text += fmt.Sprintf(", %d whitelisted", res.Whitelisted)
	}
	return text
}
