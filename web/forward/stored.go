package forward

import (
	"bytes"
	"time"

	"starling/lib/clock"
	"starling/logs"
	"starling/web"
	"starling/web/cache"
	"starling/web/h1"
)

// stored is the part of an exchange that has to do with a cache.
type stored struct {
	ticket cache.Ticket
	// status is $upstream_cache_status.
	status cache.Status
	// storable means that the response can be stored, as far as is known; the request to the server is made for that.
	storable bool
	// conditional means that the client's conditions apply to the server's response: its head allowed to store it.
	conditional bool
	// fromCache means that head is that of a stored response.
	fromCache bool
	// converted means that the server is asked with GET although the client has sent HEAD.
	converted bool
	// background means that no client waits: the request updates a stored response.
	background bool
	fill       *cache.Fill // nil: the response is not stored
	alone      bool        // the client has left, and the response is only stored
}

// endCaching ends the use of a cache.
func (x *Exchange) endCaching() {
	if x.fromCache {
		x.head = Head{}
	}
	x.ticket.End()
	x.status, x.storable, x.fromCache, x.converted, x.background = cache.None, false, false, false, false
	x.fill, x.alone, x.conditional = nil, false, false
}

// Storable reports whether the response may be stored: the request must then ask for all of it, whatever the client
// asks for.
func (x *Exchange) Storable() bool { return x.storable }

// Converted reports whether the method is GET instead of the client's HEAD.
func (x *Exchange) Converted() bool { return x.converted }

// AppendBase appends scheme, host and port of the URL of PREFIX_pass.
func (x *Exchange) AppendBase(dst []byte) []byte {
	return append(append(dst, x.To.prefix...), x.To.Host...)
}

// staysAlone reports whether the request continues after its client has left.
func (x *Exchange) staysAlone() bool {
	return x.l.ignoreClientAbort || x.storable || x.background || x.l.storing.on
}

// consult looks into the cache. Declined means that a server must be asked.
func (x *Exchange) consult() web.Result {
	c, r := &x.l.caching, x.Request
	if !c.on {
		return web.Declined
	}
	purges := r.AnyTrue(c.purge)
	if !purges && !c.methods.has(r.MethodID) {
		return web.Declined
	}
	zone, result := x.zone()
	if zone == nil {
		return result
	}
	x.converted = r.MethodID == h1.MethodHead && c.convertHead
	t := &x.ticket
	if c.key != nil {
		t.Key = c.key.Append(t.Key[:0], r)
	} else {
		t.Key = x.l.keyer.AppendKey(t.Key[:0], x)
	}
	now := r.Now()
	if purges {
		return x.purge(zone, now)
	}
	t.Begin(zone, c.minUses, now)
	x.storable = true
	if r.AnyTrue(c.bypass) {
		x.status = cache.Bypass
		return web.Declined
	}
	x.status = cache.Miss
	if result := x.openStored(now); result != web.Declined {
		return result
	}
	x.checkRange()
	return web.Declined
}

// zone is the cache of the request, nil with the result if there is none.
func (x *Exchange) zone() (*cache.Cache, web.Result) {
	c, r := &x.l.caching, x.Request
	if c.zone != nil {
		return c.zone.cache, web.Declined
	}
	name := r.Expand(c.byName)
	if len(name) == 0 || string(name) == "off" {
		return nil, web.Declined
	}
	zone := x.l.caches.find(x.l.family, string(name))
	if zone == nil {
		r.Logf(logs.Error, "cache \"%s\" not found", name)
		return nil, 500
	}
	return zone.cache, web.Declined
}

// purge removes the response of a key.
func (x *Exchange) purge(zone *cache.Cache, now clock.Reading) web.Result {
	r, key := x.Request, x.ticket.Key
	found, err := true, error(nil)
	if prefix, wildcard := bytes.CutSuffix(key, []byte("*")); wildcard {
		err = zone.PurgeAll(prefix, now)
	} else {
		found, err = zone.Purge(key, now)
	}
	switch {
	case err != nil:
		r.Logf(logs.Error, "cannot purge \"%s\" from cache \"%s\": %v", key, zone.Name(), err)
		return 503
	case !found && !zone.Shares(): // otherwise another node can have it
		return 404
	}
	return 204
}

// openStored answers with the stored response if there is one to use.
func (x *Exchange) openStored(now clock.Reading) web.Result {
	c, t, r := &x.l.caching, &x.ticket, x.Request
	untilMS := int64(0) // of waiting for another request
	for {
		outcome := t.Open(r.Headers, now)
		switch outcome {
		case cache.Fresh:
			x.status = cache.Hit
			return x.answerStored()
		case cache.Old, cache.OldUpdating:
			return x.openOld(outcome)
		case cache.Error:
			x.status = cache.Hit
			return web.Result(t.Failed)
		case cache.Scarce:
			x.storable = false
			return web.Declined
		}
		if !c.lock || t.Lock(c.lockAge, now) {
			return web.Declined
		}
		if untilMS == 0 {
			untilMS = now.MonoMS + c.lockTimeout.Milliseconds()
		}
		if now.MonoMS >= untilMS || !x.awaitStored(untilMS, now) {
			if c.lockTimeout > 0 && now.MonoMS >= untilMS {
				r.Logf(logs.Info, "cache lock timeout")
			}
			x.storable = false
			return web.Declined
		}
		if r.ClientLeft() {
			return statusClientClosed
		}
		now = r.Now()
	}
}

