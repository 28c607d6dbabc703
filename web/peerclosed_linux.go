package web

import "golang.org/x/sys/unix"

// peerClosed is the event of a peer that closed its write side.
const peerClosed = unix.POLLRDHUP
