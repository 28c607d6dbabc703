package forward

import (
	"errors"

	"starling/nginx/httptime"
	"starling/web"
	"starling/web/cache"
	"starling/web/h1"
)

// answerStored answers with the stored response of the ticket.
func (x *Exchange) answerStored() web.Result {
	r, o := x.Request, x.ticket.Object
	x.fromCache, x.storable = true, false
	x.head = Head{Status: o.Status, Reason: o.Reason, Headers: o.Headers, Seen: o.Seen, ContentType: o.ContentType,
		ContentLength: o.ContentLength}
	if x.background { // its server has failed; there is nothing to send
		r.Out.ContentLength = 0
		r.FinishBody()
		return web.Done
	}
	x.count(o.BodyBytes())
	x.obey()
	if to, sent := o.Headers.Get(h1.HeaderXAccelRedirect); sent && !x.l.ignore.redirect {
		return x.redirect(to)
	}
	if result := x.precondition(o.LastModified); result != web.Declined {
		return result
	}
	x.fillHead()
	if err := r.SendHead(); err != nil {
		return web.Done
	}
	x.sendStored()
	return web.Done
}

// sendStored sends the body, or the ranges of it that the client wants. The connection remembers a failure.
func (x *Exchange) sendStored() {
	r, o := x.Request, x.ticket.Object
	for {
		first, length, more := r.NextRange(o.BodyBytes())
		if !more {
			return
		}
		if o.File != nil {
			if err := r.SendFile(o.File, o.BodyAt+first, length); err != nil {
				if errors.Is(err, web.ErrTruncated) {
					x.ticket.CutShort()
				}
				return
			}
		} else if _, err := r.Write(o.Body[first : first+length]); err != nil {
			return
		}
	}
}

// rangesOfStored is how ranges of the response can be answered: a stored body can be read anywhere.
func (x *Exchange) rangesOfStored() web.RangeSupport {
	if x.fromCache {
		return web.ManyRanges
	}
	return web.OneRange
}

// countServed counts a response that came from a server although there is a cache.
func (x *Exchange) countServed() {
	if x.status != cache.None {
		x.count(x.state().length)
	}
}

// count counts a response for the API.
func (x *Exchange) count(bytes int64) {
	if c := x.ticket.Cache(); c != nil {
		figures := &c.Figures[x.status]
		figures.Responses.Add(1)
		figures.Bytes.Add(uint64(bytes))
	}
}

// precondition applies the conditions of the client to a response that is or will be stored
// (ngx_http_not_modified_header_filter): 412, a head without body (304), or Declined.
func (x *Exchange) precondition(lastModifiedS int64) web.Result {
	r, h := x.Request, &x.head
	if h.Status != 200 || r.StatusFor(200) != 200 {
		return web.Declined
	}
	// What the client is not told is not compared with what it has.
	v := web.Validators{Modified: web.NotDated}
	if !x.l.hidden.known.Has(h1.HeaderETag) {
		v.ETag = h.Get(h1.HeaderETag)
	}
	if !x.l.hidden.known.Has(h1.HeaderLastModified) {
		v.Modified = lastModifiedS
	}
	switch r.Check(v) {
	case 412:
		return 412
	case 304:
		h.Status, h.Reason, h.ContentType, h.ContentLength = 304, nil, nil, -1
	}
	return web.Declined
}

// lastModified is the Last-Modified of the server's response, NotDated without a valid one.
func (h *Head) lastModified() int64 {
	if seconds, ok := httptime.Parse(h.Get(h1.HeaderLastModified)); ok {
		return seconds
	}
	return web.NotDated
}

// storeResponse decides whether the response of the server is stored, and begins it.
func (x *Exchange) storeResponse() (result web.Result) {
	t, r, h, c := &x.ticket, x.Request, &x.head, &x.l.caching
	if !t.Active() {
		return web.Declined
	}
	if !x.storable {
		x.conditional = false
		t.Release()
		return web.Declined
	}
	now := r.Now()
	rules := cache.Read(h.Headers, h.Seen, x.l.ignore.caching, now.WallMS/1000)
	if rules.Refused || h.Status < 200 || !x.buffering {
		x.storable = false
	}
	var m cache.Meta
	if x.conditional = x.storable; x.storable {
		m = x.meta(rules)
		result = x.precondition(m.LastModified)
	}
	if result != web.Declined {
		x.storable = false
	} else if r.AnyTrue(c.noCache) {
		x.storable = false
	} else if x.status == cache.Bypass && x.storable {
		x.storable = t.Create(now)
	}
	if x.storable && m.Valid == 0 {
		if seconds := cache.LookUp(c.valid, m.Status); seconds > 0 {
			m.Valid = now.WallMS/1000 + seconds
		} else {
			x.storable = false
		}
	}
	if !x.storable {
		t.Release()
		return result
	}
	if m.Status != 200 && m.Status != 206 {
		m.LastModified, m.ETag = -1, nil
	}
	m.DateS = now.WallMS / 1000
	x.fill = t.Fill(m, r.Headers)
	return web.Declined
}

// meta is what is stored of the head.
func (x *Exchange) meta(rules cache.Rules) cache.Meta {
	h := &x.head
	return cache.Meta{
		Freshness: rules.Freshness, Status: h.Status, Reason: h.Reason, ContentType: h.ContentType,
		ContentLength: h.ContentLength, Headers: h.Headers, Vary: rules.Vary, ETag: h.Get(h1.HeaderETag),
		LastModified: h.lastModified(),
	}
}

// keep stores a piece of the body.
func (x *Exchange) keep(piece []byte) {
	if x.fill != nil && !x.fill.Write(piece) {
		x.fill, x.storable = nil, false
		x.ticket.Release()
	}
}

// commit makes the stored response the one of its key.
func (x *Exchange) commit() {
	if x.fill == nil {
		return
	}
	stored := x.fill.Stored()
	if x.fill.Commit(x.Request.Now()) {
		if c := x.ticket.Cache(); c != nil {
			figures := &c.Figures[x.status]
			figures.ResponsesWritten.Add(1)
			figures.BytesWritten.Add(uint64(stored))
		}
	}
	x.fill = nil
	x.ticket.Release()
}

// storeIntercepted stores the status of a response that error_page replaces.
func (x *Exchange) storeIntercepted() {
	if !x.storable || !x.ticket.Active() {
		return
	}
	h := &x.head
	rules := cache.Read(h.Headers, h.Seen, x.l.ignore.caching, x.Request.Now().WallMS/1000)
	if !rules.Refused {
		x.storeStatus(h.Status, rules.Valid)
	}
	x.ticket.Release()
}
