package captcha_test

import (
	"bytes"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rampart-edge/rampart/captcha"
	"golang.org/x/text/encoding/charmap"
)

var (
	inputTag  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	keptForm  = regexp.MustCompile(`name="f" value="([^"]+)"`)
	charsetOf = regexp.MustCompile(`accept-charset="([^"]+)"`)
)

// resubmit does with a replay page what a browser does: it parses the inputs and
// encodes them in the form's charset.
func resubmit(page string) string {
	charset := charsetOf.FindStringSubmatch(page)[1]
	var pairs []string
	for _, m := range inputTag.FindAllStringSubmatch(page, -1) {
		var pair [2]string
		for i := range pair {
			text := strings.ReplaceAll(html.UnescapeString(m[i+1]), "\r\n", "\n")
			text = strings.ReplaceAll(text, "\n", "\r\n")
			if charset == "windows-1252" {
				text = encode1252(text)
			}
			pair[i] = url.QueryEscape(text)
		}
		pairs = append(pairs, pair[0]+"="+pair[1])
	}
	return strings.Join(pairs, "&")
}

// encode1252 is the browsers' encoder: as the Unicode mapping, with the five
// bytes that it leaves out standing for themselves.
func encode1252(text string) string {
	var out bytes.Buffer
	for _, r := range text {
		b, ok := charmap.Windows1252.EncodeRune(r)
		if !ok {
			b = byte(r)
		}
		out.WriteByte(b)
	}
	return out.String()
}

func allBytes() string {
	var b strings.Builder
	for i := 1; i < 256; i++ {
		if i != '\r' && i != '\n' {
			b.WriteByte(byte(i))
		}
	}
	return b.String()
}

// replayed posts body to /form, solves the challenge and returns the last answer.
func replayed(t *testing.T, s *site, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	page := s.do(r).Body.String()
	w := s.solve(page)
	if len(w.Result().Cookies()) == 0 {
		t.Fatalf("not solved: %d\n%.500s", w.Code, w.Body)
	}
	cookie := w.Result().Cookies()[0]
	next := browse("GET", w.Header().Get("Location"), "")
	if w.Code == http.StatusTemporaryRedirect { // a browser sends the same body again
		body := url.Values{}
		if m := keptForm.FindStringSubmatch(page); m != nil {
			body.Set("f", m[1])
		}
		next = browse("POST", w.Header().Get("Location"), body.Encode())
	}
	return s.do(with(next, cookie))
}

func TestFormReplay(t *testing.T) {
	for name, body := range map[string]string{
		"plain":      "a=1&b=two+words&c=%26%3D%25",
		"order":      "b=1&a=2&b=3&a=",
		"markup":     url.Values{`"><script>`: {`</textarea><img src=x onerror=alert(1)>'"&amp;`}}.Encode(),
		"utf-8":      url.Values{"straße": {"日本語 – 🙂\u00a0"}}.Encode(),
		"lines":      url.Values{"text": {"one\r\ntwo\r\n\r\n  three\t"}}.Encode(),
		"latin":      "name=M%FCller&city=K%F6ln&euro=%80",
		"every byte": url.Values{"x": {allBytes()}}.Encode(),
		"controls":   "x=%01%02%1f%7f%0c",
		"large":      "x=" + strings.Repeat("y", 32<<10-2),
		"submit":     "submit=1&action=2&method=3&_charset_=utf-8",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			w := replayed(t, s, browse("POST", "/form?step=2", body))
			page := w.Body.String()
			if w.Code != 200 || !strings.Contains(page, `action="/form?step=2"`) || !strings.Contains(page, `method="post"`) {
				t.Fatalf("no replay page: %d\n%.800s", w.Code, page)
			}
			if !utf8.ValidString(page) {
				t.Error("the page is not the UTF-8 that it says it is")
			}
			got, err := url.ParseQuery(resubmit(page))
			if err != nil {
				t.Fatal(err)
			}
			want, _ := url.ParseQuery(body)
			if got.Encode() != want.Encode() {
				t.Errorf("resubmitted %.300q, want %.300q", got.Encode(), want.Encode())
			}
			if strings.Contains(page, "<img") || strings.Count(page, "<script") != 1 {
				t.Error("markup of the form's on the page")
			}
			if len(s.upstream) != 0 {
				t.Error("reached upstream by itself")
			}
		})
	}
}

