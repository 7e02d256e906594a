package firewall

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// instance keeps a second process from working on the same table: a socket
// with an abstract name, which is known in exactly one network namespace, as
// tables are, and which the kernel takes back when the process dies.
type instance struct {
	fd int
}

// claim takes the name of a table, or returns ErrOwned naming who has it.
func claim(table string) (*instance, error) {
	name := &unix.SockaddrUnix{Name: "@rampart-firewall/" + table}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("claiming table inet %s: %w", table, err)
	}
	err = unix.Bind(fd, name)
	if err == nil {
		// Listening lets others ask the kernel who we are.
		if err = unix.Listen(fd, unix.SOMAXCONN); err == nil {
			return &instance{fd}, nil
		}
	}
	errClose := unix.Close(fd)
	if !errors.Is(err, unix.EADDRINUSE) {
		return nil, errors.Join(fmt.Errorf("claiming table inet %s: %w", table, err), errClose)
	}
	cred, err := askPeer(name)
	if errors.Is(err, unix.ECONNREFUSED) || err == nil && cred.Uid != 0 && cred.Uid != uint32(os.Geteuid()) {
		// No Rampart, or one that cannot be privileged: anybody may take such a
		// name, and that must not switch the firewall off.
		return nil, nil
	}
	if err != nil || cred.Pid == 0 {
		return nil, fmt.Errorf("table inet %s: %w; stop that process first", table, ErrOwned)
	}
	return nil, fmt.Errorf("table inet %s: %w (pid %d%s); stop that process first",
		table, ErrOwned, cred.Pid, processOf(uint32(cred.Pid)))
}

// askPeer returns the credentials of who listens at name.
func askPeer(name unix.Sockaddr) (*unix.Ucred, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Connect(fd, name); err != nil {
		return nil, err
	}
	return unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
}

// release gives the name back.
func (i *instance) release() {
	if i != nil {
		_ = unix.Close(i.fd)
	}
}

// processOf returns ", name" of the process with that id, if there is one. The
// port of a process's first netlink socket is its process id.
func processOf(pid uint32) string {
	name, err := os.ReadFile(filepath.Join("/proc", strconv.FormatUint(uint64(pid), 10), "comm"))
	if err != nil {
		return ""
	}
	return ", " + strings.TrimSpace(string(name))
}
