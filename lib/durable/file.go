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
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// LockFile keeps other processes from using a file that is replaced: it locks another one with ".lock" after its name.
// It returns ErrInUse if another process has the lock, which ends with the process.
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
