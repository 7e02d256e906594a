package hub

import "slices"

// standIns names, for a built-in parser, the Hub's parsers that do the same work.
// Where one of them is selected, the built-in one is left out: no line is parsed
// twice, and Hub scenarios get the fields that they were written for.
func standIns(builtin string) []string {
	switch builtin {
	case "rampart/syslog", "rampart/non-syslog":
		return []string{"crowdsecurity/syslog-logs"}
	case "rampart/sshd-logs", "rampart/sshd-repeated":
		return []string{"crowdsecurity/sshd-logs"}
	case "rampart/caddy-json":
		return []string{"crowdsecurity/caddy-logs"}
	case "rampart/http-access":
		return []string{"crowdsecurity/nginx-logs", "crowdsecurity/apache2-logs"}
	case "rampart/http-logs":
		return []string{"crowdsecurity/http-logs"}
	case "rampart/dateparse":
		return []string{"crowdsecurity/dateparse-enrich"}
	}
	return nil
}

// replaceBuiltins leaves out the built-in parsers whose work other selected items
// do.
func replaceBuiltins(items []*Item) []*Item {
	selected := map[string]bool{}
	for _, i := range items {
		if i.Kind == Parsers && i.Origin != Builtin {
			selected[i.Name] = true
		}
	}
	return slices.DeleteFunc(items, func(i *Item) bool {
		return i.Kind == Parsers && i.Origin == Builtin &&
			slices.ContainsFunc(standIns(i.Name), func(name string) bool { return selected[name] })
	})
}
