package community

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// FuzzStream: whatever a server says, what comes of it is such as a list takes, and has
// ends that are bounded.
func FuzzStream(f *testing.F) {
	f.Add([]byte(`{"new":[{"scenario":"s","scope":"ip","decisions":[{"value":"1.2.3.4","duration":"24h0m0s"}]}],"deleted":[{"scope":"ip","decisions":["9.9.9.9"]}]}`))
	f.Add([]byte(`{"new":[{"scope":"range","decisions":[{"value":"::ffff:1.2.3.0/120","duration":"1h"},{"value":"0.0.0.0/0","duration":"-1h"}]}],"links":{}}`))
	f.Add([]byte(`{"new":null,"deleted":[{}],"links":{"blocklists":[{"name":"a/b","url":"file:///etc/passwd","duration":"999999d"}]}}`))
	f.Add([]byte(`[]`))
	now := testStart
	f.Fuzz(func(t *testing.T, data []byte) {
		var s stream
		if decodeAnswer(bytes.NewReader(data), &s) != nil {
			return
		}
		fresh, skipped := s.entries(now)
		said := 0
		for _, g := range s.New {
			said += len(g.Decisions)
		}
		if len(fresh)+skipped > said {
			t.Fatalf("%d entries and %d skipped of %d", len(fresh), skipped, said)
		}
		es := endings(nil).with(s.gone(), fresh, now)
		for i := range es {
			end := time.Unix(int64(es[i].end), 0)
			if p := es[i].prefix(); !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || !end.After(now) || end.After(now.Add(maxLength)) {
				t.Fatalf("entry %s until %s", p, end)
			}
			if i > 0 && es[i-1].compare(&es[i]) >= 0 {
				t.Fatal("out of order, or twice")
			}
		}
		if len(es) > 0 {
			h := decisions.ListHead{Name: communityList, Type: "ban", Created: now, Until: es.last()}
			if l, report, err := decisions.NewBlocklist(h, es.prefixes()); err != nil || report.Bad+report.TooWide+report.Duplicates != 0 || l.Len()+report.Covered != len(es) {
				t.Fatalf("a list of %d entries: %+v, %v", len(es), report, err)
			}
		}
		again, err := decodeEndings(es.encode())
		if err != nil || len(again) != len(es) {
			t.Fatalf("%d entries come back as %d, %v", len(es), len(again), err)
		}
	})
}

// FuzzEndings: bytes from the disk are entries in order, or an error.
func FuzzEndings(f *testing.F) {
	f.Add(endings{newEnding(netip.MustParsePrefix("1.2.3.4/32"), testStart), newEnding(netip.MustParsePrefix("2001:db8::/32"), testStart)}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		es, err := decodeEndings(data)
		for i := range es {
			if err != nil || !es[i].prefix().IsValid() {
				t.Fatalf("entry %d: %v, %v", i, es[i], err)
			}
		}
	})
}

// FuzzAllowlist: each line makes an item, or is named; nothing allows the world.
func FuzzAllowlist(f *testing.F) {
	f.Add([]byte("{\"value\":\"62.0.0.0/8\",\"description\":\"partner\",\"created_at\":\"2026-01-01T00:00:00Z\"}\n{\"value\":\"60.0.0.2\",\"expiration\":\"2030-01-01T00:00:00Z\"}\n"))
	f.Add([]byte("{\"value\":\"0.0.0.0/0\"}\n\nnull\n{\"value\":\"example.org\",\"expiration\":\"x\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		items, left, err := readAllowlist(bytes.NewReader(data), "l")
		if err != nil {
			return
		}
		lines := 0
		for _, line := range bytes.Split(data, []byte("\n")) {
			if len(bytes.TrimSpace(line)) > 0 {
				lines++
			}
		}
		if len(items)+len(left) != lines {
			t.Fatalf("%d items and %d left out of %d lines", len(items), len(left), lines)
		}
		for _, e := range items {
			if e.Item == "" && (!e.Prefix.IsValid() || e.Prefix.Addr().Is4() && e.Prefix.Bits() < 8) || e.List != "l" {
				t.Fatalf("item %+v", e)
			}
		}
	})
}

// FuzzFormat: text and CSV, packed or not, make a list or an error, and the same one in
// parts of any size.
func FuzzFormat(f *testing.F) {
	f.Add([]byte("id,ip\n1,192.0.2.1\n2,\"192.0.2.2\"\n"), true, "", "ip")
	f.Add([]byte("192.0.2.1;x\n# c\n192.0.2.0/24\n"), true, ";", "1")
	f.Add([]byte("192.0.2.1 # x\n2001:db8::/32\nnonsense\n"), false, "", "")
	f.Add(gzipped([]byte("192.0.2.1\n")), false, "", "")
	f.Add([]byte{0x1f, 0x8b, 8}, true, "tab", "2")
	h := decisions.ListHead{Name: "l", Type: "ban", Created: testStart, Until: testStart.Add(time.Hour)}
	f.Fuzz(func(t *testing.T, data []byte, csv bool, delimiter, column string) {
		name := FormatText
		if csv {
			name = FormatCSV
		}
		form, err := newFormat(name, delimiter, column)
		if err != nil {
			return
		}
		read := func(r io.Reader) (*decisions.Blocklist, error) {
			plain, err := gunzipped(r)
			if err != nil {
				return nil, err
			}
			text, err := form.lines(newBounded(plain, 1<<20))
			if err != nil {
				return nil, err
			}
			l, report, err := decisions.ReadBlocklist(h, text)
			if err == nil {
				_ = guard(nil, l, &report)
				_ = guard(l, l, &report)
			}
			return l, err
		}
		a, err := read(bytes.NewReader(data))
		b, other := read(&slowly{data})
		if (err == nil) != (other == nil) || err == nil && a.Hash() != b.Hash() {
			t.Fatalf("in one piece %v, in parts %v", err, other)
		}
	})
}

// slowly gives a byte at a time.
type slowly struct{ data []byte }

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1)], s.data)
	s.data = s.data[n:]
	return n, nil
}

// FuzzToken: what is said to be a token is one that can be sent, or an error.
func FuzzToken(f *testing.F) {
	f.Add("a.eyJleHAiOjE3OTU0Mzg1NDF9.c")
	f.Add("a.eyJleHAiOi0xfQ.c")
	f.Add("x\r\nHost: y")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := newToken(&Credentials{}, text, testStart)
		if err == nil && (tok.Until.IsZero() || strings.ContainsAny(tok.Text, "\r\n \x00")) {
			t.Fatalf("token %q until %s", tok.Text, tok.Until)
		}
		kept, merr := json.Marshal(tok)
		if err == nil && (merr != nil || len(kept) == 0) {
			t.Fatalf("cannot be kept: %v", merr)
		}
	})
}
