package cycle

import (
	"golang.org/x/sys/unix"

	"starling/plan"
)

// Plan lets tests see what a configuration is made of.
func (c *Cycle) Plan() *plan.Plan { return c.plan }

// OnGiveBack lets tests see when memory is given back. Call it before the first Run.
func (h *Host) OnGiveBack(f func()) { h.giveBack = f }

// LookAtMemory is a look at the zones between those of each second.
func (h *Host) LookAtMemory() { h.lookAtMemory() }

// Datagrams are the UDP sessions.
func (h *Host) Datagrams() int64 { return h.datagrams.Sessions() }

// CountSession has each UDP session count as so many bytes. Call it before the first Run.
func (h *Host) CountSession(bytes int64) { h.sessionBytes = bytes }

// PacketBuffers are the sizes of the kernel's buffers of a UDP socket.
func (h *Host) PacketBuffers() (receive, send int) {
	for _, l := range h.listeners {
		if l.packets == nil {
			continue
		}
		raw, err := l.packets.SyscallConn()
		if err != nil {
			return 0, 0
		}
		if err := raw.Control(func(fd uintptr) {
			receive, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
			send, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		}); err != nil {
			return 0, 0
		}
	}
	return receive, send
}
