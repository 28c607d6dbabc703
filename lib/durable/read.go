package durable

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"starling/lib/filekind"
)

// buffered reads records one after another.
type buffered struct {
	r    *bufio.Reader
	head [headBytes]byte
	body []byte
}

func newBuffered(r io.Reader) *buffered { return &buffered{r: bufio.NewReaderSize(r, 64<<10)} }

// record returns the next complete record, nil at the end or at the first incomplete one. left is how many bytes
// follow.
func (b *buffered) record(left int64) ([]byte, error) {
	if _, err := io.ReadFull(b.r, b.head[:]); err != nil {
		return nil, ignoreEOF(err)
	}
	length := int64(binary.LittleEndian.Uint32(b.head[:]))
	if length == 0 || length > MaxRecordBytes || length > left-headBytes {
		return nil, nil
	}
	if int64(cap(b.body)) < length {
		b.body = make([]byte, length)
	}
	record := b.body[:length]
	if _, err := io.ReadFull(b.r, record); err != nil {
		return nil, ignoreEOF(err)
	}
	if binary.LittleEndian.Uint32(b.head[4:]) != checksum(b.head[:4], record) {
		return nil, nil
	}
	return record, nil
}

// contents is the result of reading a log.
type contents struct {
	records int
	end     int64 // of the last complete record, or of the damaged part
	damaged int64 // bytes before it that are not complete records
	brokeAt int64 // where the first of these is
}

// skip notes that the bytes from the end on are not complete records, up to next.
func (was *contents) skip(next int64) {
	if was.damaged == 0 {
		was.brokeAt = was.end
	}
	was.damaged += next - was.end
	was.end = next
}

// headOfFile is how much of a file without the magic line is checked to find out whose it is.
const headOfFile = 512

// readLog replays the complete records.
func readLog(file io.ReaderAt, size int64, replay func([]byte) error) (was contents, err error) {
	head := make([]byte, min(size, headOfFile))
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, size), head); err != nil {
		return was, ignoreEOF(err)
	}
	begun := string(head[:min(size, int64(len(magic)))])
	switch {
	case begun == magic:
		was.end = int64(len(magic))
	case begun == magic[:len(begun)], size <= int64(len(magic)) && zeros(head):
		return was, nil
	default:
		if found, err := was.beginLate(file, head, size); err != nil || !found {
			return was, err
		}
	}
	for {
		if err = was.readRecords(file, size, replay); err != nil {
			return was, err
		}
		next, found, err := recordAfter(file, was.end, size)
		if err != nil || !found {
			return was, err
		}
		was.skip(next)
	}
}

// beginLate finds the first record of a file without the magic line.
func (was *contents) beginLate(file io.ReaderAt, head []byte, size int64) (found bool, err error) {
	next, found, err := recordFrom(file, int64(len(magic)), size)
	switch {
	case err != nil:
		return false, err
	case found:
		was.skip(next)
	case foreign(head):
		return false, ErrNotALog
	default:
		was.skip(size)
	}
	return found, nil
}

// readRecords replays records up to the first incomplete one, and notes where that is.
func (was *contents) readRecords(file io.ReaderAt, size int64, replay func([]byte) error) error {
	b := newBuffered(io.NewSectionReader(file, was.end, size-was.end))
	for {
		record, err := b.record(size - was.end)
		if err != nil || record == nil {
			return err
		}
		was.end += headBytes + int64(len(record))
		was.records++
		if err := replay(record); err != nil {
			return err
		}
	}
}

func ignoreEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// Found is the result of ReadFile.
type Found struct {
	Records int
	// Damaged is how many bytes before the last complete record, or of the whole log, could not be read.
	Damaged int64
	// DamagedAt is the position of the first of them.
	DamagedAt int64
	file      os.FileInfo
}

// rest skips the records that were read before from the same file.
func (f Found) rest(file os.FileInfo, replay func(record []byte) error) func(record []byte) error {
	if f.file == nil || !os.SameFile(f.file, file) || file.Size() < f.file.Size() {
		return replay
	}
	skip := f.Records
	return func(record []byte) error {
		if skip > 0 {
			skip--
			return nil
		}
		return replay(record)
	}
}

// ReadFile passes each complete record of the log at path, in order, to replay and changes nothing. A missing log has
// no records.
func ReadFile(path string, replay func(record []byte) error) (Found, error) {
	kind, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Found{}, nil
	}
	if err == nil {
		err = filekind.Check(kind.Mode())
	}
	if err != nil {
		return Found{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file, err := os.Open(path)
	if err != nil {
		return Found{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Found{}, err
	}
	was, err := readLog(file, info.Size(), replay)
	if err != nil {
		return Found{}, fmt.Errorf("%s: %w", path, err)
	}
	return Found{Records: was.records, Damaged: was.damaged, DamagedAt: was.brokeAt, file: info}, nil
}
