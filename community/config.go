package community

import (
	"fmt"
	"time"
)

const (
	defaultPullEvery = 2 * time.Hour
	minPullEvery     = 5 * time.Minute
)

// Config says what of the Central API is used. The zero value uses nothing.
type Config struct {
	// Credentials is the file with url, login and password, as Register writes it.
	// CrowdSec compatible: online_api_credentials.yaml. "": no Central API.
	Credentials string
	// Pull: the community list, and the lists and allowlists that the account is
	// subscribed to, come here. Nothing but the login and the names of scenarios is told.
	Pull bool
	// NoCommunity and NoLists leave out the one or the other.
	NoCommunity, NoLists bool
	// PullEvery is the time between pulls, 2 h if zero, 5 min at least.
	PullEvery time.Duration
	// Sharing: signals of alerts go to the server. Share says of which, and what is in
	// them.
	Sharing bool
	Share   Share
	// Metrics: the versions and times of machines and bouncers, and usage metrics, go to the
	// server.
	Metrics bool
}

// Share says which signals are sent, and what of the node is in them. CrowdSec
// compatible: the first four are those of console.yaml.
type Share struct {
	Manual  bool // decisions that people made
	Tainted bool // alerts of Hub scenarios that were changed here
	Custom  bool // alerts of scenarios that are no Hub's
	Context bool // the alert's context, which can hold user names and paths
	// Names: machines and bouncers are called what they are called here. Otherwise signals
	// name the login, which the server knows anyway, and metrics count machines up. CrowdSec
	// always sends the names.
	Names bool
}

// Defaults is what a configuration begins with: lists come, nothing is sent. CrowdSec
// compatible: of what is shared, once it is, tainted and custom but neither manual nor
// context.
func Defaults() Config {
	return Config{Pull: true, Share: Share{Tainted: true, Custom: true}}
}

// normalise checks the configuration and fills in what was left out.
func (c *Config) normalise() error {
	if c.PullEvery == 0 {
		c.PullEvery = defaultPullEvery
	}
	if c.PullEvery < minPullEvery {
		return fmt.Errorf("time between pulls is %s: expected %s at least", c.PullEvery, minPullEvery)
	}
	return nil
}
