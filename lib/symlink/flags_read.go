//go:build unix && !linux && !darwin && !freebsd

package symlink

import "golang.org/x/sys/unix"

const folderFlags = unix.O_RDONLY | unix.O_DIRECTORY
