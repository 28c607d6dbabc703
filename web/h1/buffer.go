package h1

import (
	"bytes"
	"io"
	"syscall"
)

// minFreeBytes is the minimum room for a read.
const minFreeBytes = 256

// Buffer is the read side of one connection. It holds pooled memory only while bytes are in flight: Wait sleeps without
// any.
//
// Slices of a head stay valid until Recycle, even if the buffer moved to another slab meanwhile. The zero Buffer is
// ready for Attach. It is used by one goroutine at a time.
type Buffer struct {
	// FirstBytes is the size of the first slab for reads; 0 means 4 KB.
	FirstBytes int

	conn io.Reader
	raw  syscall.RawConn
	try  func(fd uintptr) bool // tryRead as a value, made once per connection

	slab    *Slab
	mem     []byte // the slab's memory
	r, w    int    // mem[r:w] is read and not consumed
	scanned int    // mem[r:r+scanned] holds no line feed
	pinned  bool   // slices may point to bytes before r
	held    []*Slab

	err error // of tryRead
	one [1]byte
}

// Attach starts on a connection. A Buffer can serve many connections, one after another.
func (b *Buffer) Attach(conn io.Reader) {
	b.Detach()
	b.conn = conn
	if b.raw = socketOf(conn); b.raw != nil && b.try == nil {
		b.try = b.tryRead
	}
}

// Detach frees all memory and forgets the connection and its unread bytes.
func (b *Buffer) Detach() {
	b.r = b.w
	b.Recycle()
	b.dropSlab()
	b.conn, b.raw, b.err = nil, nil, nil
}

// Unread returns the bytes that were read and not consumed; valid until the next call.
func (b *Buffer) Unread() []byte { return b.mem[b.r:b.w] }

// Consume marks n bytes of Unread as used.
func (b *Buffer) Consume(n int) {
	b.r += n
	b.scanned = 0
	b.pinned = true
}

// Recycle ends a message: no slice points into the buffer any more; unread bytes stay.
func (b *Buffer) Recycle() {
	for i, old := range b.held {
		old.GiveBack()
		b.held[i] = nil
	}
	b.held = b.held[:0]
	if b.r == b.w {
		b.r, b.w = 0, 0
	}
	b.pinned, b.scanned = false, 0
}

// Release frees the memory if nothing is unread; call it after Recycle when a connection becomes idle.
func (b *Buffer) Release() {
	if b.r == b.w {
		b.dropSlab()
	}
}

// Wait returns when at least one byte is unread; it is for the time between messages (call Recycle before). It holds no
// memory while it sleeps, and on a plain socket, the read after the wake-up is the only one. An end of file is io.EOF.
func (b *Buffer) Wait() error {
	if b.r < b.w {
		return nil
	}
	if b.raw != nil {
		err := b.raw.Read(b.try)
		if err == nil {
			err = b.err
		}
		return err
	}
	b.dropSlab()
	// Over TLS (and in tests) a read is the only way to wait: it gets one byte to read into.
	n, err := b.conn.Read(b.one[:])
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	b.makeRoom(1)
	b.mem[b.w] = b.one[0]
	b.w++
	return nil
}

// Fill reads once more, into a new slab if this one is full. It returns nil only if at least one byte arrived.
func (b *Buffer) Fill() error {
	b.makeRoom(minFreeBytes)
	n, err := b.conn.Read(b.mem[b.w:])
	b.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// line returns the next line without its line end ("\n" or "\r\n"), and its length with it; size 0 means that it is not
// complete yet.
func (b *Buffer) line() (line []byte, size int) {
	unread := b.mem[b.r:b.w]
	i := bytes.IndexByte(unread[b.scanned:], '\n')
	if i < 0 {
		b.scanned = len(unread)
		return nil, 0
	}
	end := b.scanned + i
	size = end + 1
	if end > 0 && unread[end-1] == '\r' {
		end--
	}
	return unread[:end:end], size
}

// makeRoom makes room after w. A head can pin bytes before r, so it moves to another slab rather than compact.
func (b *Buffer) makeRoom(free int) {
	if len(b.mem)-b.w >= free {
		return
	}
	unread := b.mem[b.r:b.w]
	if !b.pinned && b.slab != nil && len(b.mem)-len(unread) >= free {
		b.w = copy(b.mem, unread)
		b.r = 0
		return
	}
	next := TakeSlab(max(b.FirstBytes, 2*len(unread), len(unread)+free))
	b.w = copy(next.Mem, unread)
	b.r = 0
	if b.slab != nil {
		if b.pinned {
			b.held = append(b.held, b.slab)
		} else {
			b.slab.GiveBack()
		}
	}
	b.slab, b.mem = next, next.Mem
}

// PushBack makes p unread again; everything else must have been consumed. p is copied.
func (b *Buffer) PushBack(p []byte) {
	b.r = b.w
	b.makeRoom(len(p))
	b.w += copy(b.mem[b.w:], p)
	b.scanned = 0
}

// dropSlab returns the current slab; nothing may be unread or pinned.
func (b *Buffer) dropSlab() {
	if b.slab != nil {
		b.slab.GiveBack()
		b.slab, b.mem = nil, nil
	}
	b.r, b.w, b.scanned = 0, 0, 0
}
