package appliance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// TestAdminBouncers: added, listed, looked at, deleted; the key is nowhere but in the
// answer.
func TestAdminBouncers(t *testing.T) {
	a := open(t, Config{})
	const path = "/rampart/bouncers"
	if list := ask[[]BouncerStatus](t, a, "GET", path, nil); list == nil || len(list) != 0 {
		t.Errorf("at first %v", list)
	}
	made := ask[BouncerAnswer](t, a, "POST", path, BouncerRequest{Name: "a b/c"})
	if len(made.Key) != 43 || made.Name != "a b/c" {
		t.Errorf("made %+v", made)
	}
	if own := ask[BouncerAnswer](t, a, "POST", path, BouncerRequest{Name: "own", Key: "mine"}); own.Key != "mine" {
		t.Errorf("made %+v", own)
	}
	_, data := call(t, a, "GET", path, nil)
	if strings.Contains(string(data), made.Key) || strings.Contains(string(data), "mine") {
		t.Errorf("a key is in %s", data)
	}
	one := ask[BouncerDetail](t, a, "GET", path+"/a%20b%2Fc", nil)
	if one.Bouncer.Name != "a b/c" || one.Bouncer.Auth != "api-key" || one.Usage != nil {
		t.Errorf("got %+v", one)
	}
	if list := ask[[]BouncerStatus](t, a, "GET", path+"?unused=1h", nil); len(list) != 0 {
		t.Errorf("unused already: %+v", list)
	}
	refused(t, a, []refusal{
		{"POST", path, `{"name":"own"}`, 409, "is there already"},
		{"POST", path, `{"name":"other","key":"mine"}`, 409, ""},
		{"POST", path, `{"name":""}`, 400, "no name"},
		{"POST", path, `{"name":"\u001b"}`, 400, "no name"},
		{"POST", path, `{"nam":"x"}`, 400, "nam"},
		{"GET", path + "?unused=x", "", 400, `duration "x"`},
		{"GET", path + "?unsued=1h", "", 400, `"unsued" is unknown`},
		{"DELETE", path, "", 400, "nothing named"},
		{"DELETE", path + "?unused=-1h", "", 400, `duration "-1h"`},
		{"GET", path + "/own?unused=1h", "", 400, "there are none here"},
		{"GET", path + "/none", "", 404, "no bouncer"},
		{"DELETE", path + "/none", "", 404, "no bouncer"},
	})
	if gone := ask[BouncerStatus](t, a, "DELETE", path+"/own", nil); gone.Name != "own" {
		t.Errorf("deleted %+v", gone)
	}
	time.Sleep(2 * time.Millisecond)
	if gone := ask[[]BouncerStatus](t, a, "DELETE", path+"?unused=1ms", nil); len(gone) != 1 || gone[0].Name != "a b/c" {
		t.Errorf("pruned %+v", gone)
	}
	if list := ask[[]BouncerStatus](t, a, "GET", path, nil); len(list) != 0 {
		t.Errorf("at last %+v", list)
	}
}

// TestAdminMachines is that of agents.
func TestAdminMachines(t *testing.T) {
	a := open(t, Config{})
	const path = "/rampart/machines"
	made := ask[MachineAnswer](t, a, "POST", path, MachineRequest{})
	if len(made.Name) != 48 || len(made.Password) != 64 || made.URL != "" {
		t.Errorf("made %+v", made)
	}
	ask[MachineAnswer](t, a, "POST", path, MachineRequest{Name: "web1", Password: "secret"})
	ask[MachineAnswer](t, a, "POST", path, MachineRequest{Name: "web1", Password: "other", Force: true})
	_, data := call(t, a, "GET", path, nil)
	if strings.Contains(string(data), "other") || strings.Contains(string(data), made.Password) {
		t.Errorf("a password is in %s", data)
	}
	if one := ask[MachineDetail](t, a, "GET", path+"/web1", nil); !one.Machine.Validated || one.Machine.Scenarios == nil {
		t.Errorf("got %+v", one)
	}
	if m := ask[MachineStatus](t, a, "POST", path+"/web1/validate", nil); !m.Validated {
		t.Errorf("got %+v", m)
	}
	refused(t, a, []refusal{
		{"POST", path, `{"name":"web1"}`, 409, "is there already"},
		{"POST", path, `{"name":"x","password":"` + strings.Repeat("x", 73) + `"}`, 400, "72 bytes"},
		{"POST", path, `{"name":"` + strings.Repeat("x", 257) + `"}`, 400, "no name"},
		{"POST", path, `[`, 400, "reading the request body"},
		{"GET", path + "?validated=1", "", 400, `"validated" is unknown`},
		{"DELETE", path + "?unused=1h&unvalidated=yes", "", 400, "neither true nor false"},
		{"GET", path + "/none", "", 404, "no machine"},
		{"DELETE", path + "/none", "", 404, "no machine"},
		{"POST", path + "/none/validate", "", 404, "does not exist"},
		{"DELETE", path + "?unvalidated=true", "", 400, "nothing named"},
	})
	time.Sleep(2 * time.Millisecond)
	if gone := ask[[]MachineStatus](t, a, "DELETE", path+"?unused=1ms&unvalidated=true", nil); len(gone) != 0 {
		t.Errorf("pruned %+v", gone)
	}
	if gone := ask[MachineStatus](t, a, "DELETE", path+"/web1", nil); gone.Name != "web1" {
		t.Errorf("deleted %+v", gone)
	}
	if gone := ask[[]MachineStatus](t, a, "DELETE", path+"?unused=1ms", nil); len(gone) != 1 {
		t.Errorf("pruned %+v", gone)
	}
}

