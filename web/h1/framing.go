package h1

import (
	"errors"
	"io"

	"starling/nginx/ascii"
)

// onceInRequest are the headers that nginx rejects when repeated.
var onceInRequest = SetOf(HeaderHost, HeaderContentLength, HeaderTransferEncoding, HeaderExpect, HeaderAuthorization,
	HeaderProxyAuthorization, HeaderContentRange, HeaderIfRange, HeaderIfMatch, HeaderIfNoneMatch,
	HeaderIfModifiedSince, HeaderIfUnmodifiedSince)

// actedOn are the headers that control how the request is read.
var actedOn = SetOf(HeaderHost, HeaderContentLength, HeaderTransferEncoding, HeaderExpect, HeaderConnection)

// connectionOptions are the options of a Connection header.
type connectionOptions struct{ close, keepAlive, upgrade bool }

func (o *connectionOptions) read(value []byte) {
	for {
		var token []byte
		if token, value = nextToken(value); token == nil {
			return
		}
		switch {
		case ascii.EqualString(token, "close"):
			o.close = true
		case ascii.EqualString(token, "keep-alive"):
			o.keepAlive = true
		case ascii.EqualString(token, "upgrade"):
			o.upgrade = true
		}
	}
}

// note handles the known header at index n.
func (h *RequestHead) note(n int) error {
	header := &h.Headers[n]
	id := header.ID
	if h.Seen.Has(id) && onceInRequest.Has(id) {
		first, _ := h.Headers[:n].Get(id)
		what := "header line"
		if id == HeaderHost {
			what = "host header"
		}
		return clientProblem(400, "duplicate %s: \"%s: %s\", previous value: \"%s: %s\"",
			what, header.Name, quoted(header.Value), id, quoted(first))
	}
	h.Seen = h.Seen.With(id)
	if !actedOn.Has(id) {
		return nil
	}
	switch id {
	case HeaderHost:
		return h.noteHost(header.Value)
	case HeaderConnection:
		h.closes.read(header.Value)
	case HeaderExpect:
		h.ExpectContinue = ascii.EqualString(header.Value, "100-continue")
	case HeaderTransferEncoding:
		h.teIndex = n
	case HeaderContentLength:
		if h.ContentLength = parseLength(header.Value); h.ContentLength < 0 {
			return clientProblem(400, "invalid \"Content-Length\" header")
		}
	}
	return nil
}

func (h *RequestHead) noteHost(value []byte) error {
	host, port, ok := h.cleanHost(value)
	if !ok {
		return clientProblem(400, "invalid host header")
	}
	if !h.hostSent {
		h.Host, h.Port = host, port
	}
	return nil
}

// finish checks what depends on the whole head, in nginx's order.
func (h *RequestHead) finish() error {
	if h.Version >= Version11 && !h.Seen.Has(HeaderHost) {
		return ErrNoHost
	}
	if h.Seen.Has(HeaderTransferEncoding) {
		if h.Version < Version11 {
			return clientProblem(400, "HTTP/1.0 request with \"Transfer-Encoding\" header")
		}
		if te := h.Headers[h.teIndex].Value; !ascii.EqualString(te, "chunked") {
			return clientProblem(501, "unknown \"Transfer-Encoding\": \"%s\"", quoted(te))
		}
		if h.Seen.Has(HeaderContentLength) {
			return clientProblem(400, "\"Content-Length\" and \"Transfer-Encoding\" headers at the same time")
		}
		h.Chunked = true
	}
	h.KeepAlive = !h.closes.close && (h.Version >= Version11 || h.closes.keepAlive)
	h.Upgrade = h.closes.upgrade && h.Seen.Has(HeaderUpgrade) && h.Version >= Version11
	h.ExpectContinue = h.ExpectContinue && h.Version >= Version11
	switch h.MethodID {
	case MethodConnect:
		return clientProblem(405, "CONNECT method")
	case MethodTrace:
		return clientProblem(405, "TRACE method")
	}
	return nil
}

// midMessage turns an end of file inside a message into io.ErrUnexpectedEOF.
func midMessage(err error, inside bool) error {
	if inside && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
