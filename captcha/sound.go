package captcha

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	dchest "github.com/dchest/captcha"
)

// Limits on sound, which costs ten times a picture and 134 kB each.
var (
	soundRate   = rate{period: 50 * time.Millisecond, burst: 20} // spoken by this node
	clientSound = rate{period: 100 * time.Second, burst: 6}      // spoken for one client
	tokenSound  = rate{period: time.Hour, burst: 2}              // spoken for one token
	clientRange = rate{period: 10 * time.Second, burst: 30}      // requests by one client: players ask in ranges
)

// keptSounds is how many recordings are kept for further ranges of them.
const keptSounds = 16

// speaker speaks digits, two recordings at a time.
type speaker struct {
	meter meter
	slots chan struct{}

	mu   sync.Mutex
	kept [keptSounds]recording
	next int
}

type recording struct {
	key string
	wav []byte
}

func newSpeaker(now func() time.Time) *speaker {
	return &speaker{meter: meter{rate: soundRate, now: now}, slots: make(chan struct{}, 2)}
}

func (s *speaker) recall(key string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.kept {
		if s.kept[i].key == key {
			return s.kept[i].wav
		}
	}
	return nil
}

func (s *speaker) keep(key string, wav []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[s.next] = recording{key, wav}
	s.next = (s.next + 1) % keptSounds
}

// speak returns a WAV file of digits. retry is not zero if the node is busy.
func (s *speaker) speak(ctx context.Context, id, digits, voice string) (wav []byte, retry time.Duration, err error) {
	if ok, retry := s.meter.take(); !ok {
		return nil, retry, nil
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	sound := dchest.NewAudio(id, values(digits), voice)
	var out bytes.Buffer
	out.Grow(sound.EncodedLen() + 64)
	if _, err := sound.WriteTo(&out); err != nil {
		return nil, 0, err
	}
	s.keep(id+voice, out.Bytes())
	return out.Bytes(), 0, nil
}

// audio answers Prefix/audio?t=TOKEN with the sound of an audio token. The user
// agent is not compared: players have one of their own.
func (g *Gate) audio(w http.ResponseWriter, r *http.Request, v Visitor) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		plainText(w, r, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	if ok, retry := g.allow(r, "audio-range ", v, clientRange); !ok {
		g.tooMany(w, r, v, retry)
		return
	}
	s, err := g.keys.open(purposeChallenge, v.Host, r.URL.Query().Get("t"), g.now())
	if err != nil || s.Method != Audio || s.Address != g.keys.addressTag(v.Client) {
		plainText(w, r, http.StatusForbidden, "this recording has expired: go back and ask for a new one")
		return
	}
	id, voice := hex.EncodeToString(s.ID[:]), g.texts.voice(r)
	wav := g.speaker.recall(id + voice)
	if wav == nil {
		if ok, retry := g.allow(r, "audio ", v, clientSound); !ok {
			g.tooMany(w, r, v, retry)
			return
		}
		if ok, retry := g.store.Allow(r.Context(), "audio-token "+id, tokenSound.period, tokenSound.burst); !ok {
			g.tooMany(w, r, v, retry)
			return
		}
		var retry time.Duration
		if wav, retry, err = g.speaker.speak(r.Context(), id, s.Digits, voice); retry > 0 || err != nil {
			g.busy(w, r, v, retry)
			return
		}
	}
	g.counters.add(countAudio)
	w.Header().Set("Content-Type", "audio/wav")
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(wav))
}
