package slice

import (
	"bytes"
	"math"
	"strconv"

	"starling/conf"
	"starling/logs"
	"starling/nginx/ascii"
	"starling/side"
	"starling/web"
	"starling/web/h1"
)

// slices is the state of one client's request; its subrequests share it.
type slices struct {
	client     *web.Request
	bytes      int64
	asked      int64 // where the current slice starts
	start, end int64 // of the next slice, and of what the client gets
	etag       []byte
	got        bool  // the head of the current slice was as expected
	left       int64 // bytes of it to come
	// held is the only slice so far, if it is so small that it can wait: a client whose second slice fails gets no
	// half response. Nginx's output buffer has the same effect (postpone_output).
	held []byte
	sent bool
	rest web.Next // the filters behind that of the client's request
}

// maxHeldBytes is nginx's postpone_output.
const maxHeldBytes = 1460

// appendRange is $slice_range: reading it starts the slicing.
func appendRange(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	x := side.DataOf[slices](r)
	if x == nil {
		s := conf.SettingsOf[Settings](r.Location.Scope)
		if s.bytes == 0 || r.Parent() != nil || r.HeadSent() {
			return dst, false
		}
		x = &slices{client: r, bytes: s.bytes, asked: firstByte(r) / s.bytes * s.bytes}
		keep(r, x)
	}
	dst = strconv.AppendInt(append(dst, "bytes="...), x.asked, 10)
	return strconv.AppendInt(append(dst, '-'), saturate(x.asked, x.bytes)-1, 10), true
}

func keep(r *web.Request, x *slices) { r.Slot(side.SlotOf[slices](&web.Side, r.Plan())).Data = x }

