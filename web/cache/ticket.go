package cache

import (
	"crypto/md5"
	"errors"
	"io/fs"
	"time"

	"starling/lib/clock"
	"starling/logs"
	"starling/nginx/errno"
	"starling/web/h1"
)

// Ticket is one request's use of a cache (ngx_http_cache_t). The zero Ticket uses none. Take it with Begin and end it
// with End; in between it keeps its entry in the index.
type Ticket struct {
	// Key is the whole key. Append to Key[:0], whose memory is reused, before Begin.
	Key []byte
	// Object is the stored response that Open has found, until End.
	Object *Object
	// StaleUpdating and StaleError mean that the server allows the use of this stale response while it is updated, or
	// after an error.
	StaleUpdating, StaleError bool
	// Failed is the status that answers instead of a response.
	Failed int

	c           *Cache
	e           *entry
	key, main   Key
	beganMS     int64
	lockUntilMS int64
	minUses     int
	version     uint32
	secondary   bool // key is that of a variant
	updating    bool // this request fetches a new response
	scratch     []byte
	fill        Fill
}

// Outcome is what Open has found.
type Outcome uint8

// The outcomes. With the first three, the ticket has an Object.
const (
	Fresh       Outcome = iota
	Old                 // stale, and this request is the one to update it
	OldUpdating         // stale, and another request updates it
	Absent
	Scarce // it is not to be stored either: too few requests have asked for it, or there is no room
	Error  // Failed answers
)

// Active reports whether the ticket uses a cache.
func (t *Ticket) Active() bool { return t.c != nil }

// Cache is the cache in use.
func (t *Ticket) Cache() *Cache { return t.c }

// Begin starts with a key that the caller has appended to t.Key.
func (t *Ticket) Begin(c *Cache, minUses int, now clock.Reading) {
	t.c, t.minUses = c, minUses
	t.key = md5.Sum(t.Key) //nolint:gosec // it names files, as in nginx; the file has the whole key
	t.main = t.key
	t.beganMS = c.purges.began(now.WallMS)
}

// Open looks for the response. request are the headers of the request, on which variants depend.
func (t *Ticket) Open(request h1.Headers, now clock.Reading) Outcome {
	for {
		outcome, mayExist := t.touch(now)
		if !mayExist {
			return outcome
		}
		if !t.load(now) {
			if outcome == Fresh { // the index was wrong
				outcome = Absent
			}
			return outcome
		}
		if len(t.Object.Vary) == 0 || t.isVariant(request) {
			return t.judge(now)
		}
		if t.secondary {
			t.forget()
			return Absent
		}
		t.goToVariant(request)
	}
}

// touch finds or makes the entry. mayExist means that there may be a file; otherwise the outcome is final.
func (t *Ticket) touch(now clock.Reading) (outcome Outcome, mayExist bool) {
	c := t.c
	c.mu.Lock()
	e := t.e
	if e == nil {
		e = c.index.get(&t.key)
	}
	var path string
	var closed *Object
	if count := c.index.count; e == nil && count >= c.settings.maxEntries() {
		c.most = count - count/8
		// In the same step as the insertion: other requests would take the room.
		var dropped bool
		if path, closed, dropped = c.makeRoom(); !dropped {
			c.mu.Unlock()
			if c.noRoom.due(now.MonoMS) {
				c.logf(logs.Alert, "could not allocate node in cache keys zone \"%s\": all of its keys are in use; "+
					"increase its size", c.Name())
			}
			return Scarce, false
		}
	}
	if e == nil {
		e = c.index.insert(&t.key)
	}
	outcome, mayExist = t.join(e, now)
	if outcome == Scarce && !mayExist { // it has been counted, which is all
		e.refs--
		t.e = nil
	}
	c.mu.Unlock()
	c.discard(path, closed)
	return outcome, mayExist
}

