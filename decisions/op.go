package decisions

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// What one op may hold. What is recorded here stays within it: larger changes
// become several ops.
const (
	maxOpBytes     = 2 << 20
	maxOpDecisions = 256
	maxOpIDs       = 4096
)

// ErrBadOp is in the chain when an op makes no sense.
var ErrBadOp = errors.New("op not understood")

// OpKind says what an op changes.
type OpKind uint8

// The kinds. Their texts, as JSON has them, are append, delete, allow, unallow
// and list.
const (
	OpAppend OpKind = iota + 1
	OpDelete
	OpAllow
	OpUnallow
	OpList
)

// opKinds is read-only.
var opKinds = [...]string{OpAppend: "append", OpDelete: "delete", OpAllow: "allow", OpUnallow: "unallow", OpList: "list"}

// String returns the kind's text.
func (k OpKind) String() string {
	if int(k) < len(opKinds) && k != 0 {
		return opKinds[k]
	}
	return fmt.Sprintf("op kind %d", uint8(k))
}

// MarshalText is the kind's text.
func (k OpKind) MarshalText() ([]byte, error) {
	if int(k) >= len(opKinds) || k == 0 {
		return nil, fmt.Errorf("%w: kind %d", ErrBadOp, k)
	}
	return []byte(opKinds[k]), nil
}

// UnmarshalText reads what MarshalText writes.
func (k *OpKind) UnmarshalText(text []byte) error {
	for i, name := range opKinds {
		if i > 0 && name == string(text) {
			*k = OpKind(i)
			return nil
		}
	}
	return fmt.Errorf("%w: kind %.40q", ErrBadOp, text)
}

// Op is one change of a node's journal, told to the others. It says how things
// stand after it, so that applying it twice is the same as once, and of several
// ops about one decision or allowlist entry the last in the fleet's log counts.
type Op struct {
	// Seq orders the ops of a node. It grows, with gaps, and below 2^53.
	Seq  int64  `json:"seq"`
	Kind OpKind `json:"kind"`
	// Alert is what an OpAppend recorded, nil for none. Its evidence is bounded.
	Alert *event.Alert `json:"alert,omitempty"`
	// Decisions are what an OpAppend made or prolonged, as they stand after it.
	// None is suppressed: that is for each node to say.
	Decisions []Decision `json:"decisions,omitempty"`
	// IDs are the decisions that an OpDelete ended.
	IDs []int64 `json:"ids,omitempty"`
	// By is who wanted an OpDelete or OpList.
	By string `json:"by,omitempty"`
	// Allow is the entry of an OpAllow. Prefix, or else Item, and List say what an
	// OpUnallow removed, as AllowEntry has them.
	Allow  *AllowEntry  `json:"allow,omitempty"`
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Item   string       `json:"item,omitempty"`
	// List is the name of the list that an OpList put in force or dropped; of an
	// OpUnallow see Prefix.
	List string    `json:"list,omitempty"`
	At   time.Time `json:"at"`
}

// opFields is Op without its methods.
type opFields Op

// UnmarshalJSON reads an op and checks that it has what its kind needs, and no
// more of it than an op may hold. What its alert and decisions say is for Adopt to
// check.
func (op *Op) UnmarshalJSON(data []byte) error {
	if len(data) > maxOpBytes {
		return fmt.Errorf("%w: it has %d bytes, at most %d fit", ErrBadOp, len(data), maxOpBytes)
	}
	var f opFields
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("%w: %w", ErrBadOp, err)
	}
	next := Op(f)
	if err := next.check(); err != nil {
		return err
	}
	*op = next
	return nil
}

// check says what is wrong with an op's form.
func (op *Op) check() error {
	why := ""
	switch {
	case op.Seq < 0:
		why = "sequence below zero"
	case len(op.Decisions) > maxOpDecisions || len(op.IDs) > maxOpIDs:
		why = fmt.Sprintf("%d decisions and %d ids, at most %d and %d fit", len(op.Decisions), len(op.IDs), maxOpDecisions, maxOpIDs)
	case len(op.By) > maxText:
		why = "name of who did it is too long"
	case op.At.IsZero():
		why = "no time"
	default:
		why = op.lacks()
	}
	if why != "" {
		return fmt.Errorf("%w: %s", ErrBadOp, why)
	}
	return nil
}

// lacks names what the op's kind needs and it has not.
func (op *Op) lacks() string {
	switch op.Kind {
	case OpAppend:
		if op.Alert == nil && len(op.Decisions) == 0 {
			return "nothing to append"
		}
	case OpDelete:
		if len(op.IDs) == 0 {
			return "nothing to delete"
		}
	case OpAllow:
		if op.Allow == nil {
			return "nothing to allow"
		}
		return op.lacksEntry()
	case OpUnallow:
		return op.lacksEntry()
	case OpList:
		if err := checkText("name of the list", op.List, maxText); err != nil {
			return err.Error()
		}
	default:
		return op.Kind.String()
	}
	return ""
}

// lacksEntry names what is wrong with the entry that an OpAllow or OpUnallow is about.
func (op *Op) lacksEntry() string {
	e := op.entry()
	if _, err := e.normalise(); err != nil {
		return "allowlist entry: " + err.Error()
	}
	return ""
}

// entry is a copy of what an OpAllow allows, or that an OpUnallow removed.
func (op *Op) entry() AllowEntry {
	if op.Allow != nil {
		return *op.Allow
	}
	return AllowEntry{Prefix: op.Prefix, List: op.List, Item: op.Item}
}

// AllowKey tells the allowlist entry that an OpAllow or OpUnallow is about from all
// others, "" if that makes no sense.
func (op *Op) AllowKey() string {
	if op.Kind != OpAllow && op.Kind != OpUnallow {
		return ""
	}
	e := op.entry()
	k, err := e.normalise()
	if err != nil {
		return ""
	}
	return k.text()
}

// Adopted is a piece of the fleet's log.
type Adopted struct {
	Ops []Op
	// Own has for each op its Seq if this node made it, else 0; nil: none is own.
	Own []int64
	// Cursor is where the piece ends. If it is the id of a stream entry, and not
	// after the Book's, the piece is known and left out.
	Cursor string
}

// Snapshot is all that a fleet has but the lists, at one place of its log.
type Snapshot struct {
	Decisions []Decision // those in force; Suppressed means nothing
	Alerts    []event.Alert
	Allow     []AllowEntry // the operators', of KindManual
	Cursor    string
	Epoch     string
	// Own is the highest Seq of this node's ops that is in it, 0 if that is not
	// known: then those that were sent are taken to be in it if the epoch is that
	// of before.
	Own int64
}

// ShareOptions are those of Share.
type ShareOptions struct {
	// MaxOps and MaxBytes bound what waits on disk; 0: 200,000 and 256 MiB. Above
	// them the oldest are dropped, see Incomplete.
	MaxOps   int
	MaxBytes int64
}
