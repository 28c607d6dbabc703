package h1

import (
	"errors"
	"io"
	"os"
)

// BodyKind says where a body ends.
type BodyKind uint8

// The kinds of RFC 9112, 6.
const (
	BodyNone BodyKind = iota
	BodyLength
	BodyChunked
	BodyUntilClose
)

// Body reads one message's body. What the buffer already holds comes first (Take hands it over in place); after that
// the connection is read straight into the caller's memory, also when the body is chunked. StartRequest and
// StartResponse begin a new one, using its memory again. It implements io.Reader.
type Body struct {
	buf    *Buffer
	kind   BodyKind
	left   int64 // BodyLength: bytes to come
	done   bool
	failed error
	chunks chunkReader

	// RawBytes counts what was read of the body as it stood on the wire.
	RawBytes int64
}

// StartResponse begins the body of an upstream's answer, see ResponseHead.Body. length counts only for BodyLength.
func (b *Body) StartResponse(buf *Buffer, kind BodyKind, length int64) {
	b.start(buf, kind, length)
	b.chunks.start(true)
}

func (b *Body) start(buf *Buffer, kind BodyKind, length int64) {
	b.buf, b.kind, b.left = buf, kind, length
	b.done = kind == BodyNone || kind == BodyLength && length == 0
	b.failed = nil
	b.RawBytes = 0
}

// StartRequest begins the body of a request.
func (b *Body) StartRequest(buf *Buffer, h *RequestHead) {
	switch {
	case h.Chunked:
		b.start(buf, BodyChunked, 0)
	case h.ContentLength > 0:
		b.start(buf, BodyLength, h.ContentLength)
	default:
		b.start(buf, BodyNone, 0)
	}
	b.chunks.start(false)
}

// Done tells that the whole body was read: a Read would give io.EOF.
func (b *Body) Done() bool { return b.done }

// Kind is the framing of the body.
func (b *Body) Kind() BodyKind { return b.kind }

// Left returns the number of remaining bytes, -1 if it is unknown.
func (b *Body) Left() int64 {
	switch {
	case b.done:
		return 0
	case b.kind == BodyLength:
		return b.left
	}
	return -1
}

// Trailers are the fields behind the last chunk, once Done. Fields that say how to read or route a message are left
// out.
func (b *Body) Trailers() Headers { return b.chunks.trailers }

// Take hands over what the buffer holds of the body, in place, without reading; it may be empty. The bytes are valid
// until the Buffer's Recycle.
func (b *Body) Take() ([]byte, error) {
	if b.done || b.failed != nil {
		return nil, b.failed
	}
	raw := b.buf.Unread()
	n, used, err := b.decode(raw)
	b.buf.Consume(used)
	return raw[:n:n], err
}

// Read gives body bytes into p, reading the connection at most until there are some. At the end it gives io.EOF; a
// connection that ends inside the body gives io.ErrUnexpectedEOF, bad chunks a *Problem.
func (b *Body) Read(p []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	if len(p) == 0 && !b.done {
		return 0, nil
	}
	for !b.done {
		n, err := b.readOnce(p)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // after a timeout a caller may go on waiting
			b.failed = err
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// readOnce takes what is buffered, else reads the connection once; it may give nothing of the body though bytes came.
func (b *Body) readOnce(p []byte) (int, error) {
	if unread := b.buf.Unread(); len(unread) > 0 {
		got := copy(p, unread)
		n, used, err := b.decode(p[:got])
		b.buf.Consume(used)
		return n, err
	}
	if b.kind == BodyLength && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	got, err := b.buf.conn.Read(p)
	if got == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		if err == io.EOF && b.kind == BodyUntilClose {
			b.done = true
			return 0, nil
		}
		return 0, midMessage(err, true)
	}
	n, used, err := b.decode(p[:got])
	if used < got {
		b.buf.pushBack(p[used:got])
	}
	return n, err
}

// decode turns raw bytes into body bytes in place: raw[:n] is body, used of raw belong to this message.
func (b *Body) decode(raw []byte) (n, used int, err error) {
	switch b.kind {
	case BodyLength:
		n = int(min(int64(len(raw)), b.left))
		b.left -= int64(n)
		b.done = b.left == 0
		used = n
	case BodyChunked:
		n, used, b.done, err = b.chunks.decode(raw)
		if err != nil {
			b.failed = err
		}
	case BodyUntilClose:
		n, used = len(raw), len(raw)
	}
	b.RawBytes += int64(used)
	return n, used, err
}

// Discard reads and forgets up to limit bytes; done tells that the body ended within.
func (b *Body) Discard(limit int64) (done bool, err error) {
	if b.done {
		return true, nil
	}
	scratch := TakeSlab(minSlabBytes)
	defer scratch.GiveBack()
	for limit > 0 && !b.done {
		n, err := b.Read(scratch.Mem)
		if err != nil && err != io.EOF {
			return false, err
		}
		limit -= int64(n)
	}
	return b.done, nil
}
