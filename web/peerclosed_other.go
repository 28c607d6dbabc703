//go:build !linux

package web

import "golang.org/x/sys/unix"

// peerClosed is the event of a closed connection; only Linux detects that the peer closed only its write side.
const peerClosed = unix.POLLHUP
