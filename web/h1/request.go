package h1

import "bytes"

// RequestHead is one request's line and headers. It is reused for the next request of the connection: call Reset. All
// slices are valid until the Buffer's Recycle, those of Path and Host until Reset.
type RequestHead struct {
	Line     []byte // the request line as sent ($request)
	Method   []byte
	MethodID Method
	Target   []byte // from the path on, as sent ($request_uri)
	Path     []byte // decoded and normalised ($uri)
	Args     []byte // after the '?', as sent ($args)
	Scheme   []byte // of an absolute-form target, otherwise empty
	Proto    []byte // as sent: "HTTP/1.1"; empty for HTTP/0.9
	Version  Version

	// Host is the requested name, in lower case without port and final dot; the target's if it has one, otherwise the
	// header's.
	Host []byte
	Port uint16 // 0 if none was given

	Headers     Headers
	Seen        KnownSet // the known headers that it has
	Dropped     int      // header lines dropped because of their names
	LastDropped []byte   // the last of them, for the log

	ContentLength  int64 // -1: none
	Chunked        bool
	KeepAlive      bool // according to version and Connection
	ExpectContinue bool
	Upgrade        bool // Connection names upgrade and there is an Upgrade header

	Bytes int // length of line and headers as read

	hostSent bool // Host came from the target
	teIndex  int  // of Transfer-Encoding in Headers
	closes   connectionOptions
	stage    stage
	blank    int
	room     room
	scratch  []byte // decoded paths and lower-case hosts
}

type stage uint8

const (
	stageLine stage = iota
	stageHeaders
	stageDone
)

// Buffers that grew for an unusual request are not kept for the life of the connection.
const (
	usualHeaders    = 16
	maxKeptHeaders  = 64
	maxScratchBytes = 1 << 10
)

// Reset makes the head ready for the next request.
func (h *RequestHead) Reset() {
	headers, scratch := keptHeaders(h.Headers), h.scratch[:0]
	if cap(scratch) > maxScratchBytes {
		scratch = nil
	}
	*h = RequestHead{Headers: headers, scratch: scratch, ContentLength: -1}
}

// Get returns a known header's first value, nil if it was not sent. An empty value is not nil.
func (h *RequestHead) Get(id Known) []byte {
	if !h.Seen.Has(id) {
		return nil
	}
	v, _ := h.Headers.Get(id)
	return v
}

// HasBody reports whether a body follows, even an empty chunked one.
func (h *RequestHead) HasBody() bool { return h.Chunked || h.ContentLength > 0 }

// Parse parses the unread bytes as far as possible, and reports whether the head is complete. If not, call Fill and
// Parse again. After a *Problem, which has the status of the response, the connection is unusable.
func (h *RequestHead) Parse(b *Buffer, l *Limits) (whole bool, err error) {
	for h.stage != stageDone {
		line, size := b.line()
		if size == 0 {
			return false, h.checkPartial(b.Unread(), l)
		}
		if h.stage == stageLine {
			err = h.takeRequestLine(b, line, size, l)
		} else {
			err = h.takeHeaderLine(b, line, size, l)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// checkPartial rejects at once what cannot become a line that fits, or a valid one, as far as nginx does not wait for
// its end either.
func (h *RequestHead) checkPartial(part []byte, l *Limits) error {
	if h.stage == stageLine {
		h.startRoom(l)
		if len(part) > 0 && part[0] == '\r' {
			part = part[1:]
		}
		h.Line = part // for the log, if it is rejected
		if err := checkMethod(part, len(part)); err != nil {
			return err
		}
	}
	if !h.room.fits(len(part)+1, l) {
		return h.tooLong(part)
	}
	text := bytes.TrimSuffix(part, []byte{'\r'}) // of the end of the line
	if h.stage == stageLine {
		return checkLineStart(text)
	}
	if class, bad := scanOddName(text, 0); class == nameBad && bad < len(text) || len(text) > 0 && text[0] == ':' {
		return invalidHeader(text, bad)
	}
	return checkHeaderBytes(text)
}

func invalidHeader(line []byte, bad int) error {
	return clientProblem(400, "invalid header line: \"%s\"", quoted(line[:min(bad+1, len(line))]))
}

func checkHeaderBytes(line []byte) error {
	if i := badRequestByte(line); i >= 0 {
		return invalidHeader(line, i)
	}
	return nil
}

func (h *RequestHead) startRoom(l *Limits) { h.room = room{free: l.HeaderBufferBytes} }

// tooLong is the problem of a line without room, whether it is too long itself or one too many: nginx makes no
// difference.
func (h *RequestHead) tooLong(part []byte) error {
	if h.stage == stageLine {
		return clientProblem(414, "too long URI")
	}
	return clientProblem(StatusHeaderTooLarge, "too long header line: \"%s\"", quoted(part))
}

func (h *RequestHead) takeRequestLine(b *Buffer, line []byte, size int, l *Limits) error {
	if len(line) == 0 {
		b.Consume(size)
		if h.blank += size; h.blank > maxBlankBytes {
			return clientProblem(400, "too many empty lines before a request")
		}
		return nil
	}
	h.startRoom(l)
	h.Line = line
	if !h.room.fits(size, l) {
		return h.tooLong(line)
	}
	h.room.take(size, l)
	if err := h.parseRequestLine(line, l); err != nil {
		return err
	}
	b.Consume(size)
	h.Bytes = size
	h.stage = stageHeaders
	if h.Version == Version09 {
		h.stage = stageDone
	}
	return nil
}

func (h *RequestHead) takeHeaderLine(b *Buffer, line []byte, size int, l *Limits) error {
	if !h.room.fits(size, l) {
		return h.tooLong(line)
	}
	h.room.take(size, l)
	h.Bytes += size
	if len(line) == 0 {
		b.Consume(size)
		h.stage = stageDone
		return h.finish()
	}
	if err := checkHeaderBytes(line); err != nil {
		return err
	}
	n := len(h.Headers)
	h.Headers = append(h.Headers, Header{})
	header := &h.Headers[n]
	class, bad := parseField(line, header)
	if class == nameBad {
		return invalidHeader(line, bad)
	}
	b.Consume(size)
	if class != namePlain && h.drops(class, header.Name, l) {
		h.Headers = h.Headers[:n]
		h.Dropped++
		h.LastDropped = line
		return nil
	}
	if n >= l.MaxHeaders {
		return clientProblem(StatusHeaderTooLarge, "too many header lines")
	}
	if header.ID == HeaderOther {
		return nil
	}
	return h.note(n)
}

// drops decides about a name that nginx calls invalid. A name that is not a token is never forwarded: with
// ignore_invalid_headers off nginx would, but a server may parse it differently.
func (h *RequestHead) drops(class nameClass, name []byte, l *Limits) bool {
	if class == nameBroken {
		return true
	}
	if l.PassInvalidHeaders {
		return false
	}
	if !l.UnderscoresAreValid {
		return true
	}
	for _, c := range name {
		if plainName[c] == 0 && c != '_' {
			return true
		}
	}
	return false
}

// keptHeaders is the memory of h for the next message.
func keptHeaders(h Headers) Headers {
	if h == nil || cap(h) > maxKeptHeaders {
		return make(Headers, 0, usualHeaders)
	}
	return h[:0]
}