// join counts a use of an entry, with the lock held.
func (t *Ticket) join(e *entry, now clock.Reading) (outcome Outcome, mayExist bool) {
	c := t.c
	if t.e == nil {
		t.e = e
		e.refs++
		if e.uses < maxUses {
			e.uses++
		}
	}
	c.index.use(e)
	e.expireS = wallSeconds(now) + int64(c.settings.Inactive/time.Second)
	if e.failed != 0 {
		if e.failedUntilS >= wallSeconds(now) {
			t.Failed = int(e.failed)
			return Error, false
		}
		e.failed = 0
	}
	t.version = e.version
	if e.object != nil {
		t.Object = e.object
		e.object.used = true
		e.object.refs.Add(1)
		return Fresh, true
	}
	switch {
	case e.exists:
		return Fresh, true
	case int(e.uses) >= t.minUses:
		return Absent, c.cold
	}
	return Scarce, c.cold
}

// maxUses is the largest number that the counter of an entry holds.
const maxUses = 1<<16 - 1

// load opens the file unless the ticket has the object already. It reports whether there is a usable one.
func (t *Ticket) load(now clock.Reading) bool {
	c := t.c
	if t.Object != nil && !t.Object.unchanged(now) {
		t.reopen()
	}
	if t.Object == nil && !t.openFile(now) {
		return false
	}
	o := t.Object
	switch {
	case t.secondary && o.variant != t.key, !o.hasKey(t.Key) && md5.Sum(o.Key) != t.main: //nolint:gosec // as in Begin
		t.reject(errMisnamed)
		return false
	case !o.hasKey(t.Key): // another key with the same sum, which has as much right to the file
		t.forget()
		return false
	}
	if c.purges.covers(t.main, o.Key, o.CreatedMS) {
		t.remove("")
		return false
	}
	return true
}

// openFile opens the file and lets the entry keep it open.
func (t *Ticket) openFile(now clock.Reading) bool {
	c := t.c
	path := c.fileOf(t.key)
	o, err := t.openKnown(path)
	var wrong *wrongFile
	switch {
	case err == nil:
	case errors.As(err, &wrong):
		t.reject(err)
		return false
	case errors.Is(err, fs.ErrNotExist):
		t.remove("")
		return false
	default:
		if c.full.due(now.MonoMS) {
			c.logf(logs.Crit, "%v; the request is passed to the server", errno.Call("open", path, err))
		}
		return false
	}
	o.refs.Store(1)
	o.seenMS.Store(now.MonoMS)
	t.Object = o
	c.mu.Lock()
	var closed []*Object
	if e := t.e; e.version == t.version {
		c.bytes += o.blocksBytes - e.bytes // which are 0 without a file
		e.exists, e.bytes, e.stamp = true, o.blocksBytes, o.stamp
		if e.rewrites > 0 {
			e.stamp = 0
		}
		closed = c.opened.keep(e, o, c.settings.KeyBytes)
	}
	c.mu.Unlock()
	for _, o := range closed {
		o.release()
	}
	return true
}

// openKnown opens the file, and checks it unless it is as this process left it.
func (t *Ticket) openKnown(path string) (*Object, error) {
	for {
		known := t.knownStamp()
		o, err := open(path, known)
		var wrong *wrongFile
		if !errors.As(err, &wrong) || wrong.why != errChanged || t.knownStamp() == known {
			return o, err
		}
	}
}

// knownStamp is the stamp of the file as this process left it, 0 if it did not or is changing it now.
func (t *Ticket) knownStamp() stamp {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.e.rewrites > 0 {
		return 0
	}
	return t.e.stamp
}

// reopen drops an object whose file is not the same any more, for this request and for the next ones.
func (t *Ticket) reopen() {
	c, e := t.c, t.e
	var closed *Object
	c.mu.Lock()
	if e.object == t.Object {
		closed = c.opened.forget(e)
	}
	c.mu.Unlock()
	if closed != nil {
		closed.release()
	}
	t.forget()
}

