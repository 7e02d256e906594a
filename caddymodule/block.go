package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/rampart-edge/rampart/appliance"
)

func (a *App) parseHub(d *caddyfile.Dispenser) error {
	if a.Hub.Dir != "" {
		return d.Err("there is a second hub; one folder holds all items")
	}
	if !d.NextArg() {
		return d.Err("hub needs the folder of a Hub")
	}
	a.Hub.Dir = absolute(d, d.Val())
	if d.NextArg() {
		return d.Errf("hub takes one folder; write data %s in its block", d.Val())
	}
	return parseBlock(d, "hub", []option{{"data", path(&a.Hub.Data)}})
}

func (a *App) parseSimulation(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("simulation takes a block, with %s in it", d.Val())
	}
	s := &a.Simulation
	off := false
	err := parseBlock(d, "simulation", []option{
		{"on", present(&s.On)},
		{"off", present(&off)},
		{"except", list(&s.Except)},
		{"file", path(&s.File)},
	})
	if err == nil && s.On && off {
		err = d.Err("simulation is on or off, not both")
	}
	return err
}

func (a *App) parseGeoIP(d *caddyfile.Dispenser) error {
	return parseBlock(d, "geoip", []option{{"city", path(&a.GeoIP.City)}, {"asn", path(&a.GeoIP.ASN)}})
}

func (a *App) parseResolver(d *caddyfile.Dispenser) error {
	r := &a.Resolver
	return parseBlock(d, "resolver", []option{
		{"off", present(&r.Off)},
		{"servers", list(&r.Servers)},
		{"timeout", duration(&r.Timeout)},
	})
}

func (a *App) parseFirewall(d *caddyfile.Dispenser) error {
	f := &a.Firewall
	return parseBlock(d, "firewall", []option{
		{"mode", choice(&f.Mode, appliance.FirewallNftables, appliance.FirewallDryRun, appliance.FirewallOff)},
		{"table", text(&f.Table)},
		{"owner", onOff(&f.Owner)},
		{"keep", onOff(&f.Keep)},
		{"hits", number(&f.Hits)},
	})
}

func (a *App) parseCaptcha(d *caddyfile.Dispenser) error {
	c := &a.Captcha
	return parseBlock(d, "captcha", []option{
		{"digits", number(&c.Digits)},
		{"ttl", duration(&c.TTL)},
		{"grace", duration(&c.Grace)},
		{"min_solve", duration(&c.MinSolve)},
	})
}

func (a *App) parseLimits(d *caddyfile.Dispenser) error {
	l := &a.Limits
	return parseBlock(d, "limits", []option{
		{"buckets", number(&l.Buckets)},
		{"sample_bytes", size(&l.SampleBytes)},
		{"queue", number(&l.Queue)},
		{"workers", number(&l.Workers)},
		{"alerts", number(&l.Alerts)},
		{"decisions", number(&l.Decisions)},
	})
}
