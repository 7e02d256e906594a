package captcha_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit"
)

func BenchmarkGrace(b *testing.B) {
	s := newSite(b, nil)
	cookie := s.grace()
	for name, r := range map[string]*http.Request{
		"solved": with(browse("GET", "/", ""), cookie),
		"among others": func() *http.Request {
			r := browse("GET", "/", "")
			r.Header.Set("Cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; "+cookie.Name+"="+cookie.Value+"; a=b")
			return r
		}(),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for b.Loop() {
				if !s.gate.Solved(r, s.visitor) {
					b.Fatal("not solved")
				}
			}
		})
	}
	b.Run("no cookie", func(b *testing.B) {
		r := browse("GET", "/", "")
		b.ReportAllocs()
		for b.Loop() {
			if s.gate.Solved(r, s.visitor) {
				b.Fatal("solved")
			}
		}
	})
}

func BenchmarkStrip(b *testing.B) {
	s := newSite(b, nil)
	r := browse("GET", "/", "")
	r.Header.Set("Cookie", "session=0123456789abcdef0123456789abcdef; theme=dark")
	b.ReportAllocs()
	for b.Loop() {
		s.gate.Strip(r)
	}
}

func BenchmarkPicture(b *testing.B) {
	s := newSite(b, nil)
	b.ReportAllocs()
	size := 0
	defer testkit.CPU(b)()
	for b.Loop() {
		size = len(s.gate.Draw("012345"))
	}
	b.ReportMetric(float64(size), "bytes/picture")
}

// quick has no limits but the Gate's own drawing rate, which its clock outruns.
func quick(b *testing.B) *site {
	clock := newClock()
	return newSite(b, func(o *captcha.Options) {
		o.Now = func() time.Time { clock.Advance(10 * time.Millisecond); return clock.Now() }
		o.Store = unlimited{captcha.NewMemory(o.Now)}
	})
}

func BenchmarkIssue(b *testing.B) {
	s := quick(b)
	r := browse("GET", "/catalogue?page=2", "")
	b.ReportAllocs()
	size := 0
	defer testkit.CPU(b)()
	for b.Loop() {
		w := httptest.NewRecorder()
		s.gate.Intercept(w, r, s.visitor)
		if size = w.Body.Len(); w.Code != 403 {
			b.Fatal(w.Code)
		}
	}
	b.ReportMetric(float64(size), "bytes/page")
}

func BenchmarkLimited(b *testing.B) {
	s := newSite(b, nil)
	r := browse("GET", "/", "")
	for range 10 {
		s.do(r)
	}
	b.ReportAllocs()
	defer testkit.CPU(b)()
	for b.Loop() {
		w := httptest.NewRecorder()
		if s.gate.Intercept(w, r, s.visitor); w.Code != 429 {
			b.Fatal(w.Code)
		}
	}
}

func BenchmarkRefuseAPI(b *testing.B) {
	s := newSite(b, nil)
	r := httptest.NewRequest("GET", "/api", nil)
	b.ReportAllocs()
	for b.Loop() {
		s.gate.Intercept(httptest.NewRecorder(), r, s.visitor)
	}
}

func BenchmarkToken(b *testing.B) {
	k, err := captcha.NewSealer(secret)
	if err != nil {
		b.Fatal(err)
	}
	sealed := sampleSealed()
	token := k.Seal("shop.example", &sealed)
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.Seal("shop.example", &sealed)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := k.Open("shop.example", token, time.Time{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkBurn(b *testing.B) {
	m := captcha.NewMemory(nil)
	exp := time.Now().Add(time.Hour)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if n++; n%1_000_000 == 0 {
			m = captcha.NewMemory(nil)
		}
		m.Burn(b.Context(), id(n), exp)
	}
}
