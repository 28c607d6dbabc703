package memcached

import (
	"bytes"
	"math"

	"starling/logs"
	"starling/upstream"
	"starling/vars"
	"starling/web"
	"starling/web/forward"
	"starling/web/h1"
)

// protocol is memcached's text protocol as one location uses it: the request "get key", and an answer of a line with
// the length, the value and a trailer, or the trailer alone.
type protocol struct {
	key      vars.Template[*web.Request]
	gzipFlag int64
}

// asks reports whether the method is one that a value answers.
func asks(r *web.Request) bool { return r.MethodID == h1.MethodGet || r.MethodID == h1.MethodHead }

// Prepare finds the key.
func (p *protocol) Prepare(x *forward.Exchange) web.Result {
	x.URI = appendKey(x.URI[:0], x.Request.Expand(&p.key))
	if len(x.URI) == 0 {
		x.Request.Logf(logs.Error, "the \"$memcached_key\" variable is not set")
		return 500
	}
	return web.Declined
}

// Chunks are irrelevant: no body is sent.
func (p *protocol) Chunks() bool { return false }

// Open starts on a connection.
func (p *protocol) Open(c *upstream.Conn) forward.Wire {
	w := &wire{conn: c.Conn}
	w.in.Attach(c.Conn)
	w.out.Attach(c.Conn)
	return w
}

// SendHead writes the whole request.
func (p *protocol) SendHead(x *forward.Exchange, to forward.Wire, _ forward.Framing, _ []byte) error {
	w := to.(*wire)
	w.begin(x)
	line := append(append(w.out.Start(), "get "...), x.URI...)
	return w.out.Write(append(line, '\r', '\n'))
}

// appendKey escapes the bytes that would end a key, by nginx's table.
func appendKey(dst, key []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range key {
		if c <= ' ' || c == '%' {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// ReceiveHead reads the first line.
func (p *protocol) ReceiveHead(x *forward.Exchange, from forward.Wire, head *forward.Head) (whole bool, err error) {
	w := from.(*wire)
	for tried := false; ; tried = true {
		unread := w.in.Unread()
		end := bytes.IndexByte(unread, '\n')
		switch {
		case end >= 0 && end < x.HeadBytes():
			w.in.Consume(end + 1)
			w.received = int64(end + 1)
			return true, p.parse(x, w, unread[:end], head)
		case len(unread) >= x.HeadBytes():
			return false, h1.ErrHeadTooBig
		case tried:
			return false, nil
		}
		if err := forward.Fill(&w.in, len(unread) == 0); err != nil {
			return false, err
		}
	}
}

var (
	valueWord = []byte("VALUE ")
	endWord   = []byte("END")
	gzipName  = []byte("Content-Encoding")
	gzipValue = []byte("gzip")
)

// parse reads "VALUE key flags length" or "END".
func (p *protocol) parse(x *forward.Exchange, w *wire, line []byte, head *forward.Head) error {
	invalid := func(what string) error {
		return forward.Faultf("memcached sent invalid %s in response \"%s\" for key \"%s\"", what, line, x.URI)
	}
	line, ok := bytes.CutSuffix(line, []byte("\r"))
	switch {
	case !ok:
		return forward.Faultf("memcached sent invalid response: \"%s\"", line)
	case bytes.Equal(line, endWord):
		x.Logf(logs.Info, "key: \"%s\" was not found by memcached", x.URI)
		*head = forward.Head{Status: 404, Bare: true}
		w.nothing()
		return nil
	}
	rest, ok := bytes.CutPrefix(line, valueWord)
	if !ok {
		return forward.Faultf("memcached sent invalid response: \"%s\"", line)
	}
	if rest, ok = bytes.CutPrefix(rest, x.URI); !ok {
		return invalid("key")
	}
	rest, separated := bytes.CutPrefix(rest, []byte(" "))
	flagWord, lengthWord, ok := bytes.Cut(rest, []byte(" "))
	if !separated || !ok {
		return forward.Faultf("memcached sent invalid response: \"%s\"", line)
	}
	flags, ok := number(flagWord)
	if !ok && p.gzipFlag != 0 {
		return invalid("flags")
	}
	length, ok := number(lengthWord)
	if !ok {
		return invalid("length")
	}
	r := x.Request
	*head = forward.Head{Status: 200, ContentLength: length, ContentType: r.CopyString(r.Location.TypeOf(r.Path))}
	if flags&p.gzipFlag != 0 {
		w.header[0] = h1.Header{Name: gzipName, Value: gzipValue, ID: h1.Identify(gzipName)}
		head.Headers, head.Seen = w.header[:], h1.SetOf(w.header[0].ID)
	}
	w.value(length)
	return nil
}

// number reads a non-negative number that fits.
func number(digits []byte) (n int64, ok bool) {
	for _, c := range digits {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, len(digits) > 0
}
