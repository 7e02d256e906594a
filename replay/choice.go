package replay

import (
	"errors"
	"os"
	"slices"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/hub"
)

// None is the collection that holds nothing.
const None = "none"

// Choice says which items run, and where they are. The zero value is what a node
// without further configuration runs: all built-in collections.
type Choice struct {
	Hub  string // folder of a Hub; "": none
	Data string // folder with the data files of its items
	// Collections to load; none named: the built-in ones. The one word None: none.
	Collections []string
	// Items beside them: names, or paths of files. Scenarios and Contexts may be
	// folders of files, Parsers and Postoverflows folders of <stage>/<file>.
	Parsers, Postoverflows, Scenarios, Contexts []string
	// Everything: all items of the Hub, whatever is named.
	Everything bool
	// Only: of all scenarios those named in Scenarios alone run.
	Only     bool
	Profiles string // file; "": built in
	// Plain runs everything the plain way; see expression.Options.
	Plain bool
	// Record keeps what every node made of every line, for dumps. It takes many times
	// the memory of the logs.
	Record bool
}

// items are what a choice amounts to, read and not yet compiled.
type items struct {
	catalogue *hub.Catalogue
	content   *hub.Content
	problems  []*hub.Problem // with items of the Hub; the rest works without them
	profiles  string
	plain     bool
	record    bool
	faithful  bool     // lines are taken as the tests of the Hub take them
	named     []string // items that were asked for one by one
}

// load opens the catalogue and reads the chosen items. What is wrong with items of
// the Hub becomes problems, anything else the error.
func (c Choice) load() (*items, error) {
	catalogue, content, problems, err := c.Load()
	return &items{catalogue: catalogue, content: content, problems: problems, profiles: c.Profiles,
		plain: c.Plain, record: c.Record, named: c.named()}, err
}

// named are the items that are asked for one by one.
func (c Choice) named() []string {
	return slices.Concat(c.Parsers, c.Postoverflows, c.Scenarios, c.Contexts)
}

// Load opens the catalogue and reads the chosen items. What is wrong with items of
// the Hub that a collection brings comes back as problems; the rest works without
// them. Anything else that is wrong is the error.
func (c Choice) Load() (*hub.Catalogue, *hub.Content, []*hub.Problem, error) {
	o := hub.Options{Hub: c.Hub, Data: c.Data}
	s := hub.Selection{Local: true, Builtin: true}
	s.Parsers, o.Local.Parsers = places(c.Parsers)
	s.Postoverflows, o.Local.Postoverflows = places(c.Postoverflows)
	s.Scenarios, o.Local.Scenarios = places(c.Scenarios)
	s.Contexts, o.Local.Contexts = places(c.Contexts)
	for _, list := range []struct{ names, files *[]string }{
		{&s.Parsers, &o.Local.Parsers}, {&s.Postoverflows, &o.Local.Postoverflows}} {
		// A single parser file is no folder of stages; its path is as good as a name.
		*list.files = slices.DeleteFunc(*list.files, func(p string) bool {
			info, err := os.Stat(p)
			file := err == nil && !info.IsDir()
			if file {
				*list.names = append(*list.names, p)
			}
			return file
		})
	}
	catalogue, err := hub.Open(o)
	if err != nil {
		return nil, nil, nil, err
	}
	s.Collections = c.collections(catalogue)
	if c.Everything {
		for kind, names := range map[hub.Kind]*[]string{hub.Parsers: &s.Parsers, hub.Postoverflows: &s.Postoverflows,
			hub.Scenarios: &s.Scenarios, hub.Contexts: &s.Contexts} {
			for _, i := range catalogue.Items(kind) {
				if i.Origin == hub.Hub {
					*names = append(*names, i.Name)
				}
			}
		}
	}
	content, err := catalogue.Select(s)
	problems, err := sift(catalogue, err, c.named())
	if err != nil {
		return nil, nil, nil, err
	}
	if c.Only {
		own, err := catalogue.Select(hub.Selection{Local: true, Scenarios: s.Scenarios})
		if _, err := sift(catalogue, err, c.named()); err != nil {
			return nil, nil, nil, err
		}
		content.Scenarios = own.Scenarios
		if len(content.Scenarios) == 0 {
			return nil, nil, nil, errors.New("no scenario is named; add --scenario FILE or --scenario NAME")
		}
	}
	return catalogue, content, problems, nil
}

// places tells names from paths.
func places(list []string) (names, paths []string) {
	for _, s := range list {
		if _, err := os.Stat(s); err == nil {
			paths = append(paths, s)
		} else {
			names = append(names, s)
		}
	}
	return names, paths
}

func (c Choice) collections(from *hub.Catalogue) []string {
	switch {
	case len(c.Collections) == 1 && c.Collections[0] == None:
		return nil
	case len(c.Collections) > 0:
		return c.Collections
	}
	var names []string
	for _, i := range from.Items(hub.Collections) {
		if i.Origin == hub.Builtin {
			names = append(names, i.Name)
		}
	}
	return names
}

// sift keeps apart what the operator can mend. An item of the Hub that was named by
// itself is the operator's affair as well: without it there is nothing to show.
func sift(c *hub.Catalogue, err error, named []string) (theirs []*hub.Problem, own error) {
	var errs []error
	for _, p := range hub.Problems(err) {
		if p.Warn || c.Theirs(p) && !slices.Contains(named, p.Name) {
			theirs = append(theirs, p)
		} else {
			errs = append(errs, p)
		}
	}
	return theirs, errors.Join(errs...)
}

func loadProfiles(path string, env *expression.Env) (*decisions.Profiles, error) {
	if path == "" {
		return decisions.LoadProfiles("builtin:profiles.yaml", decisions.DefaultProfiles(), env)
	}
	return decisions.ReadProfiles(path, env)
}
