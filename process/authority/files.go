package authority

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The permissions of written files: only the owner can read keys and their folder.
const (
	keyMode         fs.FileMode = 0o600
	certificateMode fs.FileMode = 0o644
	folderMode      fs.FileMode = 0o700
)

// file is one to be written.
type file struct {
	path string
	data []byte
	mode fs.FileMode
}

// beforePostfix marks a file that is being replaced, until all are.
const beforePostfix = ".before"

// writeAll writes all files or none: each is complete on the disk before the first gets its name, and the replaced ones
// are restored if one fails. Without replace, an existing file is an error.
func writeAll(files []file, replace bool) (err error) {
	var temporary []string
	defer func() {
		for _, t := range temporary {
			_ = os.Remove(t) // most have moved
		}
	}()
	for _, f := range files {
		t, err := writeTemporary(f)
		if err != nil {
			return err
		}
		temporary = append(temporary, t)
	}
	var done []func() error // how to revert each step
	defer func() {
		if err == nil {
			return
		}
		for _, undo := range done {
			err = errors.Join(err, undo())
		}
	}()
	for i, f := range files {
		undo, err := place(temporary[i], f.path, replace)
		if err != nil {
			return err
		}
		done = append(done, undo)
	}
	for _, f := range files {
		if err := os.Remove(f.path + beforePostfix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncFolder(filepath.Dir(files[0].path))
}

// place renames a complete file to its name and returns a function that reverts it.
func place(temporary, path string, replace bool) (undo func() error, err error) {
	if !replace {
		// Unlike a rename, a link fails if the name is taken, however late that happened.
		if err := os.Link(temporary, path); errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%s exists: nothing was written; to replace it, use --force", path)
		} else if err != nil {
			return nil, err
		}
		return func() error { return os.Remove(path) }, nil
	}
	before := path + beforePostfix
	if err := os.Remove(before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch err := os.Link(path, before); {
	case errors.Is(err, fs.ErrNotExist):
		undo = func() error { return os.Remove(path) }
	case err != nil:
		return nil, err
	default:
		undo = func() error { return os.Rename(before, path) }
	}
	return undo, os.Rename(temporary, path)
}

func writeTemporary(f file) (path string, err error) {
	out, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*")
	if err != nil {
		return "", err
	}
	_, err = out.Write(f.data)
	err = errors.Join(err, out.Chmod(f.mode), out.Sync(), out.Close())
	if err != nil {
		err = errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