// TestFormNotReplayed has forms that must not be sent again from our page.
func TestFormNotReplayed(t *testing.T) {
	const goOn, resend = "on", "resend"
	for name, c := range map[string]struct {
		change func(*http.Request)
		body   string
		want   string
		to     string
	}{
		"cross-site": {func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://evil.example")
		}, "", goOn, "/form"},
		"same site, other host": {func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "same-site")
			r.Header.Set("Origin", "https://www.shop.example")
		}, "", goOn, "/form"},
		"foreign origin only":    {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") }, "", goOn, "/form"},
		"claims both":            {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, "", goOn, "/form"},
		"http origin over https": {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "http://shop.example") }, "", goOn, "/form"},
		"null origin":            {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") }, "", goOn, "/form"},
		"other port": {func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://shop.example:8443")
		}, "", goOn, "/form"},
		"nothing said":    {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Del("Origin") }, "", goOn, "/form"},
		"none, no origin": {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none"); r.Header.Del("Origin") }, "", goOn, "/form"},
		"multipart":       {func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }, "", resend, "/"},
		"referred": {func(r *http.Request) {
			r.Header.Set("Content-Type", "text/plain")
			r.Header.Set("Referer", "https://shop.example/edit?id=1")
		}, "", resend, "/edit?id=1"},
		"badly referred": {func(r *http.Request) {
			r.Header.Set("Content-Type", "text/plain")
			r.Header.Set("Referer", "https://evil.example/edit")
		}, "", resend, "/"},
		"too large":      {nil, "x=" + strings.Repeat("y", 32<<10-1), resend, "/"},
		"empty":          {nil, "&", resend, "/"},
		"bad escape":     {nil, "a=%zz", resend, "/"},
		"NUL":            {nil, "a=%00", resend, "/"},
		"lone line feed": {nil, "a=x%0Ay", resend, "/"},
		"no name":        {nil, "=1&a=2", resend, "/"},
		"long address":   {func(r *http.Request) { r.URL.RawQuery = strings.Repeat("q", 1024) }, "", resend, "/"},
		"compressed":     {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, "", resend, "/"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			body := c.body
			if body == "" {
				body = "a=1"
			}
			r := browse("POST", "/form", body)
			if c.change != nil {
				c.change(r)
			}
			first := s.do(r)
			if strings.Contains(first.Body.String(), `name="f"`) {
				t.Fatal("the form is on the page")
			}
			w := s.solve(first.Body.String())
			if w.Code != 303 {
				t.Fatalf("solve: %d", w.Code)
			}
			w = s.do(with(browse("GET", w.Header().Get("Location"), ""), w.Result().Cookies()[0]))
			switch c.want {
			case goOn:
				if w.Code != 303 || w.Header().Get("Location") != c.to {
					t.Errorf("%d %q, want to go on to %q", w.Code, w.Header().Get("Location"), c.to)
				}
			case resend:
				if w.Code != 200 || !strings.Contains(w.Body.String(), "send it again") || !strings.Contains(w.Body.String(), `href="`+c.to+`"`) {
					t.Errorf("%d, want a request to send again and a link to %s\n%s", w.Code, c.to, w.Body)
				}
			}
		})
	}
}

// TestReplayFromElsewhere: a token for a form, taken by an attacker of the same
// network and agent, must not make the visitor's browser send the attacker's form.
func TestReplayFromElsewhere(t *testing.T) {
	for name, forge := range map[string]func(*http.Request){
		"cross-site": func(r *http.Request) {
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		},
		"old browser": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example"); r.Header.Del("Sec-Fetch-Site") },
	} {
		s := newSite(t, nil)
		page := s.do(browse("POST", "/transfer", "to=mallory")).Body.String()
		s.clock.Advance(5e9)
		r := s.answering(page, s.digits(page))
		forge(r)
		if w := s.do(r); w.Code == http.StatusTemporaryRedirect {
			t.Errorf("%s answer: form goes on", name)
		}
		// The same at the last step, with a return token that is in order.
		cookie := s.grace()
		page = s.do(browse("POST", "/transfer", "to=mallory")).Body.String()
		w := s.solve(page)
		if w.Code != http.StatusTemporaryRedirect {
			t.Fatalf("own answer: %d", w.Code)
		}
		r = with(browse("POST", w.Header().Get("Location"), "f=dG89bWFsbG9yeQ"), cookie)
		if got := s.do(r); !strings.Contains(got.Body.String(), "mallory") {
			t.Fatalf("the step itself does not work: %d", got.Code)
		}
		forge(r)
		r.Body = browse("POST", "/", "f=dG89bWFsbG9yeQ").Body
		if got := s.do(r); strings.Contains(got.Body.String(), "mallory") {
			t.Errorf("%s at the last step: form is replayed", name)
		}
	}
}

// FuzzParseForm checks that what parseForm accepts comes back as the same bytes.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"a=1&b=2", "a=%FF", "a=%E2%82%AC&b=%80", "x=%0D%0A", "=", "&&", "a", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		fields, charset, ok := captcha.ParseForm([]byte(body))
		if !ok {
			return
		}
		for _, pair := range strings.Split(body, "&") {
			if pair == "" {
				continue
			}
			name, value, _ := strings.Cut(pair, "=")
			got := fields[0]
			fields = fields[1:]
			if charset == "windows-1252" {
				got.Name, got.Value = encode1252(got.Name), encode1252(got.Value)
			}
			if n, _ := url.QueryUnescape(name); n != got.Name {
				t.Fatalf("name %q became %q", n, got.Name)
			}
			if v, _ := url.QueryUnescape(value); v != got.Value {
				t.Fatalf("value %q became %q", v, got.Value)
			}
		}
		if len(fields) != 0 {
			t.Fatalf("fields from nowhere: %q", fields)
		}
	})
}
