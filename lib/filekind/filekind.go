// Package filekind rejects what is not a regular file: reading a named pipe without a writer, or an endless device,
// would block the reader.
package filekind

import (
	"errors"
	"io/fs"
	"os"
)

// Read reads a whole regular file.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = Check(info.Mode())
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Check returns why something of that mode must not be read as a file; nil for files. A directory is left to the read,
// which fails immediately.
func Check(mode fs.FileMode) error {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("not a regular file: named pipe")
	case mode&fs.ModeSocket != 0:
		return errors.New("not a regular file: socket")
	case mode&(fs.ModeDevice|fs.ModeCharDevice) != 0:
		return errors.New("not a regular file: device")
	case mode&fs.ModeIrregular != 0:
		return errors.New("not a regular file")
	}
	return nil
}
