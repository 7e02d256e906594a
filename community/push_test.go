package community

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

// taken are the uuids of the signals in requests that the server took, in order, and
// those whose answer arrived.
func (d *desk) taken() (all, told map[string]int) {
	d.t.Helper()
	all, told = map[string]int{}, map[string]int{}
	for _, r := range d.server.Requests("/v3/signals") {
		if !r.Taken || r.Fault == "" && r.Status != http.StatusOK {
			continue
		}
		var list []Signal
		must(d.t, json.Unmarshal(r.Body, &list))
		if len(list) > maxBatch {
			d.t.Errorf("a request with %d signals", len(list))
		}
		for _, s := range list {
			all[s.UUID]++
			// Of an answer that is cut off the client has the status, which says all.
			if r.Fault != capitest.Lost {
				told[s.UUID]++
			}
		}
	}
	return all, told
}

// TestSignalsOnceEach: with three requests in ten failing in all ways, and restarts in
// between, each signal arrives, and is sent again only if the server's answer to it was
// lost.
func TestSignalsOnceEach(t *testing.T) {
	d := newDesk(t)
	d.server.Fail(0.3, 7, "/v3/", capitest.Unauthorized, capitest.Forbidden, capitest.TooMany, capitest.Internal,
		capitest.Unavailable, capitest.GatewayTime, capitest.Reset, capitest.Lost, capitest.Cut)
	want := map[string]bool{}
	for round := range 40 {
		for i := range 60 {
			want[d.alert(round*60+i, "crowdsecurity/ssh-bf").UUID] = true
		}
		d.push(20 * time.Second)
		if round%9 == 8 {
			d.restart()
		}
	}
	waited := 0
	for ; d.client.Status().Queue > 0 && waited < 100; waited++ {
		d.push(time.Minute)
	}
	s := d.client.Status()
	if s.Queue != 0 || s.Dropped != 0 || s.Refused != 0 {
		t.Fatalf("left: %+v", s)
	}
	all, told := d.taken()
	twice := 0
	for uuid := range want {
		if told[uuid] != 1 {
			t.Errorf("signal %s: the server said %d times that it has it", uuid, told[uuid])
		}
		if all[uuid] > 1 {
			twice++
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d signals arrived, want %d", len(all), len(want))
	}
	requests, faults := d.server.Requests("/v3/"), 0
	for _, r := range requests {
		if r.Fault != "" {
			faults++
		}
	}
	if share := float64(faults) / float64(len(requests)); share < 0.15 || twice == 0 {
		t.Errorf("the test is too easy: %d of %d requests failed, %d signals were seen twice", faults, len(requests), twice)
	}
	t.Logf("%d signals, %d requests, %d failures, %d signals seen twice by the server", len(want), len(requests), faults, twice)
}

// TestSignalsOfNobody: without sharing, or credentials, nothing is kept or sent.
func TestSignalsOfNobody(t *testing.T) {
	d := newDesk(t)
	d.use(func(c *Config) { c.Sharing = false })
	d.alert(1, "crowdsecurity/ssh-bf")
	d.push(time.Minute)
	d.use(func(c *Config) { c.Sharing = true })
	d.push(time.Minute)
	d.expectRequests("/v3/", 0)
	if s := d.client.Status(); s.Queue != 0 {
		t.Errorf("%d signals wait", s.Queue)
	}
}

// TestSignalsOutliveARestart: what is offered and kept when the process ends is sent by
// the next one, once.
func TestSignalsOutliveARestart(t *testing.T) {
	d := newDesk(t)
	d.server.Fail(1, 1, "/v3/", capitest.Unavailable)
	a := d.alert(1, "crowdsecurity/ssh-bf")
	d.push(30 * time.Second)
	d.restart()
	if s := d.client.Status(); s.Queue != 1 {
		t.Fatalf("%d signals wait", s.Queue)
	}
	d.server.Fail(0, 1, "")
	d.push(time.Minute)
	if diff := cmp.Diff(map[string]int{a.UUID: 1}, d.server.Signals()); diff != "" {
		t.Error(diff)
	}
	d.restart()
	d.push(time.Minute)
	if diff := cmp.Diff(map[string]int{a.UUID: 1}, d.server.Signals()); diff != "" {
		t.Error(diff)
	}
}

// TestBadSignal: one that the server refuses does not keep back the others.
func TestBadSignal(t *testing.T) {
	d := newDesk(t)
	for i := range 120 {
		name := "crowdsecurity/ssh-bf"
		if i == 17 || i == 90 {
			name = "bad"
		}
		d.alert(i, name)
	}
	d.push(time.Minute)
	if s := d.client.Status(); s.Sent != 118 || s.Refused != 2 || s.Queue != 0 {
		t.Errorf("got %+v", s)
	}
	for uuid, n := range d.server.Signals() {
		if n != 1 {
			t.Errorf("%s: %d times", uuid, n)
		}
	}
}

// TestLargeBodies are packed, small ones are not.
func TestLargeBodies(t *testing.T) {
	d := newDesk(t)
	d.alert(1, "crowdsecurity/ssh-bf")
	d.push(30 * time.Second)
	for i := range 40 {
		d.alert(2+i, "crowdsecurity/ssh-bf")
	}
	d.push(30 * time.Second)
	rs := d.server.Requests("/v3/signals")
	if len(rs) != 2 {
		t.Fatalf("%d requests", len(rs))
	}
	for i, want := range []string{"", "gzip"} {
		if got := rs[i].Header.Get("Content-Encoding"); got != want {
			t.Errorf("%d bytes are sent as %q", len(rs[i].Body), got)
		}
	}
}

// TestQueueIsBounded: the oldest go, and are counted.
func TestQueueIsBounded(t *testing.T) {
	d := newDesk(t)
	q := d.client.queue
	for round := range maxQueued/1000 + 2 {
		var bodies [][]byte
		for i := range 1000 {
			bodies = append(bodies, fmt.Append(nil, round*1000+i))
		}
		must(t, q.add(bodies))
	}
	n, _, dropped := q.size()
	first, err := q.peek(1, 100)
	must(t, err)
	if n != maxQueued || dropped != 2000 || string(first[0].body) != "2000" {
		t.Errorf("%d wait, %d dropped, the first is %s", n, dropped, first[0].body)
	}
	again, err := openQueue(d.db)
	must(t, err)
	if m, bytes, _ := again.size(); m != n || bytes != q.bytes {
		t.Errorf("after a restart %d of %d bytes", m, bytes)
	}
	large := make([]byte, 20<<20)
	must(t, again.add([][]byte{large}))
	must(t, again.add([][]byte{large}))
	if n, bytes, _ := again.size(); n != 1 || bytes != 20<<20 {
		t.Errorf("%d wait with %d bytes", n, bytes)
	}
	for i := range maxInbox + 5 {
		a := testAlert(i, "x/y")
		a.UUID = fmt.Sprint(i)
		d.client.Offer(a, nil)
	}
	if s := d.client.Status(); s.Dropped != 2000+5 {
		t.Errorf("dropped %d", s.Dropped)
	}
}

// TestWhichSignals: what is sent of which alerts.
func TestWhichSignals(t *testing.T) {
	d := newDesk(t)
	must(t, d.book.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("203.0.113.7/32")}))
	decided := func(origin string, more func(*event.AlertDecision)) func(*event.Alert) {
		return func(a *event.Alert) {
			x := event.AlertDecision{ID: 7, UUID: "u", Type: "ban", Scope: "Ip", Value: a.Source.Value, Origin: origin, Duration: "4h0m0s"}
			if more != nil {
				more(&x)
			}
			a.Decisions = append(a.Decisions, x)
		}
	}
	for name, c := range map[string]struct {
		change func(*event.Alert)
		share  Share
		want   string // trust, or what the error is about
	}{
		"of the Hub":              {decided("crowdsec", nil), Share{}, TrustCertified},
		"no decision":             {func(*event.Alert) {}, Share{}, TrustCertified},
		"no hash, not shared":     {func(a *event.Alert) { a.ScenarioHash = "" }, Share{}, "not shared: custom"},
		"no hash":                 {func(a *event.Alert) { a.ScenarioHash = "" }, Share{Custom: true}, TrustCustom},
		"changed, not shared":     {func(a *event.Alert) { a.ScenarioVersion = "?" }, Share{Custom: true}, "not shared: tainted"},
		"changed":                 {func(a *event.Alert) { a.ScenarioVersion = "?" }, Share{Tainted: true}, TrustTainted},
		"no version":              {func(a *event.Alert) { a.ScenarioVersion = "" }, Share{Tainted: true}, TrustTainted},
		"by hand, not shared":     {decided("cscli", nil), Defaults().Share, "not shared: manual"},
		"by hand":                 {decided("cscli", nil), Share{Manual: true}, TrustManual},
		"by our hand":             {decided("rampart", nil), Share{Manual: true}, TrustManual},
		"imported":                {decided("cscli-import", nil), Defaults().Share, "not shared: manual"},
		"simulated":               {func(a *event.Alert) { a.Simulated = true }, Share{}, "simulated"},
		"all simulated":           {decided("crowdsec", func(x *event.AlertDecision) { x.Simulated = true }), Share{}, "simulated"},
		"suppressed":              {decided("crowdsec", func(x *event.AlertDecision) { x.Suppressed = true }), Share{}, "allowlisted"},
		"allowlisted":             {func(a *event.Alert) { a.Source.Value = "203.0.113.7" }, Share{}, "allowlisted"},
		"of the community":        {func(a *event.Alert) { a.Kind = "capi" }, Share{}, "without a source"},
		"an import of many":       {func(a *event.Alert) { a.Source = &event.Source{} }, Share{}, "without a source"},
		"of nobody in particular": {func(a *event.Alert) { a.Source = nil }, Share{}, "without a source"},
		"of many addresses":       {func(a *event.Alert) { a.Scenario = decisions.OriginAggregate }, Share{Custom: true}, "signals of their own"},
	} {
		t.Run(name, func(t *testing.T) {
			a := testAlert(1, "crowdsecurity/ssh-bf")
			c.change(a)
			s, err := d.client.newSignal(a, &c.share, testLogin)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("no signal, since %v; want %s", err, c.want)
				}
				return
			}
			if s.Trust != c.want {
				t.Errorf("trust %q, want %q", s.Trust, c.want)
			}
			if s.MachineID != testLogin || s.Context != nil {
				t.Errorf("machine %q, context %v", s.MachineID, s.Context)
			}
			body, err := s.encode()
			must(t, err)
			if text := string(body); strings.Contains(text, "secret") || strings.Contains(text, "web1") || strings.Contains(text, "events") || !strings.Contains(text, `"context":null`) {
				t.Errorf("sent: %s", text)
			}
		})
	}
}

