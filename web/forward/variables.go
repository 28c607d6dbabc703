package forward

import (
	"bytes"
	"net"
	"strconv"
	"strings"

	"starling/nginx/ascii"
	"starling/nginx/units"
	"starling/side"
	"starling/vars"
	"starling/web"
	"starling/web/h1"
)

// of finds the exchange of a request, nil if it was not forwarded.
func of(r *web.Request) *Exchange { return side.DataOf[Exchange](r) }

// DestinationOf returns where a family forwards the request, nil if it does not.
func DestinationOf(r *web.Request, f *Family) *Destination {
	if x := of(r); x != nil && x.l.family.Prefix == f.Prefix {
		return x.To
	}
	return nil
}

// listed makes a variable with a value for each try: "a, b", and " : " after an internal redirect.
func listed(name, doc string, one func(dst []byte, s *state) []byte) vars.Variable[*web.Request] {
	value := func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
		x := of(r)
		if x == nil || len(x.states) == 0 {
			return dst, false
		}
		x.countReceived()
		separate := ""
		for i := range x.states {
			if s := &x.states[i]; s.redirected {
				separate = " : "
			} else {
				dst = one(append(dst, separate...), s)
				separate = ", "
			}
		}
		return dst, true
	}
	return vars.Variable[*web.Request]{Name: name, Doc: doc, Append: value}
}

func appendCount(n func(*state) int64) func([]byte, *state) []byte {
	return func(dst []byte, s *state) []byte { return strconv.AppendInt(dst, n(s), 10) }
}

// Variables are $upstream_…, whichever family forwards the request.
func Variables() []vars.Variable[*web.Request] {
	return []vars.Variable[*web.Request]{
		listed("upstream_addr", "The addresses of the servers tried.",
			func(dst []byte, s *state) []byte { return append(dst, s.address...) }),
		listed("upstream_status", "The statuses of the servers' responses.", func(dst []byte, s *state) []byte {
			if s.status == 0 {
				return append(dst, '-')
			}
			return strconv.AppendInt(dst, int64(s.status), 10)
		}),
		listed("upstream_queue_time", "The times in the queue of the group, in seconds with milliseconds.",
			func(dst []byte, s *state) []byte { return units.AppendSeconds(dst, s.queueMS) }),
		listed("upstream_connect_time", "The connect times, in seconds with milliseconds.",
			func(dst []byte, s *state) []byte { return units.AppendSeconds(dst, s.connectMS) }),
		listed("upstream_header_time",
			"The times until the response headers were received, in seconds with milliseconds.",
			func(dst []byte, s *state) []byte { return units.AppendSeconds(dst, s.headerMS) }),
		listed("upstream_response_time", "The times until the responses were received, in seconds with milliseconds.",
			func(dst []byte, s *state) []byte { return units.AppendSeconds(dst, s.responseMS) }),
		listed("upstream_response_length", "The lengths of the response bodies in bytes, with the framing of chunks.",
			appendCount(func(s *state) int64 { return max(s.length, s.framed) })),
		listed("upstream_bytes_sent", "The bytes sent to the servers.",
			appendCount(func(s *state) int64 { return s.sent })),
		listed("upstream_bytes_received", "The bytes received from the servers.",
			appendCount(func(s *state) int64 { return s.received })),
		{Name: "upstream_last_addr", Doc: "The address of the last selected server, without its port.",
			Append: lastAddress},
		{Name: "upstream_last_server_name", Doc: "The name of the last selected server, without its port.",
			Append: lastName},
		{Name: "upstream_cache_status", Doc: "The result of looking into the cache: `MISS`, `BYPASS`, `EXPIRED`, " +
			"`STALE`, `UPDATING`, `REVALIDATED` or `HIT`.", Append: cacheStatus},
		{Name: "upstream_cache_last_modified", Doc: "The `Last-Modified` of the stored response that is revalidated.",
			Append: cacheLastModified},
		{Name: "upstream_cache_etag", Doc: "The `ETag` of the stored response that is revalidated.", Append: cacheETag},
		{Name: "upstream_cache_key", Doc: "The key with which the request looks into the cache. Open-source nginx " +
			"has no such variable.", Append: cacheKey},
		{Name: "upstream_cache_age", Doc: "The time since the stored response was received or last revalidated, in " +
			"seconds. Open-source nginx has no such variable.", Append: cacheAge},
		{Name: "upstream_http_", Prefix: true, Doc: "The header of that name in the server's response.",
			Append: headerValue},
		{Name: "upstream_cookie_", Prefix: true, Doc: "The cookie of that name set by the server.",
			Append: cookieValue},
		{Name: "upstream_trailer_", Prefix: true, Doc: "The trailer of that name in the server's response.",
			Append: trailerValue},
	}
}

