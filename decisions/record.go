package decisions

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
)

// record is a decision in memory, without pointers: the garbage collector does not
// look into it. What does not fit is in index.odd. Only the writer changes it,
// under the Book's lock.
type record struct {
	id, alertID    int64
	created, until int64 // Unix milliseconds
	cursor         int64 // of its latest change, 0 if that was never announced, or is forgotten
	// told is an end that subscribers were told: the first before the one that it has,
	// 0 for none, at which it is told again; of one that is gone, that which it had.
	told     int64
	key      key // of its value
	uuid     [16]byte
	incident [mintedLen]byte // of an id that is as long as a minted one

	scope, kind, origin, scenario, host name

	slot  int32 // its own
	place int32 // in the heap
	next  int32 // slot of the next one of its value, 0 for none

	direct, simulated, suppressed bool

	target bool // of scope Ip or Range: the key's prefix is what it is against
	odd    bool // has texts in index.odd
	gone   bool
}

// oddTexts are those of a record that have not the usual form; "" for those that
// have it.
type oddTexts struct{ value, uuid, incident string }

// prefix returns what an Ip or Range decision covers, an invalid one for others.
func (r *record) prefix() netip.Prefix {
	if !r.target {
		return netip.Prefix{}
	}
	return r.key.prefix()
}

func (r *record) enforceable() bool { return !r.simulated && !r.suppressed }

// over reports whether what is to be told of the record is an end.
func (r *record) over() bool { return r.gone || r.suppressed }

// known is the end that subscribers come to by themselves, in Unix milliseconds.
func (r *record) known() int64 {
	if r.gone {
		return r.told
	}
	return r.until
}

// ended reports whether the end has come.
func (r *record) ended(now time.Time) bool { return !timeOf(r.until).After(now) }

func timeOf(millis int64) time.Time { return time.UnixMilli(millis).UTC() }

// pack fills r from a decision in normal form, whose prefix is p.
func (x *index) pack(r *record, d *Decision, p netip.Prefix) {
	r.id, r.created, r.until = d.ID, d.Created.UnixMilli(), d.Until.UnixMilli()
	r.direct, r.simulated, r.suppressed = d.Direct, d.Simulated, d.Suppressed
	r.scope, r.kind, r.origin = x.names.hold(d.Scope), x.names.hold(d.Type), x.names.hold(d.Origin)
	r.scenario = x.names.hold(d.Scenario)
	var odd oddTexts
	if r.target = p.IsValid(); r.target {
		r.key = keyOf(p)
	} else {
		r.key = x.keys.of(d.Value)
		odd.value = strings.Clone(d.Value)
	}
	if !parseUUID(&r.uuid, d.UUID) {
		odd.uuid = strings.Clone(d.UUID)
	}
	x.setOdd(r, odd)
	x.setCause(r, d)
}

// setCause makes the alert, incident and site of d those of r.
func (x *index) setCause(r *record, d *Decision) {
	odd := x.odd[r.slot]
	odd.incident, r.incident = "", [mintedLen]byte{}
	if len(d.IncidentID) == mintedLen && d.IncidentID[0] != 0 {
		copy(r.incident[:], d.IncidentID)
	} else {
		odd.incident = strings.Clone(d.IncidentID)
	}
	x.setOdd(r, odd)
	host := x.names.hold(d.Host)
	x.names.drop(r.host)
	r.host, r.alertID = host, d.AlertID
}

func (x *index) setOdd(r *record, t oddTexts) {
	if r.odd = t != (oddTexts{}); r.odd {
		x.odd[r.slot] = t
	} else {
		delete(x.odd, r.slot)
	}
}

// brief is the decision of r without its texts of its own: value, uuid and
// incident. It allocates nothing.
func (x *index) brief(r *record) Decision {
	return Decision{
		ID: r.id, AlertID: r.alertID, Scope: x.names.text(r.scope), Type: x.names.text(r.kind), Origin: x.names.text(r.origin),
		Scenario: x.names.text(r.scenario), Host: x.names.text(r.host), Created: timeOf(r.created), Until: timeOf(r.until),
		Direct: r.direct, Simulated: r.simulated, Suppressed: r.suppressed,
	}
}

// decision is the decision of r.
func (x *index) decision(r *record) Decision {
	d := x.brief(r)
	var odd oddTexts
	if r.odd {
		odd = x.odd[r.slot]
	}
	d.UUID, d.IncidentID, d.Value = odd.uuid, odd.incident, x.value(r)
	if odd.uuid == "" && r.uuid != [16]byte{} {
		d.UUID = formatUUID(r.uuid)
	}
	if r.incident[0] != 0 {
		d.IncidentID = string(r.incident[:])
	}
	return d
}

// value is the value of r's decision.
func (x *index) value(r *record) string {
	if !r.target {
		return x.odd[r.slot].value
	}
	var room [64]byte
	return string(appendTarget(room[:0], r.key.prefix()))
}

// release takes back what r holds and its slot.
func (x *index) release(r *record) {
	for _, n := range []name{r.scope, r.kind, r.origin, r.scenario, r.host} {
		x.names.drop(n)
	}
	delete(x.odd, r.slot)
	x.records.give(r.slot)
}

func formatUUID(u [16]byte) string {
	var out [36]byte
	hex.Encode(out[:8], u[:4])
	hex.Encode(out[9:13], u[4:6])
	hex.Encode(out[14:18], u[6:8])
	hex.Encode(out[19:23], u[8:10])
	hex.Encode(out[24:], u[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// parseUUID reads what formatUUID writes, or nothing at all, which is all zeros; it
// reports whether to stands for text.
func parseUUID(to *[16]byte, text string) bool {
	*to = [16]byte{}
	if text == "" {
		return true
	}
	digits := strings.ReplaceAll(text, "-", "")
	if len(digits) != 32 {
		return false
	}
	if _, err := hex.Decode(to[:], []byte(digits)); err != nil || formatUUID(*to) != text || *to == [16]byte{} {
		*to = [16]byte{}
		return false
	}
	return true
}
