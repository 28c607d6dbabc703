//go:build !linux

package socketwatch

import (
	"errors"
	"syscall"
)

// Watcher has no function on this system.
type Watcher struct{}

// New says so.
func New() (*Watcher, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Watcher) Close() error { return nil }

// Hangup refuses.
func (*Watcher) Hangup(syscall.RawConn, func()) (uint64, error) { return 0, errors.ErrUnsupported }

// Arrivals refuses.
func (*Watcher) Arrivals(syscall.RawConn, func()) (uint64, error) { return 0, errors.ErrUnsupported }

// Remove does nothing.
func (*Watcher) Remove(uint64) {}
