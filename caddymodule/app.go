package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/appliance"
)

// App is the app "rampart": what this node reads, detects, decides and enforces.
// Global placeholders such as {env.NAME} work in paths, addresses, node, data_dir
// and contact.
type App struct {
	appliance.Config

	// UnsafeTrustedProxies accepts servers that trust proxies without
	// trusted_proxies_strict. There the client address is the first one of
	// X-Forwarded-For, which a client can write itself unless every trusted proxy
	// replaces the header: anyone could get anyone banned. Default: false.
	UnsafeTrustedProxies bool `json:"unsafe_trusted_proxies,omitempty"`

	ctx      caddy.Context
	log      *zap.Logger
	node     *node
	borrowed string // pool key to give back, empty when nothing is borrowed
	settings *appliance.Settings
	release  func()
	proxies  proxies

	mu      sync.Mutex
	covered map[*caddyhttp.Server]bool // servers with a handler of ours
}

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appName, New: func() caddy.Module { return new(App) }}
}

// Provision compiles the configuration and borrows the node. It has no effect on
// a node that runs, for a configuration is provisioned to be validated, too.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger()
	replacer := caddy.NewReplacer()
	a.expand(replacer)
	if err := errors.Join(expandStorage(&a.Storage, replacer), expandAPI(a.API, replacer)); err != nil {
		return err
	}
	a.Node = cmp.Or(a.Node, "default")
	a.DataDir = cmp.Or(a.DataDir, filepath.Join(caddy.AppDataDir(), appName))
	a.Trusted, a.Proxies = a.proxies.trusted, a.proxies.networks
	if err := refuseOwnLogs(a.Sources, logsOf(ctx)); err != nil {
		return err
	}
	var err error
	if a.settings, err = appliance.Compile(a.Config, a.log); err != nil {
		return err
	}
	if a.node, err = borrowNode(a.Node, a.log); err != nil {
		return fmt.Errorf("opening node %s: %w", a.Node, err)
	}
	a.borrowed = a.Node
	return a.register(ctx)
}

// expand replaces Caddy's global placeholders; what is not known stays.
func (a *App) expand(r *caddy.Replacer) {
	for _, s := range []*string{&a.Node, &a.DataDir, &a.Profiles, &a.Contact, &a.Hub.Dir, &a.Hub.Data,
		&a.GeoIP.City, &a.GeoIP.ASN, &a.Simulation.File, &a.Notifications} {
		*s = r.ReplaceKnown(*s, "")
	}
	for _, list := range [][]string{a.Allow, a.Scenarios, a.Parsers, a.Postoverflows, a.Contexts, a.Items.Scenarios,
		a.Items.Parsers, a.Items.Postoverflows, a.Items.Contexts, a.Resolver.Servers} {
		expandAll(r, list)
	}
	for _, s := range a.Sources {
		expandAll(r, s.Paths)
	}
	for i := range a.Lists {
		a.Lists[i].URL = r.ReplaceKnown(a.Lists[i].URL, "")
	}
	if c := a.Community; c != nil {
		c.URL, c.Credentials = r.ReplaceKnown(c.URL, ""), r.ReplaceKnown(c.Credentials, "")
	}
}

// expandAPI refuses a token that its placeholder gave nothing for.
func expandAPI(c *appliance.APIConfig, r *caddy.Replacer) error {
	if c == nil {
		return nil
	}
	for _, s := range []*string{&c.Listen, &c.Socket} {
		*s = r.ReplaceKnown(*s, "")
	}
	if t := c.TLS; t != nil {
		for _, s := range []*string{&t.Cert, &t.Key, &t.ClientCA, &t.CRL} {
			*s = r.ReplaceKnown(*s, "")
		}
	}
	for _, list := range [][]string{c.AgentOUs, c.BouncerOUs, c.TrustedIPs, c.TrustedProxies} {
		expandAll(r, list)
	}
	a := c.AutoRegistration
	if a == nil {
		return nil
	}
	expandAll(r, a.Ranges)
	if a.Token = r.ReplaceKnown(a.Token, ""); a.Token == "" {
		return errors.New("api auto_registration token is empty: the variable or file that it is read from has nothing in it")
	}
	return nil
}

// expandStorage refuses a password that its placeholder gave nothing for: Redis
// would only say that there is none.
func expandStorage(c *appliance.StorageConfig, r *caddy.Replacer) error {
	for name, s := range map[string]*string{"password": &c.Password, "sentinel_password": &c.SentinelPassword} {
		written := *s
		if *s = r.ReplaceKnown(written, ""); written != "" && *s == "" {
			return fmt.Errorf("storage redis %s is empty: the variable or file that it is read from has nothing in it", name)
		}
	}
	for _, s := range []*string{&c.Address, &c.Master, &c.Username, &c.SentinelUsername, &c.Prefix} {
		*s = r.ReplaceKnown(*s, "")
	}
	if t := c.TLS; t != nil {
		for _, s := range []*string{&t.CA, &t.Cert, &t.Key, &t.ServerName} {
			*s = r.ReplaceKnown(*s, "")
		}
	}
	expandAll(r, c.Cluster)
	expandAll(r, c.Sentinels)
	return nil
}

func expandAll(r *caddy.Replacer, list []string) {
	for i, s := range list {
		list[i] = r.ReplaceKnown(s, "")
	}
}

// register adds the node's collectors to the metrics registry of this
// configuration: each has its own, and only what is in it is exported.
func (a *App) register(ctx caddy.Context) error {
	registry := ctx.GetMetricsRegistry()
	for _, c := range a.node.Collectors() {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// cover notes that a server has a handler of ours.
func (a *App) cover(srv *caddyhttp.Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.covered == nil {
		a.covered = make(map[*caddyhttp.Server]bool)
	}
	a.covered[srv] = true
}

// Start puts the settings in force. If it or another app fails, what it did is
// undone by Stop or Cleanup.
func (a *App) Start() error {
	servers, err := a.servers()
	if err != nil {
		return err
	}
	a.proxies.set(servers)
	a.warnUncovered(servers)
	a.release, err = a.node.use(a.settings)
	return err
}

// servers are the HTTP servers of this configuration, by name. All apps have been
// provisioned when it is called.
func (a *App) servers() (map[string]*caddyhttp.Server, error) {
	v, err := a.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	app, ok := v.(*caddyhttp.App)
	if !ok {
		return nil, fmt.Errorf("app http is a %T; this build of Caddy is not supported", v)
	}
	return app.Servers, nil
}

// redirectServer is the name Caddy gives the server that it adds for redirects to
// HTTPS. It has no sites, so nothing is to be protected.
const redirectServer = "remaining_auto_https_redirects"

func (a *App) warnUncovered(servers map[string]*caddyhttp.Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, srv := range servers {
		if !a.covered[srv] && name != redirectServer && len(srv.Routes) > 0 {
			a.log.Warn("server has no rampart handler and is not protected; add the directive rampart to its sites",
				zap.String("server", name), zap.Strings("listen", slices.Clone(srv.Listen)))
		}
	}
}

// Stop withdraws the settings. Requests of this configuration may still be on
// their way; the newest other settings rule for them, or else these.
func (a *App) Stop() error {
	a.withdraw()
	return nil
}

func (a *App) withdraw() {
	if a.release != nil {
		a.release()
	}
}

// Cleanup gives the node back, once. It also runs when Provision or Start failed,
// and then Stop does not.
func (a *App) Cleanup() error {
	a.withdraw()
	if a.borrowed == "" {
		return nil
	}
	name := a.borrowed
	a.borrowed = ""
	return returnNode(name)
}
