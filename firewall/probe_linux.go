package firewall

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// features is what differs between kernels.
type features struct {
	owner   bool // a table can have an owner and outlive it (6.9); false also when not asked for
	destroy bool // removing what is not there can be no error (6.3)
	update  bool // adding an element again changes its time-out (6.12); before, it was ignored
}

func probeName(base string) string { return base + "_probe" }

// probe tries the features out in a table of its own, which it deletes.
func (k *kernel) probe(owner bool) (features, error) {
	var f features
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: probeName(k.base)}
	if err := k.dropProbe(t); err != nil {
		return f, err
	}
	if owner {
		owned := *t
		owned.Flags = nftables.TableFlagOwner | nftables.TableFlagPersist
		k.writer.AddTable(&owned)
		f.owner = k.flush() == nil
		if err := k.dropProbe(t); err != nil {
			return f, err
		}
	}
	set := &nftables.Set{Table: t, Name: "s", KeyType: nftables.TypeIPAddr, HasTimeout: true,
		KeyByteOrder: binaryutil.BigEndian}
	element := func(timeout time.Duration) []nftables.SetElement {
		return []nftables.SetElement{{Key: []byte{192, 0, 2, 1}, Timeout: timeout}}
	}
	k.writer.AddTable(t)
	if err := k.writer.AddSet(set, element(time.Minute)); err != nil {
		return f, errors.Join(err, k.flush())
	}
	if err := k.flush(); err != nil {
		return f, err
	}
	err := k.writer.SetAddElements(set, element(time.Hour))
	if err = errors.Join(err, k.flush()); err == nil {
		f.update = k.timeoutOf(set, element(0)) == time.Hour
	}
	err = k.writer.SetDestroyElements(set, []nftables.SetElement{{Key: []byte{192, 0, 2, 2}}})
	f.destroy = errors.Join(err, k.flush()) == nil
	return f, k.dropProbe(t)
}

// dropProbe deletes the probing table if there is one.
func (k *kernel) dropProbe(t *nftables.Table) error {
	k.writer.DelTable(t)
	if err := k.flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("deleting table inet %s: %w", t.Name, err)
	}
	return nil
}

// timeoutOf asks for one element; 0 if it cannot be found.
func (k *kernel) timeoutOf(s *nftables.Set, element []nftables.SetElement) time.Duration {
	k.reading.Lock()
	defer k.reading.Unlock()
	found, err := k.reader.FindSetElements(s, element)
	if err != nil || len(found) != 1 {
		return 0
	}
	return found[0].Timeout
}
