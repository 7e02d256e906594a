package appliance

import (
	"errors"
	"fmt"
	"time"

	"github.com/rampart-edge/rampart/community"
)

// FeedConfig is a list of addresses and networks from any URL. It is fetched again
// and again; what cannot be fetched leaves what was there in force until its length
// is over.
type FeedConfig struct {
	// Name of the list: letters, digits, and . _ - in between.
	Name string `json:"name"`
	// URL is http, https or file.
	URL string `json:"url"`
	// Type of its decisions: ban, captcha or throttle. Default: ban.
	Type string `json:"type,omitempty"`
	// Scenario is what is said of why. Default: the name.
	Scenario string `json:"scenario,omitempty"`
	// Every is the time between fetches, 1m at least. Default: 1h.
	Every Duration `json:"every,omitempty"`
	// Length is how long what was fetched stays in force. Default: 7d, or three times
	// Every if that is longer.
	Length Duration `json:"length,omitempty"`
	// Format is text or csv; either may be packed with gzip. Default: text.
	Format string `json:"format,omitempty"`
	// Delimiter and Column are of csv: one character or tab, and a number from 1 or a
	// name in the first line. Default: found out.
	Delimiter string `json:"delimiter,omitempty"`
	Column    string `json:"column,omitempty"`
	// SHA256 of the content, in hex: anything else is refused. Default: none.
	SHA256 string `json:"sha256,omitempty"`
}

// compileFeeds checks the feeds.
func (s *Settings) compileFeeds() error {
	var errs []error
	names := map[string]bool{}
	for _, c := range s.config.Lists {
		f := community.Feed{Name: c.Name, URL: c.URL, Type: c.Type, Scenario: c.Scenario, Every: time.Duration(c.Every),
			Length: time.Duration(c.Length), Format: c.Format, Delimiter: c.Delimiter, Column: c.Column, SHA256: c.SHA256}
		if err := f.Check(); err != nil {
			errs = append(errs, fmt.Errorf("list %s: %w", c.Name, err))
		}
		if names[c.Name] {
			errs = append(errs, fmt.Errorf("list %s is there twice; give one of them another name", c.Name))
		}
		names[c.Name] = true
		s.feeds = append(s.feeds, f)
	}
	return errors.Join(errs...)
}
