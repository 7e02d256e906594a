package appliance

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/rampart-edge/rampart/community"
)

// CommunityConfig exchanges signals and lists with CrowdSec's Central API, or with one
// of your own. Without it nothing is exchanged.
type CommunityConfig struct {
	// URL is the Central API that a registration goes to. Default: CrowdSec's.
	URL string `json:"url,omitempty"`
	// Credentials is the file with login and password, which a registration writes and
	// which CrowdSec's online_api_credentials.yaml is one of. Default:
	// central_api.yaml in the node's own directory of data_dir.
	Credentials string `json:"credentials,omitempty"`
	// Pull are the lists that come here: "community", "lists" (those that the account
	// is subscribed to, with its allowlists), or "off". Default: community and lists.
	Pull []string `json:"pull,omitempty"`
	// Every is the time between pulls, 5m at least. Default: 2h.
	Every Duration `json:"every,omitempty"`
	// Sharing sends signals of alerts. Default: false.
	Sharing bool `json:"sharing,omitempty"`
	// Share says of which alerts, beside those of unchanged Hub scenarios: "custom",
	// "tainted" (changed here) and "manual" (an operator's decisions), or "none".
	// Default: custom and tainted.
	Share []string `json:"share,omitempty"`
	// Context sends the alerts' context too, which may have names of users and paths.
	Context bool `json:"context,omitempty"`
	// Names sends what machines and bouncers are called here.
	Names bool `json:"names,omitempty"`
	// Metrics sends versions and times of machines and bouncers, and their figures.
	Metrics bool `json:"metrics,omitempty"`
}

// credentialsFile is where credentials are by default.
const credentialsFile = "central_api.yaml"

// compile checks the block and makes of it what the client takes.
func (c *CommunityConfig) compile() (community.Config, error) {
	out := community.Config{Pull: true, PullEvery: time.Duration(c.Every), Sharing: c.Sharing, Metrics: c.Metrics}
	var errs []error
	words := func(what string, list []string, none string, known ...string) {
		for i, word := range list {
			if word == none && len(list) > 1 {
				errs = append(errs, fmt.Errorf("community %s: %s stands alone", what, none))
			} else if word != none && !slices.Contains(known, word) || slices.Contains(list[:i], word) {
				errs = append(errs, fmt.Errorf("community %s %q is not possible; use some of %q, or %s", what, word, known, none))
			}
		}
	}
	words("pull", c.Pull, "off", "community", "lists")
	words("share", c.Share, "none", "custom", "tainted", "manual")
	if len(c.Pull) > 0 {
		out.NoCommunity, out.NoLists = !slices.Contains(c.Pull, "community"), !slices.Contains(c.Pull, "lists")
		out.Pull = !out.NoCommunity || !out.NoLists
	}
	out.Share = community.Defaults().Share
	if len(c.Share) > 0 {
		out.Share = community.Share{Custom: slices.Contains(c.Share, "custom"), Tainted: slices.Contains(c.Share, "tainted"),
			Manual: slices.Contains(c.Share, "manual")}
	}
	out.Share.Context, out.Share.Names = c.Context, c.Names
	if (len(c.Share) > 0 || c.Context) && !c.Sharing {
		errs = append(errs, errors.New("community share and context say what is in signals, and sharing is off"))
	}
	if d := out.PullEvery; d != 0 && d < 5*time.Minute {
		errs = append(errs, fmt.Errorf("community every %s is not possible; use 5m or more", d))
	}
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			errs = append(errs, errors.New("community url is none; write https://HOST/, and the login in the file of credentials"))
		}
	}
	return out, errors.Join(errs...)
}

// credentials is the file of credentials, "" without a Central API.
func (c Config) credentials() string {
	if c.Community == nil {
		return ""
	}
	return cmp.Or(c.Community.Credentials, filepath.Join(c.stateDir(), credentialsFile))
}

// compileCommunity checks the block.
func (s *Settings) compileCommunity() (err error) {
	if c := s.config.Community; c != nil {
		s.community, err = c.compile()
		s.community.Credentials = s.config.credentials()
	}
	return err
}
