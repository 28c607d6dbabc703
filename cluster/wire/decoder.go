package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/s2"
)

// Frame is one frame of a stream. Body is valid until the decoder is asked for the next one.
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
	trusted     bool
	// records means that frames with records are wanted: blocks of others are not expanded.
	records bool
	// credit is how many bytes may still be expanded: MaxRatio for each byte received.
	credit   int
	expanded *[]byte // of the last frame, from expansions; nil for none
}

// NewDecoder returns a decoder for one direction of a connection. Until Trust is called, frames
// are bounded by MaxHelloBytes.
func NewDecoder() *Decoder { return new(Decoder) }

// Trust allows frames with records up to MaxFrameBytes: the other side has completed its hello.
func (d *Decoder) Trust() { d.trusted = true }

// WantRecords enables frames with records, so that compressed ones are expanded. All others are skipped unexpanded.
func (d *Decoder) WantRecords() { d.records = true }

const (
	// keepBytes is how much memory a compressor and the pool of expansions keep: a peer that sent one huge record does
	// not pin its size.
	keepBytes = 256 << 10
	// firstCredit lets a peer of a release without MaxRatio send a large value at the start of a connection.
	firstCredit = 1 << 20
)

// expansions are the buffers for expanded bodies. One is taken while a frame is handled: a thousand peers need as many
// as there are processors.
var expansions = sync.Pool{New: func() any { return new([]byte) }}

// Space returns room for at least min bytes to read into. The buffer doubles as it fills, so that a length prefix alone
// never makes it grow; the memory of a burst is released after it.
func (d *Decoder) Space(min int) []byte {
	if d.read == d.write {
		d.read, d.write = 0, 0
		if len(d.buf) > 2*min {
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

// Filled notes that n bytes have been read into the room from Space.
func (d *Decoder) Filled(n int) { d.write += n }

// Next returns the next whole frame. ok is false if more bytes are needed; an error ends the stream.
func (d *Decoder) Next() (f Frame, ok bool, err error) {
	d.release()
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
	if err := d.checkSize(size, n, pending); err != nil {
		return Frame{}, false, err
	}
	if uint64(len(pending)-n) < size {
		return Frame{}, false, nil
	}
	content := pending[n : n+int(size)-crcBytes]
	sum := binary.LittleEndian.Uint32(pending[n+int(size)-crcBytes:])
	if crc32.Checksum(content, castagnoli) != sum {
		return Frame{}, false, errors.New("frame checksum mismatch: data was corrupted in transit")
	}
	d.read += n + int(size)
	f = Frame{Type: Type(content[0] &^ compressedBit), Body: content[1:], WireBytes: n + int(size)}
	d.credit = min(d.credit+MaxRatio*f.WireBytes, MaxFrameBytes)
	if content[0]&compressedBit != 0 {
		f.Body, err = d.expand(f)
	}
	return f, err == nil, err
}

// Missing is how many bytes the next frame still needs, at least, after Next had none.
func (d *Decoder) Missing() int {
	pending := d.buf[d.read:d.write]
	size, n := binary.Uvarint(pending)
	if !d.preambleOK || n <= 0 || size > MaxFrameBytes {
		return max(MinFrameBytes-len(pending), 1)
	}
	return max(n+int(size)-len(pending), 1)
}

// checkSize checks the length of a frame, whose uvarint took n bytes: before anything is allocated for it, and as soon
// as its type is known.
func (d *Decoder) checkSize(size uint64, n int, pending []byte) error {
	limit := uint64(MaxHelloBytes)
	if d.trusted {
		limit = MaxFrameBytes
		if n > 0 && len(pending) > n && !Type(pending[n]&^compressedBit).bulk() {
			limit = MaxHelloBytes
		}
	}
	if n <= 0 || size > limit {
		return fmt.Errorf("frame is longer than the limit of %d bytes", limit)
	}
	if size < 1+crcBytes {
		return fmt.Errorf("frame of %d bytes is shorter than the minimum of %d", size, 1+crcBytes)
	}
	return nil
}

// expand expands the body of a frame that is known and wanted. Any other keeps its block, because it will be skipped.
func (d *Decoder) expand(f Frame) ([]byte, error) {
	switch {
	case f.Type.bulk() && !d.records, f.Type > lastType, f.Type == 0:
		return nil, nil
	case !f.Type.bulk():
		return nil, fmt.Errorf("frame of type %d is compressed; only frames with records may be", f.Type)
	}
	size, err := s2.DecodedLen(f.Body)
	if err != nil || size > MaxFrameBytes {
		return nil, fmt.Errorf("invalid size of a compressed frame (%d bytes)", size)
	}
	if size > d.credit {
		return nil, fmt.Errorf(
			"compressed frame of %d bytes expands to %d; at most %d times its size is allowed",
			f.WireBytes,
			size,
			MaxRatio,
		)
	}
	d.credit -= size
	d.expanded = expansions.Get().(*[]byte)
	if cap(*d.expanded) < size {
		*d.expanded = make([]byte, size)
	}
	body, err := s2.Decode((*d.expanded)[:size], f.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot decompress frame: %w", err)
	}
	return body, nil
}

// release returns the buffer of the last expansion.
func (d *Decoder) release() {
	if d.expanded == nil {
		return
	}
	if cap(*d.expanded) <= keepBytes {
		expansions.Put(d.expanded)
	}
	d.expanded = nil
}

// preamble checks the first bytes as they arrive: a foreign protocol is reported at its first byte.
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
	d.credit = firstCredit
	return true, nil
}
