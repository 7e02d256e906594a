package community

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/store"
)

// Lists is where lists go: the Book of one node, or the journal of a fleet. PutList
// replaces the list of the same name as one step; DropList of a name that is not there
// is decisions.ErrNoList.
type Lists interface {
	PutList(*decisions.Blocklist) error
	DropList(name string) error
}

// Options are what a Client and Feeds work with.
type Options struct {
	Book  *decisions.Book
	Lists Lists            // nil: Book
	Allow *decisions.Allow // nil: that of Book
	DB    *store.DB
	// Shared is a table of the fleet; nil: the node is alone. Allowlists of the Central API
	// are each node's own, and by it all nodes learn where they are.
	Shared Shared
	// Leads reports whether this node is the one that pulls; nil: always.
	Leads func() bool
	// Roster tells who is connected to this node; nil: nobody.
	Roster func() Roster
	// Usage returns the usage metrics that are to be sent, in the form of the Local API
	// (lapi, log_processors and remediation_components merged), and what to call when the
	// server has them. No body: there is nothing to send. nil: never.
	Usage func() (body json.RawMessage, sent func())
	// Version is Rampart's, for the User-Agent.
	Version string
	Now     func() time.Time // nil: time.Now
	Logger  *zap.Logger      // nil: none
	// Transport is for tests; nil: one of the package's own, which honours the proxy of the
	// environment.
	Transport http.RoundTripper
}

// Roster is who is connected to this node.
type Roster struct {
	Machines []Machine
	Bouncers []Bouncer
	// Scenarios are the names of all scenarios of all machines and of the node itself. The
	// server tailors its list to them.
	Scenarios []string
}

// Machine is one that reports alerts. Zero instants are not sent.
type Machine struct {
	Name, Version        string
	LastPush, LastUpdate time.Time
}

// Bouncer is one that asks for decisions. Name is what the operator calls it, Type what
// it calls itself.
type Bouncer struct {
	Name, Type, Version string
	LastPull            time.Time
}

// filled returns the options with what was left out.
func (o Options) filled() Options {
	if o.Lists == nil && o.Book != nil {
		o.Lists = o.Book
	}
	if o.Allow == nil && o.Book != nil {
		o.Allow = o.Book.Allow()
	}
	if o.Leads == nil {
		o.Leads = func() bool { return true }
	}
	if o.Roster == nil {
		o.Roster = func() Roster { return Roster{} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	return o
}

// userAgent is what servers see. CrowdSec compatible: it begins with "crowdsec/" and
// has exactly one slash, by which servers tell the version; this one says who we are.
func (o *Options) userAgent() string {
	version := strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r > '~' {
			return '-'
		}
		return r
	}, o.Version)
	if version != "" {
		version += "-"
	}
	return "crowdsec/rampart-" + version + runtime.GOOS
}

// jitter returns a length around d: at most a part of it shorter or longer.
func jitter(d time.Duration, part float64) time.Duration {
	return d + time.Duration((2*rand.Float64()-1)*part*float64(d))
}
