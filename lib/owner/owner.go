// Package owner gives files to another user without being led astray: whoever may write into their folder could have
// put a symbolic or a hard link to somebody else's file in their place.
package owner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Why a file is not given away.
var (
	ErrSymlink  = errors.New("is a symbolic link; not changing its owner")
	ErrHardLink = errors.New("has other hard links; not changing its owner")
)

// Give makes uid and gid the owner of a file or folder. What is neither, a pipe or a device, stays as it is, and so
// does what is not there.
func Give(path string, uid, gid int) error {
	file, err := give(unix.AT_FDCWD, path, path, uid, gid)
	if file != nil {
		file.Close()
	}
	return err
}

// GiveFolders gives a folder and those below it away, level by level: on each of them those whose names are so many
// digits. The files in them stay. It calls failed for each that it could not give.
func GiveFolders(path string, digits []int, uid, gid int, failed func(path string, err error)) {
	folder, err := give(unix.AT_FDCWD, path, path, uid, gid)
	if err != nil {
		failed(path, err)
	}
	giveBelow(folder, path, digits, uid, gid, failed)
}

// giveBelow goes down by open folders, not by paths: another user could exchange a folder on the way for a link
// meanwhile.
func giveBelow(folder *os.File, path string, digits []int, uid, gid int, failed func(path string, err error)) {
	if folder == nil {
		return
	}
	defer folder.Close()
	if len(digits) == 0 {
		return
	}
	names, err := folder.Readdirnames(-1)
	if err != nil {
		failed(path, err)
	}
	for _, name := range names {
		if len(name) != digits[0] || strings.Trim(name, "0123456789") != "" {
			continue
		}
		below := filepath.Join(path, name)
		next, err := give(int(folder.Fd()), name, below, uid, gid)
		if err != nil {
			failed(below, err)
		}
		giveBelow(next, below, digits[1:], uid, gid, failed)
	}
}

// give gives what has this name in an open folder, and returns it open where it is a folder itself.
func give(at int, name, path string, uid, gid int) (*os.File, error) {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, explained(path)
	case errors.Is(err, unix.ENOENT),
		errors.Is(err, unix.ENXIO),
		errors.Is(err, unix.ENODEV): // gone; a socket or a device without driver
		return nil, nil
	case err != nil:
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	var stat unix.Stat_t
	err = unix.Fstat(fd, &stat)
	kind := stat.Mode & unix.S_IFMT
	switch {
	case err != nil:
	case int(stat.Uid) == uid && int(stat.Gid) == gid, kind != unix.S_IFDIR && kind != unix.S_IFREG:
	case kind == unix.S_IFREG && stat.Nlink > 1:
		err = ErrHardLink
	default:
		err = unix.Fchown(fd, uid, gid)
	}
	if err != nil || kind != unix.S_IFDIR {
		file.Close()
		return nil, err
	}
	return file, nil
}

// explained is ErrSymlink for a link to a file or folder. One to a pipe or a terminal is how containers log, and nobody
// wants to own those.
func explained(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil
	}
	return ErrSymlink
}

// GiveToFolders gives a file that root has just made, open, to the user whose folder it is in: root tests the
// configuration of a server that is somebody else, and the logs that this makes are to be the server's.
func GiveToFolders(file *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var folder unix.Stat_t
	if err := unix.Stat(filepath.Dir(file.Name()), &folder); err != nil {
		return err
	}
	if folder.Uid == 0 {
		return nil
	}
	return unix.Fchown(int(file.Fd()), int(folder.Uid), int(folder.Gid))
}
