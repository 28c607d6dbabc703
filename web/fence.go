package web

import (
	"context"
	"time"

	"starling/side"
)

// Context ends when the site is closed by force, or the request's fence falls.
func (r *Request) Context() context.Context {
	if r.fence != nil {
		return r.fence.Context()
	}
	return r.Conn.site.context
}

// sleep returns true after d, false if the request's context ends before.
func (r *Request) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// Fence is the one in which the request is served, nil for most.
func (r *Request) Fence() *side.Fence { return r.fence }

// Enclose puts the request into a fence, with all that it starts from now on. If that falls, the client's connection
// ends; with HTTP/2, all of its streams.
func (r *Request) Enclose() *side.Fence {
	if r.fence == r.Conn.fence {
		r.fence, r.fences = side.NewFence(r.Context(), r.Conn.raw), true
	}
	return r.fence
}
