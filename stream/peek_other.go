//go:build !linux

package stream

import "net"

// peek needs what only Linux is known to do; elsewhere bytes are read ahead.
func peek(net.Conn, []byte, int) (n int, can bool, err error) { return 0, false, nil }
