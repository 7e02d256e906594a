package cluster

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// allowList is a node's allowlist of a name, nil if it has none.
func (m *member) allowList(name string) *decisions.AllowList {
	for _, l := range m.book.Allow().Lists() {
		if l.Name == name {
			return &l
		}
	}
	return nil
}

// items waits until all nodes have these items in a list.
func items(t *testing.T, ms []*member, list string, want ...string) {
	t.Helper()
	for _, m := range ms {
		within(t, "the items of "+list, func() bool {
			l, have := m.allowList(list), []string{}
			if l != nil {
				for i := range l.Items {
					have = append(have, l.Items[i].Text())
				}
			}
			return slices.Equal(have, append([]string{}, want...))
		})
	}
}

// TestJournalAllowLists: entries of named lists reach all nodes, those that come late and
// a Redis that lost everything included; the description goes with them.
func TestJournalAllowLists(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 2, at(s.Addr()))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first, second := ms[0].book.Allow(), ms[1].book.Allow()
	must(first.CreateList("office", "people at work"))
	for _, item := range []string{"192.0.2.9", "198.51.100.0/24", "vpn.example.org", "https://example.org/l"} {
		must(first.Add(decisions.AllowEntry{List: "office", Item: item, Comment: "ours"}))
	}
	must(first.Add(decisions.AllowEntry{Item: "192.0.2.9"}))
	all := []string{"192.0.2.9", "198.51.100.0/24", "https://example.org/l", "vpn.example.org"}
	items(t, ms, "office", all...)
	items(t, ms, "default", "192.0.2.9")
	if l := ms[1].allowList("office"); l.Description != "people at work" || l.Items[0].Comment != "ours" {
		t.Errorf("the second node has %+v", l)
	}
	ms[1].ban("192.0.2.9", 3600e9)
	everywhere(t, ms, "192.0.2.9", false)
	must(second.RemoveItem("", "192.0.2.9"))
	items(t, ms, "default")
	everywhere(t, ms, "192.0.2.9", false) // the other list has it
	must(second.RemoveItem("office", "192.0.2.9"))
	everywhere(t, ms, "192.0.2.9", true)
	items(t, ms, "office", all[1:]...)

	// What a name stands for, and managed lists, are each node's own.
	must(first.Resolve("office", "vpn.example.org", []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32")}))
	must(first.ReplaceList(decisions.AllowList{Name: "console", Managed: true, Items: []decisions.AllowEntry{{Item: "203.0.113.8"}}}))
	late := newMember(t, 3, at(s.Addr()), nil)
	joined(t, late)
	ms = append(ms, late)
	items(t, ms, "office", all[1:]...)
	if l := late.allowList("office"); l.Description != "people at work" || late.allowList("console") != nil || late.book.Allow().Contains(netip.MustParseAddr("203.0.113.7")) {
		t.Errorf("who came late has %+v", l)
	}

	s.Do("FLUSHALL")
	second = ms[1].book.Allow()
	must(second.Add(decisions.AllowEntry{List: "office", Item: "192.0.2.77"}))
	items(t, ms, "office", "192.0.2.77", all[1], all[2], all[3])
	alike(t, ms)
	must(second.DeleteList("office"))
	for _, m := range ms[1:] {
		within(t, "the list goes with its entries", func() bool { return m.allowList("office") == nil })
	}
	items(t, ms[:1], "office") // who made it keeps it, empty
	if err := second.Add(decisions.AllowEntry{List: "office", Item: "192.0.2.1"}); !errors.Is(err, decisions.ErrNoAllowList) {
		t.Errorf("got %v", err)
	}
	must(first.Add(decisions.AllowEntry{List: "office", Item: "192.0.2.5"}))
	items(t, ms, "office", "192.0.2.5")
	if got := alike(t, ms); len(got.Allow) != 1 {
		t.Errorf("%q", got.Allow)
	}
}
