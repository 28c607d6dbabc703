package plan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"starling/lib/filekind"
)

// pipePatience is how long a named pipe may take: nginx reads passwords of keys from one, and would wait forever.
var pipePatience = 5 * time.Second

const pipePoll = 10 * time.Millisecond

// readFile reads a whole file. Apart from regular files it reads only named pipes.
func readFile(files fs.FS, path string) ([]byte, error) {
	name := strings.TrimPrefix(path, "/")
	info, err := fs.Stat(files, name)
	switch {
	case err != nil:
		return nil, openFailed(path, err)
	case info.Mode()&fs.ModeNamedPipe != 0:
		return readPipe(path)
	}
	if err := filekind.Check(info.Mode()); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, openFailed(path, err)
	}
	return data, nil
}

// openFailed names the path as the configuration does. An fs.FS names it without its "/", and the call may be one that
// nginx does not make, as stat.
func openFailed(path string, err error) error {
	if at, isPath := errors.AsType[*fs.PathError](err); isPath {
		err = at.Err
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

// readPipe waits for a writer of a named pipe, and reads until it closes the pipe.
func readPipe(path string) ([]byte, error) {
	pipe, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer pipe.Close()
	end := time.Now().Add(pipePatience)
	if err := pipe.SetReadDeadline(end); err != nil {
		return nil, err
	}
	for {
		data, err := io.ReadAll(pipe) // immediately, with nothing, while no writer has it open
		if len(data) > 0 && err == nil {
			return data, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && time.Now().After(end) {
			err = fmt.Errorf("no data from the named pipe within %v", pipePatience)
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		time.Sleep(pipePoll)
	}
}
