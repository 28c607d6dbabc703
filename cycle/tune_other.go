//go:build !linux

package cycle

import "starling/nginx/sockaddr"

// setTCP has nothing to set: the options are Linux's.
func setTCP(int, sockaddr.Options, func(fd, level, option, value int)) {}

// acceptQueue is not reported by these systems.
func acceptQueue(int) int { return 0 }
