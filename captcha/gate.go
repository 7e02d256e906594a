package captcha

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Defaults of Options. One hour of grace is CrowdSec's default too.
const (
	defaultPrefix   = "/.rampart"
	defaultTTL      = 10 * time.Minute
	defaultGrace    = time.Hour
	defaultDigits   = 6
	defaultMinSolve = 1500 * time.Millisecond
)

// Options configures a Gate. Only Secret is required.
type Options struct {
	// Secret is the key material, 32 bytes or more. Nodes that share it accept
	// each other's tokens and cookies.
	Secret []byte
	// Prefix is the reserved path, "/.rampart" by default.
	Prefix string
	// TTL is how long a challenge may be worked on: 10 minutes by default, and
	// no less than a minute. Shorter than 10 minutes fails WCAG 2.2.1.
	TTL time.Duration
	// Grace is how long a solved challenge counts, an hour by default.
	Grace time.Duration
	// Digits is how many digits are asked for, 4 to 8, by default 6.
	Digits int
	// MinSolve is the operator's option min_solve: a picture that is answered
	// sooner was not read by a person. By default 1.5 s; audio takes 8/3 of it
	// (4 s). A negative value turns the check off.
	MinSolve time.Duration
	// Status is the HTTP status of the challenge page, 403 by default. 200 gets
	// the page indexed and cached by those who ignore its headers.
	Status int
	// Contact is shown to people who cannot pass: text, a mail address or an
	// https URL.
	Contact string
	// Preflight lets CORS preflights through: they never carry a cookie.
	Preflight bool
	// Store keeps spent tokens and rates; a Memory of its own by default. Give
	// one to keep it across two Gates.
	Store Store
	// Result, if not nil, hears of every page served and every answer judged.
	// It is called on the request's goroutine and must not block.
	Result func(Result)
	// Now is the clock, time.Now by default.
	Now func() time.Time
}

// Result is what became of one challenge, for the scenario engine.
type Result struct {
	Kind   string // served, passed, failed, expired, replayed, too_fast, limited, or refused to a program
	Method string // picture or audio; empty when the token could not be read
	Client netip.Addr
	Host   string
	Direct bool          // as the Visitor had it
	Solve  time.Duration // from issue to answer; zero unless there was an answer
}

// Visitor is what the caller knows about a client.
type Visitor struct {
	Client          netip.Addr
	Host            string // as requested; case and port do not matter
	TLS             bool   // the visitor's own connection is encrypted
	Direct          bool   // its packets come from Client itself, not through a proxy
	DecisionID      int64  // 0: no captcha decision is in force
	DecisionCreated time.Time
	Incident        string
}

// Outcome says what Intercept did.
type Outcome uint8

// The outcomes of Intercept.
const (
	Pass   Outcome = iota // let the request through; nothing was written
	Served                // a response was written
)

// Gate issues and judges challenges.
type Gate struct {
	options  Options
	keys     *keys
	texts    *catalogue
	pages    *pages
	painter  *painter
	speaker  *speaker
	store    Store
	now      func() time.Time
	counters counters
	secure   string // name of the cookie over https
	plain    string // and over http
}

// New makes a Gate. It opens nothing and starts nothing.
func New(o Options) (*Gate, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	k, err := newKeys(o.Secret)
	if err != nil {
		return nil, err
	}
	texts, err := loadCatalogue()
	if err != nil {
		return nil, err
	}
	pages, err := loadPages(texts)
	if err != nil {
		return nil, err
	}
	return &Gate{
		options: o, keys: k, texts: texts, pages: pages,
		painter: newPainter(o.Now), speaker: newSpeaker(o.Now),
		store: o.Store, now: o.Now,
		secure: cookieName("__Host-rampart", true), plain: cookieName("rampart", false),
	}, nil
}

