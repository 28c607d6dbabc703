package modules_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/web/webtest"
)

// cacheFile is the one file of a cache below a folder.
func cacheFile(t *testing.T, dir string) (found string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "cache"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && len(d.Name()) == 32 {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no cache file in %s: %v", dir, err)
	}
	return found
}

// A cache file that is cut while it is sent ends the connection, because its length was promised; it is removed, and the
// next request gets all of the response from the server. The log names it in one line. Both ways to send it are tried:
// inside the kernel, and through memory.
func TestCacheFileCutWhileSent(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1<<20)
	for _, test := range []struct {
		name string
		dial func(*webtest.Server) net.Conn
		conf string
	}{
		{"sendfile", (*webtest.Server).DialLoopback, ""},
		{"memory", (*webtest.Server).Dial, ""},
		{"a range", (*webtest.Server).DialLoopback, "Range: bytes=1-\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOrigin(t, originSays(body, "Cache-Control", fresh))
			dir := t.TempDir()
			s := o.cached(t, ``, webtest.Prefix(dir))
			cacheStep(t, s.Client(), "GET / HTTP/1.1", "MISS", "200", body)
			path := cacheFile(t, dir)
			conn := test.dial(s)
			if tcp, ok := conn.(*net.TCPConn); ok {
				if err := tcp.SetReadBuffer(64 << 10); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n"+test.conf+"\r\n"); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || response.Header.Get("X-Cache") != "HIT" {
				t.Fatalf("%v, %v", response, err)
			}
			if err := os.Truncate(path, int64(len(body))/2); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			if err != io.ErrUnexpectedEOF || len(got) >= len(body) {
				t.Errorf("%d bytes, %v; want the connection closed", len(got), err)
			}
			testkit.Eventually(t, 10*time.Second, func() error {
				if _, err := os.Stat(path); !os.IsNotExist(err) {
					return fmt.Errorf("the file stays: %v", err)
				}
				return nil
			})
			cacheStep(t, s.Client(), "GET / HTTP/1.1", "MISS", "200", body)
			cacheStep(t, s.Client(), "GET / HTTP/1.1", "HIT", "200", body)
			wantsOneLine(t, s, path+`" was truncated while sending`)
		})
	}
}

// A cache file that was cut between two requests is never promised.
func TestCacheFileCutBetweenRequests(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1<<14)
	o := newOrigin(t, originSays(body, "Cache-Control", fresh))
	dir := t.TempDir()
	s := o.cached(t, ``, webtest.Prefix(dir))
	c := s.Client()
	cacheStep(t, c, "GET / HTTP/1.1", "MISS", "200", body)
	cacheStep(t, c, "GET / HTTP/1.1", "HIT", "200", body)
	path := cacheFile(t, dir)
	if err := os.Truncate(path, int64(len(body))/2); err != nil {
		t.Fatal(err)
	}
	cacheStep(t, c, "HEAD / HTTP/1.1", "MISS", "200", "")
	cacheStep(t, c, "GET / HTTP/1.1", "HIT", "200", body)
	wantsOneLine(t, s, path+`" is too short; it is removed`)
}

// wantsOneLine wants one line in the log beside that of the loader.
func wantsOneLine(t *testing.T, s *webtest.Server, text string) {
	t.Helper()
	lines := slices.DeleteFunc(s.Log.Lines(), func(line string) bool { return strings.Contains(line, "http file cache: ") })
	if len(lines) != 1 || !strings.Contains(lines[0], text) {
		t.Errorf("the log: %q", lines)
	}
}
