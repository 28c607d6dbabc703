package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"starling/lib/testkit"
)

// trusted returns a decoder whose peer has completed its hello.
func trusted(records bool) *Decoder {
	d := NewDecoder()
	d.Trust()
	if records {
		d.WantRecords()
	}
	d.Filled(copy(d.Space(len(Preamble)), Preamble))
	return d
}

// read gives a decoder a stream in pieces and returns the bodies of its frames.
func read(d *Decoder, stream []byte, piece int) (bodies [][]byte, err error) {
	for rest := stream; len(rest) > 0; {
		n := min(piece, len(rest))
		d.Filled(copy(d.Space(n), rest[:n]))
		rest = rest[n:]
		for {
			f, ok, err := d.Next()
			if err != nil {
				return bodies, err
			}
			if !ok {
				break
			}
			bodies = append(bodies, bytes.Clone(f.Body))
		}
	}
	return bodies, nil
}

// claims is a block of few bytes that says to be so long when it is expanded.
func claims(size uint64) []byte { return append(binary.AppendUvarint(nil, size), 0xfe, 1, 0) }

// A frame costs memory for the bytes that it has, not for those that it claims.
func TestBytesClaimedCostNothing(t *testing.T) {
	zeros := s2.Encode(nil, make([]byte, MaxFrameBytes))
	tests := []struct {
		name    string
		t       Type
		block   []byte
		records bool
		refused string
	}{
		{"an unknown type", 77, claims(MaxFrameBytes), true, ""},
		{"an unknown type, well compressed", 77, zeros, true, ""},
		{"records that nobody waits for", TypeData, claims(MaxFrameBytes), false, ""},
		{"records that nobody waits for, well compressed", TypeTeach, zeros, false, ""},
		{"no records", TypeHeartbeat, claims(MaxFrameBytes), true, "frame of type 3 is compressed"},
		{"a hello", TypeHello, zeros, true, "frame of type 1 is compressed"},
		{"records", TypeData, claims(MaxFrameBytes), true, "at most 64 times its size is allowed"},
		{"records, well compressed", TypeRepair, zeros, true, "at most 64 times its size is allowed"},
		{"more than any frame has", TypeTeach, claims(1 << 40), true, "invalid size of a compressed frame"},
		{"less than it has", TypeTeach, claims(1 << 10), true, "cannot decompress frame"},
	}
	for _, test := range tests {
		d := trusted(test.records)
		frame := AppendFrame(nil, test.t|compressedBit, test.block, nil)
		var err error
		bytes := testkit.Allocated(func() { _, err = read(d, frame, len(frame)) })
		if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.refused)
		}
		if most := MaxRatio*len(frame) + 128<<10; bytes > most {
			t.Errorf("%s: %d bytes were allocated for %d received, want at most %d", test.name, bytes, len(frame), most)
		}
	}
}

// What a connection has expanded is bounded by what it has sent, however it is divided into frames.
func TestExpandingIsPaidFor(t *testing.T) {
	block := s2.Encode(nil, make([]byte, 128<<10))
	frame := AppendFrame(nil, TypeTeach|compressedBit, block, nil)
	d := trusted(true)
	expanded, received := 0, 0
	for range 10_000 {
		received += len(frame)
		bodies, err := read(d, frame, len(frame))
		if err != nil {
			break
		}
		expanded += len(bodies[0])
	}
	if most := firstCredit + MaxRatio*received; expanded > most || expanded < firstCredit {
		t.Errorf("%d bytes were expanded from %d, want at most %d and at least %d", expanded, received, most, firstCredit)
	}
}

