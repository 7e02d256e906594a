package caddymodule

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/rampart-edge/rampart/appliance"
)

// parseAPI reads where the Local API is served, and to whom. Its options are those of
// UnmarshalCaddyfile.
func (a *App) parseAPI(d *caddyfile.Dispenser) error {
	if a.API != nil {
		return d.Err("there is a second api; a node has one")
	}
	if d.NextArg() {
		return d.Errf("api takes a block; write listen %s in it", d.Val())
	}
	c := &appliance.APIConfig{}
	a.API = c
	secure := func() *appliance.APITLS {
		if c.TLS == nil {
			c.TLS = &appliance.APITLS{}
		}
		return c.TLS
	}
	return parseBlock(d, "api", []option{
		{"listen", text(&c.Listen)},
		{"socket", path(&c.Socket)},
		{"off", present(&c.Off)},
		{"tls", func(d *caddyfile.Dispenser) error {
			t := secure()
			if !d.AllArgs(&t.Cert, &t.Key) {
				return d.Err("tls takes two files: the certificate and its key")
			}
			t.Cert, t.Key = absolute(d, t.Cert), absolute(d, t.Key)
			return nil
		}},
		{"client_ca", func(d *caddyfile.Dispenser) error { return path(&secure().ClientCA)(d) }},
		{"client_verification", func(d *caddyfile.Dispenser) error {
			return choice(&secure().ClientVerification, "NoClientCert", "RequestClientCert", "RequireAnyClientCert",
				"VerifyClientCertIfGiven", "RequireAndVerifyClientCert")(d)
		}},
		{"crl", func(d *caddyfile.Dispenser) error { return path(&secure().CRL)(d) }},
		{"agents_ou", list(&c.AgentOUs)},
		{"bouncers_ou", list(&c.BouncerOUs)},
		{"trusted_ips", list(&c.TrustedIPs)},
		{"trusted_proxies", list(&c.TrustedProxies)},
		{"auto_registration", func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) < 2 {
				return d.Err("auto_registration needs a token and at least one network: auto_registration TOKEN RANGE...")
			}
			c.AutoRegistration = &appliance.AutoRegistration{Token: args[0], Ranges: args[1:]}
			return nil
		}},
		{"local_registration", present(&c.LocalRegistration)},
		{"autodelete", func(d *caddyfile.Dispenser) error {
			t := &c.Autodelete
			return parseBlock(d, "api autodelete", []option{
				{"bouncer_key", duration(&t.BouncerKey)},
				{"bouncer_cert", duration(&t.BouncerCert)},
				{"machine_password", duration(&t.MachinePassword)},
				{"machine_cert", duration(&t.MachineCert)},
				{"unvalidated", duration(&t.Unvalidated)},
			})
		}},
	})
}

// parseCommunity reads what is exchanged with a Central API.
func (a *App) parseCommunity(d *caddyfile.Dispenser) error {
	if a.Community != nil {
		return d.Err("there is a second community; a node has one Central API")
	}
	if d.NextArg() {
		return d.Errf("community takes a block; write url %s in it", d.Val())
	}
	c := &appliance.CommunityConfig{}
	a.Community = c
	return parseBlock(d, "community", []option{
		{"url", text(&c.URL)},
		{"credentials", path(&c.Credentials)},
		{"pull", list(&c.Pull)},
		{"every", duration(&c.Every)},
		{"share", func(d *caddyfile.Dispenser) error {
			c.Sharing, c.Share = true, append(c.Share, d.RemainingArgs()...)
			return nil
		}},
		{"context", present(&c.Context)},
		{"names", present(&c.Names)},
		{"metrics", present(&c.Metrics)},
	})
}

// parseList reads a list from a URL. Syntax:
//
//	list <name> <url> {
//		...
//	}
func (a *App) parseList(d *caddyfile.Dispenser) error {
	var f appliance.FeedConfig
	if !d.AllArgs(&f.Name, &f.URL) {
		return d.Err("list takes a name and a URL: list NAME URL")
	}
	err := parseBlock(d, "list "+f.Name, []option{
		{"type", choice(&f.Type, "ban", "captcha", "throttle")},
		{"scenario", text(&f.Scenario)},
		{"every", duration(&f.Every)},
		{"length", duration(&f.Length)},
		{"format", choice(&f.Format, "text", "csv")},
		{"delimiter", text(&f.Delimiter)},
		{"column", text(&f.Column)},
		{"sha256", text(&f.SHA256)},
	})
	a.Lists = append(a.Lists, f)
	return err
}

// parseAggregate reads when many banned addresses make a banned range.
func (a *App) parseAggregate(d *caddyfile.Dispenser) error {
	if a.Aggregate != nil {
		return d.Err("there is a second aggregate")
	}
	if d.NextArg() {
		return d.Errf("aggregate takes a block; write count %s in it", d.Val())
	}
	c := &appliance.AggregateConfig{}
	a.Aggregate = c
	return parseBlock(d, "aggregate", []option{
		{"count", number(&c.Count)},
		{"within", duration(&c.Within)},
		{"ipv4", number(&c.IPv4)},
		{"ipv6", numbers(&c.IPv6)},
		{"widest_ipv4", number(&c.WidestIPv4)},
		{"widest_ipv6", number(&c.WidestIPv6)},
	})
}

// numbers reads whole numbers above zero.
func numbers(to *[]int) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var words []string
		name := d.Val()
		if err := list(&words)(d); err != nil {
			return err
		}
		for _, word := range words {
			n, err := strconv.Atoi(word)
			if err != nil || n < 1 {
				return d.Errf("%s %q is not a whole number above zero", name, word)
			}
			*to = append(*to, n)
		}
		return nil
	}
}
