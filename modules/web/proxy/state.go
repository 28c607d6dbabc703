package proxy

import (
	"bytes"
	"strconv"
	"time"

	"starling/logs"
	"starling/nginx/ascii"
	"starling/vars"
	"starling/web"
	"starling/web/h1"
)

// state is what the $upstream_… variables tell of one try. Times are in milliseconds since it began, -1 where it did not come so far.
type state struct {
	address                         string
	status                          int // 0: none came
	startMS                         int64
	connectMS, headerMS, responseMS int64
	sent, received, length          int64
	redirected                      bool // no try: an internal redirect came between
}

func newState(address string, nowMS int64) state {
	return state{address: address, startMS: nowMS, connectMS: -1, headerMS: -1, responseMS: -1}
}

// state is that of the current try.
func (x *Exchange) state() *state { return &x.states[len(x.states)-1] }

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// logf writes to the error log and names the server as nginx does.
func (x *Exchange) Logf(level logs.Level, format string, args ...any) {
	r := x.Request
	if !r.LogEnabled(level) {
		return
	}
	note := append(r.Alloc(64)[:0], "upstream: \""...)
	if st := x.state(); x.server != nil {
		note = append(append(note, x.To.scheme()...), st.address...)
	} else {
		note = append(note, x.To.prefix...)
		note = append(note, x.group.Name...)
	}
	if x.server != nil && x.server.Addr.Network == "unix" {
		note = append(note, ':')
	}
	r.LogNote = append(append(note, x.URI...), '"')
	r.Logf(level, format, args...)
	r.LogNote = nil
}

func (d *Destination) scheme() string {
	if d.tls {
		return "https://"
	}
	return "http://"
}

// listed makes a variable with a value for each try: "a, b", and " : " where an internal redirect came between.
func listed(name, doc string, one func(dst []byte, s *state) []byte) vars.Variable[*web.Request] {
	return vars.Variable[*web.Request]{Name: name, Doc: doc, Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
		x := of(r)
		if x == nil || len(x.states) == 0 {
			return dst, false
		}
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
	}}
}

func appendSeconds(dst []byte, ms int64) []byte {
	if ms < 0 {
		return append(dst, '-')
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

func appendCount(n func(*state) int64) func([]byte, *state) []byte {
	return func(dst []byte, s *state) []byte { return strconv.AppendInt(dst, n(s), 10) }
}

func ofTarget(name, doc string, part func(*Exchange) string) vars.Variable[*web.Request] {
	return vars.Variable[*web.Request]{Name: name, Doc: doc, Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
		x := of(r)
		if x == nil {
			return dst, false
		}
		return append(dst, part(x)...), true
	}}
}

func variables() []vars.Variable[*web.Request] {
	return []vars.Variable[*web.Request]{
		listed("upstream_addr", "The addresses of the servers asked.", func(dst []byte, s *state) []byte { return append(dst, s.address...) }),
		listed("upstream_status", "The statuses of their answers.", func(dst []byte, s *state) []byte {
			if s.status == 0 {
				return append(dst, '-')
			}
			return strconv.AppendInt(dst, int64(s.status), 10)
		}),
		listed("upstream_connect_time", "The times in seconds that connecting took.", func(dst []byte, s *state) []byte { return appendSeconds(dst, s.connectMS) }),
		listed("upstream_header_time", "The times in seconds until the heads of the answers had come.", func(dst []byte, s *state) []byte { return appendSeconds(dst, s.headerMS) }),
		listed("upstream_response_time", "The times in seconds until the answers had come.", func(dst []byte, s *state) []byte { return appendSeconds(dst, s.responseMS) }),
		listed("upstream_response_length", "The lengths of the answers' bodies in bytes.", appendCount(func(s *state) int64 { return s.length })),
		listed("upstream_bytes_sent", "The bytes sent to the servers.", appendCount(func(s *state) int64 { return s.sent })),
		listed("upstream_bytes_received", "The bytes received from the servers.", appendCount(func(s *state) int64 { return s.received })),
		ofTarget("proxy_host", "The host and port of the URL of proxy_pass.", func(x *Exchange) string { return x.To.host }),
		ofTarget("proxy_port", "The port of the URL of proxy_pass.", func(x *Exchange) string { return x.To.port }),
		{Name: "proxy_add_x_forwarded_for", Doc: "X-Forwarded-For as the client sent it, with the client's address behind it.", Append: appendForwardedFor},
		{Name: "upstream_http_", Prefix: true, Doc: "Headers of the server's answer.", Append: headerValue},
		{Name: "upstream_cookie_", Prefix: true, Doc: "Cookies that the server set.", Append: cookieValue},
		{Name: "upstream_trailer_", Prefix: true, Doc: "Fields behind the body of the server's answer.", Append: trailerValue},
	}
}

// appendForwardedFor joins all X-Forwarded-For headers, as nginx has done since it knows several.
func appendForwardedFor(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	if r.Seen.Has(h1.HeaderXForwardedFor) {
		for i := range r.Headers {
			if r.Headers[i].ID == h1.HeaderXForwardedFor {
				dst = append(append(dst, r.Headers[i].Value...), ", "...)
			}
		}
	}
	if !r.Remote.IsValid() {
		return append(dst, "unix:"...), true
	}
	return r.Remote.Addr().AppendTo(dst), true
}

// headers are those of the answer, nil if there is none.
func headers(r *web.Request) h1.Headers {
	x := of(r)
	if x == nil {
		return nil
	}
	return x.head.Headers
}

// headerValue is $upstream_http_NAME; several of one name are joined with ", ".
func headerValue(r *web.Request, name string, dst []byte) ([]byte, bool) {
	return appendAll(headers(r), name, dst)
}

func appendAll(all h1.Headers, name string, dst []byte) ([]byte, bool) {
	found := false
	for i := all.Lookup(name, 0); i >= 0; i = all.Lookup(name, i+1) {
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
	return appendAll(x.conn.wire.Trailers(), name, dst)
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
