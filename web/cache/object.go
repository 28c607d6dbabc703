package cache

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Object is a stored response that is open: its head, and its body in memory or in a file. It does not change. Requests
// share it; the last one closes the file.
type Object struct {
	Meta
	// Body is the whole body if it is small, and File nil then.
	Body []byte
	File *os.File
	// BodyAt is where the body begins in the file.
	BodyAt int64

	cost int64
	refs atomic.Int32
	links[Object]
	of          *entry // that keeps it open
	used        bool   // since it was last considered for closing
	path        string
	blocksBytes int64
	stamp       stamp        // of the file when it was opened
	seenMS      atomic.Int64 // when its file was last seen to be the same
}

// BodyBytes is the length of the body.
func (o *Object) BodyBytes() int64 { return o.bodyBytes }

// Path is the name of the file, for the error log.
func (o *Object) Path() string { return o.path }

// release ends one use.
func (o *Object) release() {
	if o.refs.Add(-1) == 0 && o.File != nil {
		o.File.Close() // it was only read
	}
}

const (
	// smallBytes is the size up to which a body is kept in memory: a file of this size costs more system calls than
	// bytes.
	smallBytes = 64 << 10
	// firstReadBytes is what the first read of a file asks for: the head and a small body in one call.
	firstReadBytes = 8 << 10
	// checkedBytes is the size up to which the body of a file that an earlier process has written is read and compared
	// with its checksum at first use. Larger files are synced when they are written instead: reading them before the
	// first byte is sent would delay their client.
	checkedBytes = 16 << 20
	// objectBytes is what an open object costs beside its texts: the struct, a few header fields and the file.
	objectBytes = 1 << 10
)

// wrongFile is a file that cannot be used and is removed.
type wrongFile struct{ why error }

func (w *wrongFile) Error() string { return w.why.Error() }

// open opens a file of the cache. known is its stamp when this process wrote or checked it, 0 if it has not.
func open(path string, known stamp) (*Object, error) {
	// Links are not followed: the cache has made none, and one could lead to a file that is not for clients.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, &wrongFile{errForeign}
	}
	if err != nil {
		return nil, err
	}
	o, err := read(file, path, known)
	if err != nil || o.File == nil {
		file.Close() // it was only read
	}
	return o, err
}

func read(file *os.File, path string, known stamp) (*Object, error) {
	var stat unix.Stat_t
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Fstat(int(fd), &stat) }); err != nil {
		return nil, err
	}
	switch {
	case failed != nil:
		return nil, failed
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, &wrongFile{errForeign}
	}
	o := &Object{path: path, blocksBytes: blocks(stat.Size), stamp: stampOf(&stat)}
	start := make([]byte, min(firstReadBytes, stat.Size))
	if err := readFull(file, start, 0); err != nil {
		return nil, err
	}
	n, err := headLength(start)
	if err != nil {
		return nil, &wrongFile{err}
	}
	if int64(n) > stat.Size {
		return nil, &wrongFile{errShort}
	}
	if n > len(start) {
		all := make([]byte, n)
		if err := readFull(file, all[copy(all, start):], int64(len(start))); err != nil {
			return nil, err
		}
		start = all
	}
	if err := o.decodeFrom(file, start, n, stat.Size); err != nil {
		return nil, err
	}
	return o, o.takeBody(file, start, known)
}

// decodeFrom decodes the head; one whose freshness is being rewritten at this moment is read again.
func (o *Object) decodeFrom(file *os.File, start []byte, n int, size int64) error {
	err := o.decode(start[:n:n], size)
	for tries := 0; err == errTornTime && tries < 3; tries++ {
		if err := readFull(file, start[:n], 0); err != nil {
			return err
		}
		err = o.decode(start[:n:n], size)
	}
	if err != nil {
		return &wrongFile{err}
	}
	o.BodyAt = int64(n)
	return nil
}

// takeBody reads a small body, and keeps the file of a large one. It checks the body of a file that an earlier process
// has written, or that was changed since this one did.
func (o *Object) takeBody(file *os.File, start []byte, known stamp) error {
	check := known != o.stamp && known != asItIs
	o.cost = objectBytes + int64(len(start))
	if o.bodyBytes <= smallBytes {
		o.Body = start[o.BodyAt:]
		if int64(len(o.Body)) < o.bodyBytes {
			body := make([]byte, o.bodyBytes)
			had := copy(body, o.Body)
			if err := readFull(file, body[had:], o.BodyAt+int64(had)); err != nil {
				return err
			}
			o.Body = body
		}
		o.cost += o.bodyBytes
		if check && crc32.Checksum(o.Body, castagnoli) != o.bodySum {
			return &wrongFile{errDamaged}
		}
		return nil
	}
	o.File = file
	switch {
	case !check:
		return nil
	case o.bodyBytes <= checkedBytes:
	case known == 0:
		return nil
	default:
		return &wrongFile{errChanged}
	}
	sum := crc32.New(castagnoli)
	if _, err := io.Copy(sum, io.NewSectionReader(file, o.BodyAt, o.bodyBytes)); err != nil {
		return err
	}
	if sum.Sum32() != o.bodySum {
		return &wrongFile{errDamaged}
	}
	return nil
}

// readFull reads all of p. A file that ends before was cut meanwhile.
func readFull(file *os.File, p []byte, from int64) error {
	n, err := file.ReadAt(p, from)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return &wrongFile{errShort}
	}
	return err
}

// hasKey reports whether the response is that of a key.
func (o *Object) hasKey(key []byte) bool { return bytes.Equal(o.Key, key) }

// opened are the objects that are kept open, in the order in which they were opened, within two bounds. Their lock is
// that of the Cache.
type opened struct {
	list[Object, *Object]
	bytes int64
	files int
}

// maxOpenFiles bounds the files of a cache that stay open between requests. Requests in progress can have more: each
// client holds at most one.
const maxOpenFiles = 256

// keep makes an entry keep an object open and returns those that it must close for that.
func (k *opened) keep(e *entry, o *Object, maxBytes int64) (closed []*Object) {
	if e.object != nil {
		closed = append(closed, k.forget(e))
	}
	if o.cost > maxBytes/8 { // it would displace too many others
		return closed
	}
	o.refs.Add(1)
	o.of, e.object = e, o
	k.push(o)
	k.bytes += o.cost
	if o.File != nil {
		k.files++
	}
	for k.bytes > maxBytes || k.files > maxOpenFiles {
		if oldest := k.oldest; oldest.used { // one more round, the method of CLOCK
			oldest.used = false
			k.use(oldest)
			continue
		}
		closed = append(closed, k.forget(k.oldest.of))
	}
	return closed
}

// forget makes an entry keep its object no longer; the caller releases it, without the lock.
func (k *opened) forget(e *entry) *Object {
	o := e.object
	e.object, o.of = nil, nil
	k.unlink(o)
	k.bytes -= o.cost
	if o.File != nil {
		k.files--
	}
	return o
}
