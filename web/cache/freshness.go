package cache

import (
	"bytes"
	"math"
	"strings"

	"starling/nginx/ascii"
	"starling/nginx/httptime"
	"starling/web/h1"
)

// Ignored are the response headers of PREFIX_ignore_headers that decide about caching.
type Ignored struct{ AccelExpires, Expires, CacheControl, SetCookie, Vary bool }

// Freshness is until when a response can be used, in seconds since 1970. Updating and Error are how many seconds longer
// a stale one can be used while a new one is fetched, and after errors.
type Freshness struct{ Valid, Updating, Error int64 }

// Rules is what the headers of a response say about caching it.
type Rules struct {
	Freshness // Valid is 0 if they do not say how long
	// Refused means that it must not be stored.
	Refused bool
	// Vary are the names of the request headers that it depends on, as the server wrote them.
	Vary []byte
}

// maxVaryBytes is nginx's limit for the names in Vary; a response with more is not stored.
const maxVaryBytes = 128

// Read applies ngx_http_upstream_process_headers to a response that arrived at nowS. The order of the headers matters,
// as in nginx: X-Accel-Expires overrules what precedes it.
func Read(headers h1.Headers, seen h1.KnownSet, ignore Ignored, nowS int64) Rules {
	j := judge{ignore: ignore, nowS: nowS}
	if seen&decisive == 0 {
		return j.rules
	}
	for i := range headers {
		h := &headers[i]
		switch h.ID {
		case h1.HeaderSetCookie:
			j.refused = j.refused || !ignore.SetCookie
		case h1.HeaderCacheControl:
			j.cacheControl(h.Value)
		case h1.HeaderExpires:
			j.expires(h.Value)
		case h1.HeaderXAccelExpires:
			j.accelExpires(h.Value)
		case h1.HeaderVary:
			j.vary(h.Value)
		}
	}
	j.rules.Refused = j.refused || j.noCache || j.expired
	return j.rules
}

// decisive are the headers that Read reads.
var decisive = h1.SetOf(h1.HeaderSetCookie, h1.HeaderCacheControl, h1.HeaderExpires, h1.HeaderXAccelExpires,
	h1.HeaderVary)

type judge struct {
	rules  Rules
	ignore Ignored
	nowS   int64

	refused                   bool // for good
	noCache, expired          bool // unless X-Accel-Expires follows
	accelExpiresSeen, expSeen bool
}

func (j *judge) cacheControl(value []byte) {
	if j.ignore.CacheControl {
		return
	}
	f := &j.rules.Freshness
	if f.Valid == 0 || !j.accelExpiresSeen {
		if contains(value, "no-cache") || contains(value, "no-store") || contains(value, "private") {
			j.noCache = true
			return
		}
		n, sent, ok := seconds(value, "s-maxage=")
		if !sent {
			n, sent, ok = seconds(value, "max-age=")
		}
		switch {
		case !sent:
		case !ok:
			j.refused = true
			return
		case n == 0:
			j.noCache = true
			return
		default:
			f.Valid, j.expired = add(j.nowS, n), false
		}
	}
	if n, sent, ok := seconds(value, "stale-while-revalidate="); sent {
		if !ok {
			j.refused = true
			return
		}
		f.Updating, f.Error = n, n
	}
	if n, sent, ok := seconds(value, "stale-if-error="); sent {
		if !ok {
			j.refused = true
			return
		}
		f.Error = n
	}
}

func (j *judge) expires(value []byte) {
	if j.expSeen {
		return
	}
	j.expSeen = true
	if j.ignore.Expires || j.rules.Valid != 0 {
		return
	}
	at, ok := httptime.Parse(value)
	if !ok || at < j.nowS {
		j.expired = true
		return
	}
	j.rules.Valid = at
}

func (j *judge) accelExpires(value []byte) {
	if j.accelExpiresSeen {
		return
	}
	j.accelExpiresSeen = true
	if j.ignore.AccelExpires {
		return
	}
	digits, absolute := bytes.CutPrefix(value, []byte("@"))
	n, ok := number(digits)
	switch {
	case !ok:
	case absolute:
		j.rules.Valid, j.noCache, j.expired = n, false, false
	case n == 0:
		j.refused = true
	default:
		j.rules.Valid, j.noCache, j.expired = add(j.nowS, n), false, false
	}
}

