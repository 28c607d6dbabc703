package forward

import (
	"strconv"
	"time"

	"starling/conf"
	"starling/nginx/ascii"
	"starling/nginx/units"
	"starling/web"
	"starling/web/h1"
)

// setLimitRate parses PREFIX_limit_rate.
func (s *Settings) setLimitRate(a *conf.Args) error {
	t, err := web.Side.Compile(a, a.Words[0])
	if err != nil {
		return err
	}
	if text, literal := t.Literal(); literal {
		n, err := conf.Size(text)
		if err != nil || n == 0 {
			s.limitRate = nil
			return err
		}
	}
	s.limitRate = &t
	return nil
}

// pace limits how fast a response is read from the server (PREFIX_limit_rate).
type pace struct{ bytesPerSecond, sinceMS, received int64 }

// startPace starts the limit with the body. As in nginx, an unbuffered response has none, and an invalid value of a
// variable counts as 0.
func (x *Exchange) startPace() (p pace) {
	if x.l.limitRate == nil || !x.buffering {
		return p
	}
	n, err := units.Size(string(x.Request.Expand(x.l.limitRate)))
	if err != nil {
		return p
	}
	return pace{bytesPerSecond: n, sinceMS: x.Request.Now().MonoMS}
}

// shortestPause is the shortest sleep of pace: more frequent reads cost more than they smooth.
const shortestPause = 10 * time.Millisecond

// wait waits until more can be read, and shortens memory to that much. It fails if the client disconnects meanwhile.
func (p *pace) wait(x *Exchange, memory []byte) ([]byte, error) {
	for p.bytesPerSecond > 0 {
		elapsedMS := x.Request.Now().MonoMS - p.sinceMS
		allowed := p.bytesPerSecond*(1000+elapsedMS)/1000 - p.received
		if allowed > 0 {
			return memory[:min(int64(len(memory)), allowed)], nil
		}
		pause := time.Duration(1-allowed) * time.Second / time.Duration(p.bytesPerSecond)
		if !x.delay(max(pause, shortestPause)) {
			return nil, errClientLeft
		}
	}
	return memory, nil
}

// delay sleeps. It reports false if the client disconnects meanwhile and nobody else needs the response.
func (x *Exchange) delay(d time.Duration) bool {
	if !x.alone {
		if x.Request.Delay(d) {
			return true
		}
		if x.fill == nil {
			return false
		}
		x.alone = true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.Request.Context().Done():
		return false
	}
}

// obey applies the headers by which a server controls how its response is sent. It does so for a redirect too, whose
// target the client gets instead. Of several X-Accel-Charset and X-Accel-Buffering the last one counts, as in nginx.
func (x *Exchange) obey() {
	r, h, ignore := x.Request, &x.head, &x.l.ignore
	if rate := h.Get(h1.HeaderXAccelLimitRate); rate != nil && !ignore.limitRate {
		if n, err := strconv.ParseInt(string(rate), 10, 64); err == nil && n >= 0 {
			r.SetLimitRate(n)
		}
	}
	x.buffering = x.l.buffering
	if h.Seen.Has(h1.HeaderXAccelCharset) && !ignore.charset {
		for charset := range h.All(h1.HeaderXAccelCharset) {
			r.Out.OverrideCharset = r.Copy(charset)
		}
	}
	if h.Seen.Has(h1.HeaderXAccelBuffering) && x.l.family.Has.Buffers && !ignore.buffering {
		for how := range h.All(h1.HeaderXAccelBuffering) {
			switch {
			case ascii.EqualString(how, "no"):
				x.buffering = false
			case ascii.EqualString(how, "yes"):
				x.buffering = true
			}
		}
	}
}
