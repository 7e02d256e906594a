package parsers

import (
	"context"
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// method is an enricher: it gets the static's value and writes what it finds.
type method func(r *run, value string)

// method returns the enricher of a name, nil for a name that nobody knows. Those
// that need a database or a resolver which the Env does not have find nothing.
func (l *loader) method(name string) method {
	switch name {
	case "ParseDate":
		return parseDateMethod
	case "UnmarshalJSON":
		return unmarshalLine
	case "GeoIpCity", "GeoIpASN", "IpToRange":
		if l.env.Geo() == nil {
			return func(*run, string) {}
		}
		return l.placeMethod(name)
	case "reverse_dns":
		return l.reverseMethod()
	}
	return nil
}

// placeMethod looks addresses up in the databases. CrowdSec compatible: an address
// that is in no network of a database that there is has an empty country and the
// number 0, but no range; what is no address has nothing.
func (l *loader) placeMethod(name string) method {
	geo := l.env.Geo()
	lookup := func(ev *event.Event, a netip.Addr) {
		if as, ok := geo.ASN(a); ok && as.Network.IsValid() {
			ev.SetEnriched("SourceRange", as.Network.String())
		}
	}
	switch name {
	case "GeoIpCity":
		if !geo.HasCity() {
			return func(*run, string) {}
		}
		lookup = func(ev *event.Event, a netip.Addr) {
			city, _ := geo.City(a)
			ev.SetEnriched("IsoCode", city.IsoCode)
			ev.SetEnriched("IsInEU", strconv.FormatBool(city.InEU))
			ev.SetEnriched("Latitude", degrees(city.Latitude))
			ev.SetEnriched("Longitude", degrees(city.Longitude))
		}
	case "GeoIpASN":
		if !geo.HasASN() {
			return func(*run, string) {}
		}
		lookup = func(ev *event.Event, a netip.Addr) {
			as, _ := geo.ASN(a)
			number := strconv.FormatUint(as.Number, 10)
			ev.SetEnriched("ASNNumber", number)
			ev.SetEnriched("ASNumber", number)
			ev.SetEnriched("ASNOrg", as.Org)
		}
	}
	return func(r *run, value string) {
		if a, ok := r.from.parse(value); ok {
			lookup(r.ev, a)
			return
		}
		_, err := netip.ParseAddr(value)
		r.debug("value is no address", name, err)
	}
}

// degrees writes a coordinate as CrowdSec does. Most addresses of a small database
// have none.
func degrees(x float64) string {
	if x == 0 && !math.Signbit(x) {
		return "0.000000"
	}
	return strconv.FormatFloat(x, 'f', 6, 64)
}

// reverseMethod writes Enriched.reverse_dns, the name of an address with the dot at
// its end. It does nothing on a live request: nobody waits for the DNS there.
func (l *loader) reverseMethod() method {
	resolver := l.env.Resolver()
	return func(r *run, value string) {
		if resolver == nil || r.ev.From.Inline {
			return
		}
		a, err := netip.ParseAddr(value)
		if err != nil {
			r.debug("value is no address", "reverse_dns", err)
			return
		}
		// The resolver has bounds of its own, on time and on questions at once.
		if name, ok := resolver.Reverse(context.Background(), a); ok {
			r.ev.SetEnriched("reverse_dns", name)
		}
	}
}

// dated is the last date that was read. Lines of one second often follow each other.
type dated struct {
	text, layout string
	time         time.Time
	stamp        event.Stamp
	// from and until bound the instants at which the text is read so, for a date that
	// names no year; zero: at any.
	from, until time.Time
}

// holds reports whether text, at now, is what was read last.
func (d *dated) holds(text, layout string, now func() time.Time) bool {
	if text == "" || text != d.text || layout != d.layout {
		return false
	}
	if d.until.IsZero() {
		return true
	}
	at := now()
	return !at.Before(d.from) && at.Before(d.until)
}

// ahead is how far in the future a date may lie before it is taken for one of last
// year, where that is asked for.
const ahead = 24 * time.Hour

// parseDateMethod writes Enriched.MarshaledTime. In replay the event happened
// then; live, evt.Time stays the instant at which the line was read. Empty and
// unreadable dates become now, which moves no event.
func parseDateMethod(r *run, value string) {
	o := &r.p.options
	if last := &r.last; last.holds(value, r.ev.StrTimeFormat, o.Now) {
		r.date(last.time, last.stamp, true)
		return
	}
	now := o.Now()
	t, yearless, ok := parseDate(value, r.ev.StrTimeFormat, o.Location, now, r.p.plain)
	var until time.Time
	if yearless {
		until = time.Date(now.In(t.Location()).Year()+1, 1, 1, 0, 0, 0, 0, t.Location())
		if o.FixYear && t.After(now.Add(ahead)) {
			if turns := t.Add(-ahead); turns.Before(until) {
				until = turns
			}
			t = t.AddDate(-1, 0, 0)
		}
	}
	stamp := event.NewStamp(t)
	if ok && !r.p.plain {
		// The text is copied, so that it does not keep the line.
		r.last = dated{strings.Clone(value), strings.Clone(r.ev.StrTimeFormat), t, stamp, now, until}
	}
	r.date(t, stamp, ok)
}

// date writes what was read, or now where known is false.
func (r *run) date(t time.Time, stamp event.Stamp, known bool) {
	if known && r.ev.ExpectMode == event.Replay {
		r.ev.Time = t
	}
	r.ev.Stamp = stamp
	r.ev.SetEnriched("MarshaledTime", stamp.Text())
}

// unmarshalLine decodes the raw line into evt.Unmarshaled.
func unmarshalLine(r *run, _ string) {
	if r.ev.Unmarshaled == nil {
		r.ev.Unmarshaled = map[string]any{}
	}
	if err := json.Unmarshal([]byte(r.ev.Line.Raw), &r.ev.Unmarshaled); err != nil {
		r.debug("line is no JSON object", "UnmarshalJSON", err)
	}
}