func (j *judge) vary(value []byte) {
	if j.ignore.Vary || j.refused {
		return
	}
	if string(value) == "*" {
		j.refused = true
		return
	}
	if j.rules.Vary != nil {
		value = append(append(bytes.Clone(j.rules.Vary), ", "...), value...)
	}
	if len(value) > maxVaryBytes {
		j.refused = true
		return
	}
	j.rules.Vary = value
}

// contains finds a lower-case word anywhere in a value, in any case.
func contains(value []byte, word string) bool { return after(value, word) >= 0 }

// after is the index behind a lower-case word in a value, -1 without it.
func after(value []byte, word string) int {
	for i := 0; i+len(word) <= len(value); i++ {
		if ascii.EqualString(value[i:i+len(word)], word) {
			return i + len(word)
		}
	}
	return -1
}

// seconds reads the number after a word such as "max-age=". A number too large counts as the largest.
func seconds(value []byte, word string) (n int64, sent, ok bool) {
	at := after(value, word)
	if at < 0 {
		return 0, false, false
	}
	for _, c := range value[at:] {
		if c == ',' || c == ';' || c == ' ' {
			break
		}
		if c < '0' || c > '9' {
			return 0, true, false
		}
		if n > (math.MaxInt64-9)/10 {
			return math.MaxInt64, true, true
		}
		n = n*10 + int64(c-'0')
	}
	return n, true, true
}

// number reads a non-negative number that fits, nothing else.
func number(digits []byte) (n int64, ok bool) {
	for _, c := range digits {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(digits) > 0
}

// add is a sum that stays at the largest number.
func add(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// ValidFor is one status of PREFIX_cache_valid; status 0 is any.
type ValidFor struct {
	Status  int
	Seconds int64
}

// LookUp is the time for a status in the list of PREFIX_cache_valid, 0 if there is none.
func LookUp(list []ValidFor, status int) int64 {
	for _, v := range list {
		if v.Status == 0 || v.Status == status {
			return v.Seconds
		}
	}
	return 0
}

// normalized are the request headers whose values are compared without spaces and empty elements.
var normalized = []string{"accept-charset", "accept-encoding", "accept-language"}

// appendVariant appends what identifies the variant of a response for a request: the names in its Vary and the values
// that the request has for them (ngx_http_file_cache_vary).
func appendVariant(dst, vary []byte, request h1.Headers) []byte {
	for len(vary) > 0 {
		var name []byte
		if i := bytes.IndexAny(vary, ", "); i >= 0 {
			name, vary = vary[:i], vary[i+1:]
		} else {
			name, vary = vary, nil
		}
		if len(name) == 0 {
			continue
		}
		from := len(dst)
		for _, c := range name {
			dst = append(dst, ascii.Lower(c))
		}
		isNormalized := false
		for _, n := range normalized {
			isNormalized = isNormalized || string(dst[from:]) == n
		}
		dst = append(dst, ':')
		dst = appendValues(dst, name, request, isNormalized)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

func appendValues(dst, name []byte, request h1.Headers, isNormalized bool) []byte {
	separate := false
	for i := range request {
		h := &request[i]
		if !ascii.Equal(h.Name, name) {
			continue
		}
		if !isNormalized {
			if separate {
				dst = append(dst, ',')
			}
			dst, separate = append(dst, h.Value...), true
			continue
		}
		for rest := h.Value; len(rest) > 0; {
			element := rest
			if j := bytes.IndexAny(rest, ", "); j >= 0 {
				element, rest = rest[:j], rest[j+1:]
			} else {
				rest = nil
			}
			if len(element) == 0 {
				continue
			}
			if separate {
				dst = append(dst, ',')
			}
			dst, separate = append(dst, element...), true
		}
	}
	return dst
}

// Add adds a header of PREFIX_ignore_headers; one that has nothing to do with caching adds nothing.
func (i *Ignored) Add(name string) {
	switch strings.ToLower(name) {
	case "x-accel-expires":
		i.AccelExpires = true
	case "expires":
		i.Expires = true
	case "cache-control":
		i.CacheControl = true
	case "set-cookie":
		i.SetCookie = true
	case "vary":
		i.Vary = true
	}
}
