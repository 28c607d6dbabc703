//go:build !linux

package carrier

import (
	"net"
	"syscall"
	"time"
)

func beforeConnect(_, _ string, _ syscall.RawConn) error { return nil }

func setOptions(net.Conn, time.Duration) {}

func setLowWater(*net.TCPConn, int) bool { return false }
