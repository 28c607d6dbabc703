package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"starling/logs"
)

// readyVariable names the descriptor on which a detached process reports that it serves. Its presence tells that
// process that it is detached.
const readyVariable = "STARLING_READY_FD"

// readyWord is the report.
const readyWord = "ready\n"

// detach starts the program again in a session of its own, because a Go program cannot fork, and waits until it serves.
// The new process prints its own problems: standard error is still the same.
func (b *bootLog) detach(args []string) int {
	self, err := os.Executable()
	if err != nil {
		b.fail(fmt.Errorf("cannot determine the path of the executable: %w", err))
		return 1
	}
	in, out, err := os.Pipe()
	if err != nil {
		b.fail(fmt.Errorf("pipe() failed: %w", err))
		return 1
	}
	defer in.Close()
	child := exec.Command(self, args...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{out}
	child.Env = append(os.Environ(), readyVariable+"=3")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	out.Close() // only the child must hold it, so that its end is seen
	if err != nil {
		b.fail(fmt.Errorf("cannot start %s in the background: %w", self, err))
		return 1
	}
	word := make([]byte, len(readyWord))
	if _, err := io.ReadFull(in, word); err != nil || string(word) != readyWord {
		return 1
	}
	if err := child.Process.Release(); err != nil {
		b.fail(err)
		return 1
	}
	return 0
}

// readyPipe returns the pipe of a detached process, nil in any other.
func readyPipe() *os.File {
	value, given := os.LookupEnv(readyVariable)
	if !given {
		return nil
	}
	os.Unsetenv(readyVariable) // the name is valid: it cannot fail
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready")
}

func tellReady(ready *os.File) error {
	_, err := ready.WriteString(readyWord)
	return errors.Join(err, ready.Close())
}

// detachStreams detaches from the terminal. Standard error becomes the error log, so that the output of a crash is not
// lost.
func detachStreams(log *logs.ErrorLog) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return errors.Join(replaceFD(int(null.Fd()), 0), replaceFD(int(null.Fd()), 1), redirectStderr(log))
}

func redirectStderr(log *logs.ErrorLog) error {
	file := log.Redirect()
	if file == nil {
		return nil
	}
	return replaceFD(int(file.Fd()), 2)
}
