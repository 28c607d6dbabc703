package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"starling/logs"
	"starling/nginx/errno"

	"github.com/google/renameio/v2"
)

// signalsByName are the arguments of -s.
var signalsByName = map[string]syscall.Signal{
	"stop":   syscall.SIGTERM,
	"quit":   syscall.SIGQUIT,
	"reload": syscall.SIGHUP,
	"reopen": syscall.SIGUSR1,
}

// maxPIDFile is more than any process number needs.
const maxPIDFile = 32

// writePID creates the pid file in one step, complete: other programs wait for it.
func writePID(path string) error {
	if err := renameio.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return systemError("open", path, err)
	}
	return nil
}

// removePID removes the file if it is still this process's own.
func removePID(path string) error { return removePIDOf(path, os.Getpid()) }

// removePIDOf removes the file of a process.
func removePIDOf(path string, owner int) error {
	pid, err := readPID(path)
	if err != nil || pid != owner {
		return nil //nolint:nilerr // another user's, or gone already
	}
	if err := os.Remove(path); err != nil {
		return systemError("unlink", path, err)
	}
	return nil
}

// basePID is the path of the pid file of the process that serves.
func (s *running) basePID() string { return strings.TrimSuffix(s.pidPath, oldSuffix) }

// retirePID renames the pid file, because the new process writes its own.
func (s *running) retirePID() error {
	base := s.basePID()
	if _, err := os.Stat(base); errors.Is(err, fs.ErrNotExist) {
		return nil // in a read-only folder
	}
	err := s.host.AsStarted(func() error { return os.Rename(base, base+oldSuffix) })
	if err != nil {
		return systemError("rename", base, err)
	}
	s.pidPath = base + oldSuffix
	return nil
}

// restorePID takes that back: the new process has ended.
func (s *running) restorePID() {
	base := s.basePID()
	if s.pidPath == base {
		return
	}
	if err := s.host.AsStarted(func() error { return os.Rename(s.pidPath, base) }); err != nil {
		s.host.Log().Logf(logs.Alert, "%v", systemError("rename", s.pidPath, err))
	}
	s.pidPath = base
}

func readPID(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, systemError("open", path, err)
	}
	defer f.Close()
	buf := make([]byte, maxPIDFile)
	n, err := f.Read(buf)
	if err != nil && n == 0 {
		n = 0
	}
	text := strings.TrimSpace(string(buf[:n]))
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("invalid PID number \"%s\" in \"%s\"", text, path)
	}
	return pid, nil
}

// sendSignal is -s.
func sendSignal(name, pidPath string) (logs.Level, error) {
	pid, err := readPID(pidPath)
	if err != nil {
		return logs.Error, err
	}
	signal := signalsByName[name]
	if err := syscall.Kill(pid, signal); err != nil {
		return logs.Alert, systemError(fmt.Sprintf("kill(%d, %d)", pid, int(signal)), "", err)
	}
	return 0, nil
}

// systemError formats a failed system call as nginx does.
func systemError(call, path string, err error) error {
	if path != "" {
		call = fmt.Sprintf("%s() \"%s\"", call, path)
	}
	return fmt.Errorf("%s failed (%s)", call, errno.Reason(err))
}
