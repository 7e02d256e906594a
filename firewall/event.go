package firewall

import "errors"

// Errors of the whole table. After any of them the Table works in dry-run.
var (
	// ErrNoPrivilege says that the process may not change nftables.
	ErrNoPrivilege = errors.New("nftables needs CAP_NET_ADMIN, which this process does not have: " +
		"add AmbientCapabilities=CAP_NET_ADMIN to the systemd unit, or run setcap cap_net_admin+ep on the binary, " +
		"or start the container with --cap-add NET_ADMIN and the network of the host; " +
		"until then bans are recorded but no packet is dropped")
	// ErrUnsupported says that there is no nftables here.
	ErrUnsupported = errors.New("nftables is not available on this system: it needs Linux with the nf_tables module")
	// ErrOwned says that a live process holds the table.
	ErrOwned = errors.New("the firewall table belongs to another running process")
	// ErrClosed is the answer of every change after Close.
	ErrClosed = errors.New("the firewall table is closed")
)

// Modes of a Table.
const (
	ModeNftables = "nftables"
	ModeDryRun   = "dry-run"
)

// EventKind names a change of state.
type EventKind string

// The kinds of events.
const (
	EventStarted  EventKind = "started"  // the table is in the kernel
	EventDryRun   EventKind = "dry-run"  // the table is not in the kernel; Err says why, nil if asked for
	EventWould    EventKind = "would"    // dry-run: Added and Removed entries would have been written
	EventDrift    EventKind = "drift"    // somebody changed the table, see Text and By
	EventRepaired EventKind = "repaired" // the table was rebuilt
	EventFailed   EventKind = "failed"   // writing failed, see Err; it is tried again
	EventEvicting EventKind = "evicting" // MaxEntries is reached; said once until there is room again
)

// Event is a change of state, for the log.
type Event struct {
	Kind           EventKind
	Text           string
	Err            error
	Added, Removed int    // entries
	Entries        int    // entries after the event
	By             string // who changed the table, as "name[pid]", if known
}

// Traffic counts dropped packets.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Stats is the state of a Table; counts run from New.
type Stats struct {
	Mode    string // ModeNftables or ModeDryRun
	Table   string // the table's present name; empty in dry-run
	Owner   bool   // the table is protected by the owner flag
	Entries int    // live entries

	Dropped map[string]Traffic // by origin; from the kernel's counters

	Written       int64 // entries added, changed or removed in the kernel by Set, Add and Remove
	Refused       int64 // bans with a bad prefix
	Lapsed        int64 // bans that were over when they arrived
	Evicted       int64 // entries put out, or not taken in, because of MaxEntries
	Repairs       int64 // rebuilds after somebody changed the table or a write failed
	Errors        int64 // failed writes and checks
	ReportsMissed int64 // events dropped because Report was too slow
}
