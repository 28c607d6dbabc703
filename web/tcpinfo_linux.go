package web

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// TCPInfo returns what the kernel knows of the client's connection; false if it is not TCP.
func (r *Request) TCPInfo() (TCPInfo, bool) {
	socket, ok := r.Conn.whole.raw.(syscall.Conn)
	if !ok {
		return TCPInfo{}, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return TCPInfo{}, false
	}
	var info *unix.TCPInfo
	controlErr := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if controlErr != nil || err != nil {
		return TCPInfo{}, false // closed, or a Unix socket
	}
	return TCPInfo{
		RTTMicros: info.Rtt, RTTVarianceMicros: info.Rttvar, SendWindowSegments: info.Snd_cwnd,
		ReceiveSpaceBytes: info.Rcv_space,
	}, true
}
