package localapi

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// streamRoutes are those of the stream of decisions.
func streamRoutes() []route {
	return []route{
		{http.MethodGet, "/v1/decisions/stream", bouncer, 0, (*call).getStream},
		{http.MethodHead, "/v1/decisions/stream", bouncer, 0, (*call).headOK},
		{http.MethodGet, eventsPath, bouncer, 0, (*call).getEvents},
	}
}

// getStream tells a bouncer what changed since its last call, or with startup=true
// everything that is in force. With wait=SECONDS it waits for something to tell.
//
// CrowdSec compatible: scopes are Ip and Range if none is named; startup has to be
// true to the letter; both lists are always there.
func (c *call) getStream() error {
	v, err := c.query()
	if err != nil {
		return err
	}
	sel, err := readStream(v)
	if err != nil {
		return err
	}
	wait, err := readWait(v)
	if err != nil {
		return err
	}
	from := c.cursor(v)
	if wait > 0 && from != (Cursor{}) {
		if from, err = c.await(sel, from, wait); err != nil {
			return err
		}
	}
	page := newStreamPage(c)
	next, err := newTelling(c.s, sel, from, page).tell()
	if err := page.close(err); err != nil {
		return err
	}
	c.s.o.Registry.Pulled(c.bouncer.Name, c.bouncer.Type, next)
	return nil
}

// readStream reads the filters of the stream.
func readStream(v url.Values) (*selection, error) {
	sel, err := readSelection(v)
	if err != nil {
		return nil, err
	}
	if len(sel.Scopes) == 0 {
		sel.Scopes = []string{decisions.ScopeIP, decisions.ScopeRange}
	}
	sel.every = v.Get("dedup") == "false"
	return sel, nil
}

// cursor is where the caller's stream goes on: at the beginning for one that never
// called, or asks for that.
func (c *call) cursor(v url.Values) Cursor {
	if v.Get("startup") == "true" {
		return Cursor{}
	}
	return c.bouncer.Cursors[c.bouncer.Type]
}

// streamPage is the answer {"new": [...], "deleted": [...]}, written as it is made.
type streamPage struct {
	*output
	before, after string // around each object
	most          int    // decisions of an object, 0: all in one
	n             int    // decisions of this object
	gone          bool   // the second list is open
}

func newStreamPage(c *call) *streamPage {
	o := newOutput(c)
	o.kind, o.length = "application/json", false
	return &streamPage{output: o}
}

// add adds a decision to one of the lists; what goes comes after all the others.
func (p *streamPage) add(f form, write func([]byte) []byte) error {
	if p.most > 0 && p.n >= p.most {
		p.finish()
	}
	if f == formGone {
		p.turn()
	}
	p.open(p.before+`{"new": [`, ",")
	p.buf = write(p.buf)
	p.n++
	return p.spill()
}

// turn ends the list of new ones.
func (p *streamPage) turn() {
	if p.gone {
		return
	}
	if !p.begun {
		p.buf = append(append(p.buf, p.before...), `{"new": [`...)
	}
	p.buf = append(p.buf, `], "deleted": [`...)
	p.gone, p.begun = true, false
}

// open begins the list of new ones, or separates two decisions of the same list.
func (p *streamPage) open(first, next string) {
	if p.gone {
		first = ""
	}
	p.output.open(first, next)
}

// finish ends the object.
func (p *streamPage) finish() {
	p.turn()
	p.buf = append(append(p.buf, "]}"...), p.after...)
	p.begun, p.gone, p.n = false, false, 0
}

// close ends the answer. What was told before an error stays well-formed. An error is
// returned whenever the caller's cursor is to stay where it was.
func (p *streamPage) close(err error) error {
	if err != nil && !p.sent {
		return err
	}
	p.finish()
	return errors.Join(err, p.flush())
}

// flush sends what there is as far as the connection.
func (p *streamPage) flush() error {
	if err := p.send(); err != nil {
		return err
	}
	if err := http.NewResponseController(p.c.w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// streamOverlap is how much is told again to a bouncer whose cursor is another
// node's, or from before a restart: clocks and the last changes on disk differ.
const streamOverlap = 5 * time.Second
