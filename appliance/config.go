package appliance

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is what an operator may say; its JSON form is that of the Caddy app
// "rampart". The zero value is a working configuration.
type Config struct {
	// Node names this node and its state; two configurations with one name share
	// buckets, decisions and positions. Default: "default".
	Node string `json:"node,omitempty"`
	// DataDir is where decisions, positions and bucket state are kept. Default:
	// the directory "rampart" in Caddy's data directory.
	DataDir string `json:"data_dir,omitempty"`
	// Sources are the logs to read.
	Sources []SourceConfig `json:"sources,omitempty"`
	// Hub is a folder of CrowdSec Hub items, which collections and items are taken
	// from by name.
	Hub HubConfig `json:"hub,omitzero"`
	// Collections are those to run, built in or of the Hub. Default: rampart/http,
	// rampart/sshd and rampart/wordpress. The single word "none" stands for none.
	Collections []string `json:"collections,omitempty"`
	// Items are single items to run beside those of the collections.
	Items ItemConfig `json:"items,omitzero"`
	// Scenarios are YAML files, or directories of them, with scenarios of your own.
	// They are watched: a change takes effect without a reload, and an error leaves
	// the last good state in force.
	Scenarios []string `json:"scenarios,omitempty"`
	// Parsers are directories laid out as <stage>/<file>.yaml with parsers of your own.
	Parsers []string `json:"parsers,omitempty"`
	// Postoverflows are directories laid out as <stage>/<file>.yaml with
	// postoverflows of your own.
	Postoverflows []string `json:"postoverflows,omitempty"`
	// Contexts are YAML files, or directories of them, that say what alerts tell
	// about their events.
	Contexts []string `json:"contexts,omitempty"`
	// Simulation has alerts without consequences.
	Simulation SimulationConfig `json:"simulation,omitzero"`
	// GeoIP says where addresses are.
	GeoIP GeoIPConfig `json:"geoip,omitzero"`
	// Resolver asks the DNS for the enrichers and postoverflows that need it.
	Resolver ResolverConfig `json:"resolver,omitzero"`
	// Profiles is a YAML file that turns alerts into decisions. Default: built in.
	Profiles string `json:"profiles,omitempty"`
	// Allow lists addresses and networks that can never be banned.
	Allow []string `json:"allow,omitempty"`
	// Firewall drops repeat offenders in the kernel.
	Firewall FirewallConfig `json:"firewall,omitzero"`
	// Captcha is the challenge that suspects meet.
	Captcha CaptchaConfig `json:"captcha,omitzero"`
	// Limits bound memory.
	Limits LimitConfig `json:"limits,omitzero"`
	// Storage says where buckets and decisions are kept: here, or shared by a fleet.
	Storage StorageConfig `json:"storage,omitzero"`
	// API serves the Local API of CrowdSec's bouncers, agents and cscli. Default: not.
	API *APIConfig `json:"api,omitempty"`
	// Community exchanges signals and lists with a Central API. Default: nothing.
	Community *CommunityConfig `json:"community,omitempty"`
	// Notifications is a folder of CrowdSec's notification YAML. It is watched. Profiles
	// name whom of it they notify. Default: nobody.
	Notifications string `json:"notifications,omitempty"`
	// Lists are fetched from URLs.
	Lists []FeedConfig `json:"lists,omitempty"`
	// Aggregate bans ranges of which many addresses are banned. Default: none.
	Aggregate *AggregateConfig `json:"aggregate,omitempty"`
	// IPv6Prefix is the width by which IPv6 sources are counted and decided
	// upon: 64, or 128 for single addresses. Default: 64.
	IPv6Prefix int `json:"ipv6_prefix,omitempty"`
	// Contact is shown on refusal pages, so that people can ask for help.
	Contact string `json:"contact,omitempty"`

	// Trusted reports whether an address is a trusted proxy of the web server.
	// Such an address is never banned. May be nil.
	Trusted func(netip.Addr) bool `json:"-"`
	// Proxies lists the networks of all trusted proxies, as far as they are known.
	// They are never banned, not even before a request came from them. May be nil.
	Proxies func() []netip.Prefix `json:"-"`
	// Refused reports why a path must not be read as a log (it is this server's own
	// access log, say), nil where it may. May be nil.
	Refused func(path string) error `json:"-"`
}

