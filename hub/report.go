package hub

import "time"

// Result is what became of one test.
type Result struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	// Skipped says why the test was not run; it counts as neither.
	Skipped    string    `json:"skipped,omitempty"`
	Failures   []Failure `json:"failures,omitempty"`
	Warnings   []string  `json:"warnings,omitempty"` // of items: they work all the same
	Assertions int       `json:"assertions"`
	Lines      int       `json:"lines"`
	// Generated are the assertions that a file without any could have, by its name.
	Generated map[string]string `json:"generated,omitempty"`
	Elapsed   time.Duration     `json:"elapsed"`
}

// fail notes a failure.
func (r *Result) fail(f Failure) { r.Failures = append(r.Failures, f) }

// Report is what became of several tests.
type Report struct {
	Results    []Result      `json:"results"` // sorted by name
	Passed     int           `json:"passed"`
	Failed     int           `json:"failed"`
	Skipped    int           `json:"skipped"`
	Assertions int           `json:"assertions"`
	Lines      int           `json:"lines"`
	Elapsed    time.Duration `json:"elapsed"`
	CPU        time.Duration `json:"cpu"` // of the process meanwhile; 0 where the system does not say
}

// add counts a result.
func (r *Report) add(one Result) {
	r.Results = append(r.Results, one)
	r.Assertions += one.Assertions
	r.Lines += one.Lines
	switch {
	case one.Skipped != "":
		r.Skipped++
	case one.Passed:
		r.Passed++
	default:
		r.Failed++
	}
}
