package cluster

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"
)

const (
	defaultPrefix = "rampart:"
	maxPrefix     = 64
	maxPart       = 64 // of a key, where it is a name
	maxName       = 128

	dialTimeout = time.Second
	callTimeout = 500 * time.Millisecond
	// poolSize is of one server. What this package does is batched, so that few
	// calls are under way at a time; a few connections stay blocked in reads.
	poolSize = 16
)

// Config says where Redis is and who asks. Exactly one of Addresses, Sentinels
// and Cluster is given.
type Config struct {
	// Addresses has the one host:port of a standalone server, or "/path" of its socket.
	Addresses []string
	// Master is the name under which the Sentinels watch the primary.
	Master string
	// Sentinels are host:port of Redis Sentinels.
	Sentinels []string
	// Cluster has host:port of some nodes of a Redis Cluster.
	Cluster []string
	// SentinelUsername and SentinelPassword are for the Sentinels themselves.
	SentinelUsername, SentinelPassword string
	// Username and Password are those of an ACL user, or the password alone that
	// of "requirepass".
	Username, Password string
	// Prefix starts every key and channel, "rampart:" if empty: at most 64 printable
	// ASCII characters without spaces and braces.
	Prefix string
	// DB is the number of the database; a Redis Cluster has only 0.
	DB int
	// TLS is used when not nil.
	TLS *tls.Config

	patience time.Duration // with one call; 0: callTimeout
}

// Options are those of a Client.
type Options struct {
	Config
	// Node is this node's id: 16 hex digits that no other node has.
	Node string
	// Name is shown to people.
	Name string
	// Version of the program, shown to people.
	Version string
	// Logger is required.
	Logger *zap.Logger
	// Now is the clock, time.Now if nil. Its monotonic reading, where it has one,
	// decides how long a lease is held.
	Now func() time.Time
	// Hook sees every call; tests use it.
	Hook redis.Hook
}

func (o *Options) check() error {
	if o.Logger == nil {
		return errors.New("a logger is needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if !validNode(o.Node) {
		return fmt.Errorf("node id %q: 16 lower-case hex digits are needed", o.Node)
	}
	if len(o.Name) > maxName {
		return fmt.Errorf("name of the node has %d bytes, at most %d are allowed", len(o.Name), maxName)
	}
	return o.Config.check()
}

func (c *Config) check() error {
	c.Prefix = cmp.Or(c.Prefix, defaultPrefix)
	if len(c.Prefix) > maxPrefix {
		return fmt.Errorf("prefix has %d characters, at most %d are allowed", len(c.Prefix), maxPrefix)
	}
	for _, r := range c.Prefix {
		// Braces mark the part of a key that places it in a Redis Cluster, and *?[]\
		// would mean something else in the key patterns of an ACL.
		if r <= ' ' || r > '~' || strings.ContainsRune(`{}*?[]\`, r) {
			return fmt.Errorf("prefix %q: printable ASCII is needed, without spaces and any of { } * ? [ ] \\", c.Prefix)
		}
	}
	given := 0
	for _, list := range [][]string{c.Addresses, c.Sentinels, c.Cluster} {
		if len(list) > 0 {
			given++
		}
		for _, a := range list {
			if err := checkAddress(a); err != nil {
				return err
			}
		}
	}
	switch {
	case given != 1:
		return errors.New("give one of address, sentinel and cluster")
	case len(c.Addresses) > 1:
		return errors.New("a standalone Redis has one address; use sentinel or cluster for more")
	case (len(c.Sentinels) > 0) != (c.Master != ""):
		return errors.New("Sentinels and the name of their master belong together")
	case len(c.Cluster) > 0 && c.DB != 0:
		return errors.New("a Redis Cluster has no database but 0")
	case c.DB < 0:
		return fmt.Errorf("database %d: must not be negative", c.DB)
	case c.Username != "" && c.Password == "":
		return errors.New("a username needs a password")
	}
	return nil
}

func checkAddress(a string) error {
	if strings.HasPrefix(a, "/") {
		return nil
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("address %q: host:port is needed", a)
	}
	return nil
}

// kind is one of "standalone", "sentinel" and "cluster".
func (c *Config) kind() string {
	switch {
	case len(c.Cluster) > 0:
		return "cluster"
	case len(c.Sentinels) > 0:
		return "sentinel"
	}
	return "standalone"
}

// universal are the settings that all three kinds share. Nothing is sent twice by
// the library: who sends knows whether that is safe.
func (c *Config) universal() *redis.UniversalOptions {
	patience := cmp.Or(c.patience, callTimeout)
	return &redis.UniversalOptions{
		MasterName: c.Master, DB: c.DB,
		Username: c.Username, Password: c.Password,
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		TLSConfig:  c.TLS,
		Protocol:   2, // no use is made of what 3 adds, and every server speaks 2
		MaxRetries: -1, DialerRetries: 1,
		DialTimeout: dialTimeout, ReadTimeout: patience, WriteTimeout: patience,
		ContextTimeoutEnabled: true,
		PoolSize:              poolSize, PoolTimeout: patience, PipelinePoolSize: -1,
		ConnMaxIdleTime: 5 * time.Minute,
		DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

// connect makes the client of the library. It does not dial.
func (c *Config) connect() redis.UniversalClient {
	o := c.universal()
	switch c.kind() {
	case "cluster":
		o.Addrs = c.Cluster
		cluster := o.Cluster()
		cluster.DisableRoutingPolicies = true // they know commands of the library's own types only
		cluster.FailingTimeoutSeconds = 1
		return redis.NewClusterClient(cluster)
	case "sentinel":
		o.Addrs = c.Sentinels
		return redis.NewFailoverClient(o.Failover())
	}
	o.Addrs = c.Addresses
	return redis.NewClient(o.Simple())
}
