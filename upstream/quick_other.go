//go:build !linux

package upstream

import (
	"context"
	"net"
	"time"
)

// Quick exists on Linux only.
type Quick struct {
	net.Conn
	Starved bool
}

// Quick returns false: all addresses need DialAt.
func (d *Dialer) Quick(*Quick, Address) (began bool, err error) { return false, nil }

// Flush is never called.
func (q *Quick) Flush() (sent bool, err error) { return true, nil }

// Receive is never called.
func (q *Quick) Receive([]byte) (got []byte, news bool) { return nil, false }

// Got is never called.
func (q *Quick) Got() []byte { return nil }

// Keep is never called.
func (q *Quick) Keep() {}

// Wait is never called.
func (q *Quick) Wait(context.Context, *Server, time.Duration, time.Duration) (*Conn, error) {
	return nil, nil
}
