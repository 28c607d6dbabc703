package h1

import (
	"errors"
	"io"
	"os"
)

// BodyKind is how a body ends.
type BodyKind uint8

// The kinds of RFC 9112, 6.
const (
	BodyNone BodyKind = iota
	BodyLength
	BodyChunked
	BodyUntilClose
)

// Body reads one message's body. Buffered bytes come first (Take returns them in place); after that, it reads from the
// connection directly into the caller's memory, even if the body is chunked. StartRequest and StartResponse start a new
// one, reusing its memory. It implements io.Reader.
type Body struct {
	buf    *Buffer
	kind   BodyKind
	left   int64 // BodyLength: bytes to come
	done   bool
	failed error
	chunks chunkReader

	// RawBytes counts the bytes of the body on the wire.
	RawBytes int64
}

// StartResponse starts the body of an upstream's response, see ResponseHead.Body. length is used only for BodyLength.
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

// StartRequest starts the body of a request.
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

// Done reports whether the whole body was read: a Read would return io.EOF.
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

// Trailers are the fields after the last chunk, once Done. Fields that frame or route a message are omitted.
func (b *Body) Trailers() Headers { return b.chunks.trailers }

// Take returns the buffered part of the body, in place, without reading; it can be empty. The bytes are valid until the
// Buffer's Recycle.
func (b *Body) Take() ([]byte, error) {
	if b.done || b.failed != nil {
		return nil, b.failed
	}
	raw := b.buf.Unread()
	n, used, err := b.decode(raw)
	b.buf.Consume(used)
	return raw[:n:n], err
}

// Read reads body bytes into p, from the connection only until there are some. At the end it returns io.EOF; a
// connection that ends inside the body returns io.ErrUnexpectedEOF, bad chunks a *Problem.
func (b *Body) Read(p []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	if len(p) == 0 && !b.done {
		return 0, nil
	}
	for !b.done {
		n, err := b.readOnce(p)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // after a timeout, a caller can continue to wait
			b.failed = err
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// readOnce takes buffered bytes, otherwise reads the connection once; it can return no body bytes although bytes
// arrived.
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
		b.buf.PushBack(p[used:got])
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

// Discard reads and drops up to limit bytes; done reports whether the body ended within them.
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
