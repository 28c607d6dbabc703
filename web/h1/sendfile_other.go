//go:build !linux

package h1

import (
	"errors"
	"os"
)

type fileJob struct{}

// CanSendFile reports whether SendFile works on the connection.
func (w *Writer) CanSendFile() bool { return false }

// SendFile is only for Linux.
func (w *Writer) SendFile(*os.File, int64, int64) (int64, error) { return 0, errors.ErrUnsupported }
