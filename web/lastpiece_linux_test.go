package web_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"starling/conf"
	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// holder counts the requests whose last piece has not been sent, as limit_conn does. It answers with as many bytes as the
// query says.
func holder() (*web.Module, *atomic.Int64) {
	held := new(atomic.Int64)
	return &web.Module{Module: conf.Module{Name: "holder", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				held.Add(1)
				r.WhenDone(func(any, uint64) { held.Add(-1) }, nil, 0)
				n, _ := strconv.Atoi(string(r.Query))
				return r.Respond(200, "", bytes.Repeat([]byte("x"), n))
			}, nil
		}}}}, held
}

func isOver(t *testing.T, held *atomic.Int64) {
	t.Helper()
	testkit.Eventually(t, webtest.Patience, func() error {
		if n := held.Load(); n != 0 {
			return fmt.Errorf("%d requests are not over", n)
		}
		return nil
	})
}

func startHolder(t *testing.T, text string) (*webtest.Server, *atomic.Int64) {
	m, held := holder()
	return webtest.Start(t, []*web.Module{&core.Module, m}, text), held
}

// A request whose client has the whole response is over; one whose last piece waits in the server is not.
func TestTheLastPieceWaitsForTheClient(t *testing.T) {
	const whole = 100_000
	s, held := startHolder(t, "server { }")
	client := dialNarrow(t, s)
	if _, err := io.WriteString(client, "GET /?100000 HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// Behind that are 7 KB, which the socket has room for, but is then no longer writable, and the last piece of 16 KB.
	const most = whole - 16<<10 - 7_000
	if _, err := io.ReadFull(client, make([]byte, most)); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if held.Load() != 1 {
			t.Fatal("a request is over whose client has not read the last piece")
		}
		runtime.Gosched() // the server writes
	}
	if _, err := io.ReadFull(client, make([]byte, whole-most)); err != nil {
		t.Fatal(err)
	}
	isOver(t, held)
	for range 100 {
		if s.Get("/?2"); held.Load() != 0 {
			t.Fatal("a client that has its response still counts")
		}
	}
}

// dialNarrow connects through sockets with room for less than a last piece.
func dialNarrow(t *testing.T, s *webtest.Server) net.Conn {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(pair[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 6<<10); err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range pair {
		file := os.NewFile(uintptr(fd), "socket")
		if ends[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	t.Cleanup(func() { ends[0].Close() })
	go s.Site.Ports()[0].Serve(ends[1])
	return ends[0]
}

func TestTheLastPieceWaitsForTheWindow(t *testing.T) {
	const whole, window = 70_000, 65_535
	s, held := startHolder(t, `http2 on; server { listen 80; }`)
	conn := s.DialLoopback()
	sendFrames(t, conn, "", ":method GET", ":scheme http", ":path /?70000", ":authority a")
	read := func(until int) {
		for got := 0; got < until; {
			if kind, payload := readFrame(t, conn); kind == frameData {
				got += len(payload)
			}
		}
	}
	read(window)
	if held.Load() != 1 {
		t.Error("a request is over whose last piece has no window")
	}
	update := string(binary.BigEndian.AppendUint32(nil, whole))
	if _, err := io.WriteString(conn, frame(frameWindow, 0, 0, update)+frame(frameWindow, 0, 1, update)); err != nil {
		t.Fatal(err)
	}
	read(whole - window)
	isOver(t, held)
}

func TestTheLastPieceWaitsForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, held := startHolder(t, `server { limit_rate 1k; }`)
		conn := s.Dial()
		go io.WriteString(conn, "GET /?4096 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if _, err := io.ReadFull(conn, make([]byte, 3000)); err != nil {
			t.Fatal(err)
		}
		if held.Load() != 1 {
			t.Error("a request is over whose last piece waits for limit_rate")
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if held.Load() != 0 {
			t.Error("the request is not over")
		}
	})
}

// A head counts for limit_rate too, alone and before a body.
func TestLimitRateOfHeads(t *testing.T) {
	for path, least := range map[string]time.Duration{"/empty": 2 * time.Second, "/body": 4 * time.Second, "/after": 0} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, `server { location /empty { limit_rate 100; refuse 204; } location /after { limit_rate 100; limit_rate_after 10k; say x; }
				location /body { limit_rate 100; say `+strings.Repeat("y", 100)+`; } server_tokens `+strings.Repeat("z", 300)+`; }`)
			began := time.Now()
			conn := s.Dial()
			go io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			first := make([]byte, 1000)
			n, err := conn.Read(first)
			if err != nil || path != "/after" && n > 100 {
				t.Errorf("%s: %d bytes at once, %v", path, n, err)
			}
			rest, err := io.ReadAll(conn)
			if err != nil {
				t.Error(err)
			}
			got := string(first[:n]) + string(rest)
			if !strings.HasPrefix(got, "HTTP/1.1 20") || !strings.HasSuffix(got, map[string]string{"/empty": "\r\n\r\n", "/body": "yy", "/after": "x"}[path]) {
				t.Errorf("%s: %q", path, got)
			}
			allowed := time.Duration(len(got)-100) * time.Second / 100
			if took := time.Since(began); took < least || path != "/after" && took > allowed+time.Second || path == "/after" && took > 0 {
				t.Errorf("%s: %d bytes took %v", path, len(got), took)
			}
		})
	}
}