// saturate adds without overflow.
func saturate(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// firstByte is where the range starts that the client asks for, 0 if that depends on the response
// (ngx_http_slice_get_start).
func firstByte(r *web.Request) int64 {
	const unit = "bytes="
	value := r.KnownHeader(h1.HeaderRange)
	if r.Seen.Has(h1.HeaderIfRange) || len(value) <= len(unit) || !ascii.EqualString(value[:len(unit)], unit) ||
		bytes.IndexByte(value, ',') >= 0 {
		return 0
	}
	n, _, ok := number(value[len(unit):])
	if !ok {
		return 0
	}
	return n
}

// filter is ngx_http_slice_header_filter.
func (s *Settings) filter(r *web.Request) web.Body {
	x := side.DataOf[slices](r)
	if x == nil {
		return nil
	}
	out := &r.Out
	if out.Status != 206 && r == x.client {
		r.Slot(side.SlotOf[slices](&web.Side, r.Plan())).Data = nil
		return nil
	}
	size, problem := x.check(r)
	if problem != "" {
		r.Logf(logs.Error, "%s", problem)
		r.Break()
		return nil
	}
	x.got = true
	out.Status, out.Reason = 200, nil
	out.Offset, out.ContentLength = x.asked, size
	r.RemoveHeader(h1.HeaderContentRange)
	r.RemoveHeader(h1.HeaderAcceptRanges)
	x.start = min(saturate(x.asked, x.bytes), size)
	x.left = x.start - out.Offset
	if r != x.client {
		return (*part)(x)
	}
	if x.conditional(r) {
		return nil
	}
	r.AllowRanges(web.OneRange)
	x.end = size
	return x
}

// check compares the head of a slice with what was asked for. It returns the size of the whole, or what is wrong.
func (x *slices) check(r *web.Request) (size int64, problem string) {
	if r.Out.Status != 206 {
		return 0, "unexpected status code " + strconv.Itoa(r.Out.Status) + " in slice response"
	}
	etag, tagged := r.Out.Headers.Get(h1.HeaderETag)
	if len(x.etag) > 0 && !bytes.Equal(etag, x.etag) {
		return 0, "etag mismatch in slice response"
	}
	if tagged {
		x.etag = append(x.etag[:0], etag...)
	}
	value, _ := r.Out.Headers.Get(h1.HeaderContentRange)
	first, end, size, ok := parseContentRange(value)
	switch want := min(saturate(x.asked, x.bytes), size); {
	case !ok:
		return 0, "invalid range in slice response"
	case size < 0:
		return 0, "no complete length in slice response"
	case first != x.asked || end != want:
		return 0, "unexpected range in slice response: " + span(first, end) + ", expected: " + span(x.asked, want)
	}
	return size, ""
}

// conditional applies the client's conditions to the whole, whose status the cache could not know. It reports whether
// no body is sent.
func (x *slices) conditional(r *web.Request) bool {
	if r.Out.Conditions == web.ConditionsPassed {
		return false
	}
	switch status := r.CheckHead(); status {
	case 0:
		return false
	case 412:
		r.Replace(status)
	}
	r.Slot(side.SlotOf[slices](&web.Side, r.Plan())).Data = nil
	return true
}

func span(first, end int64) string {
	return strconv.FormatInt(first, 10) + "-" + strconv.FormatInt(end, 10)
}

// Write passes the slice of the client's own request on, then fetches the others (ngx_http_slice_body_filter).
func (x *slices) Write(next web.Next, p []byte, last bool) error {
	if err := x.count(p, last); err != nil {
		return err
	}
	if !last {
		return x.pass(next, p)
	}
	first, end := x.client.SentRange(x.end)
	x.end = end
	if saturate(x.start, x.bytes) <= first {
		x.start = first / x.bytes * x.bytes
	}
	if x.start >= x.end {
		return next.Write(p, true)
	}
	x.rest = next
	if !x.sent && len(p) <= maxHeldBytes {
		x.held = bytes.Clone(p)
	} else if err := x.pass(next, p); err != nil {
		return err
	}
	for x.start < x.end {
		if err := x.fetch(); err != nil {
			return err
		}
	}
	return next.Write(nil, true)
}

// count checks the length of a slice: with another one, the client would get all that follows in the wrong place. Nginx
// does not check it.
func (x *slices) count(p []byte, last bool) error {
	x.left -= int64(len(p))
	if x.left < 0 || last && x.left > 0 {
		x.client.Logf(logs.Error, "slice response is not as long as its range")
		return web.ErrBroken
	}
	return nil
}

func (x *slices) pass(next web.Next, p []byte) error {
	x.sent = x.sent || len(p) > 0
	return next.Write(p, false)
}

// Flush passes on.
func (x *slices) Flush(next web.Next) error { return next.Flush() }

// fetch sends the next slice.
func (x *slices) fetch() error {
	r := x.client
	sub, err := r.Subrequest(web.Subrequest{Clone: true, Part: true, WithBody: true})
	if err != nil {
		return web.ErrBroken
	}
	keep(sub.Request(), x)
	x.got, x.asked = false, x.start
	sub.Run()
	err = sub.Failed()
	sub.Release()
	switch {
	case err != nil:
		return web.ErrBroken
	case x.left > 0: // the server ended early, which is logged
		return web.ErrBroken
	case !x.got:
		r.Logf(logs.Error, "missing slice response")
		return web.ErrBroken
	}
	return nil
}

// begin precedes the first piece of a slice: what was held is sent.
func (x *slices) begin() error {
	if held := x.held; held != nil {
		x.held = nil
		if err := x.pass(x.rest, held); err != nil {
			return err
		}
	}
	if x.left == x.start-x.asked {
		x.client.SkipTo(x.asked)
	}
	return nil
}

// part is the body of a slice that a subrequest has fetched.
type part slices

// Write passes a piece on.
func (p *part) Write(next web.Next, piece []byte, last bool) error {
	x := (*slices)(p)
	if err := x.begin(); err != nil {
		return err
	}
	if err := x.count(piece, last); err != nil {
		return err
	}
	return next.Write(piece, last)
}

// Flush passes on.
func (p *part) Flush(next web.Next) error { return next.Flush() }
