// Package filekind refuses to read what is no file: a named pipe that nobody writes to, or an endless device, would
// stop who reads it.
package filekind

import (
	"errors"
	"io/fs"
)

// Check says why a thing of that mode is not to be read as a file; nil for files. A directory is left to the read,
// which fails at once.
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
