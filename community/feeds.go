package community

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	feedBucket = "feeds"
	// maxFeeds leaves place for other lists.
	maxFeeds = 32
)

// Feeds fetches lists from any URL. The Book keeps them on disk: a list is in force
// after a start without network, and stays so until its end. It is safe for concurrent
// use.
type Feeds struct {
	o       Options
	shelf   *shelf
	working sync.Mutex // held while something is fetched or dropped

	sweeping schedule // of sweep, after a failure; working is held

	mu    sync.Mutex // of feeds and what they point to
	feeds map[string]*feed
	swept bool // lists of feeds that are no more were looked for since Use
}

// feed is a feed that is fetched again and again.
type feed struct {
	source  *source
	due     schedule
	known   remembered
	problem string // of the last try
	failed  time.Time
}

// FeedStatus is how it goes with a feed.
type FeedStatus struct {
	ListStatus
	Next     time.Time `json:"next"`
	FailedAt time.Time `json:"failed_at,omitzero"` // of Problem
}

// NewFeeds returns Feeds without any; see Use.
func NewFeeds(o Options) (*Feeds, error) {
	if o.Book == nil || o.DB == nil {
		return nil, errors.New("feeds: no journal or database")
	}
	f := &Feeds{o: o.filled(), feeds: map[string]*feed{}, swept: true} // before Use nobody knows what stays
	f.shelf = newShelf(&f.o)
	return f, nil
}

// Use replaces the feeds. The list of one that is gone is dropped by the next step of
// Run; one that stays as it was is not fetched for it. After an error all is as before.
func (f *Feeds) Use(feeds []Feed) error {
	if len(feeds) > maxFeeds {
		return fmt.Errorf("%d feeds: %d are possible", len(feeds), maxFeeds)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[string]*feed{}
	for _, one := range feeds {
		src, err := one.source()
		if err != nil {
			return fmt.Errorf("feed %.80s: %w", one.Name, err)
		}
		if next[src.key] != nil {
			return fmt.Errorf("feed %s is there twice", one.Name)
		}
		if old := f.feeds[src.key]; old != nil && *old.source == *src {
			next[src.key] = old
			continue
		}
		known, err := f.shelf.recall(feedBucket, src.key)
		if err != nil {
			return fmt.Errorf("feed %s: %w", one.Name, err)
		}
		next[src.key] = &feed{source: src, known: known, due: f.firstTime(src, &known)}
	}
	former, err := f.former(next)
	if err != nil {
		return fmt.Errorf("feeds that there were: %w", err)
	}
	f.feeds, f.swept = next, len(former) == 0
	return nil
}

// Wants reports whether there is something here for the node that leads to do.
func (f *Feeds) Wants() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.feeds) > 0 || !f.swept
}

// firstTime is when a feed is fetched first: at once, but not before it is due again if
// another process fetched it lately and it is in force.
func (f *Feeds) firstTime(src *source, known *remembered) schedule {
	var s schedule
	l := f.shelf.current(src.key)
	if l != nil && l.Version == known.Version && known.Source == src.says() && !known.Fetched.After(f.o.Now()) {
		s.done(known.Fetched, src.every, 0.1)
	}
	return s
}

// Run fetches what is due until ctx is done, one feed at a time.
func (f *Feeds) Run(ctx context.Context) { every(ctx, tick, f.step) }

// step fetches what is due.
func (f *Feeds) step(ctx context.Context) {
	if !f.o.Leads() {
		return
	}
	f.sweep()
	for _, one := range f.due() {
		if ctx.Err() != nil || !f.o.Leads() {
			return
		}
		_ = f.fetch(ctx, one, false) // Status tells
	}
}

// due are the feeds whose time has come.
func (f *Feeds) due() []*feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.o.Now()
	var out []*feed
	for _, name := range slices.Sorted(maps.Keys(f.feeds)) {
		if one := f.feeds[name]; one.due.ready(now) {
			out = append(out, one)
		}
	}
	return out
}