// openOld decides about a stale response.
func (x *Exchange) openOld(outcome cache.Outcome) web.Result {
	c, t := &x.l.caching, &x.ticket
	allowed := (c.stale&onUpdating != 0 || t.StaleUpdating) && !x.background
	switch {
	case !allowed:
	case outcome == cache.OldUpdating:
		x.status = cache.Updating
		return x.answerStored()
	case c.background:
		sub, err := x.Request.Subrequest(web.Subrequest{SameMethod: true,
			WithBody: true, Continue: x.l.update})
		if err != nil {
			return 500
		}
		sub.Start()
		x.status = cache.Stale
		return x.answerStored()
	}
	x.status = cache.Expired
	return web.Declined
}

// update is the content handler of a subrequest that updates a stale response in the background.
func (l *location) update(r *web.Request) web.Result {
	x := l.begin(r)
	x.background = true
	return x.run()
}

// lockGlance is how often a request that waits for another one checks its client.
const lockGlance = 500 * time.Millisecond

// awaitStored waits until another request has fetched the response, or is given up; false if too many wait.
func (x *Exchange) awaitStored(untilMS int64, now clock.Reading) bool {
	ended, lockUntilMS, ok := x.ticket.Wait(now)
	if !ok {
		return false
	}
	defer x.ticket.Waited()
	x.Request.Waits()
	wait := min(milliseconds(min(untilMS, lockUntilMS)-now.MonoMS), lockGlance)
	timer := time.NewTimer(max(wait, time.Millisecond))
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-x.Request.Context().Done():
	}
	return true
}

// checkRange leaves a request for a range that begins far behind to the server (ngx_http_upstream_cache_check_range).
func (x *Exchange) checkRange() {
	most := x.l.caching.maxRange
	value := x.Request.KnownHeader(h1.HeaderRange)
	if value == nil || !x.storable || most == noMaxRange {
		return
	}
	if most == 0 {
		x.storable = false
		return
	}
	const unit = "bytes="
	if len(value) <= len(unit) || !bytes.EqualFold(value[:len(unit)], []byte(unit)) {
		return
	}
	from := bytes.TrimLeft(value[len(unit):], " ")
	if len(from) > 0 && from[0] == '-' {
		x.storable = false
		return
	}
	offset := int64(0)
	for _, c := range from {
		if c < '0' || c > '9' {
			break
		}
		if offset > (noMaxRange-9)/10 {
			offset = noMaxRange
			break
		}
		offset = offset*10 + int64(c-'0')
	}
	x.storable = x.storable && offset < most
}

// failed ends a request that no server has answered: with a stale response if that is allowed, otherwise with the
// status, which can be stored too.
func (x *Exchange) failed(v verdict, status int) web.Result {
	c, t := &x.l.caching, &x.ticket
	serverFailed := v != tryHopeless || status == 502
	if x.status == cache.Expired && t.Object != nil && serverFailed &&
		(c.stale&v.condition(status) != 0 || t.StaleError) {
		x.status = cache.Stale
		return x.answerStored()
	}
	if x.storable && t.Active() && (status == 502 || status == 504) {
		x.storeStatus(status, 0)
	}
	return web.Result(status)
}

// storeStatus stores a status instead of a response, until then, or as long as PREFIX_cache_valid says.
func (x *Exchange) storeStatus(status int, validS int64) {
	if validS == 0 {
		seconds := cache.LookUp(x.l.caching.valid, status)
		if seconds == 0 {
			return
		}
		validS = x.Request.Now().WallMS/1000 + seconds
	}
	x.ticket.Fail(status, validS)
}

// useStored decides whether the response of the server is replaced by the stored one: an error, or the confirmation
// that it is still valid.
func (x *Exchange) useStored() (used bool, result web.Result) {
	c, h := &x.l.caching, &x.head
	if x.status != cache.Expired || x.ticket.Object == nil {
		return false, 0
	}
	switch {
	case h.Status >= 300 && c.stale&conditionOf(h.Status) != 0:
		x.status = cache.Stale
	case h.Status == 304 && c.revalidate:
		x.confirm()
		x.status = cache.Revalidated
	default:
		return false, 0
	}
	x.skipBody()
	x.endTry()
	return true, x.answerStored()
}

// confirm makes the stored response valid again.
func (x *Exchange) confirm() {
	now, h, o := x.Request.Now(), &x.head, x.ticket.Object
	nowS := now.WallMS / 1000
	rules := cache.Read(h.Headers, h.Seen, x.l.ignore.caching, nowS)
	fresh := rules.Freshness
	if fresh.Valid == 0 {
		fresh = cache.Read(o.Headers, o.Seen, x.l.ignore.caching, nowS).Freshness
	}
	if fresh.Valid == 0 {
		if seconds := cache.LookUp(x.l.caching.valid, o.Status); seconds > 0 {
			fresh.Valid = nowS + seconds
		}
	}
	if fresh.Valid != 0 {
		x.ticket.Refresh(fresh, now)
	}
}
