// Package wire is the byte form of the sync protocol: how frames are cut out of a stream and the layout of their
// messages. PROTOCOL.md beside this file is the specification.
//
// Everything here is pure and treats its input as hostile: each length is checked before anything is allocated for it,
// and a reader's memory grows only with bytes that have really arrived.
package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

// Preamble opens each direction of a connection. Its first byte starts neither TLS nor text, and "\r\n" detects any
// middlebox that translates line ends.
const Preamble = "\x8eSTRL\r\n\x01"

// Version is the protocol version of this code, MinVersion the oldest it understands.
const (
	Version    = 1
	MinVersion = 1
)

// Limits of what a stranger may send.
const (
	// MaxHelloBytes bounds a frame before the hello is complete, and afterwards all frames without records: 1,000 zones
	// of 200 bytes fit.
	MaxHelloBytes = 256 << 10
	// MaxFrameBytes bounds a frame with records: one keyval record may be as large as an API body.
	MaxFrameBytes = 16 << 20
	// CompressFrom is the smallest body worth compressing: below it the frames of a batch are too
	// short to repeat themselves, and the time costs more than the bytes.
	CompressFrom = 16 << 10
	// MaxRatio is how many times longer than its block a body may be. Records have different keys and shrink to a tenth
	// at most; a body that shrinks further is one huge value, and is sent uncompressed.
	MaxRatio = 64
)

// Type is the type of a frame. Numbers are never reused; frames of unknown types are skipped.
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

// bulk reports that frames of a type carry records: only these are compressed, and only these may be large.
func (t Type) bulk() bool { return t == TypeData || t == TypeTeach || t == TypeRepair }

// compressedBit in the type byte means that the body is one s2 block.
const compressedBit = 0x80

const crcBytes = 4

// MinFrameBytes is the shortest frame: its length, its type and its checksum.
const MinFrameBytes = 1 + 1 + crcBytes

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendFrame appends one frame to dst. The body is given in two parts, so that a payload shared by all peers needs no
// copy of its own before it gets its head.
func AppendFrame(dst []byte, t Type, head, payload []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(1+len(head)+len(payload)+crcBytes))
	start := len(dst)
	dst = append(dst, byte(t))
	dst = append(dst, head...)
	dst = append(dst, payload...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// Compressor writes big frames as s2 blocks if that saves bytes, and stops trying for a while if it does not. The zero
// value is ready; it is not safe for concurrent use.
type Compressor struct {
	body, block []byte
	skip        int
}

// skipAfterFutile is how many big frames are sent uncompressed after one that did not shrink by an eighth: random keys
// do not shrink, and their neighbours will not either.
const skipAfterFutile = 15

// AppendFrame is AppendFrame of the package, for a peer that reads s2.
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
		c.body, c.block = nil, nil // the memory of one huge frame is not kept
	}
	c.body = append(append(c.body[:0], head...), payload...)
	c.block = s2.Encode(c.block[:cap(c.block)], c.body)
	if len(c.block) > size-size/8 || len(c.block) < size/MaxRatio {
		c.skip = skipAfterFutile
		return AppendFrame(dst, t, head, payload)
	}
	return AppendFrame(dst, t|compressedBit, nil, c.block)
}

// ForeignError is the error for a peer that does not speak this protocol.
type ForeignError struct {
	// First holds its first bytes, at most as many as the preamble has.
	First string
}

func (e *ForeignError) Error() string {
	const hint = "check that the peer is a starling zone_sync server and that both sides use TLS or neither does"
	switch {
	case e.First == "":
		return "peer sent nothing"
	case e.First[0] == 0x16:
		return "received a TLS handshake instead of the sync protocol; " + hint
	case e.First[0] == 0x15:
		return "received a TLS alert instead of the sync protocol; " + hint
	case e.First[0] >= 'A' && e.First[0] <= 'Z':
		return fmt.Sprintf("received text instead of the sync protocol (%q, HTTP?); %s", e.First, hint)
	}
	return fmt.Sprintf("received data that is not the sync protocol: %q; %s", e.First, hint)
}