// reject removes a file that is not what its name says.
func (t *Ticket) reject(why error) {
	path := t.c.fileOf(t.key)
	t.c.logf(logs.Crit, "cache file \"%s\" %v; it is removed", path, why)
	t.remove(path)
}

// CutShort ends the use of an object whose file has become shorter while it was sent, and removes the file. The caller
// has logged it.
func (t *Ticket) CutShort() { t.remove(t.c.fileOf(t.key)) }

// forget drops the object without touching the file.
func (t *Ticket) forget() {
	if t.Object != nil {
		t.Object.release()
		t.Object = nil
	}
}

// remove removes the file of the entry, unless another request has replaced it meanwhile. path is not empty if there is
// a file that the index may not know.
func (t *Ticket) remove(path string) {
	c := t.c
	t.forget()
	c.mu.Lock()
	e := t.e
	if e.version != t.version {
		c.mu.Unlock()
		return
	}
	var closed *Object
	if e.object != nil {
		closed = c.opened.forget(e)
	}
	if e.exists {
		path = c.fileOf(e.key)
		c.bytes -= e.bytes
		e.exists, e.bytes, e.stamp = false, 0, 0
	}
	e.version++
	t.version = e.version
	c.mu.Unlock()
	c.discard(path, closed)
}

// isVariant reports whether the object is the variant for the request.
func (t *Ticket) isVariant(request h1.Headers) bool {
	return t.variantOf(t.Object.Vary, request) == t.Object.variant
}

// goToVariant goes on with the key of the variant for the request.
func (t *Ticket) goToVariant(request h1.Headers) {
	variant := t.variantOf(t.Object.Vary, request)
	t.forget()
	t.leave()
	t.secondary, t.key = true, variant
}

func (t *Ticket) variantOf(vary []byte, request h1.Headers) Key {
	t.scratch = appendVariant(append(t.scratch[:0], t.main[:]...), vary, request)
	return md5.Sum(t.scratch)
}

// judge compares the object with the time.
func (t *Ticket) judge(now clock.Reading) Outcome {
	o, nowS := t.Object, wallSeconds(now)
	if o.Valid >= nowS {
		return Fresh
	}
	t.StaleUpdating = add(o.Valid, o.Updating) >= nowS
	t.StaleError = add(o.Valid, o.Error) >= nowS
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.e.updating {
		return OldUpdating
	}
	t.e.updating, t.updating, t.lockUntilMS = true, true, t.e.lockUntilMS
	return Old
}

// leave ends the use of the entry.
func (t *Ticket) leave() {
	c, e := t.c, t.e
	if e == nil {
		return
	}
	c.mu.Lock()
	e.refs--
	if t.updating && e.lockUntilMS == t.lockUntilMS {
		e.settle()
	}
	if !e.exists && e.refs == 0 && e.failed == 0 && t.minUses <= 1 {
		c.index.remove(e)
	}
	c.mu.Unlock()
	t.e, t.updating = nil, false
}

// Release ends the use of the entry: others need not wait for this request any more. Key stays.
func (t *Ticket) Release() {
	t.fill.Abort()
	t.forget()
	t.leave()
}

// End ends the use of the cache; the ticket can then be used again.
func (t *Ticket) End() {
	if t.c == nil {
		return
	}
	t.Release()
	key, scratch := t.Key[:0], t.scratch[:0]
	if cap(key)+cap(scratch) > maxKeptBytes {
		key, scratch = nil, nil
	}
	*t = Ticket{Key: key, scratch: scratch}
}

// maxKeptBytes bounds the memory that a ticket keeps for its next use.
const maxKeptBytes = 8 << 10

// Fail stores a status that answers requests for the key until then, instead of a response.
func (t *Ticket) Fail(status int, untilS int64) {
	if t.e == nil {
		return
	}
	t.c.mu.Lock()
	t.e.failed, t.e.failedUntilS = uint16(status), untilS
	t.c.mu.Unlock()
}
