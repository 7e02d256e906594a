//go:build !linux

package firewall

import (
	"context"
	"fmt"
	"iter"
	"runtime"
)

// kernel stands for nftables where there is none: it cannot be opened, so that
// a Table stays in dry-run.
type kernel struct{}

func unsupported() error { return fmt.Errorf("%w: this is %s", ErrUnsupported, runtime.GOOS) }

func openKernel(Options, *counters, func()) (*kernel, error) { return nil, unsupported() }

func (*kernel) name() string                        { return "" }
func (*kernel) owner() bool                         { return false }
func (*kernel) replace(context.Context, plan) error { return unsupported() }
func (*kernel) verify(plan) (drift, error)          { return drift{}, unsupported() }
func (*kernel) close(bool) error                    { return nil }

func (*kernel) apply(context.Context, iter.Seq[change], plan) (int, error) { return 0, unsupported() }

// CleanUp deletes what a dead process left of the table of that name. There is
// no nftables on this system: it returns ErrUnsupported.
func CleanUp(string) error { return unsupported() }
