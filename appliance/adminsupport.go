package appliance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/hub"
)

// maxSupportAlerts bounds the alerts of a support dump.
const maxSupportAlerts = 200

// Support is what people who help need to know of a node, without what must not leave it.
type Support struct {
	Node    string        `json:"node"`
	Version string        `json:"version"`
	Made    time.Time     `json:"made"`
	Files   []SupportFile `json:"files"`
	// LeftOut says what is not in it, for those who look through it before they send it.
	LeftOut []string `json:"left_out"`
}

// SupportFile is one text of it.
type SupportFile struct {
	Name string `json:"name"`
	What string `json:"what"`
	Text string `json:"text"`
}

// makeSupport writes nothing down and asks nobody outside.
func makeSupport(l *live, r *http.Request) (any, error) {
	alerts, err := flag(r, "alerts", false)
	if err != nil {
		return nil, err
	}
	s := Support{Node: l.settings.config.Node, Version: version(), Made: time.Now().UTC(), Files: []SupportFile{}, LeftOut: []string{
		"keys, passwords, tokens and logins, and of URLs all but the host", "hashes of keys and passwords",
		"the receivers' files of notifications", "the logs and the database"}}
	if !alerts {
		s.LeftOut = append(s.LeftOut, "alerts, decisions and whatever else visitors sent (--with-alerts adds the newest alerts)")
	}
	for _, part := range l.supportParts(alerts) {
		text, ok := part.value.(string)
		if !ok {
			data, err := json.MarshalIndent(part.value, "", "  ")
			if err != nil {
				data = fmt.Appendf(nil, "{\"error\": %q}", err)
			}
			text = string(data) + "\n"
		}
		s.Files = append(s.Files, SupportFile{Name: part.name, What: part.what, Text: text})
	}
	clean := newRedaction(&l.settings.config)
	for i := range s.Files {
		s.Files[i].Text = clean.text(s.Files[i].Text)
	}
	return s, nil
}

// supportPart is one file before it is text.
type supportPart struct {
	name, what string
	value      any // a string, or what becomes JSON
}

func (l *live) supportParts(alerts bool) []supportPart {
	status := l.status()
	if !alerts {
		l.forgetVisitors(&status)
	}
	figures := l.figures()
	status.Community.Login, figures.Community.Login = "", ""
	parts := []supportPart{
		{"status.json", "how the node does", status},
		{"metrics.json", "what it has counted", figures},
		{"config.json", "the configuration that it runs under", redactedConfig(&l.settings.config)},
		{"build.json", "how the program was built, and where it runs", buildInfo()},
		{"goroutines.txt", "what it is doing", goroutines()},
		{"items.json", "parsers, scenarios and other items as their files are now", l.supportItems()},
		{"profiles.json", "what alerts lead to", l.settings.profiles.List()},
		{"simulation.json", "what only simulates", l.simulation()},
		{"lists.json", "lists in force, without their entries", l.lists()},
		{"bouncers.json", "who asks the Local API", bouncersOf(l, time.Time{})},
		{"machines.json", "who reports to the Local API", machinesOf(l, time.Time{}, false)},
	}
	if alerts {
		parts = append(parts, supportPart{"alerts.json", "the newest alerts, with what visitors sent",
			orEmpty(l.state.book.Alerts(decisions.AlertFilter{Limit: maxSupportAlerts}))})
	}
	return parts
}

// forgetVisitors takes out what events were about: expressions that fail quote them.
func (l *live) forgetVisitors(s *Status) {
	for i := range s.Scenarios.Failing {
		f := &s.Scenarios.Failing[i]
		for j := range s.Problems {
			if f.Last != "" {
				s.Problems[j] = strings.ReplaceAll(s.Problems[j], f.Last, redacted)
			}
		}
		f.Last = redacted
	}
}

// supportItem is an item and what its file hashes to.
type supportItem struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Stage   string `json:"stage,omitempty"`
	Origin  string `json:"origin"`
	Version string `json:"version,omitempty"`
	Path    string `json:"path,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func (l *live) supportItems() any {
	catalogue, err := l.settings.config.catalogue()
	if err != nil {
		return []supportItem{{Problem: err.Error()}}
	}
	content, err := catalogue.Select(l.settings.config.selection(catalogue))
	out := []supportItem{}
	for _, p := range hub.Problems(err) {
		out = append(out, supportItem{Kind: string(p.Kind), Name: p.Name, Path: p.Path, Problem: p.Error()})
	}
	for _, i := range content.Items {
		one := supportItem{Kind: string(i.Kind), Name: i.Name, Stage: i.Stage, Origin: string(i.Origin), Version: i.Version, Path: i.Path}
		if data, err := i.Read(); err != nil {
			one.Problem = err.Error()
		} else {
			sum := sha256.Sum256(data)
			one.SHA256 = hex.EncodeToString(sum[:])
		}
		out = append(out, one)
	}
	return out
}

// buildInfo is about the program and the machine.
func buildInfo() any {
	out := map[string]any{"version": version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		"cpus": runtime.NumCPU(), "goroutines": runtime.NumGoroutine()}
	if b, ok := debug.ReadBuildInfo(); ok {
		deps := map[string]string{}
		for _, m := range b.Deps {
			deps[m.Path] = m.Version
			if m.Replace != nil {
				deps[m.Path] = m.Replace.Version
			}
		}
		settings := map[string]string{}
		for _, s := range b.Settings {
			settings[s.Key] = s.Value
		}
		out["main"], out["modules"], out["settings"] = b.Main.Path+" "+b.Main.Version, deps, settings
	}
	return out
}

// goroutines are counted by where they are; their arguments are not in it.
func goroutines() string {
	var out bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&out, 1); err != nil {
		return err.Error()
	}
	return out.String()
}
