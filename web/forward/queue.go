package forward

import "starling/upstream"

// queue waits in the group's queue until a server takes the request, or its client leaves (errClientLeft).
func (x *Exchange) queue() (*upstream.Server, error) {
	left := make(chan struct{}, 1)
	watches := !x.staysAlone()
	if watches {
		x.Request.Watch(wakeQueued, left)
		defer x.Request.Unwatch()
	}
	if fence := x.Request.Fence(); fence != nil {
		defer fence.Hold(func() { wakeQueued(left) })()
	}
	for {
		// Where the system cannot watch the client, it is looked for from time to time.
		server, err := x.attempt.Await(left, laterGlance)
		if err != upstream.ErrInterrupted {
			return server, err
		}
		if watches && x.Request.ClientLeft() || x.fenced() {
			x.attempt.Leave(x.Request.Now())
			return nil, errClientLeft
		}
	}
}

// wakeQueued makes a request in a queue check its client.
func wakeQueued(left any) {
	select {
	case left.(chan struct{}) <- struct{}{}:
	default:
	}
}