// SourceConfig is one log to read.
type SourceConfig struct {
	// Type is "file" or "journald".
	Type string `json:"type"`
	// Paths are the files to follow, as glob patterns (type file).
	Paths []string `json:"paths,omitempty"`
	// Exclude are regular expressions; a path that matches one is left out.
	Exclude []string `json:"exclude,omitempty"`
	// Match are journal matches such as _COMM=sshd (type journald).
	Match []string `json:"match,omitempty"`
	// Labels are given to every line; "type" selects the parsers: syslog for system
	// logs, nginx, apache2 or caddy for access logs. Default: type=syslog.
	Labels map[string]string `json:"labels,omitempty"`
	// FromStart reads files from their first line at the first start, instead of
	// from their end.
	FromStart bool `json:"from_start,omitempty"`
}

// HubConfig says where Hub items are. They are watched like files of your own.
type HubConfig struct {
	// Dir is the folder with .index.json, or with parsers, scenarios and so on.
	Dir string `json:"dir,omitempty"`
	// Data is the folder with the data files that items name. Nothing is downloaded.
	Data string `json:"data,omitempty"`
}

// ItemConfig names single items: by name, or a YAML file by its path.
type ItemConfig struct {
	Parsers       []string `json:"parsers,omitempty"`
	Postoverflows []string `json:"postoverflows,omitempty"`
	Scenarios     []string `json:"scenarios,omitempty"`
	Contexts      []string `json:"contexts,omitempty"`
}

// SimulationConfig has scenarios only simulate: their alerts are recorded and
// nobody is refused for them.
type SimulationConfig struct {
	// On simulates all scenarios but those in Except; off only those in Except.
	On bool `json:"on,omitempty"`
	// Except are names of scenarios; list:NAME and host:NAME are lists and sites that
	// simulate, whatever On is.
	Except []string `json:"except,omitempty"`
	// File is a simulation.yaml as CrowdSec has it, to begin with. It is watched.
	File string `json:"file,omitempty"`
}

// GeoIPConfig names databases in the MaxMind format. Default: GeoLite2-City.mmdb
// and GeoLite2-ASN.mmdb below the Hub's data folder, where they are there.
type GeoIPConfig struct {
	City string `json:"city,omitempty"`
	ASN  string `json:"asn,omitempty"`
}

// ResolverConfig is about DNS. It is asked on behalf of logs and overflows, never
// while a request waits.
type ResolverConfig struct {
	// Off: nothing is ever asked.
	Off bool `json:"off,omitempty"`
	// Servers are addresses of DNS servers, with or without a port. Default: those
	// of the system.
	Servers []string `json:"servers,omitempty"`
	// Timeout of one question. Default: 3s.
	Timeout Duration `json:"timeout,omitempty"`
}

// FirewallConfig is about the nftables remediator.
type FirewallConfig struct {
	// Mode is "nftables", "dry-run" (logs what it would do) or "off". Default: off.
	Mode string `json:"mode,omitempty"`
	// Table is the name of the table of ours. Default: rampart.
	Table string `json:"table,omitempty"`
	// Owner asks the kernel to protect the table from other programs. Default: true.
	Owner *bool `json:"owner,omitempty"`
	// Keep leaves bans in force when the process ends; they expire by themselves.
	// Default: true.
	Keep *bool `json:"keep,omitempty"`
	// Hits is how many requests a banned client may still send within ten seconds
	// before the kernel drops its packets. Default: 20.
	Hits int `json:"hits,omitempty"`
}

