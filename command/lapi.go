package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/localapi"
)

const (
	lapiTimeout   = 30 * time.Second
	maxLAPIAnswer = 1 << 20
	// maxComplaint is how much of a refusal is shown, in characters.
	maxComplaint = 300
	// lapiAgent: servers want exactly one slash in it, or refuse to let anyone in.
	lapiAgent = "rampart/v1"
)

func lapiCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "lapi", Short: "Register this machine at a Local API, and see how it stands"}
	cmd.AddCommand(lapiRegister(o), lapiStatus(o))
	return cmd
}

func lapiRegister(o Options) *cobra.Command {
	var cr credentials
	var token, file string
	var force bool
	cmd := &cobra.Command{Use: "register --url URL", Short: "Register this machine at the Local API of another node", Args: cobra.NoArgs,
		Long: "Makes a name and a password, and registers them at a Local API. It asks no node of this machine. The credentials are\n" +
			"written to a file that cscli and agents read, or without one to the standard output.",
		Example: "  " + o.Prefix + " lapi register --url http://192.0.2.1:8080/ -f local_api_credentials.yaml"}
	f := cmd.Flags()
	f.StringVarP(&cr.URL, "url", "u", "", "URL of the Local API, or the path of its socket")
	f.StringVar(&cr.Login, "machine", "", "name of this machine (default: a new one)")
	f.StringVar(&token, "token", "", "registration token, if the Local API has one")
	f.StringVarP(&file, "file", "f", "", "file to write the credentials to")
	f.StringVar(&cr.CA, "ca", "", "file of the authority that the Local API's certificate is from")
	f.BoolVar(&force, "force", false, "in place of the file that is there")
	c := &call{o: o}
	return c.runs(cmd, func(c *call, _ []string) error {
		if cr.URL == "" {
			return errors.New("where to register is not said; give --url, such as http://192.0.2.1:8080/")
		}
		if cr.Login == "" {
			cr.Login = localapi.NewMachineID()
		}
		cr.Password = localapi.NewPassword()
		return c.register(cr, token, file, force)
	})
}

// register registers, and writes down what was.
func (c *call) register(cr credentials, token, file string, force bool) error {
	text, err := cr.text()
	if err != nil {
		return err
	}
	var w *ownFile
	if file != "" && file != "-" {
		if w, err = newCredentialsFile(file, force); err != nil {
			return err
		}
		defer w.close()
	}
	body := map[string]string{"machine_id": cr.Login, "password": cr.Password}
	if token != "" {
		body["registration_token"] = token
	}
	status, answer, err := cr.post(c.cmd.Context(), "v1/watchers", body)
	if err != nil {
		return err
	}
	next := "It may log in: the token validated it."
	switch status {
	case http.StatusCreated:
		next = fmt.Sprintf("It waits until somebody there lets it in: %s machines validate %s, or cscli machines validate %s", c.o.Prefix, cr.Login, cr.Login)
	case http.StatusAccepted:
	case http.StatusForbidden:
		return fmt.Errorf("registering at %s is refused: %s\nThe name may be taken (give another with --machine), or machines are only registered there, with: %s machines add NAME -f FILE",
			cr.URL, answer, c.o.Prefix)
	case http.StatusUnauthorized:
		return fmt.Errorf("registering at %s is refused: %s\nAsk who runs it for the token and the networks it counts from, or leave --token out and have the machine validated", cr.URL, answer)
	default:
		return fmt.Errorf("registering at %s: it answered %d: %s\nIs that the URL of a Local API?", cr.URL, status, answer)
	}
	if w != nil {
		if err := w.write(text); err != nil {
			return fmt.Errorf("%w; the machine %s is registered, and its password is lost: register it under another name", err, cr.Login)
		}
		fmt.Fprintf(c.out(), "The machine %s is registered at %s; its credentials are in %s.\n%s\n", printable(cr.Login), printable(cr.URL), printable(file), printable(next))
		return nil
	}
	fmt.Fprintln(c.cmd.ErrOrStderr(), printable(next))
	_, err = c.out().Write(text)
	return err
}

func lapiStatus(o Options) *cobra.Command {
	var file string
	cmd := &cobra.Command{Use: "status", Short: "Show how the Local API of this node stands, or log in at another", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " lapi status\n  " + o.Prefix + " lapi status -f local_api_credentials.yaml"}
	cmd.Flags().StringVarP(&file, "file", "f", "", "credentials to log in with, in place of asking this node")
	return online(o, cmd, func(c *call, _ []string) error {
		if file != "" {
			return c.tryLogin(file)
		}
		var s appliance.Status
		if err := c.do(http.MethodGet, "/rampart/status", nil, nil, &s); err != nil {
			return err
		}
		return c.writeAPI(&s.API)
	})
}

// loginResult is what lapi status -f answers.
type loginResult struct {
	URL     string `json:"url"`
	Machine string `json:"machine"`
	Expire  string `json:"expire"`
}

