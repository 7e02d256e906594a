package captcha_test

import (
	"bytes"
	"html"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit"
)

var audioTag = regexp.MustCompile(`<audio controls preload="none" src="([^"]+)"`)

// listening turns a picture page into a page with a recording.
func (s *site) listening(page string) (string, string) {
	s.t.Helper()
	token, _ := testkit.ChallengeToken(page)
	w := s.do(browse("POST", "/.rampart/verify", "do=listen&t="+token))
	m := audioTag.FindStringSubmatch(w.Body.String())
	if m == nil {
		s.t.Fatalf("no recording: %d\n%.500s", w.Code, w.Body)
	}
	return w.Body.String(), html.UnescapeString(m[1])
}

func play(path string) *http.Request {
	r := browse("GET", path, "")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Sec-Fetch-Dest", "audio")
	r.Header.Set("User-Agent", "AppleCoreMedia/1.0") // players say who they are, not which browser
	return r
}

func TestAudio(t *testing.T) {
	s := newSite(t, nil)
	first := s.challenged("/x")
	page, src := s.listening(first)
	if strings.Contains(page, "data:image/png") || s.digits(page) == s.digits(first) {
		t.Error("picture and sound of one answer, or the same digits twice")
	}
	w := s.do(play(src))
	wav := w.Body.Bytes()
	if w.Code != 200 || w.Header().Get("Content-Type") != "audio/wav" || !bytes.HasPrefix(wav, []byte("RIFF")) || len(wav) < 50_000 {
		t.Fatalf("recording: %d %q, %d bytes", w.Code, w.Header().Get("Content-Type"), len(wav))
	}
	if !strings.Contains(w.Header().Get("Cache-Control"), "no-store") {
		t.Errorf("recording may be kept: %v", w.Header())
	}
	r := play(src)
	r.Header.Set("Range", "bytes=0-1")
	if w = s.do(r); w.Code != 206 || w.Body.String() != "RI" {
		t.Errorf("range: %d %q", w.Code, w.Body)
	}
	s.clock.Advance(3 * time.Second) // three beeps and the gaps take longer
	if w = s.do(s.answering(page, s.digits(page))); passed(w) {
		t.Error("answered before the digits were spoken")
	}
	page, _ = s.listening(page)
	s.clock.Advance(time.Second)
	if w = s.solve(page); !passed(w) {
		t.Errorf("answer: %d", w.Code)
	}
	if got := s.results[len(s.results)-1]; got.Method != "audio" || got.Kind != "passed" {
		t.Errorf("result %+v", got)
	}
}

func TestAudioRefused(t *testing.T) {
	s := newSite(t, nil)
	page := s.challenged("/")
	token, _ := testkit.ChallengeToken(page)
	if w := s.do(play("/.rampart/audio?t=" + token)); w.Code != 403 {
		t.Errorf("sound of a picture's digits: %d", w.Code)
	}
	_, src := s.listening(page)
	s.visitor.Client = netip.MustParseAddr("198.51.100.1")
	if w := s.do(play(src)); w.Code != 403 {
		t.Errorf("from another network: %d", w.Code)
	}
	s.visitor.Client = netip.MustParseAddr("203.0.113.7")
	s.clock.Advance(11 * time.Minute)
	if w := s.do(play(src)); w.Code != 403 {
		t.Errorf("expired: %d", w.Code)
	}
}

// TestAudioLimits: six recordings in ten minutes, and no more for asking again.
func TestAudioLimits(t *testing.T) {
	s := newSite(t, nil)
	spoken := 0
	for range 12 {
		s.clock.Advance(6 * time.Second)
		_, src := s.listening(s.challengedAgain())
		w := s.do(play(src))
		if w.Code == 200 {
			spoken++
		} else if w.Code != 429 || w.Header().Get("Retry-After") == "" {
			t.Fatalf("%d", w.Code)
		}
		s.clock.Advance(6 * time.Second)
	}
	if spoken != 7 { // six at once, and one more after 100 of the 144 seconds
		t.Errorf("%d recordings spoken, want 7", spoken)
	}
	if s.kinds()["limited"] != 5 {
		t.Errorf("results %v", s.kinds())
	}
}

func (s *site) challengedAgain() string {
	s.t.Helper()
	s.clock.Advance(6 * time.Second)
	return s.challenged("/")
}

// TestAudioNode: all clients together get no more than the node speaks.
func TestAudioNode(t *testing.T) {
	s := newSite(t, nil)
	codes := map[int]int{}
	for i := range 30 {
		s.visitor.Client = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		_, src := s.listening(s.challenged("/"))
		codes[s.do(play(src)).Code]++
	}
	if codes[200] != 20 || codes[429] != 10 {
		t.Errorf("%v, want 20 spoken and 10 put off", codes)
	}
}

func TestVoice(t *testing.T) {
	for header, foreign := range map[string]bool{"en": false, "de": true, "de,ru;q=0.5": false, "pt-BR": false, "": false} {
		s := newSite(t, func(o *captcha.Options) { o.Digits = 4 })
		token, _ := testkit.ChallengeToken(s.challenged("/"))
		r := browse("POST", "/.rampart/verify", "do=listen&t="+token)
		r.Header.Set("Accept-Language", header)
		if got := strings.Contains(s.do(r).Body.String(), "auf Englisch"); got != foreign {
			t.Errorf("%q: note on the language of the voice: %v", header, got)
		}
	}
}
