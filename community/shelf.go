package community

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// shelf is where lists from elsewhere are fetched to. Its methods are safe for
// concurrent use with different lists.
type shelf struct {
	o       *Options
	fetcher *Fetcher
}

func newShelf(o *Options) *shelf {
	return &shelf{o: o, fetcher: newFetcher(o.Transport, o.userAgent(), o.Now)}
}

// source is a list somewhere else.
type source struct {
	key    string // of what is remembered of it, in bucket
	bucket string
	head   decisions.ListHead // without instants
	url    string
	format format
	pin    string        // SHA-256 of the content, hex; "": none
	every  time.Duration // between fetches; 0: whoever fetches knows
	length time.Duration // how long a list is in force after it was last seen
}

// remembered is what is known of a source since it was last fetched.
type remembered struct {
	Validators
	Source  string    `json:"source"`  // what the validators are of
	Fetched time.Time `json:"fetched"` // also when nothing had changed
	Left    int       `json:"left"`    // lines that are no address
	// Version is that of the list that came of it. If another one is in force, somebody
	// else has fetched or replaced it, and nothing here is about that.
	Version int64 `json:"version"`
}

// says tells two configurations of a source apart: what was fetched for the one is no
// answer for the other.
func (s *source) says() string {
	return strings.Join([]string{s.url, s.head.Type, s.head.Scenario, s.format.String(), s.pin}, "\n")
}

// refresh fetches a list and brings it into force, if it has changed; else its end
// alone is moved. After an error what was in force still is. With force the server is
// not asked whether it has changed. known is what to remember next time, also of a
// failure.
func (s *shelf) refresh(ctx context.Context, src *source, known remembered, force bool) (remembered, error) {
	old := s.current(src.head.Name)
	if known.Source != src.says() || old == nil || old.Version != known.Version {
		known = remembered{}
	}
	ask := known.Validators
	if force {
		ask = Validators{}
	}
	d, err := s.fetch(ctx, src.url, ask)
	if err != nil {
		return known, err
	}
	defer d.Close()
	now := s.o.Now()
	next := remembered{Validators: d.Validators, Source: src.says(), Fetched: now, Left: known.Left}
	if d.Same {
		return s.settled(next, src, s.move(old, now.Add(src.length)))
	}
	l, report, err := src.read(d, now)
	if err == nil {
		next.Validators, err = d.finish()
	}
	if err == nil && src.pin != "" && !strings.EqualFold(src.pin, next.Hash) {
		err = fmt.Errorf("the content has the SHA-256 %s, which is not the one that is pinned", next.Hash)
	}
	if err != nil {
		return known, err
	}
	next.Left = report.Bad + report.TooWide
	if next.Hash == known.Hash {
		return s.settled(next, src, s.move(old, now.Add(src.length)))
	}
	if err := guard(old, l, &report); err != nil {
		return known, err
	}
	return s.settled(next, src, s.put(l))
}

// settled completes what is to be remembered, with the list as it is in force.
func (s *shelf) settled(next remembered, src *source, err error) (remembered, error) {
	if l := s.current(src.head.Name); l != nil {
		next.Version = l.Version
	}
	return next, err
}

// read makes the list of what a source holds.
func (s *source) read(d *Download, now time.Time) (*decisions.Blocklist, decisions.ListReport, error) {
	h := s.head
	h.Created, h.Until = now, now.Add(s.length)
	text, err := s.format.lines(d)
	if err != nil {
		return nil, decisions.ListReport{}, err
	}
	return decisions.ReadBlocklist(h, text)
}

// current returns the list of a name, nil if there is none in force.
func (s *shelf) current(name string) *decisions.Blocklist {
	for _, l := range s.o.Book.Lists() {
		if l.Name == name {
			if l.Until.After(s.o.Now()) {
				return l
			}
			break
		}
	}
	return nil
}

// put brings a list into force; an empty one takes away what there was.
func (s *shelf) put(l *decisions.Blocklist) error {
	if l.Len() == 0 {
		return s.drop(l.Name)
	}
	next := *l
	next.Version, next.Simulated = next.Created.UnixMilli(), false // the Book knows what it simulates
	if old := s.current(l.Name); old != nil {
		next.Version = max(next.Version, old.Version+1)
	}
	return s.o.Lists.PutList(&next)
}

// move gives a list another end; its entries, and their numbers, stay.
func (s *shelf) move(l *decisions.Blocklist, until time.Time) error {
	until = until.Truncate(time.Millisecond).UTC()
	if l == nil || l.Until.Equal(until) {
		return nil
	}
	next := *l // shares the entries, which nobody changes
	next.Until = until
	return s.put(&next)
}

// drop ends a list; one that is not there is no error.
func (s *shelf) drop(name string) error {
	if err := s.o.Lists.DropList(name); err != nil && !errors.Is(err, decisions.ErrNoList) {
		return err
	}
	return nil
}

// recall reads what was remembered of a source.
func (s *shelf) recall(bucket, key string) (remembered, error) {
	var r remembered
	text, err := s.o.DB.Get(bucket, key)
	if err != nil || text == nil {
		return r, err
	}
	if json.Unmarshal(text, &r) != nil {
		return remembered{}, nil // then everything is fetched anew
	}
	return r, nil
}

// remember keeps it.
func (s *shelf) remember(bucket, key string, r remembered) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.o.DB.Put(bucket, key, text)
}

// update is refresh with what is remembered on disk.
func (s *shelf) update(ctx context.Context, src *source, force bool) (remembered, error) {
	known, err := s.recall(src.bucket, src.key)
	if err != nil {
		return known, err
	}
	next, err := s.refresh(ctx, src, known, force)
	if err != nil || next == known {
		return next, err
	}
	return next, s.remember(src.bucket, src.key, next)
}

// fill completes the state of a list.
func (s *shelf) fill(state *ListStatus, known remembered) {
	state.Fetched, state.Left = known.Fetched, known.Left
	if l := s.current(state.Name); l != nil {
		state.Entries, state.Until = l.Len(), l.Until
	}
}
