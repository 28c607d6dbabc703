package upstream

import (
	"time"

	"starling/logs"
	servers "starling/upstream"
	stick "starling/upstream/sticky"
	"starling/vars"
	"starling/web"
)

// firstValue appends the first value that is not empty: only that one counts, even if it selects no server.
func firstValue(r *web.Request, dst []byte, from []*vars.Use[*web.Request]) []byte {
	for _, u := range from {
		value, ok := u.Append(dst, r)
		if ok && len(value) > len(dst) {
			return value
		}
	}
	return dst
}

// byRoute is `sticky route`: the request itself names the server.
type byRoute struct{ lookup []*vars.Use[*web.Request] }

func (s *byRoute) AppendWanted(r *web.Request, dst []byte) ([]byte, bool) {
	wanted := firstValue(r, dst, s.lookup)
	return wanted, len(wanted) > len(dst)
}

func (*byRoute) Picked(*web.Request, *servers.Server)   {}
func (*byRoute) Accepted(*web.Request, *servers.Server) {}
func (*byRoute) Ended(*web.Request, *servers.Server)    {}

func (c *cookie) AppendWanted(r *web.Request, dst []byte) ([]byte, bool) {
	wanted, ok := c.lookup.Append(dst, r)
	return wanted, ok && len(wanted) > len(dst)
}

// Picked remembers the server for the filter: the cookie names the last server that was tried, whatever the result.
func (c *cookie) Picked(r *web.Request, s *servers.Server) {
	*r.Slot(*c.slot) = web.Slot{Data: s, Number: c.number}
}

func (*cookie) Accepted(*web.Request, *servers.Server) {}
func (*cookie) Ended(*web.Request, *servers.Server)    {}

// buildCookieFilter makes the filter that sends the cookies, in configurations that have any.
func buildCookieFilter(b *web.Block) (web.Filter, error) {
	d := declared(b.Plan)
	if len(d.cookies) == 0 {
		return nil, nil
	}
	return func(r *web.Request) web.Body {
		picked := r.Slot(d.slot)
		if picked.Number == 0 {
			return nil
		}
		c := d.cookies[picked.Number-1]
		sameSite := r.Copy(r.Expand(&c.sameSite))
		if len(sameSite) > 0 && !stick.ValidSameSite(string(sameSite)) {
			sameSite = strict
		}
		domain := r.Copy(r.Expand(&c.domain))
		value := c.AppendSetCookie(
			r.Scratch(),
			append(r.Alloc(usualBytes)[:0], picked.Data.(*servers.Server).SessionID()...),
			domain,
			sameSite,
			wallTime(r),
		)
		r.AddHeader(setCookie, r.Copy(value))
		return nil
	}, nil
}

var (
	setCookie = []byte("Set-Cookie")
	strict    = []byte("strict")
)

func wallTime(r *web.Request) time.Time { return time.UnixMilli(r.Now().WallMS) }

// usualBytes holds the usual session ids; longer ones are allocated.
const usualBytes = 128

// AppendWanted finds the session that the client names, and remembers whether one exists.
func (l *learn) AppendWanted(r *web.Request, dst []byte) ([]byte, bool) {
	wanted, found := l.learner.AppendServer(dst, firstValue(r, r.Alloc(usualBytes)[:0], l.lookup), r.Now())
	known := int64(0)
	if found {
		known = 1
	}
	*r.Slot(l.known) = web.Slot{Number: known}
	return wanted, found
}

func (*learn) Picked(*web.Request, *servers.Server) {}

// Accepted learns with `header`.
func (l *learn) Accepted(r *web.Request, s *servers.Server) {
	if l.atHeader {
		l.answered(r, s)
	}
}

// Ended learns without it.
func (l *learn) Ended(r *web.Request, s *servers.Server) {
	if !l.atHeader {
		l.answered(r, s)
	}
}

func (l *learn) answered(r *web.Request, s *servers.Server) {
	created := firstValue(r, r.Alloc(usualBytes)[:0], l.create)
	var looked []byte
	// A session that came from another node while this request was in flight was not followed; it stays on its server.
	// Otherwise a request that knew nothing of it would move it on all nodes.
	if r.Slot(l.known).Number == 1 {
		looked = firstValue(r, r.Alloc(usualBytes)[:0], l.lookup)
	}
	if len(created)+len(looked) == 0 {
		return
	}
	id := append(r.Alloc(usualBytes)[:0], s.SessionID()...)
	now := r.Now()
	if err := l.learner.Answered(created, looked, id, now); err != nil {
		if note, write := l.noRoom.Next(now.MonoMS); write { // each new session would repeat the line
			r.Logf(logs.Alert, "%v%s", err, note)
		}
	}
}
