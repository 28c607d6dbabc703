package web

import (
	"time"

	"starling/web/h1"
)

// maxLingerBytes bounds what lingering reads.
const maxLingerBytes = 256 << 20

// linger closes the sending side and reads for a while: data that arrives at a closed socket would make the kernel
// reset the connection, and the client might lose the response.
func (c *Conn) linger(core *Settings) {
	conn := c.Net
	if c.plainToTLS {
		conn = c.raw // the wrapper for the handshake cannot close one side
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	end := time.Now().Add(core.LingeringTime)
	scratch := h1.TakeSlab(arenaSlabBytes)
	defer scratch.GiveBack()
	for n := 0; n < maxLingerBytes && time.Now().Before(end); {
		c.raw.SetReadDeadline(earlier(end, time.Now().Add(core.LingeringTimeout)))
		got, err := c.raw.Read(scratch.Mem)
		if err != nil {
			return
		}
		n += got
	}
}
