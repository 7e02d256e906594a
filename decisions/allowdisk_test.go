package decisions

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"
)

func newAllowRecords() allowRecords {
	return allowRecords{map[string]*allowHead{}, map[allowKey]AllowEntry{}, map[allowKey][]netip.Prefix{}}
}

// TestAllowRecordsOfBefore: entries from before there were lists are of the default one.
func TestAllowRecordsOfBefore(t *testing.T) {
	r := newAllowRecords()
	value := `{"prefix":"192.0.2.0/24","comment":"office","author":"ann","kind":"manual","created":"2026-03-01T12:00:00Z"}`
	if err := r.takeEntry("192.0.2.0/24", []byte(value)); err != nil {
		t.Fatal(err)
	}
	want := AllowEntry{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Comment: "office", Author: "ann", Kind: KindManual, Created: epochStart}
	if got := r.entries[allowKey{"", "192.0.2.0/24"}]; got != want {
		t.Errorf("%+v", got)
	}
	text, err := json.Marshal(&want)
	if err != nil || string(text) != value {
		t.Errorf("written as %s, %v", text, err)
	}
	if key := want.Key(); key != "192.0.2.0/24" {
		t.Errorf("kept under %q", key)
	}
}

func TestAllowRecordsDamaged(t *testing.T) {
	for name, take := range map[string]func(r *allowRecords) error{
		"entry of another key":   func(r *allowRecords) error { return r.takeEntry("192.0.2.1/32", []byte(`{"prefix":"192.0.2.2/32"}`)) },
		"entry without anything": func(r *allowRecords) error { return r.takeEntry("x", []byte(`{}`)) },
		"entry that is no JSON":  func(r *allowRecords) error { return r.takeEntry("x", []byte(`{`)) },
		"entry of a managed list": func(r *allowRecords) error {
			return r.takeEntry("m\nx.example", []byte(`{"list":"m","item":"x.example"}`))
		},
		"managed default":      func(r *allowRecords) error { return r.takeHead("default", []byte(`{"managed":true}`)) },
		"head of a bad name":   func(r *allowRecords) error { return r.takeHead("a\nb", []byte(`{}`)) },
		"head that is no JSON": func(r *allowRecords) error { return r.takeHead("a", []byte(`7`)) },
		"prefixes of nothing":  func(r *allowRecords) error { return r.takeResolved("x.example", []byte(`["192.0.2.1/32"]`)) },
		"no prefixes":          func(r *allowRecords) error { return r.takeResolved("h.example", []byte(`[]`)) },
		"too wide":             func(r *allowRecords) error { return r.takeResolved("h.example", []byte(`["0.0.0.0/0"]`)) },
	} {
		r := newAllowRecords()
		r.heads["m"] = &allowHead{Managed: true}
		r.entries[allowKey{"", "h.example"}] = AllowEntry{Item: "h.example"}
		if take(&r) == nil || len(r.entries) != 1 || len(r.heads) != 1 || len(r.resolved) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// FuzzAllowRecords: whatever the disk has, what is taken in is in normal form, and fits
// together.
func FuzzAllowRecords(f *testing.F) {
	f.Add("office", `{"description":"x","foreign":true}`, "office\nh.example", `{"kind":"manual","list":"office","item":"h.example"}`, `["192.0.2.0/24","192.0.2.1/32"]`)
	f.Add("m", `{"managed":true,"items":[{"prefix":"192.0.2.1/24"},{"item":"://"},{"item":"h.example"}]}`, "192.0.2.0/24", `{"prefix":"192.0.2.0/24"}`, `["::/0"]`)
	f.Add("default", `{"created":"2026-03-01T12:00:00Z"}`, "https://example.org/", `{"item":"https://example.org/","until":"2026-03-01T12:00:00Z"}`, `["::1/128"]`)
	f.Fuzz(func(t *testing.T, name, head, key, entry, prefixes string) {
		r := newAllowRecords()
		_ = r.takeHead(name, []byte(head)) // damaged ones are left alone
		_ = r.takeEntry(key, []byte(entry))
		_ = r.takeResolved(key, []byte(prefixes))
		a := NewAllow(func() time.Time { return epochStart })
		a.attach(nil, r)
		for k, e := range a.entries {
			again := e
			if next, err := again.normalise(); err != nil || next != k || again != e {
				t.Fatalf("%q: %+v, %v", k, e, err)
			}
			h := a.heads[k.list]
			if h == nil || h.count == 0 || (e.Kind == KindManaged) != h.Managed {
				t.Fatalf("%q: list %+v", k, h)
			}
		}
		for k, ps := range a.resolved {
			if a.entries[k].Item == "" || len(ps) == 0 {
				t.Fatalf("%q stands for %v", k, ps)
			}
		}
		a.Lists()
		a.Reasons(netip.MustParsePrefix("0.0.0.0/0"))
	})
}
