// Package systemd implements the protocols of service managers: sd_notify(3), the watchdog of sd_watchdog_enabled(3),
// and the sockets of sd_listen_fds(3). They consist of environment variables, datagrams and descriptors; no library is
// needed.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// firstSocket is the descriptor of the first socket passed: SD_LISTEN_FDS_START.
const firstSocket = 3

// maxSockets bounds LISTEN_FDS: a higher number is a mistake, and each would be tried.
const maxSockets = 1024

// Manager is the service manager that started the process. The zero Manager is none: it drops messages.
type Manager struct {
	address  *net.UnixAddr
	watchdog time.Duration
}

// Attend reads the service manager's environment variables and removes them: child processes of this one are not the
// service.
func Attend() (*Manager, error) {
	m := &Manager{}
	defer func() {
		for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
			os.Unsetenv(name) // the names are valid, so it cannot fail
		}
	}()
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		if path[0] != '/' && path[0] != '@' {
			return m, fmt.Errorf("NOTIFY_SOCKET \"%s\" is neither an absolute path nor an abstract name", path)
		}
		m.address = &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	if text := os.Getenv("WATCHDOG_USEC"); text != "" && mine(os.Getenv("WATCHDOG_PID")) {
		microseconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || microseconds <= 0 {
			return m, fmt.Errorf("WATCHDOG_USEC \"%s\" is not a number of microseconds", text)
		}
		m.watchdog = time.Duration(microseconds) * time.Microsecond
	}
	return m, nil
}

// mine reports whether a process id, if given, is this process's.
func mine(pid string) bool { return pid == "" || pid == strconv.Itoa(os.Getpid()) }

// Present reports that a service manager waits for messages.
func (m *Manager) Present() bool { return m.address != nil }

// Watchdog is the longest that the service manager waits for Alive; 0: it does not watch.
func (m *Manager) Watchdog() time.Duration {
	if m.address == nil {
		return 0
	}
	return m.watchdog
}

// Ready reports that the process serves, after its start or after a reload, with its status.
func (m *Manager) Ready(status string) error { return m.send("READY=1", "STATUS="+status) }

// Reloading reports that a reload begins. Ready ends it.
func (m *Manager) Reloading(status string) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("clock_gettime() failed: %w", err)
	}
	microseconds := now.Nano() / int64(time.Microsecond)
	return m.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(microseconds, 10), "STATUS="+status)
}

// Stopping reports that the process is about to end.
func (m *Manager) Stopping(status string) error { return m.send("STOPPING=1", "STATUS="+status) }

// Main reports that another process of the service is its main process from now on, ready, with its status.
func (m *Manager) Main(pid int, status string) error {
	return m.send("MAINPID="+strconv.Itoa(pid), "READY=1", "STATUS="+status)
}

// Environment are the variables for a process that is to become the main process of the service.
func (m *Manager) Environment() []string {
	if m.address == nil {
		return nil
	}
	env := []string{"NOTIFY_SOCKET=" + m.address.Name}
	if m.watchdog > 0 {
		env = append(env, "WATCHDOG_USEC="+strconv.FormatInt(m.watchdog.Microseconds(), 10))
	}
	return env
}

// Alive is the keep-alive for the watchdog.
func (m *Manager) Alive() error { return m.send("WATCHDOG=1") }

// send sends one datagram.
func (m *Manager) send(assignments ...string) error {
	if m.address == nil {
		return nil
	}
	for i, a := range assignments {
		assignments[i] = strings.ReplaceAll(a, "\n", "; ") // one assignment a line
	}
	conn, err := net.DialUnix(m.address.Net, nil, m.address)
	if err != nil {
		return fmt.Errorf("cannot reach the service manager: %w", err)
	}
	_, err = conn.Write([]byte(strings.Join(assignments, "\n")))
	return errors.Join(err, conn.Close())
}

// Sockets returns the sockets that were passed to the process, by their names (FileDescriptorName=). They are
// close-on-exec.
func Sockets() ([]*os.File, error) {
	count, pid := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID")
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		os.Unsetenv(name) // the names are valid, so it cannot fail
	}
	if count == "" || !mine(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxSockets {
		return nil, fmt.Errorf("LISTEN_FDS \"%s\" is not a number of sockets up to %d", count, maxSockets)
	}
	files := make([]*os.File, n)
	for i := range files {
		fd, name := firstSocket+i, "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("LISTEN_FDS says that %d sockets were passed, but descriptor %d is not open", n, fd)
		}
		files[i] = os.NewFile(uintptr(fd), name)
	}
	return files, nil
}
