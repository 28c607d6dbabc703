//go:build !linux

package web

// TCPInfo is known only on Linux.
func (r *Request) TCPInfo() (TCPInfo, bool) { return TCPInfo{}, false }
