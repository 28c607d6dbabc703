package forward

import "starling/logs"

// A request in a fence (web.Request.Enclose) ends as if its client had left when that falls, even if it would go on
// without its client: the fence closes the connection to the server, and no other one is tried.

// fenced reports whether the fence of the request has fallen.
func (x *Exchange) fenced() bool { return x.Request.Fence().Fallen() }

// enclose puts the connection of the current try into the request's fence, if it has one.
func (x *Exchange) enclose() {
	if fence := x.Request.Fence(); fence != nil {
		x.letGo = fence.Hold(x.conn.Discard)
		if fence.Fallen() {
			x.conn.Discard() // before anything is sent
		}
	}
}

// release takes the connection out of the fence. It returns false if that has fallen: the connection is closed.
func (x *Exchange) release() (open bool) {
	letGo := x.letGo
	x.letGo = nil
	return letGo == nil || letGo()
}

// endFenced is the verdict on a try that the fence has ended.
func (x *Exchange) endFenced() (verdict, int) {
	x.Logf(logs.Info, "request was ended by a strict limit while %s", x.doing)
	return tryClientLeft, statusClientClosed
}
