//go:build !linux

package web

import "golang.org/x/sys/unix"

// peerClosed is the event of a connection that is closed; that the peer only sends no more is seen by Linux alone.
const peerClosed = unix.POLLHUP
