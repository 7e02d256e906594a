package firewall

import (
	"fmt"
	"time"
)

const (
	defaultTable      = "rampart"
	defaultPrefix6    = 64
	defaultMaxEntries = 1_000_000
	defaultCheckEvery = 30 * time.Second
	// repairEvery is the least time between two rebuilds, so that a program
	// which fights over the table costs little.
	repairEvery = 10 * time.Second
	// maxTableName leaves room for the suffixes in the kernel's 255 bytes.
	maxTableName = 200
)

// Options says how a Table works. The zero value is usable.
type Options struct {
	// DryRun records what would be written and writes nothing.
	DryRun bool
	// Table is the name of the table in family inet, of [a-z0-9_]; "rampart"
	// when empty. The name with _b appended belongs to us too: a rebuilt table
	// has the other of the two names.
	Table string
	// Owner asks for a table that other programs cannot change or flush while
	// this process lives and that stays when it dies (flags owner and persist,
	// Linux 6.9). An older kernel gets a plain table, watched all the same.
	Owner bool
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Report, if not nil, is called with each change of state. It is called
	// from the Table's own goroutine and must not call Close.
	Report func(Event)
	// IPv6Prefix widens the ban of one IPv6 address to the prefix of that
	// length, since a client usually holds a whole /64: 64 when 0; 128 keeps
	// the address. It is held within 16…128.
	IPv6Prefix int
	// MaxEntries bounds the entries of all maps; a million when 0. One more
	// puts out the entry with the shortest time left.
	MaxEntries int
	// CheckEvery is how often the table is compared with what was written,
	// besides the checks after each foreign change; 30 s when 0.
	CheckEvery time.Duration
}

// withDefaults returns o with every empty field filled in.
func (o Options) withDefaults() Options {
	if o.Table == "" {
		o.Table = defaultTable
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.IPv6Prefix == 0 {
		o.IPv6Prefix = defaultPrefix6
	}
	o.IPv6Prefix = min(max(o.IPv6Prefix, widest6), 128)
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultMaxEntries
	}
	if o.CheckEvery <= 0 {
		o.CheckEvery = defaultCheckEvery
	}
	return o
}

// CheckTable refuses names that nft could not read back.
func CheckTable(name string) error {
	if name == "" || len(name) > maxTableName {
		return fmt.Errorf("table name %q: must have 1 to %d characters", name, maxTableName)
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return fmt.Errorf("table name %q: may only hold a-z, 0-9 and _, and must not begin with a digit", name)
		}
	}
	return nil
}
