//go:build !linux

package hangups

import (
	"errors"
	"syscall"
)

// Watcher is of no use on this system.
type Watcher struct{}

// New says so.
func New() (*Watcher, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Watcher) Close() error { return nil }

// Add refuses.
func (*Watcher) Add(syscall.RawConn, func()) (uint64, error) { return 0, errors.ErrUnsupported }

// Remove does nothing.
func (*Watcher) Remove(uint64) {}
