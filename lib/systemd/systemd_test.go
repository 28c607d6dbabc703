package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/lib/systemd"
	"starling/lib/testkit"
)

// inbox is the socket of a service manager.
func inbox(t *testing.T, name string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() string {
		buffer := make([]byte, 4096)
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
}

// A message is one datagram of assignments, to a socket in the file system or to an abstract one.
func TestMessages(t *testing.T) {
	names := []string{filepath.Join(testkit.SocketDir(t), "notify")}
	if _, err := os.Stat("/proc/net/unix"); err == nil { // Linux, which has abstract names
		names = append(names, "@starling-test-"+strconv.Itoa(os.Getpid()))
	}
	for _, name := range names {
		receive := inbox(t, name)
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "20000000")
		m, err := systemd.Attend()
		if err != nil {
			t.Fatal(err)
		}
		if left := os.Getenv("NOTIFY_SOCKET") + os.Getenv("WATCHDOG_USEC"); left != "" {
			t.Errorf("the environment still has %q, for processes that are not the service", left)
		}
		if !m.Present() || m.Watchdog() != 20*time.Second {
			t.Errorf("present: %t, watchdog: %v", m.Present(), m.Watchdog())
		}
		for _, c := range []struct {
			send func() error
			want string
		}{
			{func() error { return m.Ready("two\nlines") }, "READY=1\nSTATUS=two; lines"},
			{func() error { return m.Stopping("so") }, "STOPPING=1\nSTATUS=so"},
			{m.Alive, "WATCHDOG=1"},
		} {
			if err := c.send(); err != nil {
				t.Fatal(err)
			}
			if got := receive(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		}
		if err := m.Reloading("so"); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(receive(), "\n")
		text, stamped := strings.CutPrefix(lines[1], "MONOTONIC_USEC=")
		if n, err := strconv.ParseInt(text, 10, 64); lines[0] != "RELOADING=1" || !stamped || err != nil || n <= 0 || lines[2] != "STATUS=so" {
			t.Errorf("got %q", lines)
		}
	}
}

func TestNobodyIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000000")
	m, err := systemd.Attend()
	if err != nil || m.Present() || m.Watchdog() != 0 || m.Ready("so") != nil {
		t.Errorf("without a service manager: %v, present %t, watchdog %v", err, m.Present(), m.Watchdog())
	}
}

func TestAWatchdogOfAnotherProcess(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/nowhere")
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1")
	m, err := systemd.Attend()
	if err != nil || m.Watchdog() != 0 {
		t.Errorf("got %v, %v", m.Watchdog(), err)
	}
	if err := m.Alive(); err == nil || !strings.HasPrefix(err.Error(), "cannot reach the service manager: ") {
		t.Errorf("a message to a socket that is not there: %v", err)
	}
}

// What makes no sense in the environment is an error that names it.
func TestSenselessEnvironment(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"NOTIFY_SOCKET", "relative", `NOTIFY_SOCKET "relative" is neither an absolute path nor an abstract name`},
		{"WATCHDOG_USEC", "soon", `WATCHDOG_USEC "soon" is not a number of microseconds`},
		{"WATCHDOG_USEC", "0", `WATCHDOG_USEC "0" is not a number of microseconds`},
		{"LISTEN_FDS", "x", `LISTEN_FDS "x" is not a number of sockets up to 1024`},
		{"LISTEN_FDS", "1025", `LISTEN_FDS "1025" is not a number of sockets up to 1024`},
		{"LISTEN_FDS", "1024", `LISTEN_FDS says that 1024 sockets were passed, but descriptor `},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
			t.Setenv(c.name, c.value)
			_, err := systemd.Attend()
			if err == nil && c.name == "LISTEN_FDS" {
				_, err = systemd.Sockets()
			}
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestSocketsOfAnotherProcess(t *testing.T) {
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_PID", "1")
	if files, err := systemd.Sockets(); files != nil || err != nil {
		t.Errorf("got %v, %v", files, err)
	}
	if os.Getenv("LISTEN_FDS") != "" {
		t.Error("LISTEN_FDS stays for processes that this one starts")
	}
}

// A process that is replaced says which one is the main process from now on, and passes on what that needs to say more.
func TestTheMainProcessChanges(t *testing.T) {
	name := filepath.Join(testkit.SocketDir(t), "notify")
	received := inbox(t, name)
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "2000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	m, err := systemd.Attend()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Main(42, "serving"); err != nil {
		t.Fatal(err)
	}
	if got := received(); got != "MAINPID=42\nREADY=1\nSTATUS=serving" {
		t.Errorf("%q", got)
	}
	if got := strings.Join(m.Environment(), " "); got != "NOTIFY_SOCKET="+name+" WATCHDOG_USEC=2000000" {
		t.Errorf("%q", got)
	}
	if got := new(systemd.Manager).Environment(); got != nil {
		t.Errorf("without a service manager: %q", got)
	}
}
