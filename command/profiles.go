package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
)

func profilesCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "profiles", Aliases: []string{"profile"}, Short: "List profiles, and see what they make of an alert",
		Long: "Profiles turn alerts into decisions and notifications."}
	cmd.AddCommand(profilesList(o), profilesTest(o))
	return cmd
}

func profilesList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the profiles in force, in their order", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var list []decisions.ProfileSummary
		if err := c.do(http.MethodGet, "/rampart/profiles", nil, nil, &list); err != nil {
			return err
		}
		t := table{head: []string{"name", "filters", "decisions", "duration_expr", "notifications", "stops", "on_error"}}
		for _, p := range list {
			var ds []string
			for _, d := range p.Decisions {
				ds = append(ds, profileDecision(&d))
			}
			t.rows = append(t.rows, []string{p.Name, strings.Join(p.Filters, " or "), strings.Join(ds, ", "), p.DurationExpr,
				strings.Join(p.Notifications, " "), strconv.FormatBool(p.Stops), p.OnError})
		}
		return c.print(list, t, "No profile is in force.")
	})
}

func profileDecision(d *decisions.ProfileDecision) string {
	text := d.Type
	if d.Value != "" {
		text += " of " + d.Value
	}
	if d.Duration != "" {
		text += " for " + lasting(d.Duration)
	}
	if d.Scope != "" {
		text += " (" + d.Scope + ")"
	}
	if d.Simulated {
		text += ", simulated"
	}
	return text
}

func profilesTest(o Options) *cobra.Command {
	var subject, file string
	cmd := &cobra.Command{Use: "test", Short: "Show what each profile and filter makes of an alert", Args: cobra.NoArgs,
		Long: "The alert is one that the running node keeps, by its id, or a file with one as `alerts inspect -o json` and cscli print\n" +
			"it. The clock stands at its last event. Nothing is recorded and nobody is notified. With a file of both alert and\n" +
			"profiles no node is needed; expressions then count no earlier decisions, and know no labels of scenarios.",
		Example: "  " + o.Prefix + " profiles test --alert 7\n  " + o.Prefix + " profiles test --alert 7 --profiles next.yaml\n  " +
			o.Prefix + " profiles test --alert alert.json --profiles next.yaml"}
	cmd.Flags().StringVar(&subject, "alert", "", "id of an alert of the running node, or a file with one (required)")
	cmd.Flags().StringVar(&file, "profiles", "", "file of profiles to try (default: those in force)")
	return online(o, cmd, func(c *call, _ []string) error {
		t, err := c.testProfiles(subject, file)
		if err != nil {
			return err
		}
		if c.format != human {
			return c.print(t, verdictTable(t.Profiles), "")
		}
		c.writeTest(&t)
		return nil
	})
}

// testProfiles asks the node, unless both are files.
func (c *call) testProfiles(subject, file string) (t appliance.ProfileTest, err error) {
	var q appliance.ProfileTestRequest
	if subject == "" {
		return t, errors.New("give the --alert to test: an id (alerts list shows them), or a file")
	}
	if q.ID, err = strconv.ParseInt(subject, 10, 64); err != nil {
		if q.Alert, err = os.ReadFile(subject); errors.Is(err, fs.ErrNotExist) {
			return t, fmt.Errorf("%q is neither the id of an alert nor a file", subject)
		} else if err != nil {
			return t, fmt.Errorf("reading the alert: %w", err)
		}
		a, err := appliance.ReadAlert(q.Alert)
		if err != nil {
			return t, fmt.Errorf("%s: %w", subject, err)
		}
		if file != "" {
			return appliance.ExplainProfiles(file, a)
		}
		if !json.Valid(q.Alert) {
			return t, fmt.Errorf("%s has more than one JSON value", subject)
		}
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return t, fmt.Errorf("reading profiles: %w", err)
		}
		q.Profiles, q.Path = string(text), file
	}
	return t, c.do(http.MethodPost, "/rampart/profiles/test", nil, &q, &t)
}

func verdictTable(list []decisions.ProfileVerdict) table {
	t := table{head: []string{"profile", "reached", "matched", "decides", "decisions", "notifications", "stops", "why"}}
	for _, v := range list {
		var ds []string
		for i := range v.Decisions {
			ds = append(ds, verdictDecision(&v.Decisions[i]))
		}
		t.rows = append(t.rows, []string{v.Profile, strconv.FormatBool(v.Reached), strconv.FormatBool(v.Matched), strconv.FormatBool(v.Decides),
			strings.Join(ds, "; "), strings.Join(v.Notifications, " "), strconv.FormatBool(v.Stops), v.Why})
	}
	return t
}

func verdictDecision(d *decisions.Decision) string {
	text := fmt.Sprintf("%s of %s for %s", d.Type, d.Value, span(d.Until.Sub(d.Created)))
	if d.Simulated {
		text += ", simulated"
	}
	return text
}

func (c *call) writeTest(t *appliance.ProfileTest) {
	out := c.out()
	say := func(format string, args ...any) { fmt.Fprintln(out, printable(fmt.Sprintf(format, args...))) }
	name := "the alert"
	if t.AlertID != 0 {
		name = fmt.Sprintf("alert %d", t.AlertID)
	}
	say("%s: %s by %s", name, t.Scenario, t.Source)
	if t.Simulated {
		say("it is simulated: nothing of this is enforced")
	}
	for i := range t.Profiles {
		writeVerdict(&t.Profiles[i], say)
	}
	say("")
	if len(t.Decisions) == 0 {
		say("decisions      none")
	}
	for i := range t.Decisions {
		say("decisions      %s", verdictDecision(&t.Decisions[i]))
	}
	notified := strings.Join(t.Notifications, ", ")
	if notified == "" {
		notified = "none"
	}
	say("notifications  %s", notified)
	if len(t.Unknown) > 0 {
		say("               no receiver here is named %s", strings.Join(t.Unknown, ", "))
	}
}

func writeVerdict(v *decisions.ProfileVerdict, say func(format string, args ...any)) {
	mark, state := "✗", "does not match"
	switch {
	case !v.Reached:
		mark, state = "…", "not reached: a profile before it stopped"
	case v.ByError:
		mark, state = "!", "taken for matched"
	case v.Matched:
		mark, state = "✓", "matches"
	}
	say("  %s %s  %s", mark, v.Profile, state)
	for _, f := range v.Filters {
		switch {
		case !f.Tried:
			say("      … %s", f.Filter)
		case f.Error != "":
			say("      ! %s", f.Filter)
			say("          %s", f.Error)
		case f.True:
			say("      ✓ %s", f.Filter)
		default:
			say("      ✗ %s", f.Filter)
		}
	}
	if v.DurationExpr != "" {
		say("      duration_expr %s = %s", v.DurationExpr, v.Duration)
	}
	if v.Error != "" {
		say("      ! %s", v.Error)
	}
	for i := range v.Decisions {
		say("      → %s", verdictDecision(&v.Decisions[i]))
	}
	if len(v.Notifications) > 0 {
		say("      → notifies %s", strings.Join(v.Notifications, ", "))
	}
	if v.Why != "" {
		say("      decides nothing: %s", v.Why)
	}
	if v.Stops {
		say("      stops here")
	}
}
