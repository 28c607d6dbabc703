package authority

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"starling/nginx/errno"
)

// lock waits until no other "starling certs" changes the folder, and keeps others from it until unlock: two renewals at
// once could leave the key of one and the certificate of the other.
func (s *store) lock() (unlock func() error, err error) {
	folder, err := os.Open(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, s.noAuthority()
	}
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(folder.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(errno.Call("flock", s.dir, err), folder.Close())
	}
	return folder.Close, nil // which ends the lock
}
