package firewall

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// socketBuffer holds a batch and the kernel's answers to it.
	socketBuffer = 8 << 20
	// batchSize is how many elements go into one transaction: fewer cost more
	// CPU per element, more cost memory and keep others from changing nftables.
	batchSize = 5000
)

// kernel is our side of nftables. All but its counters is used by the writer
// alone.
//
// It writes through one netlink socket that lives as long as it does, since the
// owner flag ties a table to a socket, and reads through another one.
type kernel struct {
	base      string // Options.Table
	writer    *nftables.Conn
	writerRaw *netlink.Conn
	can       features
	flags     nftables.TableFlags
	active    *ruleset // nil before the first replace
	monitor   *monitor
	counters  *counters
	instance  *instance

	reading   sync.Mutex // one request at a time on reader
	reader    *nftables.Conn
	readerRaw *netlink.Conn
}

// openKernel connects to nftables in the network namespace of the calling
// thread, makes sure that no other process works on the table, and finds out
// what the kernel can do. It changes nothing that lasts.
func openKernel(o Options, c *counters, wake func()) (*kernel, error) {
	k := &kernel{base: o.Table, counters: c}
	if err := k.open(o, wake); err != nil {
		k.disconnect()
		return nil, err
	}
	return k, nil
}

// connect opens the two sockets and the name of the table, in that order: who
// lacks the privilege is told so.
func (k *kernel) connect() (err error) {
	if k.writer, k.writerRaw, err = dial(); err != nil {
		return err
	}
	if k.reader, k.readerRaw, err = dial(); err != nil {
		return err
	}
	if _, err = k.owned(); err != nil {
		return err
	}
	k.instance, err = claim(k.base)
	return err
}

func (k *kernel) open(o Options, wake func()) (err error) {
	if err = k.connect(); err != nil {
		return err
	}
	if k.can, err = k.probe(o.Owner); err != nil {
		return fmt.Errorf("probing nftables: %w", err)
	}
	if k.can.owner {
		k.flags = nftables.TableFlagOwner | nftables.TableFlagPersist
	}
	if k.monitor, err = startMonitor(k.names(), k.writerRaw.PID(), wake); err != nil {
		return fmt.Errorf("listening for nftables changes: %w", err)
	}
	return nil
}

// dial opens one lasting netlink socket with buffers for a batch. The library
// would enlarge them by itself, but then it does not show the socket.
func dial() (*nftables.Conn, *netlink.Conn, error) {
	var raw *netlink.Conn
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		raw = c
		return errors.Join(c.SetWriteBuffer(socketBuffer), c.SetReadBuffer(socketBuffer))
	}))
	if err != nil {
		if raw != nil {
			return nil, nil, errors.Join(fmt.Errorf("connecting to nftables: %w", classify(err)), raw.Close())
		}
		return nil, nil, fmt.Errorf("connecting to nftables: %w", classify(err))
	}
	return conn, raw, nil
}

// classify gives the errors of the first contact with nftables a name.
func classify(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (%w)", ErrNoPrivilege, err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT),
		errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w (%w)", ErrUnsupported, err)
	}
	return err
}

// names returns the two names a table of ours can have.
func (k *kernel) names() [2]string {
	return [2]string{k.base, alternate(k.base, k.base)}
}

// name returns the present one.
func (k *kernel) name() string {
	if k.active == nil {
		return ""
	}
	return k.active.table.Name
}

// owner reports whether the owner flag protects the table.
func (k *kernel) owner() bool { return k.can.owner }

// owned returns the tables that have our names, and ErrOwned if a live process
// holds one of them.
func (k *kernel) owned() ([]*nftables.Table, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	all, err := k.reader.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("listing nftables tables: %w", classify(err))
	}
	var ours []*nftables.Table
	for _, t := range all {
		names := k.names()
		if t.Name != names[0] && t.Name != names[1] && t.Name != probeName(k.base) {
			continue
		}
		if t.Owner != 0 && t.Owner != k.writerRaw.PID() {
			return nil, fmt.Errorf("table inet %s: %w (netlink port %d%s); stop that process first",
				t.Name, ErrOwned, t.Owner, processOf(t.Owner))
		}
		ours = append(ours, t)
	}
	return ours, nil
}

