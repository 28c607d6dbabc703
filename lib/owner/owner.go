// Package owner gives files to another user without being led astray: whoever may write into their folder could have put a symbolic or a
// hard link to somebody else's file in their place.
package owner

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Why a file is not given away.
var (
	ErrSymlink  = errors.New("is a symbolic link; not changing its owner")
	ErrHardLink = errors.New("has other hard links; not changing its owner")
)

// Give makes uid and gid the owner of a file or folder. What is neither, a pipe or a device, stays as it is, and so does what is not there.
func Give(path string, uid, gid int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return explained(path)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV): // gone; a socket or a device without driver
		return nil
	case err != nil:
		return err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	switch {
	case int(stat.Uid) == uid && int(stat.Gid) == gid:
		return nil
	case stat.Mode&unix.S_IFMT == unix.S_IFDIR:
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil
	case stat.Nlink > 1:
		return ErrHardLink
	}
	return unix.Fchown(fd, uid, gid)
}

// explained is ErrSymlink for a link to a file or folder. One to a pipe or a terminal is how containers log, and nobody wants to own those.
func explained(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil
	}
	return ErrSymlink
}