// TestShareMore: names and context go out only if somebody says so; days are none of the
// server's.
func TestShareMore(t *testing.T) {
	d := newDesk(t)
	a := testAlert(1, "crowdsecurity/ssh-bf")
	a.Decisions = []event.AlertDecision{{ID: 3, UUID: "u", Duration: "1d12h", Type: "ban"}}
	s, err := d.client.newSignal(a, &Share{Names: true, Context: true}, testLogin)
	must(t, err)
	if s.MachineID != "web1" || len(s.Context) != 1 || s.Decisions[0].Duration != "36h0m0s" || s.Decisions[0].ID != 0 {
		t.Errorf("got %+v", s)
	}
	a.Meta = nil
	if s, err = d.client.newSignal(a, &Share{Context: true}, testLogin); err != nil || s.Context == nil {
		t.Errorf("an empty context is [], got %v, %v", s.Context, err)
	}
}

// TestPreview: it is the JSON that is sent, byte for byte, and shows before sharing is on
// what would be sent.
func TestPreview(t *testing.T) {
	d := newDesk(t)
	d.use(func(c *Config) { c.Sharing = false })
	for i := range 3 {
		d.alert(i, "crowdsecurity/ssh-bf")
	}
	before, err := d.client.Preview(10)
	must(t, err)
	if len(before) != 3 {
		t.Fatalf("%d signals before sharing is on", len(before))
	}
	d.use(func(c *Config) { c.Sharing = true })
	for i := range 2 {
		d.alert(3+i, "crowdsecurity/ssh-bf")
	}
	shown, err := d.client.Preview(2)
	must(t, err)
	want, err := json.Marshal(shown)
	must(t, err)
	d.push(time.Minute)
	rs := d.server.Requests("/v3/signals")
	if len(rs) != 1 {
		t.Fatalf("%d requests", len(rs))
	}
	if diff := cmp.Diff(string(want), string(rs[0].Body)); diff != "" {
		t.Error(diff)
	}
}

// TestDiskThatFails: signals wait in memory, as far as there is place.
func TestDiskThatFails(t *testing.T) {
	d := newDesk(t)
	d.alert(1, "crowdsecurity/ssh-bf")
	must(t, d.db.Close())
	d.client.keep()
	for i := range maxInbox {
		a := testAlert(i, "x/y")
		d.client.Offer(a, nil)
	}
	d.client.keep()
	if len(d.client.inbox) != maxInbox || d.client.Status().Dropped != 1 {
		t.Errorf("%d wait, %d dropped", len(d.client.inbox), d.client.Status().Dropped)
	}
}
