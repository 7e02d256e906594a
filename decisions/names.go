package decisions

import "strings"

// name is a text of names; 0 is the empty one.
type name uint32

// names keeps texts that repeat, such as those of scenarios and origins, once each
// and for as long as somebody holds them.
type names struct {
	byText map[string]name
	list   []heldName
	free   []name
	turn   int // grows when a name gets another text
}

type heldName struct {
	text    string
	holders int
}

func newNames() *names { return &names{byText: map[string]name{}, list: make([]heldName, 1)} }

// hold returns the name of a text, which stays until drop is called as often.
func (n *names) hold(text string) name {
	if text == "" {
		return 0
	}
	id, ok := n.byText[text]
	if !ok {
		text = strings.Clone(text) // it may be a piece of something large
		if last := len(n.free) - 1; last >= 0 {
			id, n.free = n.free[last], n.free[:last]
			n.list[id].text = text
			n.turn++
		} else {
			id = name(len(n.list))
			n.list = append(n.list, heldName{text: text})
		}
		n.byText[text] = id
	}
	n.list[id].holders++
	return id
}

func (n *names) drop(id name) {
	if id == 0 {
		return
	}
	h := &n.list[id]
	if h.holders--; h.holders == 0 {
		delete(n.byText, h.text)
		h.text = ""
		n.free = append(n.free, id)
	}
}

func (n *names) text(id name) string { return n.list[id].text }