// flush sends what is queued. EPERM can only mean the owner flag of another
// process here: that we may change nftables is known since openKernel.
func (k *kernel) flush() error {
	err := k.writer.Flush()
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (%w)", ErrOwned, err)
	}
	return err
}

// apply writes changes in transactions of at most batchSize, and tells how many it
// wrote. A failed one leaves the earlier ones in place.
func (k *kernel) apply(ctx context.Context, changes iter.Seq[change], p plan) (written int, err error) {
	var batch []change
	write := func() error {
		err := ctx.Err()
		if err == nil {
			err = k.applyBatch(batch, p)
		}
		if err == nil {
			written += len(batch)
		}
		batch = batch[:0]
		return err
	}
	for c := range changes {
		if batch = append(batch, c); len(batch) == batchSize {
			if err := write(); err != nil {
				return written, err
			}
		}
	}
	if len(batch) > 0 {
		err = write()
	}
	return written, err
}

func (k *kernel) applyBatch(changes []change, p plan) error {
	rs := k.active
	var missing []width
	seen := make(map[width]bool)
	for _, c := range changes {
		if _, ok := rs.maps[c.key.width]; !ok && c.op != opRemove && !seen[c.key.width] {
			seen[c.key.width] = true
			missing = append(missing, c.key.width)
		}
	}
	if err := k.addMaps(rs, missing, p.sizes); err != nil {
		return err
	}
	for _, w := range missing {
		rs.addMapRule(k.writer, w)
	}
	rs.addOrigins(k.writer, len(p.origins))
	gone, added := newElements(len(changes)), newElements(len(changes))
	now := p.now()
	for _, c := range changes {
		again := c.op == opReplace || c.op == opExtend && !k.can.update
		if c.op == opRemove || again {
			gone.add(c.key, 0, 0)
		}
		if left, ok := timeout(c.until, now); ok && c.op != opRemove {
			added.add(c.key, c.origin, left)
		}
	}
	remove := k.writer.SetDeleteElements
	if k.can.destroy {
		remove = k.writer.SetDestroyElements
	}
	if err := errors.Join(gone.send(rs, remove), added.send(rs, k.writer.SetAddElements)); err != nil {
		return errors.Join(err, k.flush())
	}
	return k.flush()
}

// close deletes the table, or leaves it to run out, and disconnects.
func (k *kernel) close(keep bool) error {
	var err error
	if k.active != nil && !keep {
		k.writer.DelTable(k.active.table)
		if err = k.flush(); errors.Is(err, unix.ENOENT) {
			err = nil
		}
	}
	k.disconnect()
	return err
}

// disconnect closes whatever is open.
func (k *kernel) disconnect() {
	if k.monitor != nil {
		k.monitor.stop()
	}
	for _, c := range []*nftables.Conn{k.writer, k.reader} {
		if c != nil {
			// Closing a netlink socket gives no error that anyone could act on.
			_ = c.CloseLasting()
		}
	}
	k.instance.release()
}

// CleanUp deletes what a dead process left of the table of that name. It
// returns ErrOwned if the process lives.
func CleanUp(table string) error {
	if err := CheckTable(table); err != nil {
		return err
	}
	k := &kernel{base: table}
	defer k.disconnect()
	if err := k.connect(); err != nil {
		return err
	}
	ours, err := k.owned()
	if err != nil {
		return err
	}
	for _, t := range ours {
		k.writer.DelTable(t)
	}
	if err := k.flush(); err != nil {
		return fmt.Errorf("deleting table inet %s: %w", table, err)
	}
	return nil
}
