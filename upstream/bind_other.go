//go:build !linux

package upstream

import "syscall"

// bindWithoutPort does nothing: only Linux has the option.
func bindWithoutPort(_, _ string, _ syscall.RawConn) error { return nil }