// A large value is read, and its memory is given back at once.
func TestLargeFramesLeaveNothing(t *testing.T) {
	random := make([]byte, 2<<20)
	for i, seed := 0, uint64(1); i < len(random); i++ {
		seed = seed*6364136223846793005 + 1442695040888963407
		random[i] = byte(seed >> 56)
	}
	plain := AppendFrame(nil, TypeTeach, random, nil)
	half := AppendFrame(nil, TypeTeach|compressedBit, s2.Encode(nil, append(bytes.Clone(random[:1<<20]), make([]byte, 1<<20)...)), nil)
	for name, frame := range map[string][]byte{"as it is": plain, "compressed": half} {
		d := trusted(true)
		bodies, err := read(d, frame, 4096)
		if err != nil || len(bodies) != 1 || len(bodies[0]) != 2<<20 {
			t.Fatalf("%s: %d frames, %v", name, len(bodies), err)
		}
		if room := len(d.Space(4096)); room > 8192 || d.expanded != nil {
			t.Errorf("%s: %d bytes are kept by the decoder after it, or what it expanded", name, room)
		}
	}
}

// Only records come in large frames: others are refused as soon as their type is there.
func TestLargeFramesHaveRecords(t *testing.T) {
	for kind, refused := range map[Type]bool{TypeData: false, TypeTeach: false, TypeRepair: false, TypeHeartbeat: true, TypeSketch: true, 77: true} {
		head := append(binary.AppendUvarint(nil, MaxHelloBytes+1), byte(kind))
		if _, err := read(trusted(true), head, 1); (err != nil) != refused {
			t.Errorf("type %d: %v, want refused %v", kind, err, refused)
		}
	}
}

// memoryPerByte and memoryAtAll bound what any input makes the decoder allocate: buffers double, and bodies are
// MaxRatio times their blocks.
const (
	memoryPerByte = MaxRatio + 8
	memoryAtAll   = firstCredit + 256<<10
)

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(Preamble), uint8(3), true)
	f.Add(goldenStream(f), uint8(100), true)
	var c Compressor
	f.Add(append([]byte(Preamble), c.AppendFrame(nil, TypeTeach, nil, bytes.Repeat([]byte("abc"), 9000))...), uint8(255), true)
	f.Add(AppendFrame([]byte(Preamble), 77|compressedBit, claims(MaxFrameBytes), nil), uint8(255), true)
	f.Add(AppendFrame([]byte(Preamble), TypeData|compressedBit, claims(firstCredit), nil), uint8(255), false)
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8, records bool) {
		d := NewDecoder()
		if records {
			d.Trust()
			d.WantRecords()
		}
		parsers := allExamples()
		bytes := testkit.Allocated(func() {
			for rest := stream; len(rest) > 0; {
				n := min(int(cut)+1, len(rest))
				d.Filled(copy(d.Space(n), rest[:n]))
				rest = rest[n:]
				for {
					frame, ok, err := d.Next()
					if err != nil {
						return
					}
					if !ok {
						break
					}
					for _, p := range parsers {
						if p.t == frame.Type {
							p.parse(frame.Body)
						}
					}
				}
			}
		})
		if most := memoryAtAll + memoryPerByte*len(stream); bytes > most {
			t.Errorf("%d bytes were allocated for %d received, want at most %d", bytes, len(stream), most)
		}
	})
}

// TestWhatIsMissing: a reader may wait for so many bytes, whatever comes, and never for more than there will be.
func TestWhatIsMissing(t *testing.T) {
	d := NewDecoder()
	d.Trust()
	stream := []byte(Preamble)
	ends := map[int]bool{}
	for _, body := range []int{0, 1, 100, 5000, 0} {
		stream = AppendFrame(stream, TypeAck, make([]byte, body), nil)
		ends[len(stream)] = true
	}
	wakes := 0
	for at := 0; at < len(stream); wakes++ {
		n := d.Missing()
		if n < 1 || at+n > len(stream) {
			t.Fatalf("%d bytes are missing at %d of %d", n, at, len(stream))
		}
		d.Filled(copy(d.Space(n), stream[at:at+n]))
		at += n
		_, ok, err := d.Next()
		if ok != ends[at] || err != nil {
			t.Fatalf("at %d: a frame %v, %v", at, ok, err)
		}
	}
	// One wake-up for each byte of the preamble, which is checked as it comes, and at most two for each frame.
	if most := len(Preamble) + 2*len(ends); wakes > most {
		t.Errorf("%d wake-ups", wakes)
	}
}
