//go:build unix

package symlink

import (
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens a file for reading, without waiting for the writer of a pipe. The first trusted bytes of the path, which
// end before a slash, may have any links.
func Open(path string, trusted int, rule Rule) (*os.File, error) {
	if rule == Follow {
		return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	fd, err := open(path, trusted, rule)
	if err != nil {
		return nil, &fs.PathError{Op: "openat", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

const readFlags = unix.O_RDONLY | unix.O_NONBLOCK

func open(path string, trusted int, rule Rule) (fd int, err error) {
	folder, rest := unix.AT_FDCWD, path
	if trusted > 0 || strings.HasPrefix(path, "/") {
		start := max(trusted, 1) // "/" itself is no link
		if folder, err = openAt(unix.AT_FDCWD, path[:start], folderFlags); err != nil {
			return -1, err
		}
		rest = path[start:]
	}
	defer func() { closeFolder(folder) }()
	for {
		name, behind, found := strings.Cut(rest, "/")
		if !found {
			break
		}
		rest = behind
		if name == "" {
			continue
		}
		next, err := step(folder, name, folderFlags, rule)
		if err != nil {
			return -1, err
		}
		closeFolder(folder)
		folder = next
	}
	if rest == "" { // the path ends with a slash
		return openAt(folder, ".", readFlags)
	}
	return step(folder, rest, readFlags, rule)
}

// step opens one part of a path. Owners are compared even if fstatat finds no link, because there may have been one
// when the part was opened.
func step(folder int, name string, flags int, rule Rule) (int, error) {
	if rule == Reject {
		return openAt(folder, name, flags|unix.O_NOFOLLOW)
	}
	fd, err := openAt(folder, name, flags)
	if err != nil {
		return -1, err
	}
	var link, target unix.Stat_t
	if err = unix.Fstatat(folder, name, &link, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		err = unix.Fstat(fd, &target)
	}
	if err == nil && link.Uid != target.Uid {
		err = unix.ELOOP // as if links were not followed
	}
	if err != nil {
		unix.Close(fd) // it was only read
		return -1, err
	}
	return fd, nil
}

func openAt(folder int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(folder, name, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func closeFolder(fd int) {
	if fd != unix.AT_FDCWD {
		unix.Close(fd) // it was only read
	}
}
