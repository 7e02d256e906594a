package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/appliance"
)

// The key and the password of all callers of a crowd. Names tell them apart.
const crowdPassword = "a password of the crowd"

// crowd calls the Local API of a node in many ways at once, and notes how long each
// kind of call takes and what goes wrong.
type crowd struct {
	*node
	lapi string                                                               // http://host:port
	dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: as usual

	mu    sync.Mutex
	took  map[string][]time.Duration // by kind of call
	wrong []error                    // the first of them
	count int                        // of all that went wrong
}

// apiNode starts a node with the Local API on loopback, at http://host:port.
func apiNode(t testing.TB, rampart string) (n *node, lapi string) {
	t.Helper()
	at := net.JoinHostPort("127.0.0.1", freePort(t))
	return startNode(t, basicWith("api {\n\t\t\tlisten "+at+"\n\t\t}\n\t\t"+rampart)), "http://" + at
}

// newCrowd is a crowd without members.
func newCrowd(n *node, lapi string) *crowd {
	return &crowd{node: n, lapi: lapi, took: map[string][]time.Duration{}}
}

// fault notes what went wrong.
func (c *crowd) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count++; len(c.wrong) < 20 {
		c.wrong = append(c.wrong, fmt.Errorf(format, args...))
	}
}

// timed notes how long a call took that was made just now.
func (c *crowd) timed(kind string, since time.Time) {
	took := time.Since(since)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took[kind] = append(c.took[kind], took)
}

// check fails the test with what went wrong.
func (c *crowd) check() {
	c.t.Helper()
	if c.count > 0 {
		c.t.Errorf("%d calls went wrong, the first of them:\n%v", c.count, errors.Join(c.wrong...))
	}
}

// latency is the time that so many of a hundred calls of a kind took at most.
func (c *crowd) latency(kind string, percent int) time.Duration {
	all := slices.Sorted(slices.Values(c.took[kind]))
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, len(all)*percent/100)]
}

// kinds are the kinds of calls that were made.
func (c *crowd) kinds() []string { return slices.Sorted(maps.Keys(c.took)) }

// caller is a member of a crowd with a connection of its own.
type caller struct {
	*crowd
	name, header, value string // a header that tells who it is
	http                *http.Client
}

func (c *crowd) caller(name string) caller {
	tr := &http.Transport{DialContext: c.dial}
	c.t.Cleanup(tr.CloseIdleConnections)
	return caller{crowd: c, name: name, http: &http.Client{Timeout: 2 * patience, Transport: tr}}
}

// call makes a request, whose status must be the one that is wanted, and returns the
// body, or nil.
func (c *caller) call(kind string, want int, method, path, body string) []byte {
	req, err := http.NewRequest(method, c.lapi+path, strings.NewReader(body))
	if err != nil {
		c.fault("%s: %w", c.name, err)
		return nil
	}
	req.Header.Set("User-Agent", "crowd/1.0")
	if c.header != "" {
		req.Header.Set(c.header, c.value)
	}
	begun := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		c.fault("%s, %s: %w", c.name, kind, err)
		return nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	c.timed(kind, begun)
	if err != nil || resp.StatusCode != want {
		c.fault("%s, %s: %d, want %d; %v in %.300s", c.name, kind, resp.StatusCode, want, err, b)
		return nil
	}
	return b
}

// told is a decision as the stream tells it.
type told struct {
	ID                                             int64
	Duration, Origin, Scenario, Scope, Type, Value string
}

func (d *told) key() string { return d.Scope + " " + d.Value + " " + d.Type }

// sound reports what a bouncer could not use.
func (d *told) sound(gone bool) error {
	left, err := time.ParseDuration(d.Duration)
	if err == nil && gone == (left > 0) {
		err = errors.New("its duration has the wrong sign")
	}
	if err == nil && (d.ID == 0 || d.Origin == "" || d.Scenario == "" || d.Scope == "" || d.Type == "" || d.Value == "") {
		err = errors.New("something is missing")
	}
	return err
}

// bouncer polls the stream and keeps what it is told, as bouncers do.
type bouncer struct {
	caller
	holds      map[string]bool // by key of told
	news, gone int             // how many it was told of
}

func (c *crowd) bouncer(name string) *bouncer {
	c.t.Helper()
	key := name + " " + crowdPassword
	ask[appliance.BouncerAnswer](c.node, "POST", "/rampart/bouncers", appliance.BouncerRequest{Name: name, Key: key})
	b := &bouncer{caller: c.caller(name), holds: map[string]bool{}}
	b.header, b.value = "X-Api-Key", key
	return b
}

// startup begins the stream anew, poll goes on with it.
func (b *bouncer) startup() {
	clear(b.holds)
	b.take(b.call("stream-startup", 200, "GET", "/v1/decisions/stream?startup=true", ""))
}

