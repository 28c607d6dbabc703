package proxy

import (
	"bytes"
	"slices"
	"strings"

	"starling/nginx/escape"
	"starling/web"
	"starling/web/forward"
	"starling/web/h1"
)

// headPlan describes how the head of a request is built.
type headPlan struct {
	forward.HeadPlan
	// length means that proxy_set_header does not name Content-Length; since and match likewise If-Modified-Since and
	// If-None-Match.
	length, since, match bool
	// lengthAt is the place of Content-Length in Set, -1 if there is none.
	lengthAt int
	// notStored are the client's headers that are not passed either if the response may be stored.
	notStored forward.NameSet
}

// neverPassed are client headers that concern its own connection.
var neverPassed = []string{"Host", "Connection", "Proxy-Connection", "Content-Length", "Transfer-Encoding", "TE",
	"Keep-Alive",
	"Expect", "Upgrade"}

// neverStored are client headers that ask for less than the whole response.
var neverStored = []string{"If-Modified-Since", "If-Unmodified-Since", "If-None-Match", "If-Match", "Range", "If-Range"}

func newHeadPlan(s *Settings) headPlan {
	p := headPlan{HeadPlan: forward.NewHeadPlan(s.headers, neverPassed)}
	for _, name := range neverStored {
		p.notStored.Add(name)
	}
	p.lengthAt = slices.IndexFunc(p.Set, func(h forward.SetHeader) bool {
		return strings.EqualFold(h.Name, "Content-Length")
	})
	p.length, p.since, p.match = !p.Names("Content-Length"), !p.Names("If-Modified-Since"), !p.Names("If-None-Match")
	return p
}

// methodOf is the method sent to the server.
func (p *common) methodOf(x *forward.Exchange) []byte {
	r := x.Request
	if x.Converted() {
		return methodGet
	}
	if p.method != nil {
		return r.Copy(r.Expand(p.method))
	}
	return r.Method
}

// appendHead writes the head of the request to the server. promised reports that it announces a body that is not sent:
// nothing else can follow on the connection, because the server would take it for that body.
func (p *protocol) appendHead(
	dst []byte, x *forward.Exchange, method []byte, f forward.Framing,
) (head []byte, promised bool) {
	r := x.Request
	version := h1.Version11
	if p.version == http10 {
		version = h1.Version10
	}
	dst = h1.AppendRequestLine(dst, method, x.URI, version)
	dst = p.appendHost(dst, x)
	for i := range p.head.Set {
		if i == p.head.lengthAt && !f.Withheld && (f.Chunked || f.Length > 0) {
			continue // the body has a framing of its own
		}
		h := &p.head.Set[i]
		start := len(dst)
		dst = append(append(dst, h.Name...), ':', ' ')
		from := len(dst)
		if dst = forward.AppendValue(dst, &h.Value, r); len(dst) == from {
			dst = dst[:start]
			continue
		}
		promised = promised || i == p.head.lengthAt && string(dst[from:]) != "0"
		dst = append(dst, '\r', '\n')
	}
	if x.Storable() {
		dst = x.AppendConditions(dst, p.head.since, p.head.match)
	}
	switch {
	case f.Chunked:
		dst = h1.AppendChunkedCoding(dst)
	case f.Length >= 0 && (p.head.length || f.Length > 0 && !f.Withheld):
		promised = promised || f.Withheld && f.Length > 0
		dst = h1.AppendContentLength(dst, f.Length)
	}
	if p.PassHeaders {
		for i := range r.Headers {
			if h := &r.Headers[i]; p.head.Passes(h) && !(x.Storable() && p.head.notStored.Has(h)) {
				dst = h1.AppendHeader(dst, h.Name, h.Value)
			}
		}
	}
	return h1.AppendHeadEnd(dst), promised
}

var methodGet = []byte("GET")

// AppendKey is the default of proxy_cache_key: the URL that is asked for.
func (p *common) AppendKey(dst []byte, x *forward.Exchange) []byte {
	return append(x.AppendBase(dst), x.URI...)
}

func (p *protocol) appendHost(dst []byte, x *forward.Exchange) []byte {
	dst = append(dst, "Host: "...)
	from := len(dst)
	if p.head.Host != nil {
		dst = forward.AppendValue(dst, p.head.Host, x.Request)
		if len(dst) == from && p.version == http10 {
			return dst[:from-len("Host: ")]
		}
	}
	if len(dst) == from {
		dst = append(dst, x.To.Host...)
	}
	return append(dst, '\r', '\n')
}

// escapes are the bytes of the path that must be escaped. If the client escaped none, all are forwarded as it sent
// them, because a server can compare them with a signature.
func escapes(r *web.Request) *escape.Set {
	if !r.Internal && r.PathStands() && bytes.IndexByte(r.Target, '%') < 0 {
		return escape.Line
	}
	return escape.Path
}

// appendURI writes the request target, by the rules of ngx_http_proxy_create_request.
func (p *common) appendURI(dst []byte, x *forward.Exchange) []byte {
	r, uri := x.Request, x.To.URI
	switch {
	case p.Target.ByRequest != nil && uri != "":
		if uri[0] == '?' {
			dst = append(dst, '/')
		}
		return append(dst, uri...)
	case uri == "":
		return forward.AppendTarget(dst, r)
	}
	path := r.Path
	if r.Displaced {
		uri = ""
	} else {
		path = path[min(len(p.Target.Location), len(path)):]
	}
	dst = escape.Append(append(dst, uri...), path, escapes(r))
	if len(r.Query) > 0 {
		dst = append(append(dst, '?'), r.Query...)
	}
	return dst
}
