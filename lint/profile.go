package lint

import (
	"fmt"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// profile is one document of a file of profiles.
type profile struct {
	Name      text   `yaml:"name"`
	Filters   []text `yaml:"filters"`
	OnSuccess text   `yaml:"on_success"`
}

// profiles looks for profiles that no alert gets to, and for filters that no alert
// passes.
func (k *checker) profiles(list []Profile) {
	for _, p := range list {
		var taker *profile // takes every alert and breaks
		for _, doc := range documents[profile](p.Data) {
			at := Finding{Path: p.Path, Line: doc.Name.line, Severity: Warning, Item: doc.Name.value}
			if taker != nil {
				at.Rule = RuleUnreachable
				at.Text = fmt.Sprintf("no alert reaches this profile: %s (line %d) takes every alert and breaks", taker.Name.value, taker.Name.line)
				at.Advice = "put this profile before that one"
				k.add(at)
				continue
			}
			always := len(doc.Filters) > 0
			for _, f := range doc.Filters {
				v, known := k.constantOnAlert(f.value)
				always = always && known && v
				if known && !v {
					k.add(Finding{Path: p.Path, Line: f.line, Severity: Warning, Rule: RuleNever, Item: doc.Name.value,
						Text:   "this filter is never true, so the profile decides nothing",
						Advice: "write what the filter should ask, such as Alert.Remediation == true"})
				}
			}
			if always && doc.OnSuccess.value == "break" {
				taker = &doc
			}
		}
	}
}

// constantOnAlert returns what a profile's filter gives where it looks at nothing.
func (k *checker) constantOnAlert(source string) (value, known bool) {
	p, err := k.options.Env.Compile(source, expression.OnAlert, expression.Bool)
	if err != nil {
		return false, false
	}
	if r := p.Reads(); len(r.Paths) > 0 || r.Opaque || r.Writes || len(calls(source)) > 0 {
		return false, false
	}
	v, err := p.Bool(&expression.Vars{Alert: &event.Alert{}})
	return v, err == nil
}
