package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// failure is what an error says about Redis.
type failure struct {
	// reason is told to people.
	reason string
	// sure is false for what may be the fault of one connection or one slow call:
	// two in a row are believed.
	sure bool
	// act means that it stays until a person does something.
	act bool
	// code tells reasons apart.
	code string
}

// answers are errors that the server sends, by the word that they start with;
// read-only.
var answers = []struct {
	word, reason string
	act          bool
}{
	{"LOADING", "Redis is loading its data after a start", false},
	{"READONLY", "Redis is a read-only replica: give the address of the primary, or those of the Sentinels", true},
	{"CLUSTERDOWN", "the Redis Cluster is down: some of its slots have no server", false},
	{"MASTERDOWN", "the replica has lost its primary", false},
	{"NOAUTH", "Redis wants a password and none is configured: set password", true},
	{"WRONGPASS", "Redis does not accept username and password: check them, and that the ACL user is on", true},
	{"NOPERM", "the ACL user may not do what is needed: give it the commands, keys and channels that the documentation lists", true},
	{"OOM", "Redis has used up its maxmemory: raise it, or set maxmemory-policy to volatile-ttl", true},
	{"MISCONF", "Redis refuses writes because it cannot save to disk: look into its log", true},
	{"NOREPLICAS", "Redis refuses writes because too few replicas are connected", false},
	{"BUSY", "Redis is busy with a script", false},
	{"UNBLOCKED", "Redis has become a replica", false},
	{"ERR max number of clients", "Redis has no connection left: raise its maxclients", true},
	{"ERR AUTH", "Redis has no password for the default user, yet one is configured: remove it, or give the username", true},
	{"ERR This instance has cluster support disabled", "this is not a Redis Cluster: use address, not cluster", true},
	{"ERR invalid DB", "Redis does not have the database: check db", true},
	{"ERR DB index", "Redis does not have the database: check db", true},
}

// judge tells what err says about Redis; nil if nothing: the call was answered, or
// the caller gave it up.
func judge(err error) *failure {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) || errors.Is(err, redis.ErrClosed) {
		return nil
	}
	var said redis.Error
	if errors.As(err, &said) {
		return judgeAnswer(strings.TrimPrefix(said.Error(), "-"))
	}
	if f := judgeTLS(err); f != nil {
		return f
	}
	var op *net.OpError
	dial := errors.As(err, &op) && op.Op == "dial"
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return &failure{reason: "the name of the Redis server cannot be resolved: " + dns.Name, sure: true, code: "dns"}
	case strings.Contains(err.Error(), "all sentinels specified in configuration are unreachable"):
		return &failure{reason: "no Sentinel can be reached, or none knows the master's name", sure: true, code: "sentinels"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &failure{reason: "connection refused" + where(op), sure: true, code: "refused"}
	case dial:
		return &failure{reason: "connecting failed" + where(op) + ": " + op.Err.Error(), sure: true, code: "dial"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return &failure{reason: "Redis does not answer in time", code: "slow"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.As(err, &op):
		return &failure{reason: "the connection was lost", code: "lost"}
	}
	return &failure{reason: "Redis cannot be used: " + err.Error(), code: "other"}
}

// judgeProbe is judge, but that whatever a probe is answered is a failure.
func judgeProbe(err error) *failure {
	if f := judge(err); f != nil || err == nil || errors.Is(err, context.Canceled) || errors.Is(err, redis.ErrClosed) {
		return f
	}
	if redis.HasErrorPrefix(err, "MOVED") {
		return &failure{reason: "this is a node of a Redis Cluster: use cluster, not address", sure: true, act: true, code: "MOVED"}
	}
	return &failure{reason: "Redis refuses a write: " + clean(err.Error()), sure: true, act: true, code: "refusal"}
}

// hint adds to a failure at the first connection what may be behind it.
func (f *failure) hint(withTLS bool) *failure {
	out := *f
	switch {
	case f.code == "lost" && !withTLS:
		out.reason += ": does Redis want TLS?"
	case f.code == "slow" && withTLS:
		out.reason += ": does it speak TLS?"
	}
	return &out
}

func where(op *net.OpError) string {
	if op == nil || op.Addr == nil {
		return ""
	}
	return " by " + op.Addr.String()
}

// judgeAnswer looks at an error that the server sent. One that is about the call and
// not the server says nothing.
func judgeAnswer(text string) *failure {
	for _, denied := range [...]string{ // to a script: in Redis 7.0, later
		"ERR The user executing the script can't", "ERR ACL failure in script",
	} {
		if strings.HasPrefix(text, denied) {
			text = "NOPERM"
		}
	}
	for _, a := range answers {
		if strings.HasPrefix(text, a.word) {
			return &failure{reason: a.reason, sure: true, act: a.act, code: a.word}
		}
	}
	return nil
}

func judgeTLS(err error) *failure {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		plain   tls.RecordHeaderError
		alert   tls.AlertError
	)
	reason := ""
	switch {
	case errors.As(err, &unknown):
		reason = "TLS: the certificate of Redis is not signed by an authority known here: set the CA"
	case errors.As(err, &host):
		reason = "TLS: the certificate of Redis is for another name: " + host.Error()
	case errors.As(err, &invalid):
		reason = "TLS: the certificate of Redis is not valid: " + invalid.Error()
	case errors.As(err, &plain):
		reason = "TLS: Redis does not speak TLS at this address"
	case errors.As(err, &alert):
		reason = "TLS: Redis refuses this node's certificate: " + alert.Error()
	case strings.HasPrefix(err.Error(), "tls: "), strings.HasPrefix(err.Error(), "remote error: tls: "):
		reason = "TLS: " + err.Error()
	default:
		return nil
	}
	return &failure{reason: reason, sure: true, act: true, code: "tls"}
}
