package web

import (
	"errors"
	"io"
	"os"
	"time"

	"starling/web/h1"
)

// unreadGrace is how long a response waits for the next piece of an unread body: longer than most round trips, and
// short enough for a client that waits for a head before it sends more.
const unreadGrace = 300 * time.Millisecond

// checkUnread checks a body that no handler has read before the response is sent: nothing else would detect that it
// exceeds client_max_body_size, if its length was not declared, or that there is one although it was declared empty,
// which is possible in HTTP/2. A client that pauses gets its response then: it may be waiting for it before it sends
// more.
func (r *Request) checkUnread() error {
	return r.lookUnread(r.limited)
}

// LimitUnread does so for a handler that formats errors about bodies itself (Location.LimitsBody) and does not need
// this one.
func (r *Request) LimitUnread() error {
	err := r.lookUnread(true)
	r.unreadFault = nil
	return err
}

func (r *Request) lookUnread(limited bool) error {
	limited = limited && r.Chunked && r.Location.Core.MaxBodyBytes > 0
	if !limited && (r.ContentLength != 0 || r.Version < h1.Version20) || r.bodyLent || r.bodyAsked || r.refused ||
		r.expects || r.wire.BodyDone() {
		return nil
	}
	err := r.discardBody(min(unreadGrace, r.Location.Core.LingeringTimeout))
	var problem *h1.Problem
	if errors.As(err, &problem) {
		r.unreadFault = err
		return err
	}
	if err != nil {
		r.keep = false // the start of the next request is unknown
	}
	return nil
}

// DiscardBody reads and drops the rest of the body, as far as client_max_body_size and lingering_time allow.
func (r *Request) DiscardBody() error { return r.discardBody(r.Location.Core.LingeringTimeout) }

func (r *Request) discardBody(between time.Duration) error {
	end := time.Now().Add(r.Location.Core.LingeringTime)
	scratch := h1.TakeSlab(arenaSlabBytes)
	defer scratch.GiveBack()
	for !r.wire.BodyDone() {
		left := time.Until(end)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		n, err := r.wire.ReadBody(r, scratch.Mem, min(left, between))
		if err = r.checkBody(n, err); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// answerFault drops a response whose head was not sent because of checkUnread, and returns another status
// (ngx_http_clean_header), which can have an error page of its own.
func (r *Request) answerFault() Result {
	err := r.unreadFault
	r.unreadFault, r.errStatus, r.finished, r.inErrorPage = nil, 0, false, false
	r.Out = Response{Headers: r.Out.Headers[:0], ContentLength: -1, Status: 200}
	return r.ErrorStatus(err)
}
