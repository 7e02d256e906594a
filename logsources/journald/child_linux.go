package journald

import (
	"os/exec"
	"syscall"
)

// dieWithParent lets the kernel end the child when the thread that starts it is
// gone, so that no journalctl outlives a killed process.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
