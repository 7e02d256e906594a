package localapi

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
)

// Tables of the Store. A row and its figures are apart, so that a figure that is
// written late, perhaps by another node, never brings a deleted row back.
const (
	tableBouncers = "lapi_bouncers"
	tablePulls    = "lapi_pulls"
	tableMachines = "lapi_machines"
	tablePushes   = "lapi_pushes"
	tableUsage    = "lapi_usage"
)

const (
	maxRows        = 100_000 // of bouncers, and of machines
	maxName        = 256     // bytes
	maxUnvalidated = 1_000   // machines that wait for somebody to validate them
	flushEvery     = 10 * time.Second
	expireEvery    = time.Minute
)

// Errors of the Registry's changes; they are in the chain of what is returned.
var (
	ErrExists  = errors.New("is there already")
	ErrUnknown = errors.New("does not exist")
	ErrFull    = errors.New("there is no room for more")
	ErrName    = errors.New("is no name: 1 to 256 bytes of printable text")
)

// Registry knows the bouncers and machines that may call, and what they told of
// themselves. All of it is in memory; rows are written to the Store as they change,
// figures (last calls, cursors, usage) at most every ten seconds a row and at Close.
// What a crash takes of a cursor makes a bouncer hear a few changes twice.
type Registry struct {
	store  Store
	now    func() time.Time
	logger *zap.Logger

	write sync.Mutex // serialises writes to the store; taken before mu

	mu       sync.Mutex // never held while the store works
	bouncers map[string]*bouncerRow
	keys     map[string]*bouncerRow            // by hash of the key
	further  map[string]map[string]*bouncerRow // rows for addresses, by group and name
	machines map[string]*machineRow
	waiting  int // machines not validated
	usage    map[string]*usageRow
	kept     int // bytes of all reports
	idle     Idle
	dirty    map[dirt]struct{} // figures that the store does not have yet
	failing  bool              // the last flush failed, and was logged

	stop chan struct{}
	done chan struct{}
	once sync.Once
}

// dirt is a figure that changed.
type dirt struct{ table, key string }

// OpenRegistry reads the tables and begins to keep them. An unreadable row is logged
// and left out; an error is one of the Store.
func OpenRegistry(s Store, now func() time.Time, logger *zap.Logger) (*Registry, error) {
	r := &Registry{
		store: s, now: now, logger: logger,
		bouncers: map[string]*bouncerRow{}, keys: map[string]*bouncerRow{}, further: map[string]map[string]*bouncerRow{},
		machines: map[string]*machineRow{}, usage: map[string]*usageRow{}, dirty: map[dirt]struct{}{},
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := r.load(); err != nil {
		s.Watch(nil)
		return nil, err
	}
	go r.keep()
	return r, nil
}

// load reads the tables. What others change meanwhile is newer than what is read, and
// is taken at the end.
func (r *Registry) load() error {
	var mu sync.Mutex
	var early []func()
	loading := true
	r.store.Watch(func(table, key string, value []byte) {
		mu.Lock()
		defer mu.Unlock()
		if loading {
			early = append(early, func() { r.take(table, key, value) })
			return
		}
		r.take(table, key, value)
	})
	for _, table := range []string{tableBouncers, tablePulls, tableMachines, tablePushes, tableUsage} {
		if err := r.store.Each(table, func(key string, value []byte) error {
			r.take(table, key, value)
			return nil
		}); err != nil {
			return fmt.Errorf("reading %s: %w", table, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, take := range early {
		take()
	}
	loading = false
	return nil
}

// take adopts what the store has, or what somebody else wrote there.
func (r *Registry) take(table, key string, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	switch table {
	case tableBouncers:
		err = r.takeBouncer(key, value)
	case tablePulls:
		err = r.takePulls(key, value)
	case tableMachines:
		err = r.takeMachine(key, value)
	case tablePushes:
		err = r.takePushes(key, value)
	case tableUsage:
		err = r.takeUsage(key, value)
	}
	if err != nil {
		r.logger.Warn("a row of the Local API is left out", zap.String("table", table), zap.String("row", key), zap.Error(err))
	}
}

// keep flushes and expires until Close.
func (r *Registry) keep() {
	defer close(r.done)
	flush, expire := time.NewTicker(flushEvery), time.NewTicker(expireEvery)
	defer flush.Stop()
	defer expire.Stop()
	for {
		select {
		case <-flush.C:
			r.flush()
		case <-expire.C:
			r.expire()
		case <-r.stop:
			return
		}
	}
}

// Close writes what is not written yet and ends. Closing twice is fine.
func (r *Registry) Close() error {
	r.once.Do(func() { close(r.stop) })
	<-r.done
	r.store.Watch(nil)
	return r.writeDirty()
}

// flush writes figures down, and says once that it cannot.
func (r *Registry) flush() {
	err := r.writeDirty()
	r.mu.Lock()
	again := r.failing
	r.failing = err != nil
	r.mu.Unlock()
	if err != nil && !again {
		r.logger.Warn("figures of bouncers and machines cannot be written; they are tried again", zap.Error(err))
	}
}

// writeDirty gives the store every figure that changed. What fails stays dirty.
func (r *Registry) writeDirty() error {
	r.write.Lock()
	defer r.write.Unlock()
	batches := r.encodeDirty()
	var errs []error
	for table, values := range batches {
		if err := r.putAll(table, values); err != nil {
			errs = append(errs, fmt.Errorf("writing %s: %w", table, err))
			r.soil(table, values)
		}
	}
	return errors.Join(errs...)
}

func (r *Registry) encodeDirty() map[string]map[string][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	batches := map[string]map[string][]byte{}
	for d := range r.dirty {
		v := r.encodeFigures(d)
		if v == nil {
			continue // the row is gone
		}
		if batches[d.table] == nil {
			batches[d.table] = map[string][]byte{}
		}
		batches[d.table][d.key] = v
	}
	clear(r.dirty)
	return batches
}

func (r *Registry) encodeFigures(d dirt) []byte {
	switch d.table {
	case tablePulls:
		if b := r.bouncers[d.key]; b != nil {
			return b.encodePulls()
		}
	case tablePushes:
		if m := r.machines[d.key]; m != nil {
			return m.encodePushes()
		}
	case tableUsage:
		if u := r.usage[d.key]; u != nil {
			return u.encode()
		}
	}
	return nil
}

func (r *Registry) putAll(table string, values map[string][]byte) error {
	if b, ok := r.store.(batcher); ok {
		return b.PutAll(table, values)
	}
	var errs []error
	for key, v := range values {
		errs = append(errs, r.store.Put(table, key, v))
	}
	return errors.Join(errs...)
}

func (r *Registry) soil(table string, values map[string][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range values {
		r.dirty[dirt{table, key}] = struct{}{}
	}
}

func (r *Registry) setIdle(i Idle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = i
}

// checkName tells whether a row may have a name.
func checkName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return fmt.Errorf("%.40q %w", name, ErrName)
	}
	for _, c := range name {
		if !unicode.IsPrint(c) {
			return fmt.Errorf("%.40q %w", name, ErrName)
		}
	}
	return nil
}
