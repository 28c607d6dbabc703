// Package durable keeps records on disk so that acknowledged ones survive a crash: a log with group commit, and files
// that are replaced atomically.
package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// A log file is the magic line, then records: length and CRC-32C of length and bytes (4 bytes each, little endian),
// bytes.
const (
	magic      = "starling log 1\n"
	headBytes  = 8
	filePerm   = 0o600 // values of a keyval zone may be secrets
	bufferMax  = 256 << 10
	newPostfix = ".new"
)

// MaxRecordBytes bounds one record, so that a damaged length cannot make us allocate all memory.
const MaxRecordBytes = 32 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of logs.
var (
	ErrTooLong = errors.New("record is too long for the log")
	ErrClosed  = errors.New("log is closed")
	ErrNotALog = errors.New("file is not a starling log: move it away, or configure another path")
)

// Log is an append-only file of records. Its methods may be called from any goroutine.
type Log struct {
	path    string
	dropped int64
	damaged int64
	brokeAt int64

	mu      sync.Mutex
	idle    sync.Cond // a write has ended
	file    *os.File
	size    int64
	buffer  []byte // appended, not yet written
	spare   []byte // the previous buffer, for reuse
	next    uint64 // number of records appended
	kept    uint64 // number of records on disk
	syncs   int    // number of disk syncs
	writing bool
	tee     *[]byte // while rotating: records appended meanwhile
	// the first failure; a failed log stays failed until Rotate, because the state of the disk is unknown
	err error
}

// Open opens or creates the log at path and passes each of its records, in order, to replay. It cuts off an incomplete
// last record, which a crash leaves. Damage before complete records is not from a crash, nor is a missing magic line:
// Open replays the complete records and keeps a copy of the file as found next to the log (Damaged). The record is
// valid only during the call. An error of replay is returned unchanged. Only one process at a time has a log open:
// ErrInUse.
func Open(path string, replay func(record []byte) error) (*Log, error) {
	return OpenAfter(path, Found{}, replay)
}

// OpenAfter is Open after ReadFile: it does not replay again what that has read, unless the log is another file by now.
func OpenAfter(path string, read Found, replay func(record []byte) error) (*Log, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	l := &Log{path: path, file: file}
	l.idle.L = &l.mu
	if err := l.start(read, replay); err != nil {
		file.Close()
		return nil, err
	}
	return l, nil
}

func (l *Log) start(read Found, replay func([]byte) error) error {
	if err := lock(l.file, l.path); err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	was, err := readLog(l.file, size, read.rest(info, replay))
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	l.dropped, l.damaged, l.brokeAt = size-was.end, was.damaged, was.brokeAt
	if was.damaged > 0 {
		if err := copyAside(l.file, size, l.path+DamagedPostfix); err != nil {
			return fmt.Errorf("%s is damaged and cannot be backed up: %w", l.path, err)
		}
	}
	good := was.end
	if was.records == 0 {
		// New, or cut short at its creation, when no record can have been acknowledged; or completely unreadable.
		good = 0
	}
	if err := l.file.Truncate(good); err != nil {
		return err
	}
	if _, err := l.file.WriteAt([]byte(magic), 0); err != nil {
		return err
	}
	good = max(good, int64(len(magic)))
	if err := l.file.Sync(); err != nil {
		return err
	}
	if _, err := l.file.Seek(good, io.SeekStart); err != nil {
		return err
	}
	l.size = good
	return syncFolder(l.path)
}

// Dropped returns the number of bytes of an incomplete tail that Open discarded.
func (l *Log) Dropped() int64 { return l.dropped }

// Damaged returns the number of unreadable bytes before the last complete record, or of the whole log, until it is
// rotated.
func (l *Log) Damaged() int64 { return l.damaged }

// DamagedAt is the position in the file of the first of them.
func (l *Log) DamagedAt() int64 { return l.brokeAt }

// Size is the length of the log in bytes, including bytes not yet written.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size + int64(len(l.buffer))
}

func appendRecord(dst, record []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(record)))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(dst[len(dst)-4:], record))
	return append(dst, record...)
}

func checksum(length, record []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, record)
}

// Append adds a record. It is on disk when wait has returned nil; concurrent waits share one fsync, and so do all the
// records of a caller that waits only for its last one. A record without a wait is synced by the next wait of any
// caller, or by Sync.
func (l *Log) Append(record []byte) (wait func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		if l.tee != nil && len(record) > 0 &&
			len(record) <= MaxRecordBytes { // the writers get the error; the fresh log can do without the record
			*l.tee = appendRecord(*l.tee, record)
		}
		return fail(l.err)
	case len(record) == 0 || len(record) > MaxRecordBytes:
		return fail(ErrTooLong)
	}
	l.buffer = appendRecord(l.buffer, record)
	if l.tee != nil {
		*l.tee = appendRecord(*l.tee, record)
	}
	l.next++
	number := l.next
	if len(l.buffer) > bufferMax && !l.writing {
		l.write(false) // this bounds the buffer; a wait makes it durable
	}
	return func() error { return l.wait(number) }
}

func fail(err error) func() error { return func() error { return err } }

// Sync waits until all appended records are on disk.
func (l *Log) Sync() error {
	l.mu.Lock()
	number := l.next
	l.mu.Unlock()
	return l.wait(number)
}

// wait lets the first waiter write for all that have arrived by then.
func (l *Log) wait(number uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.kept < number && l.err == nil {
		if l.writing {
			l.idle.Wait()
		} else {
			l.write(true)
		}
	}
	if l.kept >= number {
		return nil
	}
	return l.err
}

// write writes the buffer to the file and, with sync, waits for the disk. It is called with mu, which it releases
// meanwhile.
func (l *Log) write(sync bool) {
	data, upTo, file := l.buffer, l.next, l.file
	l.buffer, l.spare = l.spare[:0], nil
	l.writing = true
	l.mu.Unlock()
	_, err := file.Write(data)
	if err == nil && sync {
		err = file.Sync()
	}
	l.mu.Lock()
	l.writing = false
	l.size += int64(len(data))
	if cap(data) <= 2*bufferMax {
		l.spare = data
	}
	if err != nil {
		l.err = fmt.Errorf("log write failed; no writes are acknowledged until the log is rewritten: %w", err)
	} else if sync {
		l.kept = upTo
		l.syncs++
	}
	l.idle.Broadcast()
}

// Failed is why the log no longer acknowledges writes, nil if it does.
func (l *Log) Failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Lost reports whether the log's path no longer names the open file: somebody has removed or replaced it.
func (l *Log) Lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed() {
		return false
	}
	open, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.path)
	gone := errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	return gone || err == nil && !os.SameFile(open, there)
}

// closed is called with mu.
func (l *Log) closed() bool { return errors.Is(l.err, ErrClosed) }

// Close writes the rest and closes the file.
func (l *Log) Close() error {
	err := l.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writing {
		l.idle.Wait()
	}
	if errors.Is(l.err, ErrClosed) {
		return nil
	}
	l.err = ErrClosed
	return errors.Join(err, l.file.Close())
}

// syncFolder makes a new name in the folder of path durable.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
