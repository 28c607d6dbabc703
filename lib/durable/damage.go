package durable

import (
	"encoding/binary"
	"io"
	"os"
)

// A crash leaves the end of a log unfinished, a failing disk damages any part of it. Records that are whole behind damage were acknowledged, and
// most of what they say does not need what is lost.

// DamagedPostfix is the name beside the log under which a damaged one is kept as it was found.
const DamagedPostfix = ".damaged"

const (
	// soughtWithin is how far after the beginning of damage the next whole record is looked for: many sectors.
	soughtWithin = 1 << 20
	// soughtBytes bounds the records that are looked for, and soughtWork the bytes summed up for it: a log of bytes that look like lengths
	// would delay a start for hours.
	soughtBytes = 256 << 10
	soughtWork  = 256 << 20
)

// recordAfter finds the first whole record after one that begins at from and is not whole.
func recordAfter(file io.ReaderAt, from, size int64) (at int64, found bool, err error) {
	if size-from < 2*headBytes {
		return 0, false, nil
	}
	var broken [headBytes]byte
	if _, err := file.ReadAt(broken[:], from); err != nil {
		return 0, false, err
	}
	// Most damage is in what is long: the length of the record still says where the next one is.
	if next := from + headBytes + int64(binary.LittleEndian.Uint32(broken[:])); next < size {
		record, err := newBuffered(io.NewSectionReader(file, next, size-next)).record(size - next)
		if err != nil || record != nil {
			return next, record != nil, err
		}
	}
	window := make([]byte, min(size-from, soughtWithin+headBytes+soughtBytes))
	if _, err := io.ReadFull(io.NewSectionReader(file, from, size-from), window); err != nil {
		return 0, false, err
	}
	work := int64(soughtWork)
	for at := int64(1); at < min(soughtWithin, int64(len(window))-headBytes) && work > 0; at++ {
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
	return 0, false, nil
}

// copyAside keeps the file for whoever wants to know what was in the damaged part; one kept before gives way.
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
