//go:build !linux

package cycle

import "starling/lib/sockaddr"

// setTCP has nothing to set: the options are Linux's.
func setTCP(int, sockaddr.Options, func(fd, level, option, value int)) {}
