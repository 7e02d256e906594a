package journald

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/logsources"
)

// Options configures a source of journal entries.
type Options struct {
	// Match restricts the entries, as journalctl's matches do: FIELD=value,
	// "+" for or, or the path of a program, for example _COMM=sshd. Arguments
	// that select are allowed too: -t, -u and the like (CrowdSec compatible:
	// journalctl_filter). Empty: everything.
	Match []string
	// Labels go with every line; type is syslog if it is not set.
	Labels map[string]string
	// Command runs instead of journalctl, with the arguments for journalctl
	// appended; for example {"journalctl", "--directory=/srv/journal"}.
	Command []string
}

// ownArguments are those that the source sets itself.
var ownArguments = [...]string{"-o", "--output", "-f", "--follow", "-n", "--lines", "-r", "--reverse", "-c", "--cursor", "--after-cursor", "-e", "--pager-end", "-S", "--since", "-U", "--until", "--no-tail"}

// Spec returns the specification of a source that follows the journal, or an
// error that says what is wrong with o. Whether journalctl exists shows only when
// the source runs.
func Spec(o Options) (logsources.Spec, error) {
	s := settings{match: slices.Clone(o.Match), command: slices.Clone(o.Command), labels: maps.Clone(o.Labels)}
	if len(s.command) == 0 {
		s.command = []string{"journalctl"}
	}
	if s.labels == nil {
		s.labels = map[string]string{}
	}
	if s.labels["type"] == "" {
		s.labels["type"] = "syslog"
	}
	if s.command[0] == "" {
		return logsources.Spec{}, errors.New("the command of a journald source is empty: leave it out for journalctl")
	}
	for _, m := range s.match {
		name, _, _ := strings.Cut(m, "=")
		if m == "" || strings.ContainsRune(m, 0) {
			return logsources.Spec{}, fmt.Errorf("journald source: match %q cannot be used: write it as FIELD=value, for example _COMM=sshd", m)
		}
		if slices.Contains(ownArguments[:], name) {
			return logsources.Spec{}, fmt.Errorf("journald source: match %q is not possible: rampart itself decides the place and form of the output", m)
		}
	}
	name := "journal"
	if len(s.match) > 0 {
		name = strings.Join(s.match, " ")
	}
	return logsources.Spec{
		Key: s.key(), Name: name, Type: "journald",
		New: func(env logsources.Environment) (logsources.Source, error) {
			return &source{set: s, env: env.WithDefaults()}, nil
		},
	}, nil
}

// settings are Options that were checked; immutable.
type settings struct {
	match, command []string
	labels         map[string]string
}

func (s *settings) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "journald %q %q", s.command, s.match)
	for _, k := range slices.Sorted(maps.Keys(s.labels)) {
		fmt.Fprintf(&b, " %q=%q", k, s.labels[k])
	}
	return b.String()
}

// positionKey names the cursor: the same entries under other labels go on where
// they were.
func (s *settings) positionKey() string {
	return fmt.Sprintf("journald:%q:%q", s.command, s.match)
}
