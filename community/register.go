package community

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// Register makes a login at a server ("": CrowdSec's) and writes it to the credentials
// file of the configuration, which must not be there yet. It returns the login, and uses
// it from then on.
func (c *Client) Register(ctx context.Context, server string) (login string, err error) {
	config, _ := c.now()
	if config.Credentials == "" {
		return "", errors.New("registering: the configuration names no credentials file")
	}
	if server == "" {
		server = VendorURL
	}
	cred, err := Register(ctx, c.o, server, config.Credentials)
	if err != nil {
		return "", err
	}
	return cred.Login, c.Use(config)
}

// Register is Client.Register without a Client: of o it uses Version, Transport and Now
// alone.
func Register(ctx context.Context, o Options, server, path string) (Credentials, error) {
	cred, err := register(ctx, o, server, path)
	if err != nil {
		return Credentials{}, fmt.Errorf("registering: %w", err)
	}
	return cred, nil
}

func register(ctx context.Context, o Options, server, path string) (Credentials, error) {
	o = o.filled()
	server, err := rootURL(server)
	if err != nil {
		return Credentials{}, err
	}
	if _, err := os.Lstat(path); err == nil {
		return Credentials{}, fmt.Errorf("%s is there already: move it away to register anew", path)
	}
	cred := newCredentials(server)
	// The file first: a login whose password is lost is of no use to anybody.
	keep, forget, err := cred.writeAside(path)
	if err != nil {
		return Credentials{}, err
	}
	a := &api{o: &o, cred: cred, http: &http.Client{Transport: o.Transport, CheckRedirect: noRedirect}}
	r := request{method: http.MethodPost, path: "watchers", body: map[string]string{"machine_id": cred.Login, "password": cred.Password}}
	body, err := r.encode()
	if err == nil {
		err = a.send(ctx, r, body, "", nil)
	}
	if err != nil {
		forget()
		return Credentials{}, err
	}
	return cred, keep()
}

// Enrolment asks for a node to be shown in the console of an account.
type Enrolment struct {
	Key       string // of the account
	Name      string // of the node there
	Tags      []string
	Overwrite bool // enrol again what is enrolled already
	// Auto asks for a link instead, where the owner of an account accepts the node.
	Auto bool
}

// EnrolLink is where an owner accepts a node, and until when.
type EnrolLink struct {
	URL   string
	Until time.Time
}

// Enroll asks for it; somebody has to accept the node in the console. The link is empty
// unless Auto was asked for. What is shared does not change: unlike `cscli console
// enroll` it turns nothing on.
func (c *Client) Enroll(ctx context.Context, e Enrolment) (EnrolLink, error) {
	api, err := c.server()
	if err != nil {
		return EnrolLink{}, fmt.Errorf("enrolling: %w", err)
	}
	if e.Key == "" && !e.Auto {
		return EnrolLink{}, errors.New("enrolling: expected the key that the console shows")
	}
	body := struct {
		Key       string   `json:"attachment_key,omitempty"`
		Name      string   `json:"name"`
		Tags      []string `json:"tags"`
		Overwrite bool     `json:"overwrite,omitempty"`
		Auto      bool     `json:"autoenroll"`
	}{e.Key, e.Name, e.Tags, e.Overwrite, e.Auto}
	var answer struct {
		URL   string `json:"url"`
		Until int64  `json:"expire_at"`
	}
	if err := api.call(ctx, request{method: http.MethodPost, path: "watchers/enroll", body: body}, &answer); err != nil {
		return EnrolLink{}, fmt.Errorf("enrolling: %w", err)
	}
	link := EnrolLink{URL: answer.URL}
	if answer.Until > 0 {
		link.Until = time.Unix(answer.Until, 0).UTC()
	}
	return link, nil
}
