// Package wire is the byte form of the sync protocol: how frames are cut out of a stream and what
// the messages in them look like. PROTOCOL.md beside this file is the specification.
//
// Everything here is pure and treats its input as hostile: each length is checked before anything
// is allocated for it, and a reader's memory grows only with bytes that have really arrived.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

// Preamble opens each direction of a connection. Its first byte starts neither TLS nor text, and
// "\r\n" catches anything on the way that translates line ends.
const Preamble = "\x8eSTRL\r\n\x01"

// Version is the protocol version spoken by this code, MinVersion the oldest it understands.
const (
	Version    = 1
	MinVersion = 1
)

// Limits of what a stranger may send.
const (
	// MaxHelloBytes bounds a frame before the hello is complete: 1,000 zones of 200 bytes fit.
	MaxHelloBytes = 256 << 10
	// MaxFrameBytes bounds a frame afterwards: one keyval record may be as large as an API body.
	MaxFrameBytes = 16 << 20
	// CompressFrom is the smallest body worth compressing: below it the frames of a batch are too
	// short to repeat themselves, and the time costs more than the bytes.
	CompressFrom = 16 << 10
)

// Type tells what a frame's body is. The numbers are never reused; unknown ones are skipped.
type Type uint8

// The types of frames.
const (
	TypeHello        Type = 1
	TypeReply        Type = 2
	TypeHeartbeat    Type = 3
	TypeData         Type = 4
	TypeAck          Type = 5
	TypeTeachRequest Type = 6
	TypeTeachBegin   Type = 7
	TypeTeach        Type = 8
	TypeReady        Type = 9
	TypeDigests      Type = 10
	TypeReport       Type = 11
	TypeTakeover     Type = 12
	TypeGoodbye      Type = 13
)

// compressedBit in the type byte says that the body is one s2 block.
const compressedBit = 0x80

const crcBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendFrame appends one frame to dst. The body is given in two parts, so that a payload shared
// by all peers needs no copy of its own before it gets its head.
func AppendFrame(dst []byte, t Type, head, payload []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(1+len(head)+len(payload)+crcBytes))
	start := len(dst)
	dst = append(dst, byte(t))
	dst = append(dst, head...)
	dst = append(dst, payload...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// Compressor writes big frames as s2 blocks where that pays, and stops trying for a while where it
// does not. The zero value is ready; it is not safe for concurrent use.
type Compressor struct {
	body, block []byte
	skip        int
}

// skipAfterFutile is how many big frames go out as they are after one that did not shrink by an
// eighth: random keys do not shrink, and their neighbours will not either.
const skipAfterFutile = 15

// AppendFrame is as AppendFrame of the package, for a peer that reads s2.
func (c *Compressor) AppendFrame(dst []byte, t Type, head, payload []byte) []byte {
	size := len(head) + len(payload)
	if size < CompressFrom {
		return AppendFrame(dst, t, head, payload)
	}
	if c.skip > 0 {
		c.skip--
		return AppendFrame(dst, t, head, payload)
	}
	if cap(c.body) > keepBytes && size <= keepBytes {
		c.body, c.block = nil, nil // what one huge frame needed is not kept
	}
	c.body = append(append(c.body[:0], head...), payload...)
	c.block = s2.Encode(c.block[:cap(c.block)], c.body)
	if len(c.block) > size-size/8 {
		c.skip = skipAfterFutile
		return AppendFrame(dst, t, head, payload)
	}
	return AppendFrame(dst, t|compressedBit, nil, c.block)
}

// Frame is one frame of a stream. Body is valid until the decoder is given more bytes.
type Frame struct {
	Type Type
	Body []byte
	// WireBytes is what the frame took on the connection.
	WireBytes int
}

// Decoder cuts frames out of a stream that arrives in pieces of any size.
type Decoder struct {
	buf         []byte
	read, write int
	preambleOK  bool
	maxFrame    int
	expanded    []byte
}

// NewDecoder returns a decoder for one direction of a connection. Until Trust is called, frames
// are bounded by MaxHelloBytes.
func NewDecoder() *Decoder { return &Decoder{maxFrame: MaxHelloBytes} }

// Trust allows frames up to MaxFrameBytes: the other side has completed its hello.
func (d *Decoder) Trust() { d.maxFrame = MaxFrameBytes }

// keepBytes is what a drained buffer may keep: a peer that sent one huge record does not pin its size.
const keepBytes = 256 << 10

// Space returns room for at least min bytes to read into. The buffer doubles as it fills, so that
// a length prefix alone never makes it grow.
func (d *Decoder) Space(min int) []byte {
	if d.read == d.write {
		d.read, d.write = 0, 0
		if len(d.buf) > keepBytes && len(d.buf) > min {
			d.buf = nil
		}
	}
	if len(d.buf)-d.write < min && d.read > 0 {
		d.write = copy(d.buf, d.buf[d.read:d.write])
		d.read = 0
	}
	if len(d.buf)-d.write < min {
		bigger := make([]byte, max(2*len(d.buf), d.write+min))
		copy(bigger, d.buf[:d.write])
		d.buf = bigger
	}
	return d.buf[d.write:]
}

// Filled says that n bytes have been read into what Space returned.
func (d *Decoder) Filled(n int) { d.write += n }

// Next returns the next whole frame. ok is false when more bytes are needed; an error ends the stream.
func (d *Decoder) Next() (f Frame, ok bool, err error) {
	if !d.preambleOK {
		if ok, err := d.preamble(); !ok {
			return Frame{}, false, err
		}
	}
	pending := d.buf[d.read:d.write]
	size, n := binary.Uvarint(pending)
	if n == 0 && len(pending) < binary.MaxVarintLen64 {
		return Frame{}, false, nil
	}
	if n <= 0 || size > uint64(d.maxFrame) {
		return Frame{}, false, fmt.Errorf("a frame of more than %d bytes is announced", d.maxFrame)
	}
	if size < 1+crcBytes {
		return Frame{}, false, fmt.Errorf("a frame of %d bytes is announced, the shortest has %d", size, 1+crcBytes)
	}
	if uint64(len(pending)-n) < size {
		return Frame{}, false, nil
	}
	content := pending[n : n+int(size)-crcBytes]
	sum := binary.LittleEndian.Uint32(pending[n+int(size)-crcBytes:])
	if crc32.Checksum(content, castagnoli) != sum {
		return Frame{}, false, errors.New("the checksum of a frame does not match: bytes were changed on the way")
	}
	d.read += n + int(size)
	f = Frame{Type: Type(content[0] &^ compressedBit), Body: content[1:], WireBytes: n + int(size)}
	if content[0]&compressedBit != 0 {
		f.Body, err = d.expand(f.Body)
	}
	return f, err == nil, err
}

func (d *Decoder) expand(block []byte) ([]byte, error) {
	size, err := s2.DecodedLen(block)
	if err != nil || size > d.maxFrame {
		return nil, fmt.Errorf("a compressed frame of a wrong or too large size (%d bytes)", size)
	}
	if cap(d.expanded) < size || cap(d.expanded) > keepBytes {
		d.expanded = make([]byte, size)
	}
	body, err := s2.Decode(d.expanded[:size], block)
	if err != nil {
		return nil, fmt.Errorf("a compressed frame cannot be read: %w", err)
	}
	return body, nil
}

// preamble checks the first bytes as they come: a foreign protocol is named at its first byte.
func (d *Decoder) preamble() (ok bool, err error) {
	have := min(d.write-d.read, len(Preamble))
	first := d.buf[d.read : d.read+have]
	if string(first) != Preamble[:have] {
		return false, &ForeignError{First: string(first)}
	}
	if have < len(Preamble) {
		return false, nil
	}
	d.read += have
	d.preambleOK = true
	return true, nil
}

// ForeignError says that the other side does not speak this protocol.
type ForeignError struct {
	// First holds its first bytes, at most as many as the preamble has.
	First string
}

func (e *ForeignError) Error() string {
	const hint = "is the other side a zone_sync server of starling, with or without TLS as here?"
	switch {
	case e.First == "":
		return "nothing was sent"
	case e.First[0] == 0x16:
		return "a TLS handshake arrived where the sync protocol was expected; " + hint
	case e.First[0] == 0x15:
		return "a TLS alert arrived where the sync protocol was expected; " + hint
	case e.First[0] >= 'A' && e.First[0] <= 'Z':
		return fmt.Sprintf("text arrived where the sync protocol was expected (%q, HTTP?); %s", e.First, hint)
	}
	return fmt.Sprintf("these bytes are not the sync protocol: %q; %s", e.First, hint)
}
