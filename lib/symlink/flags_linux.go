package symlink

import "golang.org/x/sys/unix"

// folderFlags need permission to search a folder, not to read it.
const folderFlags = unix.O_PATH | unix.O_DIRECTORY
