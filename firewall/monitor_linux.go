package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/nftables/binaryutil"
	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const nftablesGroup = unix.NFNLGRP_NFTABLES

// monitor listens for changes that others make to our tables.
type monitor struct {
	names [2]string
	own   uint32 // netlink port whose changes are ours
	conn  *netlink.Conn
	wake  func()
	done  chan struct{}

	mu    sync.Mutex
	found drift
}

// startMonitor begins to listen in the network namespace of the calling thread.
// wake is called, from the monitor's goroutine, when there is something to take.
func startMonitor(names [2]string, own uint32, wake func()) (*monitor, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	m := &monitor{names: names, own: own, conn: conn, wake: wake, done: make(chan struct{})}
	err = errors.Join(conn.SetReadBuffer(socketBuffer), m.ignoreOwn(), conn.JoinGroup(nftablesGroup))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go m.listen()
	return m, nil
}

// ignoreOwn has the kernel drop the messages about our own changes, so that a
// ban does not wake anybody. The sender's port is in the header, in the byte
// order of the machine; the filter reads it as big-endian.
func (m *monitor) ignoreOwn() error {
	const portOffset = 12
	port := binary.BigEndian.Uint32(binaryutil.NativeEndian.PutUint32(m.own))
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: portOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: port, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: ^uint32(0)},
	})
	if err != nil {
		return err
	}
	return m.conn.SetBPF(filter)
}

// take returns what was found since the last time.
func (m *monitor) take() drift {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.found
	m.found = drift{}
	return d
}

// stop ends the goroutine and waits for it.
func (m *monitor) stop() {
	// The error of closing is the listener's to see.
	_ = m.conn.Close()
	<-m.done
}

func (m *monitor) listen() {
	defer close(m.done)
	pending := "" // a change whose batch has not ended
	for {
		messages, err := m.conn.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			// Messages were lost; the check looks for what they told.
			m.wake()
			continue
		}
		if err != nil {
			return
		}
		for _, msg := range messages {
			if msg.Header.PID == m.own || msg.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(msg.Data) < 4 {
				continue
			}
			kind := msg.Header.Type & 0xff
			if kind == unix.NFT_MSG_NEWGEN {
				if pending != "" {
					m.note(drift{what: pending, by: writerOf(msg.Data[4:])})
					pending = ""
				}
				continue
			}
			if what := m.concerns(uint16(kind), msg.Data); what != "" && pending == "" {
				pending = what
			}
		}
	}
}

// note records a change and asks for a check.
func (m *monitor) note(d drift) {
	m.mu.Lock()
	if m.found.what == "" {
		m.found = d
	}
	m.mu.Unlock()
	m.wake()
}

// concerns describes a message that tells of a change to our tables; empty for
// others. The first attribute of every kind of object is its table's name.
func (m *monitor) concerns(kind uint16, data []byte) string {
	names := map[uint16]string{
		unix.NFT_MSG_DELTABLE: "table was deleted", unix.NFT_MSG_NEWTABLE: "table was changed",
		unix.NFT_MSG_DELCHAIN: "a chain was deleted", unix.NFT_MSG_NEWCHAIN: "a chain was added or changed",
		unix.NFT_MSG_DELRULE: "a rule was deleted", unix.NFT_MSG_NEWRULE: "a rule was added or changed",
		unix.NFT_MSG_DELSET: "a set was deleted", unix.NFT_MSG_NEWSET: "a set was added or changed",
		unix.NFT_MSG_DELSETELEM: "elements were deleted", unix.NFT_MSG_NEWSETELEM: "elements were added",
		unix.NFT_MSG_DELOBJ: "a counter was deleted",
	}
	what, ok := names[kind]
	if !ok || data[0] != unix.NFPROTO_INET {
		return ""
	}
	d, err := netlink.NewAttributeDecoder(data[4:])
	if err != nil {
		return ""
	}
	const tableName = unix.NFTA_TABLE_NAME
	for d.Next() {
		if d.Type() == tableName {
			name := d.String()
			if name == m.names[0] || name == m.names[1] {
				return fmt.Sprintf("table inet %s: %s", name, what)
			}
			return ""
		}
	}
	return ""
}

// writerOf reads who ended a generation of the ruleset.
func writerOf(attributes []byte) string {
	d, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return ""
	}
	d.ByteOrder = binary.BigEndian
	var (
		pid  uint32
		name string
	)
	for d.Next() {
		switch d.Type() {
		case unix.NFTA_GEN_PROC_PID:
			pid = d.Uint32()
		case unix.NFTA_GEN_PROC_NAME:
			name = d.String()
		}
	}
	if pid == 0 && name == "" {
		return ""
	}
	return fmt.Sprintf("%s[%d]", strings.ToValidUTF8(name, "?"), pid)
}
