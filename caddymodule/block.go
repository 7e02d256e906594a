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
		{"alert_bytes", size(&l.AlertBytes)},
		{"alert_age", duration(&l.AlertAge)},
	})
}

// parseStorage reads what buckets and decisions are kept in. Syntax:
//
//	storage embedded | redis {
//		...
//	}
func (a *App) parseStorage(d *caddyfile.Dispenser) error {
	s := &a.Storage
	if s.Kind != "" {
		return d.Err("there is a second storage; a node has one")
	}
	if !d.NextArg() {
		return d.Err("storage needs a kind; use redis or embedded")
	}
	s.Kind = d.Val()
	if d.NextArg() {
		return d.Errf("storage %s takes a block, not arguments; write address HOST:PORT in it", s.Kind)
	}
	if s.Kind == appliance.StorageRedis {
		if err := a.parseRedis(d); err != nil {
			return err
		}
	}
	if err := s.Check(); err != nil {
		return d.WrapErr(err)
	}
	if s.Kind != appliance.StorageRedis && d.NextBlock(d.Nesting()) {
		return d.Errf("storage %s takes no block", s.Kind)
	}
	return nil
}

func (a *App) parseRedis(d *caddyfile.Dispenser) error {
	s := &a.Storage
	return parseBlock(d, "storage redis", []option{
		{"address", text(&s.Address)},
		{"sentinel", a.parseSentinel},
		{"cluster", list(&s.Cluster)},
		{"tls", a.parseStorageTLS},
		{"username", text(&s.Username)},
		{"password", text(&s.Password)},
		{"sentinel_username", text(&s.SentinelUsername)},
		{"sentinel_password", text(&s.SentinelPassword)},
		{"prefix", text(&s.Prefix)},
		{"db", index(&s.DB)},
		{"flush", duration(&s.Flush)},
		{"batch", number(&s.Batch)},
	})
}

// parseSentinel reads the name of a primary, and who knows it.
func (a *App) parseSentinel(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Err("sentinel needs the name of the primary and the address of at least one Sentinel: sentinel NAME HOST:PORT...")
	}
	s := &a.Storage
	if s.Master != "" && s.Master != args[0] {
		return d.Errf("sentinel names a second primary, %s beside %s", args[0], s.Master)
	}
	s.Master, s.Sentinels = args[0], append(s.Sentinels, args[1:]...)
	return nil
}

func (a *App) parseStorageTLS(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("tls takes a block, with ca %s in it", d.Val())
	}
	t := &appliance.StorageTLS{}
	a.Storage.TLS = t
	return parseBlock(d, "storage redis tls", []option{
		{"ca", path(&t.CA)},
		{"cert", func(d *caddyfile.Dispenser) error {
			if !d.AllArgs(&t.Cert, &t.Key) {
				return d.Err("cert takes two files: the certificate and its key")
			}
			t.Cert, t.Key = absolute(d, t.Cert), absolute(d, t.Key)
			return nil
		}},
		{"server_name", text(&t.ServerName)},
	})
}
