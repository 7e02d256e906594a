package redistest

import "syscall"

// endsWithParent has the kernel end the process when the test binary is killed.
func endsWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
