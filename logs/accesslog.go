package logs

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
)

// MaxAccessLine bounds one line of an access log in bytes. A request head is bounded by 4 x 8k, and a format may name
// it more than once.
const MaxAccessLine = 64 << 10

// AccessOptions are the parameters of access_log for its file.
type AccessOptions struct {
	Path        string // absolute, or with SyslogScheme
	BufferBytes int64  // 0: every line is written at once
	// Flush is the longest time a line waits in the buffer; 0: until the buffer is full.
	Flush time.Duration
	// GzipLevel, 1 to 9, writes each buffer as a compressed file after the previous ones; 0: uncompressed.
	GzipLevel int
}

// GzipBufferBytes is the default buffer of a compressed log.
const GzipBufferBytes = 64 << 10

// AccessLog is an open access log. It is safe for concurrent use.
type AccessLog struct {
	options AccessOptions
	file    *file
	cut     atomic.Uint64

	mu     sync.Mutex
	buffer []byte
	timer  *time.Timer
	armed  bool
	packer *gzip.Writer // nil unless compressed
	packed bytes.Buffer
}

// AccessLog opens the file of an access log; the same path in one configuration is the same log. The error has nginx's
// text.
func (l *Logs) AccessLog(o AccessOptions) (*AccessLog, error) {
	l.mu.Lock()
	known := l.byPath[o.Path]
	l.mu.Unlock()
	if known != nil {
		return known, known.join(o)
	}
	f, err := l.open(o.Path)
	if err != nil {
		return nil, err
	}
	a := &AccessLog{options: o, file: f}
	if o.BufferBytes > 0 {
		a.buffer = make([]byte, 0, o.BufferBytes)
		f.remember(a)
	}
	if o.GzipLevel > 0 {
		if a.packer, err = gzip.NewWriterLevel(&a.packed, o.GzipLevel); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	l.byPath[o.Path] = a
	l.access = append(l.access, a)
	l.mu.Unlock()
	return a, nil
}

// join lets another access_log write to the same file. As in nginx, one without a buffer uses the other's, in either
// order. No line may have been written yet.
func (a *AccessLog) join(o AccessOptions) error {
	switch {
	case o.BufferBytes == 0 || a.options == o:
	case a.options.BufferBytes == 0:
		if o.GzipLevel > 0 {
			return fmt.Errorf("access_log \"%s\" already defined with conflicting parameters", o.Path)
		}
		a.options, a.buffer = o, make([]byte, 0, o.BufferBytes)
		a.file.remember(a)
	default:
		return fmt.Errorf("access_log \"%s\" already defined with conflicting parameters", o.Path)
	}
	return nil
}

// Write appends one line, which must end in a line feed. A line longer than MaxAccessLine is cut.
func (a *AccessLog) Write(line []byte) {
	if len(line) > MaxAccessLine {
		a.cut.Add(1)
		line = append(line[:MaxAccessLine-1:MaxAccessLine-1], '\n')
	}
	if s := a.file.syslog; s != nil {
		a.file.message(s.severity, line)
		return
	}
	if a.options.BufferBytes == 0 {
		a.file.write(line)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.buffer)+len(line) > cap(a.buffer) {
		a.flushLocked()
	}
	if len(line) > cap(a.buffer) {
		a.writeOut(line)
		return
	}
	a.buffer = append(a.buffer, line...)
	if a.options.Flush > 0 && !a.armed {
		a.arm()
	}
}

// arm starts the timer with the first line of a buffer. Must be called with the lock held.
func (a *AccessLog) arm() {
	a.armed = true
	if a.timer == nil {
		a.timer = time.AfterFunc(a.options.Flush, a.Flush)
		return
	}
	a.timer.Reset(a.options.Flush)
}

// Flush writes the buffered lines.
func (a *AccessLog) Flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flushLocked()
}

func (a *AccessLog) flushLocked() {
	if a.armed {
		a.timer.Stop()
		a.armed = false
	}
	if len(a.buffer) > 0 {
		a.writeOut(a.buffer)
		a.buffer = a.buffer[:0]
	}
}

// writeOut writes whole lines, compressed if configured. Must be called with the lock held.
func (a *AccessLog) writeOut(lines []byte) {
	if a.packer == nil {
		a.file.write(lines)
		return
	}
	a.packed.Reset()
	a.packer.Reset(&a.packed)
	a.packer.Write(lines) // into memory, which does not fail
	a.packer.Close()
	a.file.write(a.packed.Bytes())
}
