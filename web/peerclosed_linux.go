package web

import "golang.org/x/sys/unix"

// peerClosed is the event of a peer that sends no more.
const peerClosed = unix.POLLRDHUP