// Pull fetches the feed of a name now, changed or not; "" is all of them.
func (f *Feeds) Pull(ctx context.Context, name string) error {
	f.mu.Lock()
	var wanted []*feed
	for _, n := range slices.Sorted(maps.Keys(f.feeds)) {
		if name == "" || name == n {
			wanted = append(wanted, f.feeds[n])
		}
	}
	f.mu.Unlock()
	if name != "" && len(wanted) == 0 {
		return fmt.Errorf("there is no feed %.80q", name)
	}
	var errs []error
	for _, one := range wanted {
		if err := f.fetch(ctx, one, true); err != nil {
			errs = append(errs, fmt.Errorf("feed %s: %w", one.source.key, err))
		}
	}
	return errors.Join(errs...)
}

// fetch fetches one feed, unless it is none any more.
func (f *Feeds) fetch(ctx context.Context, one *feed, force bool) error {
	f.working.Lock()
	defer f.working.Unlock()
	src := one.source
	if !f.inUse(one) {
		return nil
	}
	var next remembered
	var err error
	if l := f.shelf.current(src.key); l != nil && strings.HasPrefix(l.Scenario, subscribed) {
		err = errors.New("there is a list of that name from the Central API; give the feed another one")
	} else {
		next, err = f.shelf.update(ctx, src, force)
	}
	now := f.o.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		one.problem, one.failed = err.Error(), now
		one.due.failed(now, err)
		if ctx.Err() == nil {
			f.o.Logger.Warn("feed: what was in force stays, will be tried again", zap.String("list", src.key), zap.Error(err), zap.Time("next", one.due.due))
		}
		return err
	}
	one.known, one.problem, one.failed = next, "", time.Time{}
	one.due.done(now, src.every, 0.1)
	return nil
}

func (f *Feeds) inUse(one *feed) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.feeds[one.source.key] == one
}

// sweep drops the lists of feeds that are no more. What cannot be dropped now is tried
// again.
func (f *Feeds) sweep() {
	f.working.Lock()
	defer f.working.Unlock()
	now := f.o.Now()
	if !f.sweeping.ready(now) {
		return
	}
	f.mu.Lock()
	swept, feeds := f.swept, f.feeds
	f.swept = true
	f.mu.Unlock()
	if swept {
		return
	}
	err := f.dropOthers(feeds)
	if err == nil {
		f.sweeping = schedule{}
		return
	}
	f.sweeping.failed(now, err)
	f.mu.Lock()
	f.swept = false
	f.mu.Unlock()
	f.o.Logger.Warn("feeds: a list that is no feed's any more stays for now, will be tried again", zap.Error(err), zap.Time("next", f.sweeping.due))
}

// former are the names of what this node fetched and is none of these feeds.
func (f *Feeds) former(feeds map[string]*feed) (names []string, err error) {
	err = f.o.DB.Each(feedBucket, "", func(key string, _ []byte) error {
		if feeds[key] == nil {
			names = append(names, key)
		}
		return nil
	})
	return names, err
}

// dropOthers drops the lists of feeds that are not among these, unless somebody else has
// replaced them since. What is known of one stays until its list is dropped.
func (f *Feeds) dropOthers(feeds map[string]*feed) error {
	gone, err := f.former(feeds)
	errs := []error{err}
	for _, name := range gone {
		known, err := f.shelf.recall(feedBucket, name)
		if l := f.shelf.current(name); err == nil && l != nil && l.Version == known.Version {
			err = f.shelf.drop(name)
		}
		if err == nil {
			err = f.o.DB.Delete(feedBucket, name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Status tells how it goes with each feed, by name.
func (f *Feeds) Status() []FeedStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]FeedStatus, 0, len(f.feeds))
	for _, name := range slices.Sorted(maps.Keys(f.feeds)) {
		one := f.feeds[name]
		s := FeedStatus{ListStatus: ListStatus{Name: name, Type: one.source.head.Type, Problem: one.problem}, Next: one.due.due, FailedAt: one.failed}
		f.shelf.fill(&s.ListStatus, one.known)
		out = append(out, s)
	}
	return out
}
