package appliance

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// MaxListBody bounds a list as text, in bytes: some four million lines.
const MaxListBody = 64 << 20

const (
	// maxListShown bounds the entries of a list that one answer shows.
	maxListShown = 10_000
	// listLength is how long a list is in force, unless somebody says.
	listLength = 7 * 24 * time.Hour
)

// listKeeper is where lists are put and dropped.
type listKeeper interface {
	PutList(l *decisions.Blocklist) error
	DropList(name string) error
}

// listKeeper is the node's: its book, or by way of it the fleet's journal.
func (st *state) listKeeper() listKeeper {
	if st.fleet != nil {
		return st.fleet.journal
	}
	return st.book
}

// ListStatus is a list, without its entries. One that is not in force, since it could not
// be fetched yet, has none and no Until.
type ListStatus struct {
	Name       string    `json:"name"`
	Origin     string    `json:"origin"` // of its decisions
	Type       string    `json:"type"`
	Scenario   string    `json:"scenario"`
	Version    int64     `json:"version"`
	Created    time.Time `json:"created,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Entries    int       `json:"entries"`
	Addresses4 int       `json:"ipv4_addresses"`
	Ranges4    int       `json:"ipv4_ranges"`
	All6       int       `json:"ipv6"`
	Suppressed int       `json:"suppressed"` // entries that the allowlist covers
	FirstID    int64     `json:"first_id"`   // decision id of the first entry; the others follow
	ListSource
}

func (st *state) listStatus(l *decisions.Blocklist) ListStatus {
	s := ListStatus{Name: l.Name, Origin: l.Origin(), Type: l.Type, Scenario: l.Scenario, Version: l.Version, Created: l.Created,
		Until: l.Until, Entries: l.Len(), Suppressed: st.book.Suppressed(l), FirstID: l.Base}
	s.Addresses4, s.Ranges4, s.All6 = l.Kinds()
	return s
}

// list returns the list of a name.
func (st *state) list(name string) (*decisions.Blocklist, error) {
	for _, l := range st.book.Lists() {
		if l.Name == name {
			return l, nil
		}
	}
	return nil, notFound("there is no list %.80q; `lists list` shows those that there are", name)
}

// listsOf are the names of the lists with entries that match f.
func (st *state) listsOf(f decisions.Filter) []string {
	var out []string
	for _, d := range st.book.List(f) {
		if name, ok := decisions.ListOf(d.Origin); ok && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func listLists(l *live, r *http.Request) (any, error) {
	return l.lists(), nil
}

// ListDetail is a list with its first entries.
type ListDetail struct {
	List  ListStatus `json:"list"`
	First []string   `json:"first"` // addresses and networks
}

func showList(l *live, r *http.Request) (any, error) {
	limit, err := limit(r, 20, 0, maxListShown)
	if err != nil {
		return nil, err
	}
	b, err := l.state.list(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	out := ListDetail{List: l.state.listStatus(b), First: []string{}}
	out.List.ListSource = l.listSource(b.Name, b.From)
	for i := range min(limit, b.Len()) {
		text := b.At(i).String()
		if b.At(i).IsSingleIP() {
			text = b.At(i).Addr().String()
		}
		out.First = append(out.First, text)
	}
	return out, nil
}

// ListAnswer is what became of a list that was put.
type ListAnswer struct {
	List     ListStatus           `json:"list"`
	Replaced bool                 `json:"replaced"` // there was one of that name
	Report   decisions.ListReport `json:"report"`
}

// putList reads a list as text.
func putList(l *live, r *http.Request) (any, error) {
	before, _ := l.state.list(r.PathValue("name"))
	h, err := listHead(r, before, time.Now())
	if err != nil {
		return nil, err
	}
	b, report, err := decisions.ReadBlocklist(h, http.MaxBytesReader(nil, r.Body, MaxListBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, adminError{http.StatusRequestEntityTooLarge, fmt.Errorf("the list has more than %d bytes; split it", MaxListBody)}
	case err != nil:
		return nil, badRequest(err)
	case b.Len() == 0:
		return nil, badRequest(fmt.Errorf("there is no address in the list, which stays as it was%s", firstOf(report.Problems)))
	}
	report.Problems = orEmpty(report.Problems)
	l.spareProxies(b)
	out := ListAnswer{Replaced: before != nil, Report: report}
	if err := l.state.listKeeper().PutList(b); err != nil {
		return nil, err
	}
	if b, err = l.state.list(b.Name); err != nil {
		return nil, err // dropped meanwhile
	}
	out.List = l.state.listStatus(b)
	out.List.ListSource = l.listSource(b.Name, b.From)
	return out, nil
}

func firstOf(problems []string) string {
	if len(problems) == 0 {
		return ""
	}
	return ": " + problems[0]
}

// listHead is what the address of a request says of the list in its body; what it
// leaves out is as with the list before (nil: none).
func listHead(r *http.Request, before *decisions.Blocklist, now time.Time) (decisions.ListHead, error) {
	h := decisions.ListHead{Name: r.PathValue("name"), Type: decisions.TypeBan, Created: now, Until: now.Add(listLength)}
	if before != nil {
		h.Type, h.Scenario, h.Until = before.Type, before.Scenario, now.Add(before.Until.Sub(before.Created))
	}
	h.Type, h.Scenario = cmp.Or(param(r, "type"), h.Type), cmp.Or(param(r, "scenario"), h.Scenario)
	if err := text("scenario", h.Scenario); err != nil {
		return h, err
	}
	switch h.Type {
	case decisions.TypeBan, decisions.TypeCaptcha, decisions.TypeThrottle:
	default:
		return h, badRequest(fmt.Errorf("type %q is not possible; use ban, captcha or throttle", h.Type))
	}
	if s := param(r, "duration"); s != "" {
		length, err := positive(s)
		if err != nil {
			return h, badRequest(err)
		}
		h.Until = now.Add(length)
	}
	return h, nil
}

// spareProxies puts trusted proxies that are on a list on the allowlist.
func (l *live) spareProxies(b *decisions.Blocklist) {
	trusted := l.settings.config.Trusted
	if trusted == nil {
		return
	}
	for p := range b.All() {
		if p.IsSingleIP() && trusted(p.Addr()) {
			l.state.proxies.meet(p.Addr())
		}
	}
	l.state.proxies.learn()
}

func dropList(l *live, r *http.Request) (any, error) {
	b, err := l.state.list(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	out := l.state.listStatus(b)
	out.ListSource = l.listSource(b.Name, b.From)
	if err := l.state.listKeeper().DropList(b.Name); err != nil && !errors.Is(err, decisions.ErrNoList) {
		return nil, err
	}
	return out, nil
}
