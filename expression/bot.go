package expression

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// bot is a line of a bots file: a robot that is welcome, and how to tell it from
// those who only say that they are it.
type bot struct {
	userAgent *regexp.Regexp   // nil: any
	paths     []*regexp.Regexp // none: any
	ips       []netip.Addr
	ranges    []netip.Prefix
	names     []*regexp.Regexp
}

// botSpec is the line as it is written.
type botSpec struct {
	Name      string   `json:"name"`
	UserAgent string   `json:"user_agent"`
	Paths     []string `json:"paths"`
	IPs       []string `json:"ips"`
	Ranges    []string `json:"ranges"`
	RDNS      []string `json:"rdns"`
}

func newBot(line string) (*bot, error) {
	var s botSpec
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("the line is not the JSON object of a bot: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the JSON object: write one bot on a line")
	}
	if s.Name == "" {
		return nil, errors.New("name is needed, and not empty")
	}
	if len(s.IPs)+len(s.Ranges)+len(s.RDNS) == 0 {
		return nil, errors.New("ips, ranges or rdns is needed: anyone can send any user agent")
	}
	return s.compile()
}

func (s botSpec) compile() (*bot, error) {
	b := &bot{}
	var err error
	if s.UserAgent != "" {
		if b.userAgent, err = anyCase(s.UserAgent); err != nil {
			return nil, fmt.Errorf("compiling user_agent: %w", err)
		}
	}
	if b.paths, err = anyCases(s.Paths); err != nil {
		return nil, fmt.Errorf("compiling paths: %w", err)
	}
	if slices.Contains(s.RDNS, "") {
		return nil, errors.New("a pattern of rdns is empty: it would match every name")
	}
	if b.names, err = anyCases(s.RDNS); err != nil {
		return nil, fmt.Errorf("compiling rdns: %w", err)
	}
	for _, text := range s.IPs {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("reading ips: %w", err)
		}
		b.ips = append(b.ips, a.Unmap())
	}
	for _, text := range s.Ranges {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("reading ranges: %w", err)
		}
		b.ranges = append(b.ranges, p.Masked())
	}
	return b, nil
}

// anyCase compiles a pattern so that case does not count.
func anyCase(pattern string) (*regexp.Regexp, error) { return regexp.Compile("(?i)" + pattern) }

func anyCases(patterns []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range patterns {
		re, err := anyCase(p)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

// says reports whether the request looks like one of b's.
func (b *bot) says(userAgent, path string) bool {
	return (b.userAgent == nil || b.userAgent.MatchString(userAgent)) && (len(b.paths) == 0 || anyMatches(b.paths, path))
}

// at reports whether b is known to come from a.
func (b *bot) at(a netip.Addr) bool {
	return slices.Contains(b.ips, a) || slices.ContainsFunc(b.ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}

func anyMatches(patterns []*regexp.Regexp, text string) bool {
	return slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(text) })
}

// matchBot reports whether a request comes from a bot of one of the files. The DNS
// is asked last, once for all of them, and only where the name can decide. What is
// not known counts as no match.
func (e *Env) matchBot(ip, userAgent, path string, files []string) bool {
	source := sourceOf(ip)
	if !source.IsValid() {
		return false
	}
	var byName []*bot
	for _, name := range files {
		f := e.file(name, "bots")
		if f == nil {
			continue
		}
		for _, b := range f.bots {
			if !b.says(userAgent, path) {
				continue
			}
			if b.at(source) {
				return true
			}
			if len(b.names) > 0 {
				byName = append(byName, b)
			}
		}
	}
	if len(byName) == 0 || e.resolver == nil {
		return false
	}
	for _, name := range e.resolver.Confirmed(context.Background(), source) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if slices.ContainsFunc(byName, func(b *bot) bool { return anyMatches(b.names, name) }) {
			return true
		}
	}
	return false
}

// sourceOf reads an address as requests have it, with or without a port.
func sourceOf(text string) netip.Addr {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.WithZone("").Unmap()
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().WithZone("").Unmap()
	}
	return netip.Addr{}
}

func (e *Env) botFunctions() []function {
	return []function{{"MatchKnownBot", new(func(string, string, string, ...string) bool), remote, func(a args) (any, error) {
		s, err := a.texts(3)
		if err != nil {
			return nil, err
		}
		files := make([]string, 0, len(a)-3)
		for i := 3; i < len(a); i++ {
			name, err := a.text(i)
			if err != nil {
				return nil, err
			}
			files = append(files, name)
		}
		return e.matchBot(s[0], s[1], s[2], files), nil
	}}}
}
