package community

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

// fetch goes on in steps of the feeds until a time has passed.
func (d *desk) fetch(for_ time.Duration) { d.steps(for_, time.Minute, d.feeds.step) }

func (d *desk) feed(name string) FeedStatus {
	d.t.Helper()
	for _, s := range d.feeds.Status() {
		if s.Name == name {
			return s
		}
	}
	d.t.Fatalf("no feed %s", name)
	return FeedStatus{}
}

func numbered(from, n int) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, "198.%d.%d.%d\n", 18+i>>16&1, i>>8&255, i&255)
	}
	return b.String()
}

// TestFeed: fetched when it is due, asked for by condition, by difference, and gone with
// its configuration.
func TestFeed(t *testing.T) {
	d := newDesk(t)
	p := d.counted()
	one := Feed{Name: "drop", URL: d.server.PutFile("drop", "# a list\n198.51.100.1 ; why\n198.51.100.0/28\nnonsense\n2001:db8::/32\n"), Every: time.Hour, Length: 24 * time.Hour}
	must(t, d.feeds.Use([]Feed{one}))
	d.fetch(time.Minute)
	d.expectList("drop", "198.51.100.0/28 2001:db8::/32")
	if s := d.feed("drop"); s.Entries != 2 || s.Left != 1 || s.Problem != "" || !s.Fetched.Equal(testStart) || s.Type != "ban" {
		t.Errorf("got %+v", s)
	}
	base := d.book.Lists()[0].Base
	d.fetch(70 * time.Minute)
	rs := d.server.Requests("/bl/drop")
	if len(rs) != 2 || rs[1].Status != http.StatusNotModified {
		t.Fatalf("requests %+v", rs)
	}
	if l := d.book.Lists()[0]; l.Base != base || !l.Until.After(testStart.Add(24*time.Hour)) {
		t.Errorf("base %d, then %d, until %s", base, l.Base, l.Until)
	}
	d.server.PutFile("drop", "198.51.100.77\n198.51.100.78\n")
	d.fetch(70 * time.Minute)
	d.expectList("drop", "198.51.100.77 198.51.100.78")
	if p.n["drop"] != 3 {
		t.Errorf("%d puts", p.n["drop"])
	}
	// After a restart it is in force before anybody asks, and not fetched before it is due.
	d.restart()
	d.fetch(time.Minute)
	d.expectList("drop", "198.51.100.77 198.51.100.78")
	must(t, d.feeds.Use([]Feed{one}))
	d.fetch(time.Minute)
	d.expectRequests("/bl/drop", 3)
	must(t, d.feeds.Use(nil))
	d.fetch(time.Minute)
	d.expectList("drop", "")
}

// TestFeedsThatWere: who has no feeds wants to lead until what came of former ones is
// gone, and leaves alone what somebody else has put in its place.
func TestFeedsThatWere(t *testing.T) {
	d := newDesk(t)
	wants := func(when string, want bool) {
		t.Helper()
		if got := d.feeds.Wants(); got != want {
			t.Errorf("%s: wants to lead: %t", when, got)
		}
	}
	wants("before the first use", false)
	must(t, d.feeds.Use(nil))
	wants("without feeds", false)
	url := d.server.PutFile("f", "198.51.100.1\n")
	must(t, d.feeds.Use([]Feed{{Name: "a", URL: url}, {Name: "b", URL: url}}))
	wants("with feeds", true)
	d.fetch(time.Minute)
	d.expectList("a", "198.51.100.1")
	h := decisions.ListHead{Name: "b", Type: decisions.TypeBan, Created: d.clock.Now(), Until: d.clock.Now().Add(time.Hour)}
	other, _, err := decisions.ReadBlocklist(h, strings.NewReader("198.51.100.2\n"))
	must(t, err)
	must(t, d.book.PutList(other))
	d.restart()
	must(t, d.feeds.Use(nil))
	wants("with lists of former ones", true)
	d.fetch(time.Minute)
	d.expectList("a", "")
	d.expectList("b", "198.51.100.2")
	wants("when all is gone", false)
}

// TestFeedSameContent: a server that knows no conditions sends all of it again; what has
// the same hash keeps its numbers.
func TestFeedSameContent(t *testing.T) {
	d := newDesk(t)
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: d.server.PutFile("f", "198.51.100.1\n")}}))
	must(t, d.feeds.Pull(t.Context(), "f"))
	base, hash := d.book.Lists()[0].Base, ""
	d.clock.Advance(time.Hour)
	must(t, d.feeds.Pull(t.Context(), "")) // a forced one asks for no condition
	hash = fmt.Sprintf("%x", sha256.Sum256([]byte("198.51.100.1\n")))
	if known, err := d.feeds.shelf.recall(feedBucket, "f"); err != nil || known.Hash != hash {
		t.Errorf("hash %s, %v", known.Hash, err)
	}
	if l := d.book.Lists()[0]; l.Base != base || !l.Until.Equal(testStart.Add(time.Hour+defaultFeedLength)) {
		t.Errorf("base %d, then %d, until %s", base, l.Base, l.Until)
	}
	if rs := d.server.Requests("/bl/f"); len(rs) != 2 || rs[1].Status != 200 {
		t.Errorf("requests %+v", rs)
	}
	if err := d.feeds.Pull(t.Context(), "g"); err == nil {
		t.Error("a feed that is none")
	}
}

