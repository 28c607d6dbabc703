package durable

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// buffered reads records one after another.
type buffered struct {
	r    *bufio.Reader
	head [headBytes]byte
	body []byte
}

func newBuffered(r io.Reader) *buffered { return &buffered{r: bufio.NewReaderSize(r, 64<<10)} }

// record returns the next whole record, nil at the end or at the first one that is not whole. left is how many bytes follow.
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

// ReadFile gives each record of the log at path, in order, to replay and changes nothing. It tells whether there is a log.
func ReadFile(path string, replay func(record []byte) error) (found bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	good, _, err := readLog(file, info.Size(), replay)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return good > int64(len(magic)), nil
}
