package localapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// readCaptures reads all captures but those of the Central API, in the order in which
// they were recorded, as they share one server.
func readCaptures(t *testing.T) []testkit.Capture {
	t.Helper()
	all := slices.DeleteFunc(testkit.Captures(t, ""), func(c testkit.Capture) bool { return strings.HasPrefix(c.Name, "capi/") })
	if len(all) < 200 {
		t.Fatalf("%d captures", len(all))
	}
	slices.SortStableFunc(all, func(a, b testkit.Capture) int { return a.Time.Compare(b.Time) })
	return all
}

// replayed is a server that captures are replayed against.
type replayed struct {
	*booth
	ids   map[string]string // of alerts and decisions: theirs to ours, "alert 7" to "9"
	steps []step            // what people did meanwhile, still to be done
}

// request makes of a capture the request that its client would make now.
func (s *replayed) request(e *testkit.Capture) *http.Request {
	body := string(e.Request.Body) + e.Request.Text
	r := httptest.NewRequestWithContext(s.tb.Context(), e.Method, s.translate(e.URI), io.Reader(strings.NewReader(body)))
	r.RemoteAddr = "127.0.0.1:4711"
	for key, values := range e.Request.Headers {
		if key == "Content-Length" {
			continue
		}
		for _, v := range values {
			r.Header.Add(key, strings.Replace(v, "JWT", s.token, 1))
		}
	}
	return r
}

// translate puts our ids into a path.
func (s *replayed) translate(uri string) string {
	for _, kind := range []string{"alert", "decision"} {
		prefix := "/v1/" + kind + "s/"
		if theirs, ok := strings.CutPrefix(uri, prefix); ok && s.ids[kind+" "+theirs] != "" {
			return prefix + s.ids[kind+" "+theirs]
		}
	}
	return uri
}

// run replays one capture and returns how the answer differs.
func (s *replayed) run(e *testkit.Capture) []string {
	if d := e.Time.Sub(s.clock.Now()); d > 0 {
		s.clock.Advance(d)
	}
	s.book.Expire(s.clock.Now())
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, s.request(e))
	if e.Method == http.MethodHead {
		w.Body.Reset() // net/http sends none
	}
	var ours any
	if w.Body.Len() > 0 && strings.Contains(w.Header().Get("Content-Type"), "json") {
		if err := json.Unmarshal(w.Body.Bytes(), &ours); err != nil {
			return []string{fmt.Sprintf("body: %v", err)}
		}
	}
	if login, ok := ours.(map[string]any); ok && login["token"] != nil {
		s.token, _ = login["token"].(string)
	}
	diffs := s.compareHeads(e, w)
	return append(diffs, s.compareBodies(e, w.Body.Bytes(), ours)...)
}

// compareHeads compares statuses and the headers that clients look at.
func (s *replayed) compareHeads(e *testkit.Capture, w *httptest.ResponseRecorder) (diffs []string) {
	if w.Code != e.Status {
		diffs = append(diffs, fmt.Sprintf("status: %d, theirs is %d", w.Code, e.Status))
	}
	for _, key := range []string{"Content-Type", "Content-Encoding", "Www-Authenticate", "Location", "Allow", "Cache-Control"} {
		if ours, theirs := w.Header().Get(key), strings.Join(e.Response.Headers[key], ","); ours != theirs {
			diffs = append(diffs, fmt.Sprintf("%s: %q, theirs is %q", key, ours, theirs))
		}
	}
	return diffs
}

func (s *replayed) compareBodies(e *testkit.Capture, raw []byte, ours any) []string {
	theirBody := bytes.TrimSpace(e.Response.Body)
	switch {
	case len(theirBody) == 0 && e.Response.Text == "":
		if len(raw) > 0 {
			return []string{fmt.Sprintf("body: %q, theirs is empty", raw)}
		}
		return nil
	case e.Response.Text != "":
		if strings.TrimSpace(e.Response.Text) != strings.TrimSpace(string(raw)) {
			return []string{fmt.Sprintf("body: %q, theirs is %q", raw, e.Response.Text)}
		}
		return nil
	case len(theirBody) <= 4: // null, [] and {} are compared to the letter
		if !bytes.Equal(raw, theirBody) {
			return []string{fmt.Sprintf("body: %q, theirs is %q", raw, theirBody)}
		}
		return nil
	}
	var theirs any
	if err := json.Unmarshal(theirBody, &theirs); err != nil {
		return []string{err.Error()}
	}
	c := comparison{failed: e.Status >= 400, ids: s.ids, posted: e.Method == http.MethodPost && strings.HasSuffix(e.URI, "/alerts")}
	c.compare("body", ours, theirs)
	return c.diffs
}

// TestConformance replays what real clients sent. All answers have to be as the real
// server's, but for what is accepted, each with its reason; an acceptance that is not
// needed is a fault too.
func TestConformance(t *testing.T) {
	all := readCaptures(t)
	s := &replayed{booth: openBooth(t, decisions.BookOptions{}), ids: map[string]string{}, steps: steps()}
	s.bouncer("caddy-bouncer", "caddykey1234567890")
	s.bouncer("nginx-bouncer", "nginxkey1234567890")
	for i := range all {
		e := &all[i]
		s.meanwhile(e.Time)
		got := s.run(e)
		want := acceptances()[e.Name]
		for _, d := range got {
			if !slices.ContainsFunc(want, func(a acceptance) bool { return a.covers(d) }) {
				t.Errorf("%s %s %s: %s", e.Name, e.Method, e.URI, d)
			}
		}
		for _, a := range want {
			if !slices.ContainsFunc(got, func(d string) bool { return a.covers(d) }) {
				t.Errorf("%s %s %s: accepted, but not there: %s", e.Name, e.Method, e.URI, a.difference)
			}
		}
	}
	t.Logf("%d exchanges replayed, %d differences are accepted in %d of them", len(all), countAcceptances(), len(acceptances()))
}