// TestGuard: what is not to be believed changes nothing.
func TestGuard(t *testing.T) {
	wide6 := "2000::/15\n"
	var sixteenth, sixteenth6 strings.Builder
	for i := range 17 {
		fmt.Fprintf(&sixteenth, "%d.0.0.0/8\n", 20+i)
	}
	for i := range 513 {
		fmt.Fprintf(&sixteenth6, "%x::/16\n", 0x2000+i)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":                 {"", "is empty"},
		"only comments":         {"# back soon\n", "is empty"},
		"a page":                {"<html>\n<body>sorry</body>\n</html>\n" + numbered(0, 2), "are addresses and 3 are not"},
		"shrunk":                {numbered(0, 9), "has 9 entries"},
		"the world":             {numbered(0, 100) + "0.0.0.0/0\n", "wider than /8"},
		"half of it":            {numbered(0, 100) + "128.0.0.0/1\n", "wider than /8"},
		"much of IPv6":          {numbered(0, 100) + wide6, "wider than /8"},
		"more than a sixteenth": {numbered(0, 100) + sixteenth.String(), "a sixteenth"},
		"the same of IPv6":      {numbered(0, 100) + sixteenth6.String(), "a sixteenth of the IPv6"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			must(t, d.feeds.Use([]Feed{{Name: "f", URL: d.server.PutFile("f", numbered(0, 100))}}))
			d.fetch(time.Minute)
			before, _ := d.list("f")
			d.server.PutFile("f", c.text)
			d.fetch(2 * time.Hour)
			d.expectList("f", before)
			if s := d.feed("f"); !strings.Contains(s.Problem, c.want) || s.Entries != 100 || s.FailedAt.IsZero() {
				t.Errorf("got %+v, want something about %q", s, c.want)
			}
			d.server.PutFile("f", numbered(0, 10))
			d.fetch(2 * time.Hour)
			if s := d.feed("f"); s.Problem != "" || s.Entries != 10 {
				t.Errorf("when it is well again: %+v", s)
			}
		})
	}
}

// TestFeedFails: whatever a server does, what was in force stays until its end.
func TestFeedFails(t *testing.T) {
	d := newDesk(t)
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: d.server.PutFile("f", numbered(0, 100)), Length: 10 * time.Hour}}))
	d.fetch(time.Minute)
	before, until := d.list("f")
	d.server.PutFile("f", numbered(50, 100))
	d.server.Fail(1, 3, "/bl/", capitest.Unauthorized, capitest.TooMany, capitest.Internal, capitest.Unavailable, capitest.Reset, capitest.Lost, capitest.Cut)
	d.fetch(9 * time.Hour)
	d.expectList("f", before)
	if s := d.feed("f"); s.Problem == "" || !s.Until.Equal(until) {
		t.Errorf("got %+v", s)
	}
	d.restart()
	d.expectList("f", before)
	d.server.Fail(0, 3, "")
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: d.server.URL + "bl/f", Length: 10 * time.Hour}}))
	d.fetch(time.Minute)
	if now, _ := d.list("f"); now == before {
		t.Error("not fetched when the server was well again")
	}
}

func TestPin(t *testing.T) {
	d := newDesk(t)
	pin := fmt.Sprintf("%X", sha256.Sum256([]byte("198.51.100.1\n")))
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: d.server.PutFile("f", "198.51.100.1\n"), SHA256: pin}}))
	must(t, d.feeds.Pull(t.Context(), "f"))
	d.server.PutFile("f", "198.51.100.2\n")
	if err := d.feeds.Pull(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "pinned") {
		t.Errorf("got %v", err)
	}
	d.expectList("f", "198.51.100.1")
}

