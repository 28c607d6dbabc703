package logs

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"starling/nginx/errno"
)

// maxLinks is how many symbolic links may lead to a standard stream: one that an image makes, and one of the system.
const maxLinks = 8

// streamPaths are the names under which the streams are open.
var streamPaths = [...]string{1: "/dev/stdout", 2: "/dev/stderr"}

// streamOf returns the standard stream of a path, 1 or 2, otherwise 0. Container images make log files links to
// /dev/stdout, so links are followed by name.
func streamOf(path string) (fd int) {
	for range maxLinks {
		switch filepath.Clean(path) {
		case "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1":
			return 1
		case "/dev/stderr", "/dev/fd/2", "/proc/self/fd/2":
			return 2
		}
		target, err := os.Readlink(path)
		if err != nil {
			return 0 // no link
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return 0
}

// openStream duplicates the descriptor of a standard stream. Opening /dev/stdout instead needs permissions that an
// unprivileged process in a container lacks, because the pipe has another owner, and a socket, as set up by service
// managers, cannot be opened at all. The descriptor outlives that of the stream, which a process in the background
// closes.
func openStream(fd int, path string) (*os.File, error) {
	other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errno.Call("open", path, err)
	}
	return os.NewFile(uintptr(other), path), nil
}
