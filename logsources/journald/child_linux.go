package journald

import (
	"os/exec"
	"syscall"
)

// dieWithParent lets the kernel end the child when the thread that starts it is
// gone, so that no journalctl outlives a killed process. The child has a process
// group of its own: it ends as a whole, and not by an interrupt from a terminal
// that is meant for us.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
