package decisions

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	// DefaultAllowList is the name of the allowlist that is always there.
	DefaultAllowList = "default"

	maxAllowName = 64
	maxHostName  = 253
)

// AllowEntry is one item of one allowlist.
type AllowEntry struct {
	// Prefix is what an address or a range covers; zero where Item is a host name or a
	// URL, whose prefixes come from Resolve.
	Prefix  netip.Prefix `json:"prefix,omitzero"`
	Comment string       `json:"comment,omitempty"`
	Author  string       `json:"author,omitempty"`
	Kind    string       `json:"kind"`
	Created time.Time    `json:"created,omitzero"`
	Until   time.Time    `json:"until,omitzero"` // zero: for ever
	// List is the name of the allowlist, "" that of the default one.
	List string `json:"list,omitempty"`
	// Item is a host name or a URL, "" where Prefix says all. To add an entry it may be
	// an address or a range too.
	Item string `json:"item,omitempty"`
	// ListAbout is the description of the list, which goes with an entry to nodes
	// that do not have the list. It is empty elsewhere.
	ListAbout string `json:"list_about,omitempty"`
}

// allowKey tells an entry from the others.
type allowKey struct{ list, item string }

// text is the key in the database and in Redis: of the default list the item alone.
func (k allowKey) text() string {
	if k.list == "" {
		return k.item
	}
	return k.list + "\n" + k.item
}

// String is the key as people write it.
func (k allowKey) String() string {
	if k.list == "" {
		return k.item
	}
	return k.item + " of allowlist " + k.list
}

// Key tells an entry from all others: what the fleet keeps it under. Of the default
// list's addresses and ranges it is the prefix.
func (e *AllowEntry) Key() string { return e.key().text() }

func (e *AllowEntry) key() allowKey {
	if e.Item != "" {
		return allowKey{e.List, e.Item}
	}
	return allowKey{e.List, e.Prefix.String()}
}

// ListName is the name of the entry's list.
func (e *AllowEntry) ListName() string {
	if e.List == "" {
		return DefaultAllowList
	}
	return e.List
}

// Text is the entry as people write it: an address without its width.
func (e *AllowEntry) Text() string {
	switch {
	case e.Item != "":
		return e.Item
	case e.Prefix.IsSingleIP():
		return e.Prefix.Addr().String()
	}
	return e.Prefix.String()
}

// ParseAllowItem reads an item of an allowlist: an address or a range (then item is
// empty), a host name, in lower case and without a dot at its end, or the URL of a
// list of addresses.
func ParseAllowItem(text string) (item string, p netip.Prefix, err error) {
	text = strings.TrimSpace(text)
	if p, _, err = parsePrefix(text); err == nil {
		return "", p, nil
	}
	if err := checkText("item of an allowlist", text, maxText); err != nil {
		return "", p, err
	}
	if strings.Contains(text, "://") {
		return text, netip.Prefix{}, checkListURL(text)
	}
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if !isHostName(name) {
		return "", netip.Prefix{}, fmt.Errorf("item %.80q: expected an address, a range such as 192.0.2.0/24, a host name, or an https:// or http:// URL", text)
	}
	return name, netip.Prefix{}, nil
}

// IsURL reports whether an item of an allowlist is the URL of a list.
func IsURL(item string) bool { return strings.Contains(item, "://") }

func checkListURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return fmt.Errorf("URL %.80q: expected one such as https://example.org/list.txt", text)
	case u.User != nil:
		return fmt.Errorf("URL of host %s: it has a password, which everyone who sees the allowlist would read; expected one without", u.Host)
	}
	return nil
}

// isHostName reports whether name is one that may be looked up. One that ends in a
// number is an address that somebody mistyped.
func isHostName(name string) bool {
	if name == "" || len(name) > maxHostName {
		return false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, c := range []byte(l) {
			if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != ""
}

// allowName is the name of a list as entries have it: "" for the default one.
func allowName(name string) (string, error) {
	if name == "" || name == DefaultAllowList {
		return "", nil
	}
	if err := checkText("name of an allowlist", name, maxAllowName); err != nil {
		return "", err
	}
	return name, nil
}

// normalise brings an entry into the form in which it is kept.
func (e *AllowEntry) normalise() (allowKey, error) {
	var err error
	if e.List, err = allowName(e.List); err != nil {
		return allowKey{}, err
	}
	if e.Item != "" {
		if e.Item, e.Prefix, err = ParseAllowItem(e.Item); err != nil {
			return allowKey{}, err
		}
	}
	if e.Item == "" {
		if !e.Prefix.IsValid() {
			return allowKey{}, errors.New("expected an address, a range such as 192.0.2.0/24, a host name or a URL")
		}
		e.Prefix = plainPrefix(e.Prefix)
	}
	e.Comment, e.Author = tidyText(e.Comment, maxText), tidyText(e.Author, maxText)
	e.ListAbout = tidyText(e.ListAbout, maxText)
	return e.key(), nil
}

// over reports whether the entry has ended.
func (e *AllowEntry) over(now time.Time) bool { return !e.Until.IsZero() && !e.Until.After(now) }

// same reports whether two entries of one key say the same.
func (e *AllowEntry) same(o *AllowEntry) bool {
	return e.Comment == o.Comment && e.Author == o.Author && e.Kind == o.Kind && e.Created.Equal(o.Created) && e.Until.Equal(o.Until)
}
