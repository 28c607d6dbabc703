package proxy

import (
	"strings"

	"starling/nginx/escape"
	"starling/web"
	"starling/web/h1"
)

// headPlan says how the head of a request is made.
type headPlan struct {
	// host is the value of a proxy_set_header Host, nil if there is none.
	host *value
	// set are the other headers of proxy_set_header with a value, in order.
	set []setHeader
	// replaced are the client's headers that are not passed.
	replaced nameSet
	// length tells that proxy_set_header does not name Content-Length.
	length bool
}

// neverPassed are client headers that speak about its own connection.
var neverPassed = []string{"Host", "Connection", "Proxy-Connection", "Content-Length", "Transfer-Encoding", "TE", "Keep-Alive",
	"Expect", "Upgrade"}

func newHeadPlan(s *Settings) headPlan {
	p := headPlan{length: true}
	for _, name := range neverPassed {
		p.replaced.add(name)
	}
	for i := range s.headers {
		h := &s.headers[i]
		p.replaced.add(h.name)
		text, literal := h.value.Literal()
		switch {
		case strings.EqualFold(h.name, "Host"):
			p.host = &h.value
			continue
		case strings.EqualFold(h.name, "Content-Length"):
			p.length = false
		case strings.EqualFold(h.name, "Transfer-Encoding"):
			continue // the body is framed by whoever sends it
		}
		if !literal || text != "" {
			p.set = append(p.set, *h)
		}
	}
	return p
}

// framing says how the request's body is framed.
type framing struct {
	// length is the Content-Length to send, -1 for none; chunked sends chunks.
	length  int64
	chunked bool
}

// appendHead writes the head of the request to the server.
func (x *exchange) appendHead(dst []byte, f framing) []byte {
	r, l := x.r, x.l
	version := h1.Version11
	if l.version10 {
		version = h1.Version10
	}
	method := r.Method
	if l.method != nil {
		method = r.Copy(r.Expand(l.method))
	}
	x.headOnly = string(method) == "HEAD"
	x.uri = x.appendURI(x.uri[:0])
	dst = h1.AppendRequestLine(dst, method, x.uri, version)
	dst = x.appendHost(dst)
	for i := range l.head.set {
		h := &l.head.set[i]
		start := len(dst)
		dst = append(append(dst, h.name...), ':', ' ')
		from := len(dst)
		dst = h.value.Append(dst, r)
		if len(dst) == from {
			dst = dst[:start]
			continue
		}
		blankControls(dst[from:])
		dst = append(dst, '\r', '\n')
	}
	switch {
	case f.chunked:
		dst = h1.AppendChunkedCoding(dst)
	case f.length >= 0 && (l.head.length || f.length > 0):
		dst = h1.AppendContentLength(dst, f.length)
	}
	if l.passHeaders {
		for i := range r.Headers {
			if h := &r.Headers[i]; !l.head.replaced.has(h) {
				dst = h1.AppendHeader(dst, h.Name, h.Value)
			}
		}
	}
	return h1.AppendHeadEnd(dst)
}

// blankControls keeps values made from variables from ending a header.
func blankControls(value []byte) {
	for i, c := range value {
		if c == '\r' || c == '\n' || c == 0 {
			value[i] = ' '
		}
	}
}

func (x *exchange) appendHost(dst []byte) []byte {
	dst = append(dst, "Host: "...)
	from := len(dst)
	if x.l.head.host != nil {
		dst = x.l.head.host.Append(dst, x.r)
		blankControls(dst[from:])
		if len(dst) == from && x.l.version10 {
			return dst[:from-len("Host: ")]
		}
	}
	if len(dst) == from {
		dst = append(dst, x.to.host...)
	}
	return append(dst, '\r', '\n')
}

// appendURI writes the request target, by the rules of ngx_http_proxy_create_request.
func (x *exchange) appendURI(dst []byte) []byte {
	r, uri := x.r, x.to.uri
	switch {
	case x.l.to.byRequest != nil && uri != "":
		if uri[0] == '?' {
			dst = append(dst, '/')
		}
		return append(dst, uri...)
	case uri == "" && r.TargetStands():
		return append(dst, r.Target...)
	}
	path := r.Path
	if r.Displaced {
		uri = ""
	} else if uri != "" {
		path = path[min(len(x.l.to.location), len(path)):]
	}
	dst = escape.Append(append(dst, uri...), path, escape.Path)
	if len(r.Query) > 0 {
		dst = append(append(dst, '?'), r.Query...)
	}
	return dst
}

// hasUpgrade tells whether the client asked to switch protocols.
func hasUpgrade(r *web.Request) bool { return r.Seen.Has(h1.HeaderUpgrade) }
