//go:build darwin || freebsd

package symlink

import "golang.org/x/sys/unix"

// folderFlags need permission to search a folder, not to read it.
const folderFlags = unix.O_SEARCH | unix.O_DIRECTORY