func (c *call) tryLogin(file string) error {
	cr, err := readCredentials(file)
	if err != nil {
		return err
	}
	status, answer, err := cr.post(c.cmd.Context(), "v1/watchers/login", map[string]any{"machine_id": cr.Login, "password": cr.Password, "scenarios": []string{}})
	switch {
	case err != nil:
		return err
	case status == http.StatusUnauthorized:
		return fmt.Errorf("logging in at %s as %s is refused: %s\nIs it validated (machines list there)? Register it again with: %s lapi register --url %s -f FILE --force",
			cr.URL, cr.Login, answer, c.o.Prefix, cr.URL)
	case status != http.StatusOK:
		return fmt.Errorf("logging in at %s as %s: it answered %d: %s\nIs that the URL of a Local API?", cr.URL, cr.Login, status, answer)
	}
	r := loginResult{URL: cr.URL, Machine: cr.Login}
	var in struct {
		Expire string `json:"expire"`
		Token  string `json:"token"`
	}
	if err := json.Unmarshal([]byte(answer), &in); err != nil || in.Token == "" {
		return fmt.Errorf("logging in at %s: the answer has no token; is that a Local API?", cr.URL)
	}
	r.Expire = in.Expire
	if c.format != human {
		return c.print(r, table{head: []string{"url", "machine", "expire"}, rows: [][]string{{r.URL, r.Machine, r.Expire}}}, "")
	}
	_, err = fmt.Fprintf(c.out(), "The Local API at %s lets %s in.\n", printable(cr.URL), printable(cr.Login))
	return err
}

func (c *call) writeAPI(s *appliance.APIStatus) error {
	served := "off: there is no api block in the configuration"
	if s.Served {
		served = strings.Join(s.Addresses, " ")
		if served == "" {
			served = "sites with rampart_lapi only"
		}
	}
	t := table{head: []string{"served", "bouncers", "machines", "not validated", "requests", "refused", "limited"}, rows: [][]string{{served,
		fmt.Sprint(s.Bouncers), fmt.Sprint(s.Machines), fmt.Sprint(s.Unvalidated), fmt.Sprint(s.Requests), fmt.Sprint(s.Refused), fmt.Sprint(s.Limited)}}}
	if c.format != human {
		return c.print(s, t, "")
	}
	line := c.lines()
	line("Local API", "%s", served)
	line("bouncers", "%d", s.Bouncers)
	line("machines", "%d (%d not validated)", s.Machines, s.Unvalidated)
	line("requests", "%d, %d refused, %d told to come later", s.Requests, s.Refused, s.Limited)
	if s.Problem != "" {
		return fmt.Errorf("the Local API is not open as configured since %s: %s", c.when(s.ProblemSince), s.Problem)
	}
	return nil
}

// post sends JSON to a Local API and returns the status and the text of the answer, of a
// refusal what it says.
func (cr *credentials) post(ctx context.Context, path string, in any) (status int, answer string, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, "", err
	}
	client, base, err := cr.client()
	if err != nil {
		return 0, "", err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("asking the Local API: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", lapiAgent)
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("asking the Local API: %w\nIs %s its URL, and is it reachable from here?", err, cr.URL)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxLAPIAnswer))
	if err != nil {
		return 0, "", fmt.Errorf("reading the answer of the Local API: %w", err)
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, complaint(data), nil
	}
	return resp.StatusCode, string(data), nil
}

// complaint is what a server says is wrong: its message, or how its page begins.
func complaint(data []byte) string {
	var m struct {
		Message string `json:"message"`
	}
	text := string(data)
	if json.Unmarshal(data, &m) == nil && m.Message != "" {
		text = m.Message
	}
	text = strings.Join(strings.Fields(text), " ")
	return printable(fmt.Sprintf("%.*s", maxComplaint, text))
}

// client speaks to the Local API, over its socket if the URL is a path. It follows no
// redirect: a password is for the host that was named.
func (cr *credentials) client() (*http.Client, string, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	c := &http.Client{Transport: t, Timeout: lapiTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if strings.HasPrefix(cr.URL, "/") {
		socket := cr.URL
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
		return c, "http://local/", nil
	}
	u, err := url.Parse(cr.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "", fmt.Errorf("%q is no URL of a Local API; write it as http://192.0.2.1:8080/", cr.URL)
	}
	if cr.CA != "" {
		text, err := os.ReadFile(cr.CA)
		if err != nil {
			return nil, "", fmt.Errorf("reading the authority: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, "", fmt.Errorf("reading the authority: there is no certificate in %s", cr.CA)
		}
	}
	if cr.Cert != "" {
		pair, err := tls.LoadX509KeyPair(cr.Cert, cr.Key)
		if err != nil {
			return nil, "", fmt.Errorf("reading the client's certificate: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return c, strings.TrimSuffix(cr.URL, "/") + "/", nil
}
