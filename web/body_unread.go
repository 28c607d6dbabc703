package web

import (
	"errors"
	"io"
	"os"
	"time"

	"starling/web/h1"
)

// unreadGrace is how long an answer waits for the next piece of a body that nobody has asked for: longer than most ways
// there and back, and short enough for one who waits for a head before sending on.
const unreadGrace = 300 * time.Millisecond

// checkUnread looks at a body that no handler has asked for, before the answer goes out: nobody else would see that it
// is over client_max_body_size, where its length was not declared, or that there is one although it was declared empty,
// which HTTP/2 can show. A client that pauses gets its answer then: it may be waiting for that before it sends more.
func (r *Request) checkUnread() error {
	return r.lookUnread(r.limited)
}

// LimitUnread does so for a handler that words errors about bodies itself (Location.LimitsBody) and has no use for this
// one.
func (r *Request) LimitUnread() error {
	err := r.lookUnread(true)
	r.unreadFault = nil
	return err
}

func (r *Request) lookUnread(limited bool) error {
	limited = limited && r.Chunked && r.Location.Core.MaxBodyBytes > 0
	if !limited && (r.ContentLength != 0 || r.Version < h1.Version20) || r.bodyAsked || r.refused || r.expects ||
		r.wire.BodyDone() {
		return nil
	}
	err := r.discardBody(min(unreadGrace, r.Location.Core.LingeringTimeout))
	var problem *h1.Problem
	if errors.As(err, &problem) {
		r.unreadFault = err
		return err
	}
	if err != nil {
		r.keep = false // where the next request begins is not known
	}
	return nil
}

// DiscardBody reads what is left of the body and forgets it, as far as client_max_body_size and lingering_time allow.
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

// answerFault forgets an answer whose head did not go out because of checkUnread, and gives the status of another
// (ngx_http_clean_header), which may have an error page of its own.
func (r *Request) answerFault() Result {
	err := r.unreadFault
	r.unreadFault, r.errStatus, r.finished, r.inErrorPage = nil, 0, false, false
	r.Out = Response{Headers: r.Out.Headers[:0], ContentLength: -1, Status: 200}
	return r.ErrorStatus(err)
}
