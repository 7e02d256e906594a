//go:build !linux

package journald

import "os/exec"

// dieWithParent can do nothing here: a child whose reader is gone ends by itself
// when it writes next.
func dieWithParent(*exec.Cmd) {}
