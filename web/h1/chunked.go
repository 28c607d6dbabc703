package h1

import "bytes"

// Bounds on the overhead of chunked coding.
const (
	maxChunkLineBytes = 4 << 10  // a size with its extensions
	maxExcessBytes    = 16 << 10 // framing beyond what honest chunks need, see chunkReader.excess
	maxTrailerBytes   = 8 << 10  // as one large header buffer
	maxTrailers       = 100
)

type chunkState uint8

const (
	chunkSizeStart chunkState = iota // the first digit must come
	chunkSize
	chunkPadding   // white space behind the size
	chunkExtension // after ';'
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart // a line of the trailer section begins
	trailerLine
	trailerLF
	trailerEndLF
	chunksDone
)

// chunkReader decodes RFC 9112, 7.1 strictly: only CRLF ends a line, a size is 1 to 16 hexadecimal digits below 2^63.
type chunkReader struct {
	state     chunkState
	upstream  bool // whose body it is, for the log
	size      int64
	digits    int
	lineBytes int
	// excess is the framing beyond 16 bytes and twice the data per chunk. One-byte chunks cost nothing, long extensions
	// on small chunks add up: the rule and its figure are those of Go's net/http/internal.
	excess int64

	trailerMem []byte
	trailers   Headers
}

// start drops the trailers too: they are rare, so their memory is not kept.
func (c *chunkReader) start(upstream bool) {
	*c = chunkReader{upstream: upstream}
}

func (c *chunkReader) bad(what string) error {
	if c.upstream {
		return upstreamProblem("invalid chunked response: %s", what)
	}
	return clientProblem(400, "invalid chunked body: %s", what)
}

// decode removes the framing from raw in place.
func (c *chunkReader) decode(raw []byte) (n, used int, done bool, err error) {
	i := 0
	for i < len(raw) && c.state != chunksDone {
		if c.state == chunkData {
			take := int(min(int64(len(raw)-i), c.size))
			if n != i {
				copy(raw[n:], raw[i:i+take])
			}
			n += take
			i += take
			if c.size -= int64(take); c.size == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		if err := c.step(raw[i]); err != nil {
			return n, i, false, err
		}
		i++
	}
	if c.state == chunksDone {
		return n, i, true, nil
	}
	return n, i, false, nil
}

// step takes one byte of framing.
func (c *chunkReader) step(b byte) error {
	switch c.state {
	case chunkSizeStart, chunkSize, chunkPadding, chunkExtension:
		return c.sizeByte(b)
	case chunkSizeLF:
		if b != '\n' {
			return c.bad("chunk size line must end with CRLF")
		}
		return c.endSizeLine()
	case chunkDataCR:
		if b != '\r' {
			return c.bad("chunk data is longer than the chunk size")
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return c.bad("chunk data is longer than the chunk size")
		}
		c.state, c.size, c.digits, c.lineBytes = chunkSizeStart, 0, 0, 0
	default:
		return c.trailerByte(b)
	}
	return nil
}

func (c *chunkReader) sizeByte(b byte) error {
	if c.lineBytes++; c.lineBytes > maxChunkLineBytes {
		return c.bad("chunk size line is too long")
	}
	if c.state <= chunkSize {
		if v := hexValue[b]; v <= 15 {
			if c.size > (1<<63-1)>>4 || c.digits == 16 {
				return c.bad("chunk size is too large")
			}
			c.size = c.size<<4 | int64(v)
			c.digits++
			c.state = chunkSize
			return nil
		}
		if c.state == chunkSizeStart {
			return c.bad("missing chunk size")
		}
	}
	switch {
	case b == '\r':
		c.state = chunkSizeLF
	case c.state == chunkExtension:
		if b < 0x20 && b != '\t' || b == 0x7f {
			return c.bad("control character in a chunk extension")
		}
	case b == ';':
		c.state = chunkExtension
	case b == ' ' || b == '\t':
		c.state = chunkPadding
	default:
		return c.bad("chunk size is not a hexadecimal number")
	}
	return nil
}

func (c *chunkReader) endSizeLine() error {
	c.excess = max(0, c.excess+int64(c.lineBytes)+3-16-min(2*min(c.size, 1<<32), 1<<33))
	if c.excess > maxExcessBytes {
		return c.bad("too much chunk framing for the data")
	}
	c.state = chunkData
	if c.size == 0 {
		c.state = trailerStart
	}
	return nil
}

func (c *chunkReader) trailerByte(b byte) error {
	if len(c.trailerMem) >= maxTrailerBytes {
		return c.bad("trailer section is too long")
	}
	switch c.state {
	case trailerStart:
		if b == '\r' {
			c.state = trailerEndLF
			return nil
		}
		c.state = trailerLine
		fallthrough
	case trailerLine:
		if b == '\r' {
			c.state = trailerLF
			return nil
		}
		if b < 0x20 && b != '\t' || b == 0x7f {
			return c.bad("control character in a trailer")
		}
		c.trailerMem = append(c.trailerMem, b)
	case trailerLF:
		if b != '\n' {
			return c.bad("trailer line must end with CRLF")
		}
		c.trailerMem = append(c.trailerMem, '\n')
		c.state = trailerStart
	case trailerEndLF:
		if b != '\n' {
			return c.bad("trailer section must end with CRLF")
		}
		c.state = chunksDone
		return c.parseTrailers()
	}
	return nil
}

// notInTrailers are fields that a recipient must not take from a trailer (RFC 9110, 6.5.1): they frame, route or
// authenticate.
var notInTrailers = HopByHop | SetOf(HeaderContentLength, HeaderHost, HeaderContentEncoding, HeaderContentType,
	HeaderContentRange, HeaderAuthorization, HeaderProxyAuthorization, HeaderCookie, HeaderSetCookie, HeaderExpect,
	HeaderRange, HeaderXForwardedFor, HeaderXForwardedHost, HeaderXForwardedProto, HeaderXRealIP)

// parseTrailers runs once the section is complete, so that the memory of the fields does not move.
func (c *chunkReader) parseTrailers() error {
	rest := c.trailerMem
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n')
		var h Header
		class, _ := parseField(rest[:end], &h)
		rest = rest[end+1:]
		switch {
		case class == nameBad:
			return c.bad("invalid trailer line")
		case class == nameBroken, notInTrailers.Has(h.ID):
			continue
		case len(c.trailers) == maxTrailers:
			return c.bad("too many trailers")
		}
		c.trailers = append(c.trailers, h)
	}
	return nil
}
