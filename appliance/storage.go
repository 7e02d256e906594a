package appliance

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/cluster"
)

// Kinds of storage.
const (
	StorageEmbedded = "embedded"
	StorageRedis    = "redis"
)

// StorageConfig says where buckets and decisions are kept: in this node alone, or
// shared by all nodes that name the same Redis and prefix. Of addresses, sentinel
// and cluster exactly one is given with redis.
type StorageConfig struct {
	// Kind is "embedded" (or "memory", which is the same): this node's memory and its
	// own files; or "redis": shared with other nodes. Default: embedded.
	Kind string `json:"kind,omitempty"`
	// Address is a single Redis: HOST:PORT, or unix//PATH.
	Address string `json:"address,omitempty"`
	// Master is the name that the Sentinels know the primary by.
	Master string `json:"master,omitempty"`
	// Sentinels are addresses of Redis Sentinels, HOST:PORT each; they tell who is the
	// primary now.
	Sentinels []string `json:"sentinels,omitempty"`
	// Cluster are nodes of a Redis Cluster, HOST:PORT each; it tells of the others.
	Cluster []string `json:"cluster,omitempty"`
	// TLS is for the connections to Redis and to Sentinels. Default: none.
	TLS *StorageTLS `json:"tls,omitempty"`
	// Username of Redis's access control list. Default: that of Redis, "default".
	Username string `json:"username,omitempty"`
	// Password to Redis. Write it as {env.NAME} or {file./PATH}: those are expanded
	// when the configuration is loaded.
	Password string `json:"password,omitempty"`
	// SentinelUsername is for the Sentinels. Default: none; that of Redis is not shown
	// to them.
	SentinelUsername string `json:"sentinel_username,omitempty"`
	// SentinelPassword is for the Sentinels. Default: none; that of Redis is not shown
	// to them.
	SentinelPassword string `json:"sentinel_password,omitempty"`
	// Prefix begins all keys and channels: nodes with the same one are a fleet.
	// Default: "rampart:".
	Prefix string `json:"prefix,omitempty"`
	// DB is the number of the database, which a Redis Cluster does not have. Default: 0.
	DB int `json:"db,omitempty"`
	// Flush is how long what is poured may wait for company before it is sent, from
	// 1ms to 1s. Default: 5ms.
	Flush Duration `json:"flush,omitempty"`
	// Batch is how many events waiting are sent at once, from 1 to 256. Default: 64.
	Batch int `json:"batch,omitempty"`
}

// StorageTLS is how Redis is known, and how it knows us.
type StorageTLS struct {
	// CA is a PEM file with the authorities that Redis's certificate may be from.
	// Default: those of the system.
	CA string `json:"ca,omitempty"`
	// Cert and Key are PEM files with our own certificate, if Redis asks for one. They
	// are read at each connection, so that they may be replaced.
	Cert string `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`
	// ServerName is the name in Redis's certificate. Default: the host connected to.
	ServerName string `json:"server_name,omitempty"`
}

func (c StorageConfig) withDefaults() StorageConfig {
	if c.Kind == "" || c.Kind == "memory" {
		c.Kind = StorageEmbedded
	}
	if c.Kind != StorageRedis {
		return c
	}
	c.Prefix = cmp.Or(c.Prefix, "rampart:")
	c.Flush = cmp.Or(c.Flush, Duration(5*time.Millisecond))
	c.Batch = cmp.Or(c.Batch, 64)
	return c
}

// shared reports whether other nodes have a part in it.
func (c StorageConfig) shared() bool { return c.Kind == StorageRedis }

// same reports whether two configurations, with their defaults, are one.
func (c StorageConfig) same(o StorageConfig) bool { return reflect.DeepEqual(c, o) }

