package community

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	defaultFeedEvery  = time.Hour
	defaultFeedLength = 7 * 24 * time.Hour
	minFeedEvery      = time.Minute
)

// Feed is a list from any URL.
type Feed struct {
	Name string // of the list: letters, digits, and . _ - in between
	URL  string // http, https or file
	Type string // of its decisions; "": ban
	// Scenario is what is said of why; "": the name.
	Scenario string
	Every    time.Duration // 0: an hour; a minute at least
	// Length is how long the list stays in force when it cannot be fetched any more; 0:
	// seven days, or three times Every if that is longer.
	Length time.Duration
	// Format is text (also "") or csv; either may be gzip. Delimiter and Column are of
	// csv: one character or tab, and a number from 1 or a name in the first line. What is
	// left out is found out.
	Format, Delimiter, Column string
	// SHA256 pins the content, in hex: anything else is refused. "": no pin.
	SHA256 string
}

// Check reports what is wrong with a feed.
func (f Feed) Check() error {
	_, err := f.source()
	return err
}

// source checks a feed and makes of it what is fetched.
func (f Feed) source() (*source, error) {
	if err := decisions.CheckListName(f.Name); err != nil {
		return nil, err
	}
	if f.Name == communityList {
		return nil, fmt.Errorf("%s is the name of the community list", f.Name)
	}
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file" || u.Scheme != "file" && u.Host == "" {
		return nil, fmt.Errorf("url %.80q: expected one such as https://example.org/list.txt or file:///etc/rampart/list.txt", f.URL)
	}
	if f.Every == 0 {
		f.Every = defaultFeedEvery
	}
	if f.Length == 0 {
		f.Length = max(defaultFeedLength, 3*f.Every)
	}
	if f.Every < minFeedEvery || f.Length < f.Every || f.Length > maxLength {
		return nil, fmt.Errorf("every %s, length %s: expected every to be %s at least, and length to be from that to a year", f.Every, f.Length, minFeedEvery)
	}
	if f.Type == "" {
		f.Type = decisions.TypeBan
	}
	if strings.HasPrefix(f.Scenario, subscribed) {
		return nil, fmt.Errorf("scenario %.80q: %s is for lists of the Central API", f.Scenario, subscribed)
	}
	if b, err := hex.DecodeString(f.SHA256); err != nil || len(b) != 0 && len(b) != 32 {
		return nil, fmt.Errorf("sha256 %.80q: expected 64 hexadecimal digits", f.SHA256)
	}
	form, err := newFormat(f.Format, f.Delimiter, f.Column)
	if err != nil {
		return nil, err
	}
	return &source{bucket: feedBucket, key: f.Name, url: f.URL, format: form, pin: f.SHA256, every: f.Every, length: f.Length,
		head: decisions.ListHead{Name: f.Name, Type: f.Type, Scenario: f.Scenario}}, nil
}
