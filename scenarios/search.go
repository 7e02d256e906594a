package scenarios

import (
	"math/bits"

	"github.com/rampart-edge/rampart/expression"
)

// searches leave out the rules that look for constant texts which the event does
// not have. All that rules look for in one text of the event is found in one go.
type searches struct {
	needy set // the rules that look for something
	texts []search
}

// search is one text of the event.
type search struct {
	clue   expression.Clue // any of them: it says what the text is
	users  set             // the rules that look into it
	admits []set           // by number of a clue: the rules that may pass where it is found; nil: none
}

// newSearches takes for each rule the one list of clues that costs least: of texts
// that many others look into as well.
func newSearches(list []*Scenario) searches {
	x := searches{needy: newSet(len(list))}
	clues := make([][][]expression.Clue, len(list))
	users := map[int]int{}
	for i, s := range list {
		// A memo serves one Env.
		if !s.filter.SameEnv(list[0].filter) {
			continue
		}
		clues[i] = s.filter.Clues()
		seen := map[int]bool{}
		for _, any := range clues[i] {
			for _, c := range any {
				seen[c.Source()] = true
			}
		}
		for source := range seen {
			users[source]++
		}
	}
	at := map[int]int{}
	for i := range clues {
		for _, c := range cheapest(clues[i], users) {
			x.needy.add(i)
			k, ok := at[c.Source()]
			if !ok {
				k = len(x.texts)
				at[c.Source()] = k
				x.texts = append(x.texts, search{clue: c, users: newSet(len(list))})
			}
			x.texts[k].add(c.Number(), i, len(list))
		}
	}
	return x
}

// cheapest returns the list with the fewest texts that hardly another rule looks
// into; among equals the first, which is the most telling.
func cheapest(lists [][]expression.Clue, users map[int]int) (out []expression.Clue) {
	const many = 3
	least := 0
	for _, list := range lists {
		cost := 0
		for _, c := range list {
			if users[c.Source()] < many {
				cost++
			}
		}
		if out == nil || cost < least {
			out, least = list, cost
		}
	}
	return out
}

func (s *search) add(number, rule, rules int) {
	s.users.add(rule)
	for len(s.admits) <= number {
		s.admits = append(s.admits, nil)
	}
	if s.admits[number] == nil {
		s.admits[number] = newSet(rules)
	}
	s.admits[number].add(rule)
}

// narrow takes the rules out of b that look for something and of which nothing is
// found.
func (x *searches) narrow(b *round) {
	if !b.left.meets(x.needy) {
		return
	}
	clear(b.admitted)
	for i := range x.texts {
		t := &x.texts[i]
		if !b.left.meets(t.users) {
			continue
		}
		found, known := t.clue.Found(&b.vars)
		if !known {
			b.admitted.join(t.users)
			continue
		}
		for w, word := range found {
			for ; word != 0; word &= word - 1 {
				if n := w*64 + bits.TrailingZeros64(word); n < len(t.admits) && t.admits[n] != nil {
					b.admitted.join(t.admits[n])
				}
			}
		}
	}
	for w := range b.left {
		b.left[w] &^= x.needy[w] &^ b.admitted[w]
	}
}

// join adds the members of another set.
func (s set) join(other set) {
	for w := range s {
		s[w] |= other[w]
	}
}
