package community

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/capitest"
	"github.com/rampart-edge/rampart/store"
)

const testPassword = "a-long-password"

// testLogin has the length of one.
var testLogin = strings.Repeat("abcdefgh", 6) // read-only

// desk is a node with a double of the Central API and a clock that the test moves.
type desk struct {
	t      testing.TB
	clock  *testkit.Clock
	server *capitest.Server
	dir    string
	config Config
	o      Options

	db     *store.DB
	book   *decisions.Book
	client *Client
	feeds  *Feeds
}

var testStart = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) // read-only

// newDesk returns one whose client pulls and shares.
func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{t: t, clock: testkit.NewClock(testStart), dir: t.TempDir()}
	d.server = capitest.Start(t, d.clock.Now)
	d.server.AddMachine(testLogin, testPassword)
	d.config = Defaults()
	d.config.Sharing = true
	d.config.Credentials = filepath.Join(d.dir, "credentials.yaml")
	text := fmt.Sprintf("url: %s\nlogin: %s\npassword: %s\n", d.server.URL, testLogin, testPassword)
	must(t, os.WriteFile(d.config.Credentials, []byte(text), 0o600))
	d.o = Options{Roster: func() Roster { return Roster{Scenarios: []string{"crowdsecurity/ssh-bf", "custom/x"}} }}
	d.open()
	t.Cleanup(d.close)
	return d
}

func (d *desk) open() {
	d.t.Helper()
	var err error
	d.db, err = store.Open(d.dir, store.Options{})
	must(d.t, err)
	log := zaptest.NewLogger(d.t)
	d.book, err = decisions.OpenBook(decisions.BookOptions{DB: d.db, Now: d.clock.Now, Logger: log})
	must(d.t, err)
	o := d.o
	o.Book, o.DB, o.Now, o.Version, o.Logger = d.book, d.db, d.clock.Now, "1.2", log
	d.client, err = New(o)
	must(d.t, err)
	must(d.t, d.client.Use(d.config))
	d.feeds, err = NewFeeds(o)
	must(d.t, err)
}

func (d *desk) close() {
	if d.db == nil {
		return
	}
	_ = d.book.Close()
	_ = d.db.Close()
	d.db = nil
}

// restart ends the process, as far as the disk can tell, and begins another.
func (d *desk) restart() {
	d.t.Helper()
	d.close()
	d.open()
}

// use changes the configuration.
func (d *desk) use(change func(*Config)) {
	d.t.Helper()
	change(&d.config)
	must(d.t, d.client.Use(d.config))
}

// push and pull go on in steps until a time has passed.
func (d *desk) push(for_ time.Duration) { d.steps(for_, 5*time.Second, d.client.pushDue) }
func (d *desk) pull(for_ time.Duration) { d.steps(for_, time.Minute, d.client.pullDue) }

func (d *desk) steps(for_, step time.Duration, do func(context.Context)) {
	for end := d.clock.Now().Add(for_); ; d.clock.Advance(step) {
		do(d.t.Context())
		if !d.clock.Now().Before(end) {
			return
		}
	}
}

// list returns the entries of a list in force, "" for none, and its end.
func (d *desk) list(name string) (entries string, until time.Time) {
	for _, l := range d.book.Lists() {
		if l.Name == name && l.Until.After(d.clock.Now()) { // the Book drops what is over in its own time
			var out []string
			for p := range l.All() {
				text := p.String()
				if p.IsSingleIP() {
					text = p.Addr().String()
				}
				out = append(out, text)
			}
			return strings.Join(out, " "), l.Until
		}
	}
	return "", time.Time{}
}

func (d *desk) expectList(name, want string) {
	d.t.Helper()
	if got, _ := d.list(name); got != want {
		d.t.Errorf("list %s has %q, want %q", name, got, want)
	}
}

// alert records an alert of a scenario against an address and offers it.
func (d *desk) alert(i int, scenario string) *event.Alert {
	d.t.Helper()
	a := testAlert(i, scenario)
	ds := []decisions.Decision{{Scope: "Ip", Value: a.Source.Value, Type: "ban", Origin: "crowdsec", Scenario: scenario, Until: d.clock.Now().Add(4 * time.Hour)}}
	must(d.t, d.book.Append(a, ds))
	d.client.Offer(a, ds)
	return a
}

func testAlert(i int, scenario string) *event.Alert {
	ip := fmt.Sprintf("203.0.%d.%d", 100+i/250, 1+i%250)
	return &event.Alert{MachineID: "web1", Kind: "crowdsec", Scenario: scenario, ScenarioHash: "abc", ScenarioVersion: "0.1",
		Message: "Ip " + ip + " performed '" + scenario + "'", EventsCount: 6, StartAt: "2026-11-23T12:00:00Z", StopAt: "2026-11-23T12:00:05Z",
		Remediation: true, Source: &event.Source{Scope: "Ip", Value: ip, IP: ip, Cn: "FR", AsName: "ACME", AsNumber: "64500", Latitude: 48.85, Longitude: 2.35},
		Events: []event.AlertEvent{{Timestamp: "2026-11-23T12:00:00Z", Meta: event.Meta{{Key: "raw", Value: "a secret line"}}}},
		Meta:   event.Meta{{Key: "target_user", Value: `["root"]`}}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
