package h1

import (
	"io"
	"net"
	"syscall"
)

const (
	// joinBelowBytes: copying fewer bytes after the head costs less than a vector of their own.
	joinBelowBytes = 2 << 10
	// tlsJoinBelowBytes is one TLS record: every separate write would be a record, with its own system call.
	tlsJoinBelowBytes = 16 << 10
	maxPieces         = 8
)

// Writer is the write side of one connection: it sends head and body with one write or writev, and allocates nothing.
// The zero Writer is ready for Attach. It is used by one goroutine at a time.
type Writer struct {
	// Bytes counts the bytes written to the connection since Attach.
	Bytes int64

	conn      io.Writer
	raw       syscall.RawConn       // nil if conn is not a socket
	try       func(fd uintptr) bool // trySend as a value, made once
	left      []byte                // to send
	err       error                 // of trySend
	vectors   bool                  // conn has writev
	joinBelow int
	slab      *Slab
	join      *Slab
	buffers   net.Buffers
	pieces    [maxPieces][]byte
	line      [20]byte
	job       fileJob
}

// Attach starts on a connection; a Writer can serve many, one after another.
func (w *Writer) Attach(conn io.Writer) {
	w.Release()
	w.conn, w.Bytes = conn, 0
	if w.raw = socketOf(conn); w.raw != nil && w.try == nil {
		w.try = w.trySend
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		w.vectors, w.joinBelow = true, joinBelowBytes
	default:
		w.vectors, w.joinBelow = false, tlsJoinBelowBytes
	}
}

// Release frees the memory; call it when a connection becomes idle or ends. Slices from Start become invalid.
func (w *Writer) Release() {
	if w.slab != nil {
		w.slab.GiveBack()
		w.slab = nil
	}
	if w.join != nil {
		w.join.GiveBack()
		w.join = nil
	}
}

// Start returns empty memory for a head, the same memory each time.
func (w *Writer) Start() []byte {
	if w.slab == nil {
		w.slab = TakeSlab(minSlabBytes)
	}
	return w.slab.Mem[:0]
}

// Write sends the pieces in their order, all of them or an error. It does not keep the pieces.
func (w *Writer) Write(pieces ...[]byte) error {
	total, used := 0, 0
	for _, p := range pieces {
		total += len(p)
	}
	if total == 0 {
		return nil
	}
	if len(pieces) == 1 {
		return w.send(pieces[0])
	}
	if total < w.joinBelow || len(pieces) > maxPieces {
		return w.send(w.joined(total, pieces))
	}
	if !w.vectors {
		for _, p := range pieces {
			if err := w.send(p); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range pieces {
		if len(p) > 0 {
			w.pieces[used] = p
			used++
		}
	}
	w.buffers = w.pieces[:used]
	n, err := w.buffers.WriteTo(w.conn)
	w.Bytes += n
	clear(w.pieces[:used])
	return err
}

// joined is all pieces in one: after the head in place if that is ours and has room, otherwise in separate memory.
func (w *Writer) joined(total int, pieces [][]byte) []byte {
	head := pieces[0]
	if w.slab != nil && cap(head) >= total && len(head) > 0 && &head[0] == &w.slab.Mem[0] {
		for _, p := range pieces[1:] {
			head = append(head, p...)
		}
		return head
	}
	if w.join != nil && len(w.join.Mem) < total {
		w.join.GiveBack()
		w.join = nil
	}
	if w.join == nil {
		w.join = TakeSlab(total)
	}
	all := w.join.Mem[:0]
	for _, p := range pieces {
		all = append(all, p...)
	}
	return all
}

func (w *Writer) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if w.raw != nil {
		w.left, w.err = p, nil
		err := w.raw.Write(w.try)
		w.left = nil
		if err == nil {
			err = w.err
		}
		return err
	}
	n, err := w.conn.Write(p)
	w.Bytes += int64(n)
	return err
}

var (
	chunkEnd     = []byte("\r\n")
	chunkEndLast = []byte("\r\n0\r\n\r\n")
	lastChunk    = []byte("0\r\n\r\n")
)

// WriteChunk sends data as one chunk, after head if there is one (from Start, or nil), and the end of the body if last.
// Empty data makes no chunk.
func (w *Writer) WriteChunk(head, data []byte, last bool) error {
	if len(data) == 0 {
		if last {
			return w.Write(head, lastChunk)
		}
		return w.Write(head)
	}
	if head == nil {
		head = w.line[:0]
	}
	head = AppendChunkSize(head, len(data))
	if last {
		return w.Write(head, data, chunkEndLast)
	}
	return w.Write(head, data, chunkEnd)
}

// WriteLastChunk ends a chunked body with trailers.
func (w *Writer) WriteLastChunk(trailers Headers) error {
	return w.Write(AppendLastChunk(w.Start(), trailers))
}
