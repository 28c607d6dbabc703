//go:build !linux

package process

import (
	"errors"
	"os/exec"

	"golang.org/x/sys/unix"
)

// replaceFD makes a descriptor refer to the file of another.
func replaceFD(from, to int) error { return unix.Dup2(from, to) }

// office would keep privileges of root; only Linux gives them to single threads.
type office struct{}

func keepRights() (*office, error) { return nil, errors.ErrUnsupported }

// startAsStarted starts a process as the current user.
func startAsStarted(command *exec.Cmd, _ bool) error { return command.Start() }

func (*office) dropRights() error { return errors.ErrUnsupported }

func (*office) asStarted(work func() error) error { return work() }
