package carrier

import (
	"net"

	"starling/cluster/wire"
)

// lowWater has the kernel wake the reader of a peer only when there may be a frame to work on. A wake-up costs as much
// as a thousand bytes do, and a peer that sends byte by byte would cause one for each.
type lowWater struct {
	socket *net.TCPConn // nil: not to be set
	bytes  int          // that are set
}

// dribbleBytes is less than an honest peer has a read end with in the middle of a frame: it writes whole frames, and
// the network cuts them into packets.
const dribbleBytes = 64

// of takes a connection that is plain TCP. Beneath TLS the bytes on the socket are not those of frames.
func (w *lowWater) of(nc net.Conn) {
	w.bytes = 1 // the kernel's
	for {
		switch c := nc.(type) {
		case *net.TCPConn:
			w.socket = c
			return
		case interface{ Handshake() error }:
			return
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return
		}
	}
}

// follow is called after a read of n bytes with what is missing of the next frame. More than that is never waited for.
func (w *lowWater) follow(n, missing int) {
	want := min(missing, wire.MinFrameBytes)
	if n < dribbleBytes {
		want = min(missing, minReceiveBytes)
	}
	if w.socket == nil || want == w.bytes {
		return
	}
	if w.bytes = want; !setLowWater(w.socket, want) {
		w.socket = nil
	}
}
