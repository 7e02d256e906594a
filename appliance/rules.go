package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/geoip"
	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/resolver"
)

// none is the collection that holds nothing.
const none = "none"

// responseSide are the fields that only a response gives. A scenario that reads
// none of them can refuse the very request that overflows it.
func responseSide() map[string]bool {
	return map[string]bool{
		"Meta.http_status": true, "Meta.sub_type": true, "Parsed.impact_completion": true,
		"Parsed.status": true, "Parsed.body_bytes_sent": true,
	}
}

// catalogue opens what the configuration can choose from.
func (c Config) catalogue() (*hub.Catalogue, error) {
	return hub.Open(hub.Options{Hub: c.Hub.Dir, Data: c.Hub.Data, Local: hub.LocalPaths{Parsers: c.Parsers,
		Postoverflows: c.Postoverflows, Scenarios: c.Scenarios, Contexts: c.Contexts}})
}

// selection is what it chooses. Without a collection named, all built-in ones run.
func (c Config) selection(from *hub.Catalogue) hub.Selection {
	s := hub.Selection{Collections: c.Collections, Parsers: c.Items.Parsers, Postoverflows: c.Items.Postoverflows,
		Scenarios: c.Items.Scenarios, Contexts: c.Items.Contexts, Local: true, Builtin: true}
	switch {
	case len(c.Collections) == 1 && c.Collections[0] == none:
		s.Collections = nil
	case len(c.Collections) == 0:
		for _, i := range from.Items(hub.Collections) {
			if i.Origin == hub.Builtin {
				s.Collections = append(s.Collections, i.Name)
			}
		}
	}
	return s
}

// compileRules finds, reads and compiles the items. What is wrong with an item of
// the Hub is kept for those who look, and the rest works without it; what the
// operator can mend is an error.
func (s *Settings) compileRules(counts expression.DecisionCounts) error {
	c, err := s.config.catalogue()
	if err != nil {
		return err
	}
	content, err := s.read(c)
	if err := s.sift(c, err); err != nil {
		return err
	}
	places, err := s.config.GeoIP.open()
	if err != nil {
		return err
	}
	names, err := s.config.Resolver.open()
	if err != nil {
		return err
	}
	o := hub.CompileOptions{Logger: s.log, Now: time.Now, Location: time.Local, Decisions: counts, Geo: places}
	if names != nil {
		o.Resolver, s.names = names, names
	}
	s.ruleset, err = content.Compile(o)
	if err := s.sift(c, err); err != nil {
		return err
	}
	s.native = nativeNodes(content)
	s.blockers = s.ruleset.Pipeline.RequestSide(engine.EnrichStage, responseSide(), s.skips)
	s.rules, s.contexts = s.ruleset.Rules, s.ruleset.Contexts
	if s.contexts.Remote() {
		s.blockers = append(s.blockers, "a context that asks another machine")
	}
	if len(s.blockers) == 0 {
		s.rules = s.rules.WithRequestPhase(responseSide())
	}
	// Postoverflows may ask, and so may a scenario that an overflow is poured into again.
	s.remote = s.ruleset.Postoverflows.Remote() || s.rules.Remote() || s.contexts.Remote()
	return nil
}

// read selects the items and notes the state of their files, before it reads them
// for good: what changes in between is seen by the watcher.
func (s *Settings) read(c *hub.Catalogue) (*hub.Content, error) {
	selection := s.config.selection(c)
	content, err := c.Select(selection)
	for range 3 {
		s.files = content.Files()
		s.stamps = stampsOf(s.config, s.files)
		if content, err = c.Select(selection); slices.Equal(content.Files(), s.files) {
			break
		}
	}
	return content, err
}

// sift notes what is wrong with the Hub's items and returns what the operator can
// mend.
func (s *Settings) sift(c *hub.Catalogue, err error) error {
	var errs []error
	for _, p := range hub.Problems(err) {
		switch {
		case p.Warn:
			s.notes = append(s.notes, p.Error())
		case c.Theirs(p):
			s.faults = append(s.faults, p.Error())
		case p.Path == "" && p.Name != "" && s.config.Hub.Dir == "":
			errs = append(errs, fmt.Errorf("%w (names of the Hub need hub DIR)", p))
		default:
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// nativeNodes are the parser nodes whose work is done for a live request before it
// enters the parsers: it has no text and no date to parse. A file of the Hub that
// was changed is run, for nobody knows what it does.
func nativeNodes(content *hub.Content) map[string]bool {
	nodes := map[string]bool{}
	for _, i := range content.Items {
		switch i.Name {
		case "rampart/http-logs", "crowdsecurity/http-logs", "rampart/dateparse", "crowdsecurity/dateparse-enrich":
			nodes[i.Name] = i.Kind == hub.Parsers && i.Origin != hub.Local && i.Version != "?"
		}
	}
	return nodes
}

// skips reports the nodes that live requests need not run.
func (s *Settings) skips(node string) bool { return s.native[node] }

// splits reports whether a request's target is taken apart before it enters the
// parsers.
func (s *Settings) splits() bool {
	return s.native["rampart/http-logs"] || s.native["crowdsecurity/http-logs"]
}

// open opens the databases that are named.
func (g GeoIPConfig) open() (*geoip.Database, error) {
	if g.City == "" && g.ASN == "" {
		return nil, nil //nolint:nilnil // the items' own data files are used
	}
	db, err := geoip.Open(g.City, g.ASN)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening geoip: %w; correct the path, or leave geoip out", err)
	} else if err != nil {
		return nil, fmt.Errorf("opening geoip: %w", err)
	}
	return db, nil
}

// equal reports whether both ask the same servers.
func (r ResolverConfig) equal(o ResolverConfig) bool { return slices.Equal(r.Servers, o.Servers) }

// open returns what asks the DNS, nil where nothing is to be asked.
func (r ResolverConfig) open() (*resolver.Resolver, error) {
	if r.Off {
		return nil, nil //nolint:nilnil // expressions know what to do without
	}
	o, err := r.options()
	if err != nil {
		return nil, err
	}
	return resolver.New(o), nil
}

// options say whom to ask.
func (r ResolverConfig) options() (resolver.Options, error) {
	o := resolver.Options{Timeout: time.Duration(r.Timeout)}
	if len(r.Servers) == 0 {
		return o, nil
	}
	var servers []string
	for _, text := range r.Servers {
		server, err := parseServer(text)
		if err != nil {
			return o, err
		}
		servers = append(servers, server)
	}
	var dialer net.Dialer
	var turn atomic.Uint32
	// A datagram is sent whether or not anybody listens, so a second attempt goes to
	// the next server.
	ask := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		n := turn.Add(1) - 1
		return dialer.DialContext(ctx, network, servers[int(n)%len(servers)])
	}}
	o.LookupAddr, o.LookupNetIP = ask.LookupAddr, ask.LookupNetIP
	return o, nil
}

// parseServer reads an address of a DNS server, whose port is 53 unless it is given.
func parseServer(text string) (string, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 53).String(), nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return "", fmt.Errorf("resolver server %q is no address; write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53", text)
	}
	return a.String(), nil
}