// CaptchaConfig is about the challenge.
type CaptchaConfig struct {
	// Digits in a picture. Default: 6.
	Digits int `json:"digits,omitempty"`
	// TTL is how long a visitor has to answer. Default: 10m.
	TTL Duration `json:"ttl,omitempty"`
	// Grace is how long a solved challenge counts. Default: 1h.
	Grace Duration `json:"grace,omitempty"`
	// MinSolve is the least time a person needs; faster answers are refused.
	// Default: 1.5s.
	MinSolve Duration `json:"min_solve,omitempty"`
}

// AggregateConfig bans ranges of which many addresses are banned. A range with an
// allowed address in it is never banned.
type AggregateConfig struct {
	// Count is how many addresses of a range, or /64 of IPv6, have to be banned.
	// Default: 8.
	Count int `json:"count,omitempty"`
	// Within is the time within which they were banned. Default: 1h.
	Within Duration `json:"within,omitempty"`
	// IPv4 is the width of IPv4 ranges. Default: 24.
	IPv4 int `json:"ipv4,omitempty"`
	// IPv6 are the widths of IPv6 ranges, the narrowest first: of Count /64 the first
	// is made, of Count of those the second. Default: 56 and 48.
	IPv6 []int `json:"ipv6,omitempty"`
	// WidestIPv4 and WidestIPv6 are what no range may be wider than. Default: 16 and 32.
	WidestIPv4 int `json:"widest_ipv4,omitempty"`
	WidestIPv6 int `json:"widest_ipv6,omitempty"`
}

// LimitConfig bounds memory.
type LimitConfig struct {
	// Buckets is the most buckets held; beyond it the longest untouched go first.
	// Default: 1000000.
	Buckets int `json:"buckets,omitempty"`
	// SampleBytes is the most memory for the events kept as evidence. Default: 64 MiB.
	SampleBytes int64 `json:"sample_bytes,omitempty"`
	// Queue is how many finished requests may wait for detection; beyond it they
	// are dropped and counted. Default: 16384.
	Queue int `json:"queue,omitempty"`
	// Workers run detection off the request path. Default: 2.
	Workers int `json:"workers,omitempty"`
	// Alerts is how many alerts are kept beside those of decisions in force.
	// Default: 10000.
	Alerts int `json:"alerts,omitempty"`
	// AlertBytes is how many bytes of such alerts are kept; the oldest go first.
	// Default: 1 GiB.
	AlertBytes int64 `json:"alert_bytes,omitempty"`
	// AlertAge is how long such alerts are kept. Default: 7d.
	AlertAge Duration `json:"alert_age,omitempty"`
	// Decisions is the most decisions in force, each with its alert; beyond it those
	// that end first go. One takes about 3 KiB. Default: 1000000.
	Decisions int `json:"decisions,omitempty"`
}

// Duration is a time.Duration that reads "90s", "1h30m" or "2d" in JSON, or a
// number of nanoseconds.
type Duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var n int64
	if json.Unmarshal(b, &n) == nil {
		*d = Duration(n)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("reading duration %s: write it as \"90s\", \"1h30m\" or \"2d\"", b)
	}
	v, err := ParseDuration(s)
	*d = Duration(v)
	return err
}

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// ParseDuration reads a Go duration that may start with a whole number of days.
func ParseDuration(s string) (time.Duration, error) {
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		days, rest = "0", s
	}
	n, err := strconv.Atoi(days)
	if err != nil || n > 36500 || n < 0 {
		return 0, fmt.Errorf("reading duration %q: write it as 90s, 1h30m or 2d", s)
	}
	v := time.Duration(n) * 24 * time.Hour
	if rest == "" && ok {
		return v, nil
	}
	r, err := time.ParseDuration(rest)
	if err != nil || r > math.MaxInt64-max(v, 0) || strings.HasPrefix(rest, "-") && ok {
		return 0, fmt.Errorf("reading duration %q: write it as 90s, 1h30m or 2d", s)
	}
	return v + r, nil
}