func (b *bouncer) poll() {
	b.take(b.call("stream-delta", 200, "GET", "/v1/decisions/stream?startup=false", ""))
}

func (b *bouncer) take(body []byte) {
	if body == nil {
		return
	}
	var answer struct{ New, Deleted []told }
	if err := json.Unmarshal(body, &answer); err != nil || answer.New == nil || answer.Deleted == nil {
		b.fault("%s, stream: %v in %.300s", b.name, err, body)
		return
	}
	for i := range answer.Deleted {
		d := &answer.Deleted[i]
		if err := d.sound(true); err != nil {
			b.fault("%s, deleted: %w: %+v", b.name, err, d)
		}
		delete(b.holds, d.key())
	}
	for i := range answer.New {
		d := &answer.New[i]
		if err := d.sound(false); err != nil {
			b.fault("%s, new: %w: %+v", b.name, err, d)
		}
		b.holds[d.key()] = true
	}
	b.news += len(answer.New)
	b.gone += len(answer.Deleted)
}

// every does something again and again until the end of a time, in its own goroutine.
func every(wg *sync.WaitGroup, begun time.Time, lasts, pause time.Duration, what func(i int)) {
	wg.Go(func() {
		for i := 0; ; i++ {
			next := time.Duration(i) * pause
			if next >= lasts {
				return
			}
			time.Sleep(time.Until(begun.Add(next)))
			what(i)
		}
	})
}

// agent pushes alerts.
type agent struct{ caller }

func (c *crowd) agent(name string) *agent {
	c.t.Helper()
	ask[appliance.MachineAnswer](c.node, "POST", "/rampart/machines", appliance.MachineRequest{Name: name, Password: crowdPassword})
	a := &agent{c.caller(name)}
	a.login()
	return a
}

func (a *agent) login() {
	a.header, a.value = "", ""
	b := a.call("login", 200, "POST", "/v1/watchers/login",
		fmt.Sprintf(`{"machine_id":%q,"password":%q,"scenarios":["crowdsecurity/ssh-bf"]}`, a.name, crowdPassword))
	var answer struct{ Token string }
	if err := json.Unmarshal(b, &answer); b != nil && (err != nil || answer.Token == "") {
		a.fault("%s, login: %v in %s", a.name, err, b)
	}
	a.header, a.value = "Authorization", "Bearer "+answer.Token
}

// push sends an alert of each source in one request. With a length of time the alerts
// have a decision of their own, else the node's profiles decide.
func (a *agent) push(sources []string, length time.Duration) {
	var body bytes.Buffer
	body.WriteByte('[')
	for i, ip := range sources {
		if i > 0 {
			body.WriteByte(',')
		}
		body.WriteString(crowdAlert(ip, length))
	}
	body.WriteByte(']')
	var ids []string
	b := a.call("push", 201, "POST", "/v1/alerts", body.String())
	if err := json.Unmarshal(b, &ids); b != nil && (err != nil || len(ids) != len(sources)) {
		a.fault("%s, push: %d ids of %d alerts, %v", a.name, len(ids), len(sources), err)
	}
}

// crowdAlert is an alert about guessed passwords with five events, as an agent sends it.
func crowdAlert(ip string, length time.Duration) string {
	now := time.Now().UTC().Format(time.RFC3339)
	event := fmt.Sprintf(`{"timestamp":%q,"meta":[{"key":"datasource_path","value":"/var/log/auth.log"},{"key":"datasource_type","value":"file"},`+
		`{"key":"log_type","value":"ssh_failed-auth"},{"key":"machine","value":"host"},{"key":"service","value":"ssh"},`+
		`{"key":"source_ip","value":%q},{"key":"target_user","value":"bob"},{"key":"timestamp","value":%q}]}`, now, ip, now)
	decision := "null"
	if length > 0 {
		decision = fmt.Sprintf(`[{"duration":%q,"origin":"crowdsec","scenario":"crowdsecurity/ssh-bf","scope":"Ip","type":"ban","value":%q}]`, length, ip)
	}
	return fmt.Sprintf(`{"capacity":5,"decisions":%s,"events":[%s],"events_count":6,"labels":null,"leakspeed":"10s","machine_id":"",`+
		`"message":"Ip %[3]s performed 'crowdsecurity/ssh-bf' (6 events over 1s)","meta":[{"key":"target_user","value":"[\"bob\"]"}],"remediation":true,`+
		`"scenario":"crowdsecurity/ssh-bf","scenario_hash":"4441dcff07020f6690d998b7101e642359ba405c2abb83565bbbdcee36de280f","scenario_version":"0.1",`+
		`"simulated":false,"source":{"as_name":"","as_number":"","cn":"","ip":%[3]q,"latitude":0,"longitude":0,"range":"","scope":"Ip","value":%[3]q},`+
		`"start_at":%[4]q,"stop_at":%[4]q,"uuid":""}`, decision, strings.Repeat(event+",", 4)+event, ip, now)
}