// lastSelected is the last try for which there was a server, nil if there is none.
func lastSelected(r *web.Request) *state {
	x := of(r)
	if x == nil {
		return nil
	}
	for i := len(x.states) - 1; i >= 0; i-- {
		if x.states[i].name != "" {
			return &x.states[i]
		}
	}
	return nil
}

func lastAddress(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	if s := lastSelected(r); s != nil {
		return append(dst, withoutPort(s.address)...), true
	}
	return dst, false
}

func lastName(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	if s := lastSelected(r); s != nil {
		return append(dst, withoutPort(s.name)...), true
	}
	return dst, false
}

// withoutPort takes the port off a name or address: "[::1]:80" becomes "::1", and "unix:/path" stays.
func withoutPort(text string) string {
	if strings.HasPrefix(text, "unix:") {
		return text
	}
	if host, _, err := net.SplitHostPort(text); err == nil {
		return host
	}
	return strings.Trim(text, "[]")
}

// headers are those of the response, nil if there is none.
func headers(r *web.Request) h1.Headers {
	x := of(r)
	if x == nil {
		return nil
	}
	return x.head.Headers
}

// headerValue is $upstream_http_NAME: all headers of the name, or the first one where the client gets only that.
func headerValue(r *web.Request, name string, dst []byte) ([]byte, bool) {
	return appendAll(headers(r), name, onceInAnswer, dst)
}

// appendAll joins the headers of a name; of those in once only the first counts.
func appendAll(all h1.Headers, name string, once h1.KnownSet, dst []byte) ([]byte, bool) {
	found := false
	var seen h1.KnownSet
	for i := all.Lookup(name, 0); i >= 0; i = all.Lookup(name, i+1) {
		if id := all[i].ID; once.Has(id) {
			if seen.Has(id) {
				continue
			}
			seen = seen.With(id)
		}
		if found {
			dst = append(dst, ", "...)
		}
		dst, found = append(dst, all[i].Value...), true
	}
	return dst, found
}

func trailerValue(r *web.Request, name string, dst []byte) ([]byte, bool) {
	x := of(r)
	if x == nil || x.conn == nil {
		return dst, false
	}
	return appendAll(x.conn.wire.Trailers(), name, 0, dst)
}

var equals, semicolon = []byte("="), []byte(";")

// cookieValue is $upstream_cookie_NAME: the value of the first Set-Cookie of that name, in any case.
func cookieValue(r *web.Request, name string, dst []byte) ([]byte, bool) {
	all := headers(r)
	for i := range all {
		if all[i].ID != h1.HeaderSetCookie {
			continue
		}
		v := all[i].Value
		if len(v) <= len(name) || !ascii.EqualString(v[:len(name)], name) {
			continue
		}
		v, ok := bytes.CutPrefix(bytes.TrimLeft(v[len(name):], " "), equals)
		if !ok {
			continue
		}
		v, _, _ = bytes.Cut(bytes.TrimLeft(v, " "), semicolon)
		return append(dst, v...), true
	}
	return dst, false
}
