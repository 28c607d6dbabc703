//go:build !unix

package symlink

import (
	"errors"
	"io/fs"
	"os"
)

// Open opens a file for reading. Only Follow is possible on this system.
func Open(path string, _ int, rule Rule) (*os.File, error) {
	if rule != Follow {
		return nil, &fs.PathError{Op: "openat", Path: path, Err: errors.ErrUnsupported}
	}
	return os.Open(path)
}
