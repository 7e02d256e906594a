package e2e

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rampart-edge/rampart/event"
)

// TestNotifications: a ban is told to whom its profile names, in CrowdSec's JSON; one
// that hangs keeps neither the others nor the site waiting, and what is wrong is in status.
func TestNotifications(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var hanging, told atomic.Int32
	var body atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hangs" {
			hanging.Add(1)
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		b, _ := io.ReadAll(r.Body)
		text := string(b)
		body.Store(&text)
		told.Add(1)
	}))
	defer server.Close()
	defer close(release)

	n := newNode(t)
	n.write("profiles.yaml", "name: all\nfilters: [Alert.Remediation]\ndecisions: [{type: ban, duration: 1h}]\nnotifications: [hook, hangs, journal, nobody]\non_success: break\n")
	n.write("told/receivers.yaml", n.expand("type: http\nname: hook\nurl: "+server.URL+"/hook\n---\ntype: http\nname: hangs\nurl: "+server.URL+"/hangs\ntimeout: 1m\n"+
		"---\ntype: file\nname: journal\nlog_path: {dir}/journal\nformat: '{{range .}}{{.Source.Value}} {{range .Decisions}}{{.Type}} {{.Duration}}{{end}}{{end}}'\n"+
		"---\ntype: http\nname: broken\nurl: "+server.URL+"\nmetod: GET\n"))
	n.write("Caddyfile", n.expand(basicWith("profiles {dir}/profiles.yaml\n\t\tnotifications {dir}/told")))
	n.start()

	const scanner = "203.0.113.7"
	n.scan(scanner)
	until(t, "all three are told", func() bool { return told.Load() > 0 && hanging.Load() > 0 && n.read("journal") != "" })
	if got := n.read("journal"); !regexp.MustCompile(`^` + scanner + ` ban (1h0m0s|59m\d+s)\n$`).MatchString(got) {
		t.Errorf("the file has %q", got)
	}
	var alerts []event.Alert
	if err := json.Unmarshal([]byte(*body.Load()), &alerts); err != nil || len(alerts) != 1 {
		t.Fatalf("the hook got %s: %v", *body.Load(), err)
	}
	if a := alerts[0]; a.GetValue() != scanner || len(a.Decisions) != 1 || a.Decisions[0].Value != scanner || a.ID == 0 || len(a.Events) == 0 {
		t.Errorf("the hook got %s", *body.Load())
	}
	if a := n.send("203.0.113.8", "GET", "/"); a.status != 200 {
		t.Errorf("meanwhile a visitor gets %d", a.status)
	}
	st := n.status().Notifications
	if len(st.Faults) != 1 || !strings.Contains(st.Faults[0], `unknown key "metod"`) || !slices.Equal(st.Unknown, []string{"nobody"}) {
		t.Errorf("status tells of faults %q and names %q", st.Faults, st.Unknown)
	}
	until(t, "status tells who was told", func() bool {
		told := map[string]bool{}
		for _, r := range n.status().Notifications.Receivers {
			told[r.Name] = r.Sent > 0
		}
		return maps.Equal(told, map[string]bool{"hook": true, "hangs": false, "journal": true})
	})
}
