package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/firewall"
	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/logsources"
	"github.com/rampart-edge/rampart/logsources/file"
	"github.com/rampart-edge/rampart/logsources/journald"
	"github.com/rampart-edge/rampart/notify"
	"github.com/rampart-edge/rampart/resolver"
	"github.com/rampart-edge/rampart/scenarios"
)

// Settings is what a configuration compiles to: immutable, without side effects,
// shared by all that run under it.
type Settings struct {
	config     Config
	counts     *lateCounts
	ruleset    *hub.Ruleset
	rules      *scenarios.Rules // those of the ruleset, request phase and all
	contexts   *scenarios.Contexts
	names      *resolver.Resolver // nil: the DNS is not asked
	profiles   *decisions.Profiles
	simulation *decisions.Simulation
	allow      []netip.Prefix
	sources    []logsources.Spec
	redis      cluster.Config // of a fleet; zero without one
	api        *apiSettings   // nil: it is not served
	community  community.Config
	receivers  *notify.Receivers
	feeds      []community.Feed
	aggregate  *decisions.AggregateConfig // nil: off
	files      []string                   // that the items came from
	stamps     stamps                     // of all files, taken before they were read
	// faults are what keeps items of the Hub from working; notes are what does not.
	faults, notes []string
	// native are the parser nodes that live requests need not run.
	native map[string]bool
	// remote: an overflow may have to wait for another machine.
	remote bool
	// blockers are the enrichers, whitelists and contexts that read the response or ask
	// another machine, so that no scenario can run before it.
	blockers []string
	log      *zap.Logger
}

// lateCounts answers expressions about decisions from the book of the node that
// the settings run on: they are compiled before any book is open.
type lateCounts struct {
	book atomic.Pointer[decisions.Book]
}

func (l *lateCounts) Count(value string, since time.Time) int {
	if b := l.book.Load(); b != nil {
		return b.Count(value, since)
	}
	return 0
}

func (l *lateCounts) Active(value string) (int, time.Duration) {
	if b := l.book.Load(); b != nil {
		return b.Active(value)
	}
	return 0, 0
}

// Compile checks a configuration and compiles all it names. It reads files and
// has no other effect, so that a configuration can be validated beside a running
// node. The error joins everything that is wrong.
func Compile(c Config, log *zap.Logger) (*Settings, error) {
	if log == nil {
		log = zap.NewNop()
	}
	c = c.withDefaults()
	s := &Settings{config: c, log: log, counts: &lateCounts{}, stamps: stampsOf(c, nil)}
	err := errors.Join(c.check(), s.compileAllow(), s.compileRules(s.counts), s.compileSources(), s.compileStorage(),
		s.compileAPI(), s.compileCommunity(), s.compileNotifications(), s.compileFeeds(), s.compileAggregate())
	if err == nil {
		err = errors.Join(s.compileProfiles(s.ruleset.Env), s.compileSimulation())
	}
	if err != nil {
		return nil, err
	}
	s.remote = !c.Resolver.Off && (s.remote || s.profiles.Remote())
	for _, list := range [][]string{s.faults, s.notes} {
		for _, text := range list {
			log.Warn("an item of the hub", zap.String("problem", text))
		}
	}
	return s, nil
}

// bind lets the settings' expressions ask the book of the node they run on, and go on
// with what those of the settings before (nil: none) have remembered. Settings that
// ruled already keep theirs.
func (s *Settings) bind(b *decisions.Book, before *Settings) {
	if s.counts.book.Swap(b) != nil || before == nil {
		return
	}
	s.ruleset.Env.Inherit(before.ruleset.Env)
	if s.names != nil && before.names != nil && s.config.Resolver.equal(before.config.Resolver) {
		s.names.Inherit(before.names)
	}
}

// defaultNode is the name of a node that has been given none.
const defaultNode = "default"

// withDefaults may be applied again to its own result: changed files are compiled
// under the configuration as it is held here.
func (c Config) withDefaults() Config {
	if c.Node == "" {
		c.Node = defaultNode
	}
	if c.IPv6Prefix == 0 {
		c.IPv6Prefix = 64
	}
	c.Firewall = c.Firewall.withDefaults()
	c.Limits = c.Limits.withDefaults()
	c.Storage = c.Storage.withDefaults()
	return c
}

func (f FirewallConfig) withDefaults() FirewallConfig {
	yes := true
	if f.Mode == "" {
		f.Mode = FirewallOff
	}
	if f.Table == "" {
		f.Table = "rampart"
	}
	if f.Owner == nil {
		f.Owner = &yes
	}
	if f.Keep == nil {
		f.Keep = &yes
	}
	if f.Hits == 0 {
		f.Hits = 20
	}
	return f
}

func (l LimitConfig) withDefaults() LimitConfig {
	def := LimitConfig{Buckets: 1_000_000, SampleBytes: 64 << 20, Queue: 16384, Workers: 2, Alerts: 10000,
		AlertBytes: 1 << 30, AlertAge: Duration(7 * 24 * time.Hour), Decisions: 1_000_000}
	if l.Buckets <= 0 {
		l.Buckets = def.Buckets
	}
	if l.SampleBytes <= 0 {
		l.SampleBytes = def.SampleBytes
	}
	if l.Queue <= 0 {
		l.Queue = def.Queue
	}
	if l.Workers <= 0 {
		l.Workers = def.Workers
	}
	if l.Alerts <= 0 {
		l.Alerts = def.Alerts
	}
	if l.AlertBytes <= 0 {
		l.AlertBytes = def.AlertBytes
	}
	if l.AlertAge <= 0 {
		l.AlertAge = def.AlertAge
	}
	if l.Decisions <= 0 {
		l.Decisions = def.Decisions
	}
	return l
}

