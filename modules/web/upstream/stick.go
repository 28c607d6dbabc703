package upstream

import (
	"time"

	"starling/logs"
	"starling/side"
	servers "starling/upstream"
	stick "starling/upstream/sticky"
	"starling/vars"
	"starling/web"
	"starling/zone"
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
	looked := firstValue(r, r.Alloc(usualBytes)[:0], l.lookup)
	wanted, found := l.learner.AppendServer(dst, looked, r.Now())
	if !found && len(looked) > 0 && l.wait > 0 && l.ask(r, looked) {
		wanted, found = l.learner.AppendServer(dst, looked, r.Now())
	}
	*r.Slot(l.known) = acceptance{known: found}.slot()
	return wanted, found
}

// askFor is how long a request waits for the peers that are asked for its session. Idle ones take a quarter of that.
const askFor = 2 * time.Millisecond

// ask asks the peers for a session that is not here: this node may have started a moment ago, or may have been cut off.
// It reports whether it makes sense to look again.
func (l *learn) ask(r *web.Request, id []byte) bool {
	if !stick.Asks(id) {
		return false
	}
	client := r.Remote.Addr()
	if !l.asking.Begin(client) {
		return false
	}
	defer l.asking.Done(client)
	key := stick.Key(id)
	question := l.Ask(key[:], r.Now())
	if question == nil {
		return false
	}
	r.Waits()
	side.Await(question, askFor, l.clock)
	return true // even if time ran out: the session can have come at that moment
}

// acceptance is what a request remembers: whether its session was found before a server was picked, and when the
// response was accepted, on the monotonic clock, 0 if it was not.
type acceptance struct {
	known      bool
	acceptedMS int64
}

func (a acceptance) slot() web.Slot {
	n := a.acceptedMS << 1
	if a.known {
		n |= 1
	}
	return web.Slot{Number: n}
}

func (l *learn) acceptance(r *web.Request) acceptance {
	n := r.Slot(l.known).Number
	return acceptance{n&1 != 0, n >> 1}
}

func (*learn) Picked(*web.Request, *servers.Server) {}

// Accepted learns with `header`, and if the peers must have the session before the head goes out, which tells the
// client of it.
func (l *learn) Accepted(r *web.Request, s *servers.Server) {
	if l.atHeader || l.wait > 0 {
		a := l.acceptance(r)
		a.acceptedMS = r.Now().MonoMS
		*r.Slot(l.known) = a.slot()
		l.answered(r, s)
	}
}

// Ended learns without `header`. What was learned when the response was accepted is repeated after a long one only: its
// session counts as used until its end.
func (l *learn) Ended(r *web.Request, s *servers.Server) {
	if l.atHeader {
		return
	}
	if at := l.acceptance(r).acceptedMS; at == 0 || r.Now().MonoMS-at >= l.timeout.Milliseconds()/longShare {
		l.answered(r, s)
	}
}

// longShare is the part of the timeout by which a session must be used later for that to be stored: see kinds.Session.
const longShare = 8

func (l *learn) answered(r *web.Request, s *servers.Server) {
	created := firstValue(r, r.Alloc(usualBytes)[:0], l.create)
	var looked []byte
	// A session that came from another node while this request was in flight was not followed; it stays on its server.
	// Otherwise a request that knew nothing of it would move it on all nodes.
	if l.acceptance(r).known {
		looked = firstValue(r, r.Alloc(usualBytes)[:0], l.lookup)
	}
	if len(created)+len(looked) == 0 {
		return
	}
	id := append(r.Alloc(usualBytes)[:0], s.SessionID()...)
	now := r.Now()
	changed, err := l.learner.Answered(created, looked, id, now)
	if err != nil {
		if note, write := l.noRoom.Next(now.MonoMS); write { // each new session would repeat the line
			r.Logf(logs.Alert, "%v%s", err, note)
		}
	}
	if changed && l.wait > 0 {
		r.Waits()
		side.Await(l.Deliver(zone.Need{LimitMS: l.wait.Milliseconds()}), l.wait, l.clock)
	}
}
