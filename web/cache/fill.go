package cache

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"starling/lib/clock"
	"starling/logs"
	"starling/nginx/errno"
	"starling/web/h1"
)

// Fill stores a response while it is passed on. A small one is written at its end in one call; a larger one goes to a
// temporary file beside its place as it arrives. Commit gives it its name.
type Fill struct {
	Meta

	t       *Ticket
	slab    *h1.Slab // room for the head, and a small body
	head    []byte
	file    *os.File
	temp    string
	bytes   int64 // of the body
	most    int64
	sum     uint32
	spilled bool // the body goes to the file
}

// maxWriting bounds the temporary files of a cache: each is an open file, and grows as fast as its server sends. Beyond
// it, large responses are passed on without being stored.
const maxWriting = 4096

// Fill begins to store a response. The texts of the result's Meta are valid only until Commit. request are the headers
// of the request, on which the variant depends. Only one response is stored with a ticket.
func (t *Ticket) Fill(m Meta, request h1.Headers) *Fill {
	f := &t.fill
	*f = Fill{Meta: m, t: t, head: f.head[:0], most: t.c.Settings().MaxBytes}
	f.CreatedMS, f.Key = t.beganMS, t.Key
	if len(m.Vary) > 0 {
		f.variant = t.variantOf(m.Vary, request)
	}
	if t.secondary && (len(m.Vary) == 0 || f.variant != t.key) {
		t.useMain()
	}
	return f
}

// Create joins the entry of a request that has bypassed the cache, so that its response can be stored.
func (t *Ticket) Create(now clock.Reading) bool {
	if t.e != nil {
		return true
	}
	outcome, _ := t.touch(now)
	t.forget()
	return outcome != Scarce && t.e != nil
}

// useMain returns from the key of a variant to the main one: the response is another variant, or varies no more.
func (t *Ticket) useMain() {
	t.leave()
	t.secondary, t.key = false, t.main
	t.touch(t.c.clock.Now()) // without room for the key, Commit stores nothing
	t.forget()
}

// Write adds a piece of the body. It reports false if the response can no longer be stored; the fill has ended then.
func (f *Fill) Write(p []byte) bool {
	switch {
	case f.t == nil:
		return false
	case len(p) == 0:
		return true
	}
	at := f.bytes
	f.sum = crc32.Update(f.sum, castagnoli, p)
	f.bytes += int64(len(p))
	if f.most > 0 && f.bytes > f.most {
		f.Abort()
		return false
	}
	if !f.spilled && f.bytes <= smallBytes && f.ContentLength <= smallBytes {
		f.collect(p, int(at))
		return true
	}
	if err := f.spill(p, at); err != nil {
		f.failed(err)
		return false
	}
	return true
}

// collect keeps a piece of a small body behind the room for the head.
func (f *Fill) collect(p []byte, at int) {
	if f.slab == nil {
		f.encode()
		f.slab = h1.TakeSlab(len(f.head) + max(int(f.ContentLength), len(p)))
	}
	if need := len(f.head) + at + len(p); need > len(f.slab.Mem) {
		more := h1.TakeSlab(max(need, len(f.head)+smallBytes))
		copy(more.Mem, f.slab.Mem[:len(f.head)+at])
		f.slab.GiveBack()
		f.slab = more
	}
	copy(f.slab.Mem[len(f.head)+at:], p)
}

// spill writes a piece to the temporary file, which it makes first.
func (f *Fill) spill(p []byte, at int64) error {
	if !f.spilled {
		f.spilled = true
		if f.slab == nil {
			f.encode()
		}
		if err := f.create(); err != nil {
			return err
		}
		if at > 0 {
			if _, err := f.file.WriteAt(f.slab.Mem[len(f.head):len(f.head)+int(at)], int64(len(f.head))); err != nil {
				return errno.Call("pwrite", f.temp, err)
			}
		}
	} else if _, err := f.written(int64(len(f.head)) + at); err != nil {
		return err // a write behind the end of a file that was cut would leave a hole
	}
	if _, err := f.file.WriteAt(p, int64(len(f.head))+at); err != nil {
		return errno.Call("pwrite", f.temp, err)
	}
	return nil
}

// encode makes the head, whose length does not depend on the body.
func (f *Fill) encode() {
	f.bodyBytes, f.bodySum = f.bytes, f.sum
	f.head = f.appendHead(f.head[:0])
	f.headBytes = len(f.head)
}

var errTooManyFiles = errors.New("too many responses are being stored")

