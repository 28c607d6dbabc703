package h1

import (
	"bytes"

	"starling/nginx/ascii"
)

// FieldReader builds a RequestHead from the fields of HTTP/2, one by one, with the rules of RFC 9113, 8.2 and 8.3 as in
// nginx. Names and values must not change until the head is Reset.
type FieldReader struct {
	Head   *RequestHead
	Limits *Limits

	authority []byte
	named     bool // :authority was sent
	regular   bool // a field that is not a pseudo-header was seen
	cookies   int
	problem   error
}

// Begin starts on a head that was Reset.
func (f *FieldReader) Begin(h *RequestHead, l *Limits) {
	*f = FieldReader{Head: h, Limits: l}
	h.Version, h.Proto = Version20, protoHTTP2
}

var protoHTTP2 = []byte("HTTP/2.0")

// Add adds one field. Finish reports errors, because the rest of the block must be read in any case.
func (f *FieldReader) Add(name, value []byte, id Known) {
	if f.problem != nil {
		return
	}
	if name[0] == ':' {
		f.problem = f.pseudo(name, value)
		return
	}
	f.regular = true
	f.problem = f.field(name, value, id)
}

func (f *FieldReader) pseudo(name, value []byte) error {
	h := f.Head
	if f.regular {
		return clientProblem(400, "out of order pseudo-headers")
	}
	switch string(name) {
	case ":method":
		return f.method(value)
	case ":scheme":
		switch {
		case h.Scheme != nil:
			return clientProblem(400, "duplicate :scheme header")
		case len(value) == 0:
			return clientProblem(400, "empty :scheme header")
		case !isScheme(value):
			return clientProblem(400, "invalid :scheme header: \"%s\"", quoted(value))
		}
		h.Scheme = value
	case ":path":
		return f.path(value)
	case ":authority":
		if f.named {
			return clientProblem(400, "duplicate \":authority\" header")
		}
		f.named, f.authority = true, value
		host, port, ok := h.cleanHost(value)
		if !ok {
			return clientProblem(400, "invalid \":authority\" header")
		}
		h.Host, h.Port, h.hostSent = host, port, true
	default:
		return clientProblem(400, "unknown pseudo-header \"%s\"", quoted(name))
	}
	return nil
}

func (f *FieldReader) method(value []byte) error {
	h := f.Head
	switch {
	case h.Method != nil:
		return clientProblem(400, "duplicate :method header")
	case len(value) == 0:
		return clientProblem(400, "empty :method header")
	}
	for _, c := range value {
		if (c < 'A' || c > 'Z') && c != '_' && c != '-' || len(value) > maxMethodBytes {
			return clientProblem(400, "invalid method: \"%s\"", quoted(value))
		}
	}
	h.Method, h.MethodID = value, IdentifyMethod(value)
	return nil
}

func (f *FieldReader) path(value []byte) error {
	h := f.Head
	switch {
	case h.Target != nil:
		return clientProblem(400, "duplicate :path header")
	case len(value) == 0:
		return clientProblem(400, "empty :path header")
	}
	invalid := value[0] != '/' || controlIn(value) || bytes.IndexByte(value, ' ') >= 0
	if !invalid {
		path, args, scratch, ok := normalise(h.scratch, value, !f.Limits.KeepSlashes)
		h.Path, h.Args, h.scratch, invalid = path, args, scratch, !ok
	}
	if invalid {
		return clientProblem(400, "invalid :path header: \"%s\"", quoted(value))
	}
	h.Target = value
	return nil
}

func (f *FieldReader) field(name, value []byte, id Known) error {
	h := f.Head
	class := namePlain
	for _, c := range name {
		switch {
		case c <= 0x20 || c == 0x7f || c == ':' || c >= 'A' && c <= 'Z':
			return clientProblem(400, "invalid header name: \"%s\"", quoted(name))
		case plainName[c] != 0:
		case tokenByte[c]:
			class = max(class, nameOdd)
		default:
			class = nameBroken
		}
	}
	if bytes.IndexByte(value, 0) >= 0 || bytes.IndexByte(value, '\n') >= 0 ||
		bytes.IndexByte(value, '\r') >= 0 { // RFC 9113, 8.2.1
		return clientProblem(400, "header \"%s\" with invalid value: \"%s\"", quoted(name), quoted(value))
	}
	if class != namePlain && h.drops(class, name, f.Limits) {
		h.Dropped++
		h.LastDropped = name
		return nil
	}
	if id == HeaderCookie {
		f.cookies++
	} else if len(h.Headers) >= f.Limits.MaxHeaders {
		return clientProblem(StatusHeaderTooLarge, "too many header lines")
	}
	value = trimSpace(value)
	h.Headers = append(h.Headers, Header{Name: name, Value: value[:len(value):len(value)], ID: id})
	if id == HeaderOther {
		return nil
	}
	return h.note(len(h.Headers) - 1)
}

