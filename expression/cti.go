package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/rampart-edge/rampart/cache"
)

// CTI says how CrowdsecCTI asks CrowdSec about an address.
type CTI struct {
	Key  string        // "": it never asks, and fails
	URL  string        // "": https://cti.api.crowdsec.net/v2
	Size int           // answers kept, 0: 100
	TTL  time.Duration // of them, 0: 10 min
}

const (
	ctiURL  = "https://cti.api.crowdsec.net/v2"
	ctiSize = 100
	ctiTTL  = 10 * time.Minute
	// ctiPause is how long nothing is asked once the quota is used up.
	ctiPause = 5 * time.Minute
)

var (
	errNoCTI   = errors.New("the CTI is off: it needs a key")
	errCTIKey  = errors.New("the CTI refuses the key and is off")
	errCTIOver = errors.New("the quota of the CTI is used up: it is asked again in a few minutes")
)

// cti asks and remembers.
type cti struct {
	url, key string
	web      *web
	now      func() time.Time
	items    *cache.Cache[*SmokeItem]

	mu     sync.Mutex
	off    bool      // the key was refused
	paused time.Time // nothing is asked before
}

func newCTI(o CTI, w *web, now func() time.Time) *cti {
	if o.URL == "" {
		o.URL = ctiURL
	}
	if o.Size <= 0 {
		o.Size = ctiSize
	}
	if o.TTL <= 0 {
		o.TTL = ctiTTL
	}
	return &cti{url: o.URL, key: o.Key, web: w, now: now, items: cache.New[*SmokeItem](o.Size, o.TTL, "LRU", now)}
}

// item returns what CrowdSec knows of an address. CrowdSec compatible: an empty item
// where it knows nothing, an error without a key; a refused key is not tried again,
// a used up quota in five minutes.
func (c *cti) item(ip string) (*SmokeItem, error) {
	if c.key == "" {
		return nil, errNoCTI
	}
	if !address(ip).IsValid() {
		return nil, fmt.Errorf("asking the CTI: %q is no address", ip)
	}
	if item, ok := c.items.Get(ip); ok {
		return item, nil
	}
	if err := c.closed(); err != nil {
		return nil, err
	}
	response, err := c.web.send(http.MethodGet, c.url+"/smoke/"+url.PathEscape(ip), map[string]string{"X-Api-Key": c.key}, "")
	if err != nil {
		return nil, fmt.Errorf("asking the CTI: %w", err)
	}
	item := &SmokeItem{}
	switch response.StatusCode {
	case http.StatusOK:
		if err := json.Unmarshal([]byte(response.Body), item); err != nil {
			return nil, fmt.Errorf("decoding the answer of the CTI: %w", err)
		}
		item.IsOk = true
	case http.StatusNotFound:
	default:
		return nil, c.refused(response.StatusCode)
	}
	c.items.Put(ip, item)
	return item, nil
}

// closed says why nothing may be asked now.
func (c *cti) closed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return errCTIKey
	}
	if c.now().Before(c.paused) {
		return errCTIOver
	}
	return nil
}

func (c *cti) refused(status int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		c.off = true
		return errCTIKey
	case http.StatusTooManyRequests:
		c.paused = c.now().Add(ctiPause)
		return errCTIOver
	}
	return fmt.Errorf("asking the CTI: it answers with status %d", status)
}
