// Package owner changes the owner of files safely: any user with write access to their folder could have replaced them
// with a symbolic or a hard link to another user's file.
package owner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Reasons not to change the owner of a file.
var (
	ErrSymlink  = errors.New("is a symbolic link; not changing its owner")
	ErrHardLink = errors.New("has other hard links; not changing its owner")
)

// Give makes uid and gid the owner of a file or folder. Anything else, such as a pipe or a device, stays unchanged; a
// missing file is ignored.
func Give(path string, uid, gid int) error {
	file, err := give(unix.AT_FDCWD, path, path, uid, gid)
	if file != nil {
		file.Close()
	}
	return err
}

// GiveFolders changes the owner of a folder and of those below it, level by level: on each level those whose names are
// so many digits. The files in them stay unchanged. It calls failed for each folder that it could not change.
func GiveFolders(path string, digits []int, uid, gid int, failed func(path string, err error)) {
	folder, err := give(unix.AT_FDCWD, path, path, uid, gid)
	if err != nil {
		failed(path, err)
	}
	giveBelow(folder, path, digits, uid, gid, failed)
}

// giveBelow descends through open folders, not by paths: another user could replace a folder on the way by a link
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

// give changes the owner of the entry with this name in an open folder, and returns it open if it is a folder itself.
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

// explained is ErrSymlink for a link to a file or folder. Containers log through a link to a pipe or a terminal, whose
// owner does not matter.
func explained(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil
	}
	return ErrSymlink
}

// GiveToFolderOwner gives a file that root has just created, open, to the owner of its folder: root tests the
// configuration of a server that runs as another user, and the created logs must belong to that user.
func GiveToFolderOwner(file *os.File) error {
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
