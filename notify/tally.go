package notify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	maxTallied = 1024 // names that a tally counts one by one
	topNames   = 5    // that a digest shows
)

// Count is a name and how often it came.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// Digest tells of alerts that have no message of their own. It is what a `digest`
// template is given; printed, it is a sentence.
type Digest struct {
	Receiver  string    `json:"receiver"`
	Total     int       `json:"total"`
	Dropped   int       `json:"dropped"`   // of them: those that found the queue full, or could not be sent
	Scenarios []Count   `json:"scenarios"` // those that came most, at most 5
	Sources   []Count   `json:"sources"`   // the same; of a flood, those that came first are counted
	Since     time.Time `json:"since"`     // of the first and the last of them
	Until     time.Time `json:"until"`
}

// String returns the digest as a sentence: "and 9,912 more alerts: …".
func (d *Digest) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "and %s more %s between %s and %s", grouped(d.Total), plural(d.Total, "alert"),
		d.Since.UTC().Format("15:04:05"), d.Until.UTC().Format("15:04:05 MST"))
	if d.Dropped > 0 {
		fmt.Fprintf(&b, " (%s of them found no room or could not be sent)", grouped(d.Dropped))
	}
	writeCounts(&b, ": top scenarios ", d.Scenarios)
	writeCounts(&b, "; top sources ", d.Sources)
	return b.String()
}

func writeCounts(b *strings.Builder, before string, counts []Count) {
	for i, c := range counts {
		b.WriteString(before)
		before = ", "
		fmt.Fprintf(b, "%s %s", strings.Map(printable, counts[i].Name), grouped(c.N))
	}
}

// printable keeps names from breaking lines: who attacks may have chosen them.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '\uFFFD'
	}
	return r
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// grouped writes 9912 as 9,912.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// tally counts what a digest will tell. Its memory is bounded whatever is counted.
type tally struct {
	total, dropped     int
	scenarios, sources map[string]int
	since, until       time.Time
}

func (t *tally) add(a *Alert, now time.Time, dropped bool) {
	if t.total == 0 {
		t.since = now
		t.scenarios, t.sources = map[string]int{}, map[string]int{}
	}
	t.total++
	t.until = now
	if dropped {
		t.dropped++
	}
	count(t.scenarios, a.Scenario, 1)
	count(t.sources, a.Source.Value, 1)
}

func count(m map[string]int, name string, n int) {
	if _, known := m[name]; name != "" && (known || len(m) < maxTallied) {
		m[name] += n
	}
}

// digest returns what was counted; the tally begins anew.
func (t *tally) digest(receiver string) *Digest {
	d := &Digest{Receiver: receiver, Total: t.total, Dropped: t.dropped, Since: t.since, Until: t.until,
		Scenarios: top(t.scenarios), Sources: top(t.sources)}
	*t = tally{}
	return d
}

func top(m map[string]int) []Count {
	counts := make([]Count, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		counts = append(counts, Count{name, m[name]})
	}
	slices.SortStableFunc(counts, func(a, b Count) int { return cmp.Compare(b.N, a.N) })
	return counts[:min(len(counts), topNames)]
}

// alert is the digest in the form of an alert, for receivers that are given JSON.
func (d *Digest) alert() *Alert {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return &Alert{Kind: "digest", Scenario: "rampart/digest", Message: d.String(), EventsCount: int32(min(d.Total, 1<<31-1)),
		CreatedAt: at(d.Until), StartAt: at(d.Since), StopAt: at(d.Until), Source: &Source{}, Decisions: []*Decision{}, Events: []*Event{}}
}

// merge adds what another one counted before.
func (t *tally) merge(o *tally) {
	if o.total == 0 {
		return
	}
	if t.total == 0 {
		*t = *o
		return
	}
	t.total += o.total
	t.dropped += o.dropped
	t.since = o.since
	for name, n := range o.scenarios {
		count(t.scenarios, name, n)
	}
	for name, n := range o.sources {
		count(t.sources, name, n)
	}
}
