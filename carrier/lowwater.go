package carrier

import (
	"net"

	"starling/cluster/wire"
)

// lowWater makes the kernel wake the reader of a peer only when there may be a frame to handle. A wake-up costs as much
// as a thousand bytes do, and a peer that sends byte by byte would cause one for each.
type lowWater struct {
	socket *net.TCPConn // nil: do not set it
	bytes  int          // that are set
}

// dribbleBytes is less than an honest peer ever ends a read with inside a frame: it writes whole frames, and the
// network cuts them into packets.
const dribbleBytes = 64

// of returns the lowWater of a plain TCP connection. Under TLS the bytes on the socket are not those of frames.
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

// follow is called after a read of n bytes with the missing bytes of the next frame. It never waits for more than that.
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
