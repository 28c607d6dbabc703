package durable

import (
	"bufio"
	"errors"
	"io"
	"os"
	"time"

	"github.com/google/renameio/v2"
)

// Rotate replaces the log by a fresh one that starts with the output of snapshot. Records appended meanwhile are in
// both, so replaying them over a snapshot that has them must be harmless. A crash leaves the old log or the new one,
// complete. Rotate repairs a failed log, because the snapshot depends on nothing on the disk.
func (l *Log) Rotate(snapshot func(write func(record []byte) error) error) error {
	var meanwhile []byte
	l.mu.Lock()
	if l.closed() || l.tee != nil {
		defer l.mu.Unlock()
		return errors.Join(l.err, errIf(l.tee != nil, "log is already being rotated"))
	}
	l.tee = &meanwhile
	l.mu.Unlock()

	file, size, err := writeSnapshot(l.path+newPostfix, snapshot)

	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writing {
		l.idle.Wait()
	}
	l.tee = nil
	if err == nil {
		err = l.swap(file, size, meanwhile)
	}
	if err != nil && file != nil && l.file != file {
		file.Close()
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}

func errIf(is bool, text string) error {
	if is {
		return errors.New(text)
	}
	return nil
}

func writeSnapshot(path string, snapshot func(func([]byte) error) error) (*os.File, int64, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return nil, 0, err
	}
	if err := lock(file, path); err != nil {
		return file, 0, err
	}
	out := bufio.NewWriterSize(file, 256<<10)
	size := int64(len(magic))
	_, err = out.WriteString(magic)
	if err == nil {
		var buf []byte
		err = snapshot(func(record []byte) error {
			if len(record) == 0 || len(record) > MaxRecordBytes {
				return ErrTooLong
			}
			buf = appendRecord(buf[:0], record)
			size += int64(len(buf))
			_, err := out.Write(buf)
			return err
		})
	}
	return file, size, errors.Join(err, out.Flush())
}

// swap finishes the new file with the records appended while it was written, and renames it into place. mu is held and
// nothing else writes.
func (l *Log) swap(file *os.File, size int64, meanwhile []byte) error {
	if l.closed() {
		return l.err
	}
	if _, err := file.Write(meanwhile); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), l.path); err != nil {
		return err
	}
	// From here on the new file is the log; the records that waited in the buffer are in the snapshot or in meanwhile.
	old := l.file
	l.file, l.size, l.buffer, l.kept, l.err = file, size+int64(len(meanwhile)), l.buffer[:0], l.next, nil
	l.idle.Broadcast()
	old.Close() // none of it is needed any more
	if err := syncFolder(l.path); err != nil {
		l.err = err
		return err
	}
	return nil
}

// Replace writes the output of write to path so that a crash leaves the old file or the new one, complete. Only the
// owner may read a new file. The file gets the given modification time.
func Replace(path string, at time.Time, write func(io.Writer) error) error {
	file, err := renameio.NewPendingFile(path, renameio.WithPermissions(filePerm), renameio.WithExistingPermissions())
	if err != nil {
		return err
	}
	defer file.Cleanup() // no effect once the file is in place
	out := bufio.NewWriterSize(file, 256<<10)
	if err := errors.Join(write(out), out.Flush()); err != nil {
		return err
	}
	if err := os.Chtimes(file.Name(), at, at); err != nil {
		return err
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return syncFolder(path)
}
