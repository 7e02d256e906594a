package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func someRecord() record {
	r := record{
		owner: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, stamp: 1709251312926915, flags: flagDirect | flagWidth64, depth: 3,
		scenario: [16]byte{15: 9}, key: [16]byte{0: 0xff, 7: 0}, gen: -5, first: 1709251312926910, last: 1709251312926914, at: 1709251312926915,
		count: 42, group: "192.0.2.7\x00b", site: "www.example.net", incident: "abc", source: []byte{0, 1, 255},
	}
	r.nodes.add(0)
	r.nodes.add(255)
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	want := someRecord()
	got, err := decodeRecord(want.append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(record{})); d != "" {
		t.Error(d)
	}
	if !got.nodes.has(255) || got.nodes.has(254) || got.nodes.has(-1) || got.nodes.has(256) {
		t.Errorf("nodes are %v", got.nodes)
	}
}

func TestRecordCutsTexts(t *testing.T) {
	r := someRecord()
	r.group = strings.Repeat("ä", mostGroup) // the cut may fall into a letter
	r.group = "a" + r.group
	r.source = make([]byte, 2*mostSource)
	got, err := decodeRecord(r.append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.group) != mostGroup-1 || len(got.source) != mostSource {
		t.Errorf("%d bytes of group and %d of source are left", len(got.group), len(got.source))
	}
}

func TestRecordRefuses(t *testing.T) {
	whole := someRecord()
	b := whole.append(nil)
	for n := range b {
		if _, err := decodeRecord(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes are read as a record", n, len(b))
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"a byte more":     func(b []byte) []byte { return append(b, 0) },
		"another version": func(b []byte) []byte { b[0] = 2; return b },
		"no event":        func(b []byte) []byte { copy(b[83:], "\x00\x00\x00\x00"); return b },
		"before 1970":     func(b []byte) []byte { b[66] = 0x80; return b },
		"far future":      func(b []byte) []byte { b[82] = 0x7f; return b },
		"long group":      func(b []byte) []byte { b[recordHead+1] = 0xff; return b },
	} {
		if _, err := decodeRecord(change(append([]byte(nil), b...))); err == nil {
			t.Errorf("%s is read as a record", name)
		}
	}
}

func FuzzRecord(f *testing.F) {
	r := someRecord()
	f.Add(r.append(nil))
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, again, cmp.AllowUnexported(record{})); d != "" {
			t.Error(d)
		}
	})
}