func (o *Options) complete() error {
	setDefault(&o.Prefix, defaultPrefix)
	setDefault(&o.TTL, defaultTTL)
	setDefault(&o.Grace, defaultGrace)
	setDefault(&o.Digits, defaultDigits)
	setDefault(&o.MinSolve, defaultMinSolve)
	setDefault(&o.Status, http.StatusForbidden)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Store == nil {
		o.Store = NewMemory(o.Now)
	}
	var errs []error
	if o.Prefix == "/" || strings.HasSuffix(o.Prefix, "/") || !strings.HasPrefix(o.Prefix, "/") ||
		strings.ContainsAny(o.Prefix, "\\?#%\"<>; ") || strings.Contains(o.Prefix, "//") {
		errs = append(errs, fmt.Errorf("captcha prefix %q: write a plain path such as %s", o.Prefix, defaultPrefix))
	}
	if o.TTL < time.Minute || o.TTL > 24*time.Hour {
		errs = append(errs, fmt.Errorf("captcha ttl %s: must be between 1m and 24h", o.TTL))
	}
	if o.Grace < time.Minute || o.Grace > 30*24*time.Hour {
		errs = append(errs, fmt.Errorf("captcha grace %s: must be between 1m and 720h", o.Grace))
	}
	if o.Digits < 4 || o.Digits > 8 {
		errs = append(errs, fmt.Errorf("captcha digits %d: must be between 4 and 8", o.Digits))
	}
	if o.MinSolve > time.Minute {
		errs = append(errs, fmt.Errorf("captcha min_solve %s: people would wait; at most 1m", o.MinSolve))
	}
	if o.Status < 200 || o.Status > 499 || o.Status/100 == 3 || o.Status == http.StatusNoContent {
		errs = append(errs, fmt.Errorf("captcha status %d: must be a 2xx or 4xx status with a body", o.Status))
	}
	return errors.Join(errs...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Intercept answers a request of a client that a captcha decision covers,
// unless its grace is valid. A page load gets the challenge; other requests get
// a refusal in their own language.
func (g *Gate) Intercept(w http.ResponseWriter, r *http.Request, v Visitor) Outcome {
	if g.Solved(r, v) {
		g.counters.add(countGrace)
		return Pass
	}
	kind := classify(r)
	if kind == requestPreflight && g.options.Preflight {
		return Pass
	}
	if kind != requestPage {
		if byTool(r) {
			g.report(countRefused, 0, v, 0)
		} else {
			g.counters.add(countRefused)
		}
		g.refuse(w, r, v, kind)
		return Served
	}
	if g.admit(w, r, v) {
		c := challenge{kind: Picture}
		g.adopt(&c, w, r, v)
		g.present(w, r, v, c)
	}
	return Served
}

// Reserved reports whether path is the Gate's own: such requests go to
// ServeReserved and never upstream.
func (g *Gate) Reserved(path string) bool {
	rest, ok := strings.CutPrefix(path, g.options.Prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// ServeReserved answers a request for a reserved path. Call it for every client
// that is not banned, also when no captcha decision is in force: a decision may
// end while its challenge is being solved.
func (g *Gate) ServeReserved(w http.ResponseWriter, r *http.Request, v Visitor) {
	g.headers(w, v)
	switch strings.TrimPrefix(r.URL.Path, g.options.Prefix) {
	case "/verify":
		if r.Method == http.MethodPost {
			g.verify(w, r, v)
			return
		}
		g.redirect(w, http.StatusSeeOther, "/") // reload of the page of a wrong answer
	case "/ok":
		g.confirm(w, r, v)
	case "/challenge":
		g.challengePage(w, r, v)
	case "/audio":
		g.audio(w, r, v)
	default:
		plainText(w, r, http.StatusNotFound, "not found")
	}
}

// challengePage serves the page that challenge_url of a refused API call names.
func (g *Gate) challengePage(w http.ResponseWriter, r *http.Request, v Visitor) {
	c := challenge{kind: Picture, to: "/"}
	if s, err := g.keys.open(purposeReturn, v.Host, r.URL.Query().Get("t"), g.now()); err == nil {
		c.to = safeReturn(s.Return)
	}
	switch {
	case v.DecisionID == 0 || g.Solved(r, v):
		g.redirect(w, http.StatusSeeOther, c.to)
	case r.Method == http.MethodHead:
		w.WriteHeader(g.options.Status)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "GET, HEAD")
		plainText(w, r, http.StatusMethodNotAllowed, "method not allowed")
	default:
		g.issue(w, r, v, c)
	}
}

func (g *Gate) redirect(w http.ResponseWriter, status int, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(status)
}

func (g *Gate) report(kind counter, method Method, v Visitor, solve time.Duration) {
	g.counters.add(kind)
	if g.options.Result != nil {
		g.options.Result(Result{
			Kind: counterNames[kind], Method: method.String(), Client: v.Client,
			Host: hostOnly(v.Host), Direct: v.Direct, Solve: solve,
		})
	}
}

// Stats returns how often each thing happened since New, by name.
func (g *Gate) Stats() map[string]int64 {
	m := g.counters.snapshot()
	if s, ok := g.store.(interface{ Stats() map[string]int64 }); ok {
		for name, n := range s.Stats() {
			m[name] = n
		}
	}
	return m
}
