//go:build !linux

package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// replaceFD makes the descriptor to mean what from means.
func replaceFD(from, to int) error { return unix.Dup2(from, to) }

// keepRights says that only Linux can keep single rights of root.
func keepRights() error { return errors.ErrUnsupported }

func keepBindRight() error { return errors.ErrUnsupported }
