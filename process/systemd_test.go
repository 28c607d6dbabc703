package process_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/lib/testkit"
)

// manager plays systemd: it passes sockets, receives messages and sends signals.
type manager struct {
	t      *testing.T
	dir    string
	inbox  *net.UnixConn
	passed []*os.File
	output bytes.Buffer
	cmd    *exec.Cmd
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, dir: testkit.SocketDir(t)}
	var err error
	m.inbox, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(m.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.inbox.Close() })
	return m
}

// pass opens a socket that is to be passed, and returns its address.
func (m *manager) pass(network, address string) string {
	m.t.Helper()
	var socket interface{ File() (*os.File, error) }
	var at net.Addr
	switch network {
	case "udp4":
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			m.t.Fatal(err)
		}
		defer conn.Close()
		socket, at = conn.(*net.UDPConn), conn.LocalAddr()
	default:
		listener, err := net.Listen(network, address)
		if err != nil {
			m.t.Fatal(err)
		}
		if unix, ok := listener.(*net.UnixListener); ok {
			unix.SetUnlinkOnClose(false)
		}
		defer listener.Close()
		socket, at = listener.(interface{ File() (*os.File, error) }), listener.Addr()
	}
	file, err := socket.File()
	if err != nil {
		m.t.Fatal(err)
	}
	m.passed = append(m.passed, file)
	m.t.Cleanup(func() { file.Close() })
	return at.String()
}

func (m *manager) write(text string) {
	m.t.Helper()
	text = fmt.Sprintf("user root; daemon on; pid %s/pid; error_log %[1]s/error.log info; events { }\n%s", m.dir, text)
	if err := os.WriteFile(filepath.Join(m.dir, "n.conf"), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *manager) start() {
	m.t.Helper()
	// The shell becomes the process whose number it wrote down, as systemd's child does.
	m.cmd = exec.Command("sh", "-c", `export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"`, "sh", "starling", "-p", m.dir, "-c", "n.conf", "-e", "stderr")
	m.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(m.dir, "notify"), "WATCHDOG_USEC=200000",
		fmt.Sprintf("LISTEN_FDS=%d", len(m.passed)), "LISTEN_FDNAMES="+strings.Repeat("starling.socket:", len(m.passed)-1)+"odd.socket")
	m.cmd.ExtraFiles = m.passed
	m.cmd.Stdout, m.cmd.Stderr = &m.output, &m.output
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if m.cmd.ProcessState == nil {
			m.cmd.Process.Kill()
			m.cmd.Wait()
		}
	})
}

// hears waits for a message that matches; those to the watchdog between others are passed over.
func (m *manager) hears(want string) string {
	m.t.Helper()
	buffer := make([]byte, 4096)
	for {
		if err := m.inbox.SetReadDeadline(time.Now().Add(waitLimit)); err != nil {
			m.t.Fatal(err)
		}
		n, err := m.inbox.Read(buffer)
		if err != nil {
			text, _ := os.ReadFile(filepath.Join(m.dir, "error.log")) // to explain the failure
			m.t.Fatalf("no message matches %s: %v\n%s%s", want, err, m.output.String(), text)
		}
		got := string(buffer[:n])
		if regexp.MustCompile(want).MatchString(got) {
			return got
		}
		if got != "WATCHDOG=1" {
			m.t.Fatalf("got %q, want %s", got, want)
		}
	}
}

func (m *manager) signal(signal syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(signal); err != nil {
		m.t.Fatal(err)
	}
}

func (m *manager) answers(network, address, want string) {
	m.t.Helper()
	conn, err := net.DialTimeout(network, address, waitLimit)
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	if network == "udp4" {
		if _, err := conn.Write([]byte("?")); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(waitLimit)); err != nil {
		m.t.Fatal(err)
	}
	buffer := make([]byte, 64)
	if n, err := conn.Read(buffer); err != nil || string(buffer[:n]) != want {
		m.t.Errorf("%s %s answers %q (%v), want %q", network, address, buffer[:n], err, want)
	}
}

// A service manager passes sockets, hears of the start, of each reload and of the end, and that the process lives
// meanwhile. The process stays in the foreground whatever "daemon" says.
func TestServiceManager(t *testing.T) {
	m := newManager(t)
	tcp := m.pass("tcp4", "127.0.0.1:0")
	path := m.pass("unix", filepath.Join(m.dir, "served"))
	udp := m.pass("udp4", "127.0.0.1:0")
	odd := m.pass("tcp4", "127.0.0.1:0")
	config := fmt.Sprintf(`stream { server { listen %s; listen unix:%s; return here; } server { listen %s udp; return packet; } }`, tcp, path, udp)
	m.write(config)
	m.start()
	m.hears(`^READY=1\nSTATUS=serving ` + m.dir + `/n.conf$`)
	m.hears(`^WATCHDOG=1$`)
	m.hears(`^WATCHDOG=1$`)
	m.answers("tcp4", tcp, "here")
	m.answers("unix", path, "here")
	m.answers("udp4", udp, "packet")
	text, err := os.ReadFile(filepath.Join(m.dir, "error.log"))
	if want := `socket "odd.socket" of ` + odd + ` was passed to starling, but no "listen" directive names that address; closing it`; err != nil ||
		strings.Count(string(text), "was passed to starling") != 1 || !strings.Contains(string(text), want) {
		t.Errorf("the log does not have %q once (%v):\n%s", want, err, text)
	}

	m.write(strings.ReplaceAll(config, "here", "anew"))
	m.signal(syscall.SIGHUP)
	m.hears(`^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=reading ` + m.dir + `/n.conf$`)
	m.hears(`^READY=1\nSTATUS=serving `)
	m.answers("tcp4", tcp, "anew")

	m.write("nonsense;")
	m.signal(syscall.SIGHUP)
	m.hears(`^RELOADING=1\n`)
	m.hears(`^READY=1\nSTATUS=the reload failed, still serving the old configuration: unknown directive "nonsense" in .*/n.conf:2$`)
	m.answers("tcp4", tcp, "anew")

	m.signal(syscall.SIGQUIT)
	m.hears(`^STOPPING=1\nSTATUS=waiting for the last requests to end$`)
	if err := m.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, m.output.String())
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket of the service manager is gone: %v", err)
	}
}

// What cannot be used stops the start, and the message says which.
func TestWhatIsNoListeningSocket(t *testing.T) {
	m := newManager(t)
	m.write("stream { }")
	file, err := os.Open(filepath.Join(m.dir, "n.conf"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m.passed = append(m.passed, file)
	m.start()
	if err := m.cmd.Wait(); err == nil || !strings.Contains(m.output.String(),
		`socket "odd.socket" (descriptor 3) cannot be used: 88: Socket operation on non-socket`) {
		t.Errorf("%v: %s", err, m.output.String())
	}
}
