//go:build !linux

package redistest

import "syscall"

func endsWithParent() *syscall.SysProcAttr { return nil }
