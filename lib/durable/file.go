package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// WriteFile replaces a small file. After a crash the file has the old contents or the new ones, and it has the new ones
// once WriteFile has returned.
func WriteFile(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, filePerm, renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return err
	}
	return syncFolder(path)
}

// LockFile keeps other processes from using a file that WriteFile replaces: it locks a second file, of the same name
// with ".lock" appended. It returns ErrInUse if another process has the lock. A lock ends with its process.
func LockFile(path string) (io.Closer, error) {
	file, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, filePerm)
	if err != nil {
		return nil, err
	}
	if err := lock(file, file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
