package cycle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/cycle"
	"starling/lib/testkit"
	"starling/logs"
)

// patience bounds each wait of these tests.
const patience = time.Minute

// host is a running host with its files in a folder of its own.
type host struct {
	*cycle.Host
	t   *testing.T
	dir string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	exampleFiles(t, h.dir)
	h.Host = h.another()
	return h
}

// another is another process with the same files.
func (h *host) another() *cycle.Host {
	o := cycle.Options{Prefix: h.dir + "/", ConfPath: filepath.Join(h.dir, "nginx.conf"), ErrorLog: filepath.Join(h.dir, "error.log"), FS: os.DirFS("/")}
	return cycle.NewHost(o, logs.NewFiles("starling"))
}

func (h *host) write(text string) {
	h.t.Helper()
	text = "error_log error.log debug; events { }\n" + text
	if err := os.WriteFile(filepath.Join(h.dir, "nginx.conf"), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// run loads a configuration, the first or a next one.
func (h *host) run(text string) {
	h.t.Helper()
	h.write(text)
	if err := h.Reload(context.Background()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) log() string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "error.log"))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// exited counts the configurations that the log says are gone.
func (h *host) exited(want int) error {
	if n := strings.Count(h.log(), "exited with code 0"); n != want {
		return fmt.Errorf("%d configurations are gone, not %d", n, want)
	}
	return nil
}

// address returns one on which nobody listens.
func address(t *testing.T) string {
	t.Helper()
	return testkit.FreeAddress(t)
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func ask(t *testing.T, address string) string {
	t.Helper()
	conn := dial(t, address)
	defer conn.Close() // who asks until something is so would else run out of descriptors, and then wait in vain
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// refused waits until nobody listens on an address.
func refused(t *testing.T, address string) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		conn, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err == nil {
			conn.Close()
		}
		return fmt.Errorf("%s: %v", address, err)
	})
}

// busy is a server whose session lasts until the client goes: it waits for a handshake.
func busy(address string) string {
	return "server { listen " + address + " ssl; ssl_certificate example.com.crt; ssl_certificate_key example.com.key; return x; }"
}

// hold opens a session there and waits until it has begun.
func (h *host) hold(address string) net.Conn {
	h.t.Helper()
	before := strings.Count(h.log(), "connected to "+address)
	conn := dial(h.t, address)
	testkit.Eventually(h.t, patience, func() error {
		if strings.Count(h.log(), "connected to "+address) == before {
			return errors.New("the session has not begun")
		}
		return nil
	})
	return conn
}

func TestReloadWaitsForTheOldSessions(t *testing.T) {
	h, a, b := newHost(t), address(t), address(t)
	h.run("stream { server { listen " + a + "; return one; } " + busy(b) + " }")
	defer h.Stop()
	held := h.hold(b)
	h.run("stream { server { listen " + a + "; return two; } }")
	if got := ask(t, a); got != "two" {
		t.Errorf("after the reload: %q", got)
	}
	refused(t, b)
	if err := h.exited(0); err != nil {
		t.Error(err)
	}
	held.Close()
	testkit.Eventually(t, patience, func() error { return h.exited(1) })
}

func TestShutdownTimeoutEndsTheOldSessions(t *testing.T) {
	h, b := newHost(t), address(t)
	h.run("stream { " + busy(b) + " }")
	defer h.Stop()
	held := h.hold(b)
	h.run("worker_shutdown_timeout 10ms; stream { " + busy(b) + " }")
	testkit.Eventually(t, patience, func() error { return h.exited(1) })
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("the session goes on")
	}
}

func TestAFailedReloadChangesNothing(t *testing.T) {
	h, a, b := newHost(t), address(t), address(t)
	h.run("stream { server { listen " + a + "; return one; } }")
	defer h.Stop()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for text, want := range map[string]string{
		"nonsense;": "unknown directive \"nonsense\"",
		"stream { server { listen " + b + "; return two; } server { listen " + taken.Addr().String() + "; return two; } }": "failed (98: Address already in use)",
		"stream { server { listen " + b + "; return $nosuch; } }":                                                          "unknown \"nosuch\" variable",
		"error_log no/where/error.log;": "open() \"" + h.dir + "/no/where/error.log\" failed (2: No such file or directory)",
	} {
		h.write(text)
		err := h.Reload(context.Background())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
		if got := ask(t, a); got != "one" {
			t.Errorf("after the failed reload: %q", got)
		}
		refused(t, b)
	}
	if err := h.exited(0); err != nil {
		t.Error(err)
	}
}

func TestOneAddressOnBothSidesIsRefused(t *testing.T) {
	h, a := newHost(t), address(t)
	text := "http { access_log off; server { listen " + a + "; } } stream { server { listen " + a + "; return x; } }"
	h.write(text)
	want := "bind() to " + a + " failed (98: Address already in use)"
	if err := h.Reload(context.Background()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	refused(t, a)
}

// The server of zone_sync goes on listening until the last session has ended: other nodes may still need it.
func TestQuitKeepsTheClusterUntilLast(t *testing.T) {
	h, b, sync := newHost(t), address(t), address(t)
	h.run("stream { " + busy(b) + " server { listen " + sync + "; zone_sync; } }")
	held := h.hold(b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Quit(nil)
	}()
	refused(t, b)
	dial(t, sync)
	select {
	case <-done:
		t.Fatal("it did not wait for the session")
	default:
	}
	held.Close()
	<-done
	refused(t, sync)
}

func TestHurryEndsAGracefulEnd(t *testing.T) {
	h, b := newHost(t), address(t)
	h.run("stream { " + busy(b) + " }")
	held := h.hold(b)
	h.run("stream { " + busy(b) + " }") // one session of a retired configuration,
	again := h.hold(b)                  // and one of the running one
	hurry, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		h.Quit(hurry)
	}()
	refused(t, b)
	close(hurry)
	<-done
	for _, conn := range []net.Conn{held, again} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a session goes on")
		}
	}
}

func TestStopEndsAtOnce(t *testing.T) {
	h, b := newHost(t), address(t)
	h.run("stream { " + busy(b) + " }")
	held := h.hold(b)
	h.Stop()
	refused(t, b)
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("the session goes on")
	}
}

// A process that was killed leaves its unix socket behind, which must not keep the next one from starting.
func TestAStaleUnixSocketIsReplaced(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(testkit.SocketDir(t), "x.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	h.run("stream { server { listen unix:" + path + "; return here; } }")
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(conn); err != nil || string(text) != "here" {
		t.Errorf("%q, %v", text, err)
	}
	other := newHost(t)
	other.write("stream { server { listen unix:" + path + "; return there; } }")
	if err := other.Reload(context.Background()); err == nil {
		t.Error("the socket of a living server was taken")
	}
	h.Stop()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestTheErrorLogTellsOfALogThatCannotBeWritten(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system: ", err)
	}
	h := newHost(t)
	t.Cleanup(h.Stop)
	web := address(t)
	h.run("http { access_log /dev/full; server { listen " + web + "; return 204; } }")
	if got := getStatus(t, "http://"+web+"/"); got != 204 {
		t.Fatal(got)
	}
	testkit.Eventually(t, patience, func() error {
		if !strings.Contains(h.log(), "write() \"/dev/full\" failed (28: No space left on device); 1 log line lost so far") {
			return errors.New("the error log does not tell")
		}
		return nil
	})
}