// TestAdminAllowlists: named lists, what they do to decisions, and one that is managed
// elsewhere.
func TestAdminAllowlists(t *testing.T) {
	a := open(t, Config{})
	const path = "/rampart/allowlists"
	for _, value := range []string{"192.0.2.7", "192.0.2.8", "198.51.100.0/24"} {
		ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: value})
	}
	ask[ListAnswer](t, a, "PUT", "/rampart/lists/l", "192.0.2.9\n192.0.2.10\n")
	if l := ask[AllowListStatus](t, a, "POST", path, AllowListRequest{Name: "office", Description: "ours"}); l.Items != 0 || l.Description != "ours" {
		t.Errorf("made %+v", l)
	}
	got := ask[AllowItemsAnswer](t, a, "POST", path+"/office/items", AllowItemsRequest{Items: []string{"192.0.2.0/24", "198.51.100.7", "a.example", "a..b", "::/0"}, Comment: "x"})
	if len(got.Done) != 3 || len(got.Refused) != 2 || got.Refused[0].At != 3 || got.Suppressed != 4 || got.Holding != 1 || got.LookedUp != 1 {
		t.Errorf("added %+v", got)
	}
	if list := ask[[]decisions.Decision](t, a, "GET", "/rampart/decisions", nil); len(list) != 1 {
		t.Errorf("in force %+v", list)
	}
	d := ask[AllowListDetail](t, a, "GET", path+"/office", nil)
	if d.List.Items != 3 || len(d.Items) != 3 || d.Items[2].Source == nil || d.Items[0].Author != "operator" {
		t.Errorf("got %+v", d)
	}
	for value, want := range map[string]string{"192.0.2.7": "true 1", "198.51.100.0/24": "false 1", "203.0.113.1": "false 0", "::ffff:192.0.2.7": "true 1"} {
		if c := ask[Allowed](t, a, "GET", "/rampart/allowed/"+value, nil); fmt.Sprint(c.Allowed, len(c.Reasons)) != want {
			t.Errorf("%s: %+v", value, c)
		}
	}
	if back := ask[AllowItemsAnswer](t, a, "DELETE", path+"/office/items?value=192.0.2.0/24&value=203.0.113.1", nil); back.Restored != 4 || len(back.Refused) != 1 {
		t.Errorf("removed %+v", back)
	}
	if err := a.live.Load().state.allow.ReplaceList(decisions.AllowList{Name: "console", Managed: true}); err != nil {
		t.Fatal(err)
	}
	refused(t, a, []refusal{
		{"POST", path, `{"name":"office"}`, 409, "of that name"},
		{"POST", path, `{"name":""}`, 400, "needs a name"},
		{"POST", path, `{"name":"` + strings.Repeat("x", 65) + `"}`, 400, ""},
		{"POST", path, `{"name":"x","description":"\u001b"}`, 400, "description"},
		{"GET", path + "/none", "", 404, "allowlists create"},
		{"DELETE", path + "/none", "", 404, "no allowlist"},
		{"DELETE", path + "/default", "", 409, "stays"},
		{"DELETE", path + "/console", "", 409, "managed by the Central API"},
		{"POST", path + "/console/items", `{"items":["192.0.2.7"]}`, 409, "managed by the Central API"},
		{"DELETE", path + "/console/items?value=192.0.2.7", "", 409, "managed by the Central API"},
		{"POST", path + "/office/items", `{"items":[]}`, 400, "0 items"},
		{"POST", path + "/office/items", `{"items":["192.0.2.7"],"duration":"x"}`, 400, `duration "x"`},
		{"POST", path + "/none/items", `{"items":["192.0.2.7"]}`, 404, "no allowlist"},
		{"DELETE", path + "/office/items", "", 400, "0 items"},
		{"GET", "/rampart/allowed/x", "", 400, "neither an address"},
		{"GET", path + "?x=1", "", 400, `"x" is unknown`},
		{"POST", "/rampart/allowlist", `{"value":"0.0.0.0/0"}`, 400, "everybody"},
	})
	if gone := ask[AllowListStatus](t, a, "DELETE", path+"/office", nil); gone.Items != 2 {
		t.Errorf("deleted %+v", gone)
	}
}

