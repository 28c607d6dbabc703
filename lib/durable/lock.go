package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ErrInUse means that another process writes the log, for example one that was told to quit and still drains its
// requests.
var ErrInUse = errors.New("log is in use by another process; stop that process first")

// lock keeps other processes from writing the file at path, which the caller has just opened or created. The lock ends
// with the file.
func lock(file *os.File, path string) error {
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrInUse
		}
		return os.NewSyscallError("flock", err)
	}
	mine, err := file.Stat()
	if err != nil {
		return err
	}
	// A process that rotates the log has replaced the file meanwhile.
	if there, err := os.Stat(path); err != nil || !os.SameFile(mine, there) {
		return errors.Join(ErrInUse, err)
	}
	return nil
}
