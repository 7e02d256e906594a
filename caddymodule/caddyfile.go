package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/rampart-edge/rampart/appliance"
)

// parseGlobal reads the global option "rampart".
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Err("there is a second rampart block; put all its options into one")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: appName, Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global block. Paths that are not absolute are
// relative to the directory of the file that names them. Syntax:
//
//	rampart {
//		node        <name>
//		data_dir    <path>
//		source file <pattern>... {
//			labels  <name>=<value>...
//			exclude <regexp>...
//			from_start
//		}
//		source journald {
//			match  <FIELD>=<value>...
//			labels <name>=<value>...
//		}
//		hub <dir> {
//			data <dir>
//		}
//		collection    <name>... | none
//		scenario      <name or file>...
//		parser        <name or file>...
//		postoverflow  <name or file>...
//		context       <name or file>...
//		scenarios     <path>...
//		parsers       <path>...
//		postoverflows <path>...
//		contexts      <path>...
//		simulation {
//			on | off
//			except <scenario>...
//			file   <path>
//		}
//		geoip {
//			city <path>
//			asn  <path>
//		}
//		resolver {
//			off
//			servers <address>...
//			timeout <duration>
//		}
//		profiles    <path>
//		allow       <address or network>...
//		firewall {
//			mode  nftables | dry-run | off
//			table <name>
//			owner on | off
//			keep  on | off
//			hits  <n>
//		}
//		captcha {
//			digits    <n>
//			ttl       <duration>
//			grace     <duration>
//			min_solve <duration>
//		}
//		limits {
//			buckets      <n>
//			sample_bytes <size>
//			queue        <n>
//			workers      <n>
//			alerts       <n>
//			decisions    <n>
//			alert_bytes  <size>
//			alert_age    <duration>
//		}
//		storage embedded
//		storage redis {
//			address  <host:port> | unix/<path>
//			sentinel <name of the primary> <host:port>...
//			cluster  <host:port>...
//			tls {
//				ca          <path>
//				cert        <path> <path of the key>
//				server_name <name>
//			}
//			username          <name>
//			password          <password>
//			sentinel_username <name>
//			sentinel_password <password>
//			prefix <text>
//			db     <n>
//			flush  <duration>
//			batch  <n>
//		}
//		api {
//			listen <host:port>
//			socket <path>
//			off
//			tls       <path> <path of the key>
//			client_ca <path>
//			client_verification NoClientCert | RequestClientCert | RequireAnyClientCert |
//			                    VerifyClientCertIfGiven | RequireAndVerifyClientCert
//			crl             <path>
//			agents_ou       <name>...
//			bouncers_ou     <name>...
//			trusted_ips     <address or network>...
//			trusted_proxies <address or network>...
//			auto_registration <token> <address or network>...
//			local_registration
//			autodelete {
//				bouncer_key      <duration>
//				bouncer_cert     <duration>
//				machine_password <duration>
//				machine_cert     <duration>
//				unvalidated      <duration>
//			}
//		}
//		community {
//			url         <url>
//			credentials <path>
//			pull  community lists | off
//			every <duration>
//			share [custom] [tainted] [manual] | none
//			context
//			names
//			metrics
//		}
//		notifications <path>
//		list <name> <url> {
//			type      ban | captcha | throttle
//			scenario  <text>
//			every     <duration>
//			length    <duration>
//			format    text | csv
//			delimiter <character>
//			column    <name or number>
//			sha256    <hex>
//		}
//		aggregate {
//			count  <n>
//			within <duration>
//			ipv4   <n>
//			ipv6   <n>...
//			widest_ipv4 <n>
//			widest_ipv6 <n>
//		}
//		ipv6_prefix 64 | 128
//		contact     <text>
//		unsafe_trusted_proxies
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Err("rampart takes a block, not arguments")
	}
	return parseBlock(d, "the rampart block", []option{
		{"node", text(&a.Node)},
		{"data_dir", path(&a.DataDir)},
		{"source", a.parseSource},
		{"hub", a.parseHub},
		{"collection", list(&a.Collections)},
		{"scenario", items(&a.Items.Scenarios)},
		{"parser", items(&a.Items.Parsers)},
		{"postoverflow", items(&a.Items.Postoverflows)},
		{"context", items(&a.Items.Contexts)},
		{"scenarios", paths(&a.Scenarios)},
		{"parsers", paths(&a.Parsers)},
		{"postoverflows", paths(&a.Postoverflows)},
		{"contexts", paths(&a.Contexts)},
		{"simulation", a.parseSimulation},
		{"geoip", a.parseGeoIP},
		{"resolver", a.parseResolver},
		{"profiles", path(&a.Profiles)},
		{"allow", list(&a.Allow)},
		{"firewall", a.parseFirewall},
		{"captcha", a.parseCaptcha},
		{"limits", a.parseLimits},
		{"storage", a.parseStorage},
		{"api", a.parseAPI},
		{"community", a.parseCommunity},
		{"notifications", path(&a.Notifications)},
		{"list", a.parseList},
		{"aggregate", a.parseAggregate},
		{"ipv6_prefix", number(&a.IPv6Prefix)},
		{"contact", text(&a.Contact)},
		{"unsafe_trusted_proxies", present(&a.UnsafeTrustedProxies)},
	})
}

func (a *App) parseSource(d *caddyfile.Dispenser) error {
	var s appliance.SourceConfig
	if !d.NextArg() {
		return d.Err("source needs a type; use file or journald")
	}
	s.Type = d.Val()
	options := []option{{"labels", pairs(&s.Labels)}}
	switch s.Type {
	case "file":
		for _, p := range d.RemainingArgs() {
			s.Paths = append(s.Paths, absolute(d, p))
		}
		if len(s.Paths) == 0 {
			return d.Err("source file needs a path")
		}
		options = append(options, option{"exclude", list(&s.Exclude)}, option{"from_start", present(&s.FromStart)})
	case "journald":
		if d.NextArg() {
			return d.Errf("source journald takes no argument %q; write match %s in its block", d.Val(), d.Val())
		}
		options = append(options, option{"match", list(&s.Match)})
	default:
		return d.Errf("source type %q is unknown; use file or journald", s.Type)
	}
	err := parseBlock(d, "source "+s.Type, options)
	a.Sources = append(a.Sources, s)
	return err
}

// parseDirective reads the directive of a site.
func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	if h.Option(appName) == nil {
		h.Next()
		return nil, h.Err("the directive rampart needs a rampart block in the global options")
	}
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	rampart [<matcher>] {
//		mode  enforce | detect
//		block page | error
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("rampart takes no argument %q; use a block with mode or block", d.Val())
	}
	return parseBlock(d, "the rampart directive", []option{
		{"mode", choice(&h.Mode, modeEnforce, modeDetect)},
		{"block", choice(&h.Block, blockPage, blockError)},
	})
}