// TestAdminImport: many at once, by the page; exported again; alerts and their end.
func TestAdminImport(t *testing.T) {
	a := open(t, Config{})
	rows := make([]ImportRow, 0, MaxImport)
	for i := range MaxImport {
		rows = append(rows, ImportRow{Value: fmt.Sprintf("198.18.%d.%d", i/250, i%250+1), Duration: "1d"})
	}
	rows[3].Value, rows[4].Duration, rows[5] = "x", "x", ImportRow{Value: "127.0.0.1", Duration: "1d"}
	got := ask[ImportAnswer](t, a, "POST", "/rampart/decisions/import", ImportRequest{From: "f", Rows: rows})
	if got.Made != MaxImport-3 || got.Known != 0 || got.Allowed != 1 || len(got.Refused) != 2 || got.Refused[1].At != 4 {
		t.Errorf("imported %+v", got)
	}
	if again := ask[ImportAnswer](t, a, "POST", "/rampart/decisions/import", ImportRequest{Rows: rows[10:20]}); again.Made != 10 || again.Known != 10 {
		t.Errorf("again %+v", again)
	}
	if all := ask[[]decisions.Decision](t, a, "GET", "/rampart/decisions/export", nil); len(all) != MaxImport-3 || all[0].ID > all[1].ID || all[0].Origin != "cscli-import" {
		t.Errorf("%d exported", len(all))
	}
	if some := ask[[]decisions.Decision](t, a, "GET", "/rampart/decisions/export?range=198.18.0.0/28&contained=true&limit=5", nil); len(some) != 5 {
		t.Errorf("%d of a range", len(some))
	}
	if none := ask[[]decisions.Decision](t, a, "GET", "/rampart/decisions/export?until=1h", nil); none == nil || len(none) != 0 {
		t.Errorf("%d of an hour ago", len(none))
	}
	if list := ask[[]decisions.Decision](t, a, "GET", "/rampart/decisions?limit=7", nil); len(list) != 7 || list[0].ID < list[1].ID {
		t.Errorf("listed %+v", list)
	}
	refused(t, a, []refusal{
		{"POST", "/rampart/decisions/import", `{"rows":[]}`, 400, "0 rows"},
		{"POST", "/rampart/decisions/import", `{"rows":[{"valu":"x"}]}`, 400, "valu"},
		{"POST", "/rampart/decisions/import", `{"from":"\n","rows":[{"value":"x"}]}`, 400, "from"},
		{"GET", "/rampart/decisions/export?limit=x", "", 400, `limit "x"`},
		{"GET", "/rampart/decisions?range=x", "", 400, "range"},
		{"GET", "/rampart/decisions?contained=true", "", 400, "needs the range"},
		{"GET", "/rampart/decisions?since=x", "", 400, `since: duration "x"`},
		{"GET", "/rampart/decisions?simulated=no", "", 400, "simulated"},
		{"GET", "/rampart/decisions?all=yes", "", 400, "all"},
		{"GET", "/rampart/alerts?lists=no", "", 400, "lists"},
		{"GET", "/rampart/support?alerts=yes", "", 400, "alerts"},
		{"POST", "/rampart/decisions", `{"value":"127.0.0.1","unless_allowed":true}`, 409, "built in"},
		{"DELETE", "/rampart/alerts", "", 400, "nothing named"},
		{"DELETE", "/rampart/alerts?all=yes", "", 400, "stands alone"},
		{"DELETE", "/rampart/alerts?all=true&scenario=x", "", 400, "stands alone"},
		{"DELETE", "/rampart/alerts/x", "", 400, "not a number"},
		{"DELETE", "/rampart/alerts/77", "", 404, "no alert 77"},
		{"GET", "/rampart/alerts?decided=x", "", 400, "decided"},
		{"POST", "/rampart/alerts/flush", `{}`, 400, "nothing named"},
		{"POST", "/rampart/alerts/flush", `{"max_age":"x"}`, 400, `duration "x"`},
		{"POST", "/rampart/alerts/flush", `{"max_items":-1}`, 400, "less than none"},
	})
	if gone := ask[Deleted](t, a, "DELETE", "/rampart/decisions?range=198.18.0.0/24&contained=true", nil); len(gone.Deleted) != 247 {
		t.Errorf("%d deleted", len(gone.Deleted))
	}
	if f := ask[AlertsDeleted](t, a, "POST", "/rampart/alerts/flush", map[string]int{"max_items": 1}); f != (AlertsDeleted{Spared: 1}) {
		t.Errorf("flushed %+v", f)
	}
	if f := ask[AlertsDeleted](t, a, "POST", "/rampart/alerts/flush", map[string]int{"max_items": 0}); f != (AlertsDeleted{Alerts: 1, Spared: 1}) {
		t.Errorf("flushed %+v", f)
	}
	if list := ask[[]event.Alert](t, a, "GET", "/rampart/alerts?range=198.18.1.1&origin=cscli-import&decided=true&lists=false", nil); len(list) != 1 {
		t.Errorf("%d alerts", len(list))
	}
	if gone := ask[AlertsDeleted](t, a, "DELETE", "/rampart/alerts/1", nil); gone.Alerts != 1 || gone.Decisions != MaxImport-3-247 {
		t.Errorf("deleted %+v", gone)
	}
	if status, _ := call(t, a, "DELETE", "/rampart/alerts?all=true", nil); status != http.StatusOK {
		t.Errorf("none to delete: %d", status)
	}
}