// Modes of the firewall.
const (
	FirewallOff      = "off"
	FirewallDryRun   = "dry-run"
	FirewallNftables = "nftables"
)

var nodeName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (c Config) check() error {
	var errs []error
	switch c.Firewall.Mode {
	case FirewallOff, FirewallDryRun, FirewallNftables:
	default:
		errs = append(errs, fmt.Errorf("firewall mode %q is unknown; use %s, %s or %s",
			c.Firewall.Mode, FirewallNftables, FirewallDryRun, FirewallOff))
	}
	if err := firewall.CheckTable(c.Firewall.Table); err != nil {
		errs = append(errs, fmt.Errorf("firewall %w", err))
	}
	if c.IPv6Prefix != 64 && c.IPv6Prefix != 128 {
		errs = append(errs, fmt.Errorf("ipv6_prefix %d is not possible; use 64, or 128 for single addresses", c.IPv6Prefix))
	}
	if !nodeName.MatchString(c.Node) {
		errs = append(errs, fmt.Errorf("node %q is not a name; use letters, digits, dots, dashes and underscores", c.Node))
	}
	if c.Firewall.Hits < 0 {
		errs = append(errs, fmt.Errorf("firewall hits %d is not possible; use 1 or more", c.Firewall.Hits))
	}
	return errors.Join(append(errs, c.Limits.check(), c.Captcha.check(), c.Storage.Check())...)
}

// The most that limits may be: beyond it memory is taken at the start.
const (
	maxQueue   = 1 << 20
	maxWorkers = 256
)

func (l LimitConfig) check() error {
	var errs []error
	if l.Queue > maxQueue {
		errs = append(errs, fmt.Errorf("limits queue %d is not possible; use at most %d", l.Queue, maxQueue))
	}
	if l.Workers > maxWorkers {
		errs = append(errs, fmt.Errorf("limits workers %d is not possible; use at most %d", l.Workers, maxWorkers))
	}
	return errors.Join(errs...)
}

func (s *Settings) compileAllow() error {
	var errs []error
	for _, text := range s.config.Allow {
		p, err := ParsePrefix(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading allow: %w", err))
			continue
		}
		s.allow = append(s.allow, p)
	}
	return errors.Join(errs...)
}

// ParsePrefix reads an address or a network; IPv4-mapped ones become IPv4.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.WithZone("").Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", text)
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func (s *Settings) compileProfiles(env *expression.Env) (err error) {
	if s.config.Profiles == "" {
		s.profiles, err = decisions.LoadProfiles("builtin:profiles.yaml", decisions.DefaultProfiles(), env)
	} else {
		s.profiles, err = decisions.ReadProfiles(s.config.Profiles, env)
	}
	return err
}

func (s *Settings) compileSimulation() error {
	c := &s.config.Simulation
	s.simulation = &decisions.Simulation{}
	if c.File != "" {
		var err error
		if s.simulation, err = decisions.ReadSimulation(c.File); err != nil {
			return err
		}
	}
	s.simulation.On = s.simulation.On || c.On
	var errs []error
	for _, text := range c.Except {
		selector, err := decisions.ParseSelector(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("simulation except: %w", err))
		}
		s.simulation.Exclusions = append(s.simulation.Exclusions, selector)
	}
	return errors.Join(errs...)
}

func (s *Settings) compileStorage() (err error) {
	if s.config.Storage.shared() {
		s.redis, err = s.config.Storage.options()
	}
	return err
}

func (s *Settings) compileAggregate() error {
	c := s.config.Aggregate
	if c == nil {
		return nil
	}
	full, err := decisions.AggregateConfig{Count: c.Count, Within: time.Duration(c.Within), Prefix4: c.IPv4, Prefixes6: c.IPv6,
		Widest4: c.WidestIPv4, Widest6: c.WidestIPv6}.Complete()
	s.aggregate = &full
	return err
}

func (s *Settings) compileSources() error {
	var errs []error
	for i, c := range s.config.Sources {
		spec, err := c.spec(s.config.Refused)
		if err != nil {
			errs = append(errs, fmt.Errorf("source %d (%s): %w", i+1, c.Type, err))
			continue
		}
		s.sources = append(s.sources, spec)
	}
	return errors.Join(errs...)
}

func (c SourceConfig) spec(refused func(string) error) (logsources.Spec, error) {
	labels := c.Labels
	if labels["type"] == "" {
		labels = map[string]string{"type": "syslog"}
		for k, v := range c.Labels {
			if k != "type" {
				labels[k] = v
			}
		}
	}
	switch c.Type {
	case "file":
		if len(c.Paths) == 0 {
			return logsources.Spec{}, errors.New("no path given; name the files to follow")
		}
		if refused != nil {
			for _, p := range c.Paths {
				if err := refused(p); err != nil {
					return logsources.Spec{}, err
				}
			}
		}
		return file.Spec(file.Options{Patterns: c.Paths, Exclude: c.Exclude, Labels: labels, FromStart: c.FromStart})
	case "journald":
		if len(c.Paths) > 0 {
			return logsources.Spec{}, fmt.Errorf("paths %s do not belong to a journal; use match", strings.Join(c.Paths, " "))
		}
		return journald.Spec(journald.Options{Match: c.Match, Labels: labels})
	}
	return logsources.Spec{}, fmt.Errorf("type %q is unknown; use file or journald", c.Type)
}
