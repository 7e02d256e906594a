package appliance

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	// maxAllowItems is how many items one request may add or remove.
	maxAllowItems = 1000
	// maxAllowEffect is how many decisions are looked at to tell what an item did.
	maxAllowEffect = 100_000
)

// AllowListStatus is an allowlist without its items.
type AllowListStatus struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated,omitzero"`
	// Managed: by the Central API. It cannot be changed here.
	Managed bool `json:"managed"`
	Items   int  `json:"items"`
}

// AllowItem is an item of an allowlist.
type AllowItem struct {
	Value   string    `json:"value"` // address, network, host name or URL
	Comment string    `json:"comment,omitempty"`
	Author  string    `json:"author,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Until   time.Time `json:"until,omitzero"` // none: for ever
	// Source is how the item stands, if it has to be looked up.
	Source *AllowSourceStatus `json:"source,omitempty"`
}

// AllowListDetail is an allowlist with its items.
type AllowListDetail struct {
	List  AllowListStatus `json:"list"`
	Items []AllowItem     `json:"items"`
}

// AllowListRequest makes an allowlist.
type AllowListRequest struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// AllowItemsRequest adds items to an allowlist.
type AllowItemsRequest struct {
	Items    []string `json:"items"`
	Duration string   `json:"duration,omitempty"` // default: for ever
	Comment  string   `json:"comment,omitempty"`
}

// AllowItemsAnswer is what became of the items of a request.
type AllowItemsAnswer struct {
	List string `json:"list"`
	// Done are those that were added, or removed.
	Done []string `json:"done"`
	// Refused are the others; At is their index in the request.
	Refused []RefusedItem `json:"refused"`
	// Suppressed is how many decisions are not enforced any more, Restored how many are
	// again.
	Suppressed int `json:"suppressed,omitempty"`
	Restored   int `json:"restored,omitempty"`
	// Holding are decisions against networks around an added item: they hold for the
	// rest.
	Holding int `json:"holding,omitempty"`
	// LookedUp are items that take effect when they have been looked up.
	LookedUp int `json:"looked_up,omitempty"`
}

// RefusedItem is an item that nothing came of.
type RefusedItem struct {
	At    int    `json:"at"`
	Value string `json:"value"`
	Why   string `json:"why"`
}

// Allowed tells whether an address or a network is allowed.
type Allowed struct {
	Value string `json:"value"`
	// Allowed: all of it, so that nothing can be decided against it. Without it
	// there are reasons where a part of it is.
	Allowed bool          `json:"allowed"`
	Reasons []AllowReason `json:"reasons"`
}

// AllowReason is an item that allows something.
type AllowReason struct {
	List    string `json:"list"` // of what is built in, its kind
	Item    string `json:"item"`
	Comment string `json:"comment,omitempty"`
	Builtin bool   `json:"builtin,omitempty"`
}

func allowListStatus(l *decisions.AllowList) AllowListStatus {
	return AllowListStatus{Name: l.Name, Description: l.Description, Created: l.Created, Updated: l.Updated, Managed: l.Managed,
		Items: len(l.Items)}
}

func listAllowlists(l *live, r *http.Request) (any, error) {
	out := []AllowListStatus{}
	for _, list := range l.state.allow.Lists() {
		out = append(out, allowListStatus(&list))
	}
	return out, nil
}

// allowList returns the allowlist of a name.
func (st *state) allowList(name string) (decisions.AllowList, error) {
	for _, list := range st.allow.Lists() {
		if list.Name == name {
			return list, nil
		}
	}
	return decisions.AllowList{}, notFound("there is no allowlist %.80q; `allowlists list` shows those that there are, `allowlists create` makes one", name)
}

func showAllowlist(l *live, r *http.Request) (any, error) {
	list, err := l.state.allowList(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	sources := map[string]AllowSourceStatus{}
	for _, s := range l.state.allowed.status() {
		if s.List == list.Name {
			sources[s.Item] = s
		}
	}
	out := AllowListDetail{List: allowListStatus(&list), Items: []AllowItem{}}
	for _, e := range list.Items {
		item := AllowItem{Value: e.Text(), Comment: e.Comment, Author: e.Author, Created: e.Created, Until: e.Until}
		if s, ok := sources[item.Value]; ok {
			item.Source = &s
		}
		out.Items = append(out.Items, item)
	}
	return out, nil
}

func createAllowlist(l *live, r *http.Request) (any, error) {
	var q AllowListRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if q.Name == "" {
		return nil, badRequest(errors.New("an allowlist needs a name"))
	}
	if err := errors.Join(text("name", q.Name), text("description", q.Description)); err != nil {
		return nil, badRequest(err)
	}
	err := l.state.allow.CreateList(q.Name, q.Description)
	switch {
	case errors.Is(err, decisions.ErrAllowListExists):
		return nil, allowFault(err)
	case err != nil:
		return nil, badRequest(err)
	}
	list, err := l.state.allowList(q.Name)
	return allowListStatus(&list), err
}

// ownAllowlist is allowList for one that is to be changed.
func (st *state) ownAllowlist(name string) (decisions.AllowList, error) {
	list, err := st.allowList(name)
	if err == nil && list.Managed {
		err = adminError{http.StatusConflict, fmt.Errorf("allowlist %s is managed by the Central API; change it there, or create one of your own", name)}
	}
	return list, err
}

func deleteAllowlist(l *live, r *http.Request) (any, error) {
	list, err := l.state.ownAllowlist(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if list.Name == decisions.DefaultAllowList {
		return nil, adminError{http.StatusConflict, errors.New("the default allowlist stays; remove its items with `allowlists remove default`")}
	}
	if err := allowFault(l.state.allow.DeleteList(list.Name)); err != nil {
		return nil, err
	}
	l.state.wall.look()
	return allowListStatus(&list), nil
}

func addAllowItems(l *live, r *http.Request) (any, error) {
	var q AllowItemsRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if err := text("comment", q.Comment); err != nil {
		return nil, err
	}
	if len(q.Items) == 0 || len(q.Items) > maxAllowItems {
		return nil, badRequest(fmt.Errorf("%d items; give 1 to %d", len(q.Items), maxAllowItems))
	}
	e := decisions.AllowEntry{Comment: q.Comment, Author: "operator", Created: time.Now().UTC()}
	if q.Duration != "" {
		d, err := positive(q.Duration)
		if err != nil {
			return nil, badRequest(err)
		}
		e.Until = e.Created.Add(d)
	}
	list, err := l.state.ownAllowlist(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	e.List = list.Name
	out := AllowItemsAnswer{List: list.Name, Done: []string{}, Refused: []RefusedItem{}}
	for i, item := range q.Items {
		if err := l.allowItem(e, item, &out); err != nil {
			if errors.Is(err, decisions.ErrClosed) {
				return nil, err
			}
			out.Refused = append(out.Refused, RefusedItem{At: i, Value: item, Why: err.Error()})
		}
	}
	l.state.allowed.look()
	l.state.wall.look()
	return out, nil
}

// allowItem adds one item like e and counts what it does.
func (l *live) allowItem(e decisions.AllowEntry, item string, out *AllowItemsAnswer) error {
	var err error
	if e.Item, e.Prefix, err = decisions.ParseAllowItem(item); err != nil {
		return err
	}
	if err := allowsSome(e.Prefix); err != nil {
		return err
	}
	before := l.enforced(e.Prefix)
	if err := l.state.allow.Add(e); err != nil {
		return err
	}
	out.Done = append(out.Done, e.Text())
	if !e.Prefix.IsValid() {
		out.LookedUp++
		return nil
	}
	out.Suppressed += before - l.enforced(e.Prefix)
	for d := range l.state.book.Query(decisions.Query{Prefix: e.Prefix, Limit: maxAllowEffect}) {
		if p := d.Prefix(); p.Bits() < e.Prefix.Bits() {
			out.Holding++
		}
	}
	return nil
}

// allowsSome refuses what would turn everything off.
func allowsSome(p netip.Prefix) error {
	if p.IsValid() && p.Bits() == 0 {
		return fmt.Errorf("%s would allow everybody, so that nobody could be banned; simulate instead", p)
	}
	return nil
}

// enforced is how many decisions against p, or what is inside of it, are in force.
func (l *live) enforced(p netip.Prefix) (n int) {
	if !p.IsValid() {
		return 0
	}
	for range l.state.book.Query(decisions.Query{Prefix: p, Within: true, Limit: maxAllowEffect}) {
		n++
	}
	return n
}

func removeAllowItems(l *live, r *http.Request) (any, error) {
	items := r.URL.Query()["value"]
	if len(items) == 0 || len(items) > maxAllowItems {
		return nil, badRequest(fmt.Errorf("%d items; name 1 to %d with value", len(items), maxAllowItems))
	}
	list, err := l.state.ownAllowlist(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	out := AllowItemsAnswer{List: list.Name, Done: []string{}, Refused: []RefusedItem{}}
	for i, item := range items {
		var e decisions.AllowEntry
		e.Item, e.Prefix, err = decisions.ParseAllowItem(item)
		before := l.enforced(e.Prefix)
		if err == nil {
			err = l.state.allow.RemoveItem(list.Name, e.Text())
		}
		switch {
		case errors.Is(err, decisions.ErrClosed):
			return nil, err
		case err != nil:
			out.Refused = append(out.Refused, RefusedItem{At: i, Value: item, Why: err.Error()})
		default:
			out.Done = append(out.Done, e.Text())
			out.Restored += l.enforced(e.Prefix) - before
		}
	}
	l.state.wall.look()
	return out, nil
}

func checkAllowed(l *live, r *http.Request) (any, error) {
	p, err := ParsePrefix(r.PathValue("value"))
	if err != nil {
		return nil, badRequest(err)
	}
	out := Allowed{Value: prefixText(p), Allowed: l.state.allow.Covers(p), Reasons: []AllowReason{}}
	for _, reason := range l.state.allow.Reasons(p) {
		out.Reasons = append(out.Reasons, AllowReason(reason))
	}
	return out, nil
}

// prefixText is a prefix as people write it.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
