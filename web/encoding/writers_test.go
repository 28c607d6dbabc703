package encoding

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"

	"starling/lib/testkit"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

func TestAccepted(t *testing.T) {
	for value, want := range map[string]Quality{
		"br": 1000, "BR": 1000, "gzip, deflate, br, zstd": 1000, "gzip,br;q=0.5": 500, "br ; q=0.25": 250, "br;Q=1": 1000,
		"br;q=1.": 1000, "br;q=1.000": 1000, "br;q=0.001": 1, "br;": 1000, "br;q=0.5, br": 500,
		"": 0, "gzip": 0, "brotli": 0, "xbr": 0, "*": 0, "br;q=0": 0, "br;q=0.": 0, "br;q=0.000": 0, "br;q=": 0, "br;q": 0,
		"br;x=1": 0, "br;q=2": 0, "br;q=1.1": 0, "br;q=.5": 0, "br;q=0.5555": 0, "br;q=0.x": 0, "br;q=-1": 0, "br;q=0,5": 0,
	} {
		if got := Accepted([]byte(value), "br"); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}

func TestWindowFor(t *testing.T) {
	for _, c := range []struct {
		length   int64
		most, is int
	}{{-1, 19, 19}, {0, 19, 10}, {1024, 19, 10}, {1025, 19, 11}, {1 << 19, 19, 19}, {1<<18 + 1, 19, 19}, {1 << 40, 19, 19}, {5, 10, 10}} {
		if got := windowFor(c.length, c.most); got != c.is {
			t.Errorf("%d bytes, at most %d bits: %d, want %d", c.length, c.most, got, c.is)
		}
	}
}

// TestCompressorsAreReused: a compressor that comes back from the pool allocates nothing (but for the few bytes of
// zstd's frame header) and starts no goroutine.
func TestCompressorsAreReused(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	text := []byte(strings.Repeat("<p>hello, world; ", 1000))
	before := runtime.NumGoroutine()
	for coding, level := range [codings]int{ZstdCoding: 1, BrotliCoding: 6, GzipCoding: 1} {
		var w writers
		w.make = makers[coding](level)
		e := w.take(Coding(coding), 19)
		compress := func() {
			e.begin()
			if _, err := e.writer.Write(text); err != nil {
				t.Fatal(err)
			}
			if err := e.writer.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := e.writer.Close(); err != nil {
				t.Fatal(err)
			}
		}
		compress()
		first := bytes.Clone(e.out)
		if n := testing.AllocsPerRun(20, compress); n > 1 {
			t.Errorf("%s: %v allocations", codingNames[coding], n)
		}
		if !bytes.Equal(first, e.out) || len(first) > len(text)/10 {
			t.Errorf("%s: %d bytes, then %d", codingNames[coding], len(first), len(e.out))
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines were started", after-before)
	}
}

// TestEveryLevel: each level that a directive accepts makes a compressor, in each window.
func TestEveryLevel(t *testing.T) {
	for level := 0; level <= 11; level++ {
		for _, bits := range []int{MinWindowBits, 16} {
			roundTrip(t, BrotliCoding, level, bits)
		}
	}
	for _, level := range []int{-131072, -1, 1, 2, 3, 5, 6, 9, 10, 22} {
		roundTrip(t, ZstdCoding, level, MinWindowBits)
		if bits := zstdWindowBits(level); bits > 23 {
			t.Errorf("zstd level %d has a window of 2^%d, more than clients must support", level, bits)
		}
	}
}

func roundTrip(t *testing.T, coding Coding, level, bits int) {
	t.Helper()
	w := makers[coding](level)(bits)
	for _, text := range []string{"", strings.Repeat("hello, world; ", 1000)} {
		var packed bytes.Buffer
		w.Reset(&packed)
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := unpack(t, coding, packed.Bytes()); got != text {
			t.Errorf("%s level %d, window 2^%d: %d bytes became %d", codingNames[coding], level, bits, len(text), len(got))
		}
	}
}

func unpack(t *testing.T, coding Coding, packed []byte) string {
	t.Helper()
	reader := io.Reader(brotli.NewReader(bytes.NewReader(packed)))
	if coding == ZstdCoding {
		r, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		reader = r
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