// Check reports what contradicts itself, before placeholders have been replaced.
func (c StorageConfig) Check() error {
	switch c = c.withDefaults(); c.Kind {
	case StorageEmbedded:
		if !c.same(StorageConfig{Kind: StorageEmbedded}) {
			return errors.New("storage embedded takes no options; write storage redis to share buckets and decisions with other nodes")
		}
		return nil
	case StorageRedis:
	default:
		return fmt.Errorf("storage %q is unknown; use %s or %s", c.Kind, StorageRedis, StorageEmbedded)
	}
	ways := 0
	for _, given := range [...]bool{c.Address != "", c.Master != "" || len(c.Sentinels) > 0, len(c.Cluster) > 0} {
		if given {
			ways++
		}
	}
	var errs []error
	if ways != 1 {
		errs = append(errs, fmt.Errorf("storage redis has %d of address, sentinel and cluster; give exactly one", ways))
	}
	if (c.Master == "") != (len(c.Sentinels) == 0) {
		errs = append(errs, errors.New("storage redis sentinel needs both the name of the primary and the address of a Sentinel"))
	}
	if len(c.Sentinels) == 0 && c.SentinelUsername+c.SentinelPassword != "" {
		errs = append(errs, errors.New("storage redis sentinel_username and sentinel_password are for Sentinels, and none is given"))
	}
	if c.Username != "" && c.Password == "" {
		errs = append(errs, errors.New("storage redis username needs a password"))
	}
	if c.DB != 0 && len(c.Cluster) > 0 {
		errs = append(errs, errors.New("storage redis db does not belong to a cluster, which has one database alone"))
	}
	if c.DB < 0 {
		errs = append(errs, fmt.Errorf("storage redis db %d is not possible; use 0 or more", c.DB))
	}
	if t := c.TLS; t != nil && (t.Cert == "") != (t.Key == "") {
		errs = append(errs, errors.New("storage redis tls needs both cert and key, or neither"))
	}
	if c.TLS != nil && strings.HasPrefix(c.Address, unixPrefix) {
		errs = append(errs, errors.New("storage redis tls does not belong to a unix socket"))
	}
	if d := time.Duration(c.Flush); d < time.Millisecond || d > time.Second {
		errs = append(errs, fmt.Errorf("storage redis flush %s is not possible; use 1ms to 1s", d))
	}
	if c.Batch < 1 || c.Batch > maxBatch {
		errs = append(errs, fmt.Errorf("storage redis batch %d is not possible; use 1 to %d", c.Batch, maxBatch))
	}
	return errors.Join(errs...)
}

// maxBatch is what one call to Redis may carry.
const maxBatch = 256

// unixPrefix begins an address that is a socket, as elsewhere in Caddy.
const unixPrefix = "unix/"

// storagePrefix leaves out what Redis has uses for: braces choose a slot, and
// asterisks, brackets and question marks are patterns of its access control.
var storagePrefix = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)

// options are what a client takes of the configuration. It reads the files of
// certificates and connects to nothing. Passwords are in no error.
func (c StorageConfig) options() (o cluster.Config, err error) {
	o = cluster.Config{Username: c.Username, Password: c.Password, Prefix: c.Prefix, DB: c.DB}
	var errs []error
	hosts := func(what string, list []string) []string {
		for _, a := range list {
			if err := checkHost(a); err != nil {
				errs = append(errs, fmt.Errorf("storage redis %s %w", what, err))
			}
		}
		return list
	}
	if !storagePrefix.MatchString(c.Prefix) {
		errs = append(errs, fmt.Errorf("storage redis prefix %q is not possible; use up to 64 letters, digits and . _ : / -", c.Prefix))
	}
	switch {
	case strings.HasPrefix(c.Address, unixPrefix):
		o.Addresses = []string{strings.TrimPrefix(c.Address, unixPrefix)}
		if !strings.HasPrefix(o.Addresses[0], "/") {
			errs = append(errs, fmt.Errorf("storage redis address %q is no socket; write unix//run/redis/redis.sock", c.Address))
		}
	case c.Address != "":
		o.Addresses = hosts("address", []string{c.Address})
	case len(c.Sentinels) > 0:
		o.Master, o.Sentinels = c.Master, hosts("sentinel", c.Sentinels)
		o.SentinelUsername, o.SentinelPassword = c.SentinelUsername, c.SentinelPassword
	default:
		o.Cluster = hosts("cluster", c.Cluster)
	}
	if c.TLS != nil {
		o.TLS, err = c.TLS.open()
		errs = append(errs, err)
	}
	return o, errors.Join(errs...)
}

// checkHost repeats no URL, which may have a password in it.
func checkHost(a string) error {
	if strings.ContainsAny(a, "@/") {
		return errors.New("is a URL; write HOST:PORT, and username and password beside it")
	}
	host, port, err := net.SplitHostPort(a)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return fmt.Errorf("%q is no address; write HOST:PORT, such as redis.internal:6379 or [2001:db8::7]:6379", a)
	}
	return nil
}

// open reads the files, so that one that is missing or broken is told at once.
func (t StorageTLS) open() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("reading storage redis tls ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading storage redis tls ca: %s has no certificate in the PEM format", t.CA)
		}
	}
	if t.Cert == "" {
		return c, nil
	}
	read := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("reading storage redis tls cert %s with key %s: %w", t.Cert, t.Key, err)
		}
		return &pair, nil
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read() }
	_, err := read()
	return c, err
}