// create makes the temporary file. Its name is nginx's: that of the file and ten digits.
func (f *Fill) create() error {
	c := f.t.c
	if c.writing.Add(1) > maxWriting {
		c.writing.Add(-1)
		return errTooManyFiles
	}
	made := false
	for try := 0; ; try++ {
		name := fmt.Sprintf("%s.%010d", c.fileOf(f.t.key), c.next.Add(1)%1e10)
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			f.file, f.temp = file, name
			// The lock tells a loader that the file is still being written. File systems without locks leave what a
			// crash has left; nothing reads it.
			_ = flock(file)
			return nil
		case errors.Is(err, fs.ErrNotExist) && !made:
			if err = c.makeFolders(f.t.key); err == nil {
				made = true
				continue
			}
		case errors.Is(err, fs.ErrExist) && try < maxNameTries:
			continue
		default:
			err = errno.Call("open", name, err)
		}
		c.writing.Add(-1)
		return err
	}
}

// maxNameTries bounds the search for a number that no old file has.
const maxNameTries = 100

// Commit makes the response the one of its key. It reports whether it was stored.
func (f *Fill) Commit(now clock.Reading) bool {
	if f.t == nil {
		return false
	}
	t := f.t
	if t.e == nil || t.c.purges.covers(t.main, f.Key, f.CreatedMS) {
		f.Abort()
		return false
	}
	if err := f.write(); err != nil {
		f.failed(err)
		return false
	}
	whole, err := f.written(int64(f.headBytes) + f.bytes)
	if err != nil {
		f.failed(err)
		return false
	}
	if err := f.close(); err != nil {
		f.failed(errno.Call("close", f.temp, err))
		return false
	}
	path := t.c.fileOf(t.key)
	if err := os.Rename(f.temp, path); err != nil {
		f.failed(errno.Call("rename", f.temp, err))
		return false
	}
	f.temp = ""
	raise(&t.c.purges.newest, f.CreatedMS)
	f.settle(blocks(int64(f.headBytes)+f.bytes), whole, now)
	f.Abort() // which frees the memory
	return true
}

// blockBytes is the unit in which the size of a cache counts files, as usual file systems store them.
const blockBytes = 4 << 10

func blocks(bytes int64) int64 { return (bytes + blockBytes - 1) / blockBytes * blockBytes }

// write writes what the temporary file lacks.
func (f *Fill) write() error {
	f.encode()
	if f.spilled {
		if _, err := f.file.WriteAt(f.head, 0); err != nil {
			return errno.Call("pwrite", f.temp, err)
		}
		if f.bytes > checkedBytes {
			// Its body is not checked after a crash of the machine, so it must be on the disk before its name is.
			if err := f.file.Sync(); err != nil {
				return errno.Call("fsync", f.temp, err)
			}
		}
		return nil
	}
	if err := f.create(); err != nil {
		return err
	}
	all := f.head
	if f.slab != nil {
		copy(f.slab.Mem, f.head)
		all = f.slab.Mem[:int64(len(f.head))+f.bytes]
	}
	if _, err := f.file.Write(all); err != nil {
		return errno.Call("write", f.temp, err)
	}
	return nil
}

// written is the stamp of the file that is written, whatever has its name by now. It is an error if the file does not
// have as many bytes as were written to it.
func (f *Fill) written(bytes int64) (stamp, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.file.Fd()), &stat); err != nil {
		return 0, errno.Call("fstat", f.temp, err)
	}
	if stat.Size != bytes {
		return 0, fmt.Errorf("another program changed cache file \"%s\" while it was written: it has %d bytes of %d",
			f.temp, stat.Size, bytes)
	}
	return stampOf(&stat), nil
}

func (f *Fill) close() error {
	file := f.file
	f.file = nil
	f.t.c.writing.Add(-1)
	return file.Close()
}

// settle enters the new file in the index.
func (f *Fill) settle(bytes int64, written stamp, now clock.Reading) {
	t, c := f.t, f.t.c
	c.mu.Lock()
	e := t.e
	var closed *Object
	if e.object != nil {
		closed = c.opened.forget(e)
	}
	c.bytes += bytes - e.bytes
	e.exists, e.stamp, e.failed, e.bytes = true, written, 0, bytes
	e.expireS = wallSeconds(now) + int64(c.settings.Inactive/time.Second)
	e.version++
	e.settle()
	t.updating = false
	c.mu.Unlock()
	if closed != nil {
		closed.release()
	}
}

// failed ends a fill that the disk does not allow. The client gets its response all the same.
func (f *Fill) failed(err error) {
	c := f.t.c
	if c.full.due(c.clock.Now().MonoMS) {
		c.logf(logs.Crit, "%v; the response is not stored in cache \"%s\"", err, c.Name())
	}
	f.Abort()
}

// Abort ends a fill whose response is not complete, or is not to be stored.
func (f *Fill) Abort() {
	if f.t == nil {
		return
	}
	c := f.t.c
	if f.file != nil {
		f.close() // it is removed
	}
	if f.temp != "" {
		c.removeFile(f.temp)
	}
	if f.slab != nil {
		f.slab.GiveBack()
	}
	head := f.head[:0]
	if cap(head) > maxKeptBytes {
		head = nil
	}
	*f = Fill{head: head}
}

// Stored is the number of bytes of the body that were given to Write.
func (f *Fill) Stored() int64 { return f.bytes }
