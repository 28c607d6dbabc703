package process

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// replaceFD makes the descriptor to mean what from means.
func replaceFD(from, to int) error { return unix.Dup3(from, to, 0) }

// keepRights lets a change of the user keep what root may do, until keepBindRight.
func keepRights() error { return onAllThreads(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1) }

// keepBindRight leaves of root's rights only that to bind ports below 1024.
func keepBindRight() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	const bit = 1 << unix.CAP_NET_BIND_SERVICE
	rights := [2]unix.CapUserData{{Effective: bit, Permitted: bit}}
	return onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&rights[0])))
}

// onAllThreads makes a system call whose effect is one thread's on all of them.
func onAllThreads(call, a, b uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall(call, a, b, 0); errno != 0 {
		return errno
	}
	return nil
}