// TestFiles: lists from the disk, packed or not.
func TestFiles(t *testing.T) {
	d := newDesk(t)
	path := filepath.Join(t.TempDir(), "list.csv.gz")
	write := func(text string) {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write([]byte(text))
		must(t, err)
		must(t, w.Close())
		must(t, os.WriteFile(path, b.Bytes(), 0o600))
	}
	write("name,address\nfoo,198.51.100.1\n")
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: "file://" + path, Format: FormatCSV}, {Name: "gone", URL: "file:///nowhere/list"}}))
	d.fetch(time.Minute)
	d.expectList("f", "198.51.100.1")
	if s := d.feed("gone"); s.Problem == "" {
		t.Error("a missing file is no problem")
	}
	d.fetch(2 * time.Hour)
	if s := d.feed("f"); s.Problem != "" || !s.Fetched.After(testStart.Add(30*time.Minute)) {
		t.Errorf("got %+v", s)
	}
	write("name,address\nfoo,198.51.100.1\nbar,198.51.100.2\n")
	must(t, os.Chtimes(path, testStart, testStart))
	d.fetch(2 * time.Hour)
	d.expectList("f", "198.51.100.1 198.51.100.2")
	must(t, os.WriteFile(path, []byte{0x1f, 0x8b, 8, 0}, 0o600))
	d.fetch(2 * time.Hour)
	d.expectList("f", "198.51.100.1 198.51.100.2")
}

// TestBomb: a small file that unpacks to more than there may be is refused.
func TestBomb(t *testing.T) {
	part := string(gzipped([]byte(strings.Repeat("#"+strings.Repeat("x", 1022)+"\n", 1<<10))))
	d := newDesk(t)
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: d.server.PutFile("f", strings.Repeat(part, maxUnpacked>>20+1))}}))
	if err := d.feeds.Pull(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "more than 256 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestFeedOptions(t *testing.T) {
	good := Feed{Name: "f", URL: "https://a.example/x"}
	d := newDesk(t)
	must(t, d.feeds.Use([]Feed{good}))
	for name, change := range map[string]func(*Feed){
		"name":          func(f *Feed) { f.Name = "a b" },
		"their name":    func(f *Feed) { f.Name = "CAPI" },
		"their mark":    func(f *Feed) { f.Scenario = subscribed + "f" },
		"protocol":      func(f *Feed) { f.URL = "gopher://a.example/x" },
		"no host":       func(f *Feed) { f.URL = "https:///x" },
		"often":         func(f *Feed) { f.Every = time.Second },
		"short":         func(f *Feed) { f.Every, f.Length = time.Hour, time.Minute },
		"long":          func(f *Feed) { f.Length = 2 * maxLength },
		"pin":           func(f *Feed) { f.SHA256 = "abc" },
		"format":        func(f *Feed) { f.Format = "xml" },
		"column":        func(f *Feed) { f.Column = "2" },
		"column number": func(f *Feed) { f.Format, f.Column = FormatCSV, "0" },
		"delimiter":     func(f *Feed) { f.Format, f.Delimiter = FormatCSV, "ab" },
	} {
		f := good
		change(&f)
		if err := d.feeds.Use([]Feed{f}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := d.feeds.Use([]Feed{good, good}); err == nil {
		t.Error("twice the same is taken")
	}
	if err := d.feeds.Use(make([]Feed, maxFeeds+1)); err == nil {
		t.Error("too many are taken")
	}
	if len(d.feeds.Status()) != 1 {
		t.Error("an error changes something")
	}
}

// TestReplaced: what another node or an operator put in a feed's place is not taken for
// what was fetched.
func TestReplaced(t *testing.T) {
	d := newDesk(t)
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: d.server.PutFile("f", "198.51.100.1\n")}}))
	d.fetch(time.Minute)
	h := decisions.ListHead{Name: "f", Type: "ban", Created: d.clock.Now(), Until: d.clock.Now().Add(time.Hour)}
	l, _, err := decisions.NewBlocklist(h, []netip.Prefix{netip.MustParsePrefix("9.9.9.9/32")})
	must(t, err)
	must(t, d.book.PutList(l))
	d.clock.Advance(2 * time.Minute)
	must(t, d.feeds.Pull(t.Context(), "f"))
	d.expectList("f", "198.51.100.1")
	must(t, d.book.PutList(l))
	d.fetch(90 * time.Minute)
	d.expectList("f", "198.51.100.1")
}

// TestUnasked: "unchanged" is no answer to who has nothing.
func TestUnasked(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }))
	t.Cleanup(server.Close)
	d := newDesk(t)
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: server.URL}}))
	if err := d.feeds.Pull(t.Context(), "f"); err == nil {
		t.Error("taken for an answer")
	}
}

func TestRedirects(t *testing.T) {
	for c, ok := range map[[2]string]bool{{"http", "http"}: true, {"http", "https"}: true, {"https", "https"}: true, {"https", "http"}: false, {"http", "file"}: false} {
		from, err := http.NewRequest(http.MethodGet, c[0]+"://a.example/", nil)
		must(t, err)
		to, err := http.NewRequest(http.MethodGet, c[1]+"://b.example/", nil)
		must(t, err)
		to.Header.Set("Referer", "http://a.example/?key=secret")
		if err := saferRedirect(to, []*http.Request{from}); (err == nil) != ok || ok && len(to.Header) > 0 {
			t.Errorf("from %s to %s: %v, %v", c[0], c[1], err, to.Header)
		}
	}
}
