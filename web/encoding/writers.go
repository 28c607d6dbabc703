package encoding

import (
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// writer is a compressor of a library.
type writer interface {
	io.Writer
	Flush() error
	Close() error
	Reset(io.Writer)
}

// encoder is the body of one response after another.
type encoder struct {
	coding            Coding
	pool              *sync.Pool // that it comes from
	writer            writer
	out               []byte // compressed and not yet passed on
	inBytes, outBytes int64
}

// makers make the functions that make compressors. The levels were checked.
var makers = [codings]func(level int) func(windowBits int) writer{
	ZstdCoding:   zstdWriters,
	BrotliCoding: brotliWriters,
	GzipCoding:   gzipWriters,
}

func gzipWriters(level int) func(int) writer {
	return func(int) writer {
		w, _ := gzip.NewWriterLevel(nil, level)
		return w
	}
}

func brotliWriters(level int) func(int) writer {
	return func(windowBits int) writer {
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: level, LGWin: windowBits})
	}
}

// zstdWriters make compressors that start no goroutine.
func zstdWriters(level int) func(int) writer {
	return func(windowBits int) writer {
		w, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithWindowSize(1<<windowBits),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false),
			zstd.WithZeroFrames(true))
		if err != nil {
			panic("zstd: " + err.Error()) // the options are constants, the window is one of zstdWindowBits
		}
		return w
	}
}

// zstdWindowBits is the window of a level, as in the library of zstd, but never more than the 8 MB that all clients
// must support (RFC 9659).
func zstdWindowBits(level int) int {
	switch zstd.EncoderLevelFromZstd(level) {
	case zstd.SpeedFastest:
		return 19
	case zstd.SpeedDefault:
		return 21
	case zstd.SpeedBetterCompression:
		return 22
	}
	return 23
}

// Bounds of windows: the libraries have no smaller ones than 1 KB, and brotli no larger ones than 16 MB.
const (
	MinWindowBits = 10
	MaxWindowBits = 24
)

// windowFor is the smallest window that has all of a response, for little memory.
func windowFor(length int64, bits int) int {
	if length < 0 {
		return bits
	}
	for bits > MinWindowBits && length <= 1<<(bits-1) {
		bits--
	}
	return bits
}

// writers are pools of the encoders of one coding in one block, by window.
type writers struct {
	make  func(windowBits int) writer
	pools [MaxWindowBits + 1]sync.Pool
}

func (w *writers) take(coding Coding, windowBits int) *encoder {
	pool := &w.pools[windowBits]
	if e, _ := pool.Get().(*encoder); e != nil {
		return e
	}
	return &encoder{coding: coding, pool: pool, writer: w.make(windowBits)}
}
