package hub

import "maps"

// Case is what a test runs.
type Case struct {
	Content *Content
	Log     string            // path
	Type    string            // label type of its lines
	Labels  map[string]string // further labels
}

// Case reads a test without running it. The error joins a *Problem for each item
// that is missing.
func (r *Runner) Case(name string) (*Case, error) {
	t, err := openTest(r.tests, name)
	if err != nil {
		return nil, err
	}
	content, err := t.content(r.catalogue)
	return &Case{Content: content, Log: t.logPath(), Type: t.config.LogType, Labels: maps.Clone(map[string]string(t.config.Labels))}, err
}
