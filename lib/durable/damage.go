package durable

import (
	"encoding/binary"
	"io"
	"os"
	"unicode/utf8"
)

// A crash leaves the end of a log incomplete; a failing disk damages any part of it. Complete records after the damage
// were acknowledged, and most of them do not depend on the lost ones.

// DamagedPostfix is appended to the name of a file for the copy of its damaged state.
const DamagedPostfix = ".damaged"

const (
	// soughtAtOnce is how many bytes are searched at once for the next complete record after damage.
	soughtAtOnce = 1 << 20
	// soughtBytes bounds the search for records, and soughtWork the bytes checksummed for it: a log of bytes that look
	// like lengths would delay a start for hours.
	soughtBytes = 256 << 10
	soughtWork  = 256 << 20
)

// recordAfter finds the first complete record after an incomplete one that begins at from.
func recordAfter(file io.ReaderAt, from, size int64) (at int64, found bool, err error) {
	if size-from < 2*headBytes {
		return 0, false, nil
	}
	var broken [headBytes]byte
	if _, err := file.ReadAt(broken[:], from); err != nil {
		return 0, false, err
	}
	// Most damage hits long records: the length of the record still tells where the next one is.
	if next := from + headBytes + int64(binary.LittleEndian.Uint32(broken[:])); next < size {
		record, err := newBuffered(io.NewSectionReader(file, next, size-next)).record(size - next)
		if err != nil || record != nil {
			return next, record != nil, err
		}
	}
	return recordFrom(file, from+1, size)
}

// recordFrom finds the first complete record that begins at from or later.
func recordFrom(file io.ReaderAt, from, size int64) (at int64, found bool, err error) {
	var window []byte
	for work := int64(soughtWork); from < size-headBytes && work > 0; from += soughtAtOnce {
		if window == nil {
			window = make([]byte, min(size-from, soughtAtOnce+headBytes+soughtBytes))
		}
		window = window[:min(int64(len(window)), size-from)]
		if _, err := io.ReadFull(io.NewSectionReader(file, from, size-from), window); err != nil {
			return 0, false, err
		}
		for at := int64(0); at < min(soughtAtOnce, int64(len(window))-headBytes) && work > 0; at++ {
			head := window[at:]
			length := int64(binary.LittleEndian.Uint32(head))
			if length == 0 || length > soughtBytes || length > int64(len(head))-headBytes {
				continue
			}
			work -= length
			if binary.LittleEndian.Uint32(head[4:]) == checksum(head[:4], head[headBytes:headBytes+length]) {
				return from + at, true, nil
			}
		}
	}
	return 0, false, nil
}

// foreign reports that a file without a complete record and without the magic line most likely belongs to another
// program, because it is text. A user who names such a file by mistake must not lose it. A damaged log has zeros or
// other bytes there, or still most of its first line.
func foreign(head []byte) bool {
	same := 0
	for i := range min(len(head), len(magic)) {
		if head[i] == magic[i] {
			same++
		}
	}
	if same > len(magic)/2 {
		return false
	}
	for _, b := range head {
		if b < ' ' && b != '\t' && b != '\n' && b != '\r' {
			return false
		}
	}
	return utf8.Valid(head)
}

// zeros reports whether all bytes are zero.
func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// KeepAside copies the file at path to the name for damaged ones. It replaces an older copy.
func KeepAside(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return copyAside(file, info.Size(), path+DamagedPostfix)
}

// copyAside keeps a copy of the damaged file for investigation; it replaces an older copy.
func copyAside(file io.ReaderAt, size int64, path string) error {
	kept, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return err
	}
	_, err = io.Copy(kept, io.NewSectionReader(file, 0, size))
	if err == nil {
		err = kept.Sync()
	}
	if closed := kept.Close(); err == nil {
		err = closed
	}
	return err
}