// connectionFields are those that RFC 9113, 8.2.2 forbids.
var connectionFields = []Known{
	HeaderConnection,
	HeaderKeepAlive,
	HeaderTransferEncoding,
	HeaderUpgrade,
	HeaderProxyConnection,
}

// Finish completes the head; ended means that no body follows. A *Problem has the status of the response.
func (f *FieldReader) Finish(ended bool) error {
	h := f.Head
	if f.problem == nil {
		f.problem = f.complete()
	}
	if h.Method != nil && h.Target != nil {
		h.Line = h.keep(h.Method, " ", h.Target, " HTTP/2.0")
	}
	if f.problem != nil {
		return f.problem
	}
	h.stage, h.KeepAlive, h.ExpectContinue = stageDone, true, false
	if f.cookies > 1 {
		f.joinCookies()
	}
	if h.Seen.Has(HeaderContentLength) {
		if h.ContentLength > 0 && ended {
			return &Problem{Status: 400, Text: "client prematurely closed stream"}
		}
	} else {
		h.Chunked = !ended
	}
	switch h.MethodID {
	case MethodConnect:
		return clientProblem(405, "CONNECT method")
	case MethodTrace:
		return clientProblem(405, "TRACE method")
	}
	return nil
}

// complete checks what depends on the whole head, in nginx's order.
func (f *FieldReader) complete() error {
	h := f.Head
	switch {
	case h.Method == nil:
		return clientProblem(400, "no :method header")
	case h.Scheme == nil:
		return clientProblem(400, "no :scheme header")
	case h.Target == nil:
		return clientProblem(400, "no :path header")
	}
	for _, id := range connectionFields {
		if h.Seen.Has(id) {
			return clientProblem(400, "\"%s\" header", id)
		}
	}
	if h.Seen.Has(HeaderTE) {
		first, _ := h.Headers.Get(HeaderTE)
		if h.Headers.Lookup("te", h.Headers.Lookup("te", 0)+1) >= 0 || !ascii.EqualString(first, "trailers") {
			return clientProblem(400, "invalid \"TE\" header")
		}
	}
	if len(h.Host) == 0 {
		return clientProblem(400, "neither \":authority\" nor \"Host\" header")
	}
	if !f.named {
		return nil
	}
	if sent, ok := h.Headers.Get(HeaderHost); ok {
		if !bytes.Equal(sent, f.authority) {
			return clientProblem(400, "\":authority\" and \"Host\" headers with different values")
		}
		return nil
	}
	h.Headers = append(h.Headers, Header{Name: nameHost, Value: f.authority, ID: HeaderHost})
	h.Seen = h.Seen.With(HeaderHost)
	return nil
}

var nameHost = []byte("host")

// joinCookies joins several cookies into one header (RFC 9113, 8.2.3), in place of the first.
func (f *FieldReader) joinCookies() {
	h := f.Head
	start := len(h.scratch)
	kept, first := h.Headers[:0], -1
	for _, header := range h.Headers {
		if header.ID != HeaderCookie {
			kept = append(kept, header)
			continue
		}
		if first < 0 {
			first = len(kept)
			kept = append(kept, header)
		} else {
			h.scratch = append(h.scratch, "; "...)
		}
		h.scratch = append(h.scratch, header.Value...)
	}
	h.Headers = kept
	h.Headers[first].Value = h.scratch[start:len(h.scratch):len(h.scratch)]
}

// keep joins pieces in the head's own memory.
func (h *RequestHead) keep(a []byte, between string, b []byte, end string) []byte {
	start := len(h.scratch)
	h.scratch = append(append(append(append(h.scratch, a...), between...), b...), end...)
	return h.scratch[start:len(h.scratch):len(h.scratch)]
}
