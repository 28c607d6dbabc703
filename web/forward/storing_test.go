package forward_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"starling/lib/testkit"
	"starling/plan"
	"starling/web/forward"
	"starling/web/webtest"
)

// storedFiles are the files below a folder with their contents, and the empty folders but those for temporary files.
func storedFiles(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if e.IsDir() {
			if below, err := os.ReadDir(path); err != nil || len(below) > 0 {
				return err
			}
			if name != "client_body_temp" && name != "proxy_temp" {
				all = append(all, name+"/")
			}
			return nil
		}
		text, err := os.ReadFile(path)
		all = append(all, fmt.Sprintf("%s=%.20s", name, text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// TestStore: what is stored, by the configuration, the request and the response. It is there before the client has the
// end of the response. nginx 1.22 does the same but for HEAD without a length (it stores an empty file).
func TestStore(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	const get = "GET /a HTTP/1.1"
	for _, c := range []struct{ name, conf, request, answer, want string }{
		{"on", `proxy_store on;`, get, ok, "html/a=hello"},
		{"below root", `proxy_store on; root www;`, "GET /b/c/a?x=1 HTTP/1.1", ok, "www/b/c/a=hello"},
		{"a decoded URI", `proxy_store on;`, "GET /b/../%61%20b HTTP/1.1", ok, "html/a b=hello"},
		{"a text", `proxy_store PREFIX/w$uri;`, get, ok, "w/a=hello"},
		{"a text of the response", `proxy_store PREFIX/$sent_http_x_name;`, get,
			"HTTP/1.1 200 OK\r\nX-Name: n\r\nContent-Length: 1\r\n\r\nx", "n=x"},
		{"an empty text", `proxy_store $arg_none;`, get, ok, ""},
		{"dots in a variable stay", `proxy_store PREFIX/w/$arg_x;`, "GET /?x=../up HTTP/1.1", ok, "up=hello w/"},
		{"off", `proxy_store off;`, get, ok, ""},
		{"an empty response", `proxy_store on;`, get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "html/a="},
		{"chunks", `proxy_store on;`, get,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "html/a=hello"},
		{"up to the end of the connection", `proxy_store on;`, get, "HTTP/1.1 200 OK\r\n\r\nhello", "html/a=hello"},
		{"POST", `proxy_store on;`, "POST /a HTTP/1.1|Content-Length: 0", ok, "html/a=hello"},
		{"a range of a client is the server's task", `proxy_store on;`, get + "|Range: bytes=0-0",
			"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/5\r\nContent-Length: 1\r\n\r\nh", ""},
		{"a range that only this side makes", `proxy_store on; proxy_force_ranges on;`, get + "|Range: bytes=1-2", ok,
			"html/a=hello"},
		{"HEAD", `proxy_store on;`, "HEAD /a HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""},
		{"HEAD without a length", `proxy_store on;`, "HEAD /a HTTP/1.1", "HTTP/1.1 200 OK\r\n\r\n", ""},
		{"another status", `proxy_store on;`, get, "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello", ""},
		{"an error", `proxy_store on;`, get, "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", ""},
		{"no buffering", `proxy_store on; proxy_buffering off;`, get, ok, ""},
		{"no buffering, by the server", `proxy_store on;`, get,
			"HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\nContent-Length: 5\r\n\r\nhello", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, dir := webtest.Answers(t, c.answer), t.TempDir()
			if strings.Contains(c.conf, "/w/") {
				os.Mkdir(dir+"/w", 0o755)
			}
			s := webtest.Start(t, modules, `server { location / { proxy_pass http://`+b.Addr+`; `+
				strings.ReplaceAll(c.conf, "PREFIX", dir)+` } }`, webtest.Prefix(dir))
			s.Client().Do(strings.ReplaceAll(c.request, "|", "\r\n") + "\r\nHost: a\r\n\r\n")
			if got := storedFiles(t, dir); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if n := forward.StoringBytes(s.Plan); n != 0 {
				t.Errorf("%d bytes stay in temporary files", n)
			}
		})
	}
}

// TestStoreOfLevels: PREFIX_store and PREFIX_cache replace each other in inner blocks, and on one level nginx's error
// tells that they do not go together.
func TestStoreOfLevels(t *testing.T) {
	b := webtest.Answers(t, "HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nContent-Length: 1\r\n\r\nx")
	for _, c := range []struct{ outer, inner, want string }{
		{`proxy_store on;`, ``, "stored"},
		{`proxy_store on;`, `proxy_store off;`, ""},
		{`proxy_store on;`, `proxy_cache one;`, "cached"},
		{`proxy_store on;`, `proxy_cache off;`, "stored"},
		{`proxy_cache one;`, `proxy_store on;`, "stored"},
		{`proxy_cache one;`, `proxy_store off;`, "cached"},
	} {
		t.Run(c.outer+c.inner, func(t *testing.T) {
			s := webtest.Start(t, modules, `proxy_cache_path cache keys_zone=one:1m; server { `+c.outer+
				` location / { proxy_pass http://`+b.Addr+`; `+c.inner+` } }`)
			got, before := "", b.Accepted.Load()
			for range 2 {
				s.Client().Do("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
			}
			if b.Accepted.Load() == before+1 {
				got = "cached"
			}
			if _, err := os.Stat(s.Plan.Prefix + "/html/a"); err == nil {
				got += "stored"
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	for text, want := range map[string]string{
		`proxy_cache one; proxy_store on;`:     `"proxy_store" directive is incompatible with "proxy_cache" in /test.conf:1`,
		`proxy_store /x; proxy_cache one;`:     `"proxy_cache" directive is incompatible with "proxy_store" in /test.conf:1`,
		`proxy_store "";`:                      `empty path in /test.conf:1`,
		`proxy_store on; proxy_store off;`:     `"proxy_store" directive is duplicate in /test.conf:1`,
		`proxy_store $nowhere;`:                `unknown "nowhere" variable in /test.conf:1`,
		`proxy_store_access user:x;`:           `invalid value "user:x" in /test.conf:1`,
		`proxy_store_access user:rw others:r;`: `invalid value "others:r" in /test.conf:1`,
		`proxy_store_access user;`:             `invalid value "user" in /test.conf:1`,
		`proxy_store_access user:r a:r b:r c;`: `invalid number of arguments in "proxy_store_access" directive in /test.conf:1`,
		`proxy_store off; proxy_cache one;`:    "",
		`proxy_cache off; proxy_store on;`:     "",
		`proxy_temp_path x 4;`:                 `"proxy_temp_path" directive invalid value in /test.conf:1`,
		`proxy_temp_path x 1 1 1 1;`:           `invalid number of arguments in "proxy_temp_path" directive in /test.conf:1`,
	} {
		_, err := webtest.Load(t, modules, `proxy_cache_path cache keys_zone=one:1m; server { location / { `+text+` } }`)
		got := ""
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestStoreAccess: permissions and the time of files, also of those that are copied into another file system.
func TestStoreAccess(t *testing.T) {
	b := webtest.Answers(t, "HTTP/1.1 200 OK\r\nLast-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\nContent-Length: 1\r\n\r\nx")
	for _, c := range []struct {
		conf        string
		file, above fs.FileMode
	}{
		{``, 0o600, 0o700},
		{`proxy_store_access user:r;`, 0o400, 0o500},
		{`proxy_store_access group:r;`, 0o640, 0o750},
		{`proxy_store_access group:rw all:r;`, 0o664, 0o775},
		{`proxy_store_access user:rw group:rw all:rw;`, 0o666, 0o777},
	} {
		for _, other := range []bool{false, true} {
			t.Run(fmt.Sprint(c.conf, other), func(t *testing.T) {
				s := webtest.Start(t, modules, `server { location / { proxy_pass http://`+b.Addr+`; proxy_store on; `+c.conf+` } }`,
					func(p *plan.Plan) {
						if other {
							forward.MoveStored(p, func(from, to string) error {
								if _, err := os.Stat(filepath.Dir(to)); err != nil {
									return syscall.ENOENT
								}
								return syscall.EXDEV
							})
						}
					})
				dir := s.Plan.Prefix + "/html/b"
				if c.file == 0o400 { // a folder in which nothing can be made
					if err := os.MkdirAll(dir, 0o700); err != nil {
						t.Fatal(err)
					}
				}
				s.Client().Do("GET /b/a HTTP/1.1\r\nHost: a\r\n\r\n")
				info, err := os.Stat(dir + "/a")
				if err != nil {
					t.Fatal(err, s.Log.Lines())
				}
				if info.Mode() != c.file || info.ModTime().Unix() != 1e9 || info.Size() != 1 {
					t.Errorf("%v of %v, %d bytes", info.Mode(), info.ModTime(), info.Size())
				}
				above, err := os.Stat(dir)
				if err != nil {
					t.Fatal(err)
				}
				if want := c.above &^ umask; c.file != 0o400 && above.Mode().Perm() != want {
					t.Errorf("the folder has %v, want %v", above.Mode(), want)
				}
				if left := storedFiles(t, s.Plan.Prefix); left != "html/b/a=x" {
					t.Errorf("%q", left)
				}
			})
		}
	}
}

// umask is that of the process.
var umask = func() fs.FileMode {
	old := syscall.Umask(0)
	syscall.Umask(old)
	return fs.FileMode(old)
}()

// TestStoreReplaces: a new response takes the place of the file.
func TestStoreReplaces(t *testing.T) {
	next := 0
	b := webtest.Serve(t, func(p *webtest.Peer) {
		for p.Head() != "" {
			next++
			p.Answer(strings.Repeat("x", next))
		}
	})
	s := b.Proxied(modules, `proxy_store on;`)
	c := s.Client()
	for _, want := range []string{"x", "xx"} {
		c.Do("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := storedFiles(t, s.Plan.Prefix); got != "html/a="+want {
			t.Errorf("%q", got)
		}
	}
}

// TestStoreFails: the client gets its response where the file cannot be written, and the log tells why.
func TestStoreFails(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	for _, c := range []struct {
		name, path, log string
		option          webtest.Option
	}{
		{"no name", "/", `/html/" failed (20: Not a directory) while reading upstream; the response`, nil},
		{"a folder", "/dir", `/html/dir" failed (21: Is a directory) while reading upstream; the response is not stored, client`, nil},
		{"a file as folder", "/file/a", `/html/file/a" failed (20: Not a directory) while reading upstream; the response`, nil},
		{"a long name", "/" + strings.Repeat("n", 300), `File name too long) while reading upstream; the response`, nil},
		{"the limit", "/a", `responses in temporary files reached the limit of 50000 bytes while reading upstream; the response`,
			func(p *plan.Plan) { forward.LimitStores(p, 50000) }},
		{"a full disk", "/a", `/html/a" failed (28: No space left on device) while reading upstream; the response`, func(p *plan.Plan) {
			forward.MoveStored(p, func(string, string) error { return syscall.ENOSPC })
		}},
		{"no temporary files", "/a", `mkdir() "`, func(p *plan.Plan) { p.Paths.Responses = "none/tmp" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := webtest.Serve(t, func(p *webtest.Peer) {
				for p.Head() != "" {
					p.Answer(big)
				}
			})
			options := []webtest.Option{}
			if c.option != nil {
				options = append(options, c.option)
			}
			s := webtest.Start(t, modules, `server { location / { proxy_pass http://`+b.Addr+`; proxy_store on; } }`, options...)
			html := s.Plan.Prefix + "/html"
			if err := os.MkdirAll(html+"/dir", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(html+"/file", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s.Log.Lines() // of the start
			if r := s.Client().Do("GET " + c.path + " HTTP/1.1\r\nHost: a\r\n\r\n"); r.StatusCode != 200 || r.Text != big {
				t.Errorf("%d, %d bytes", r.StatusCode, len(r.Text))
			}
			line := s.AwaitLog("the response is not stored")
			if !strings.HasPrefix(line, "[crit] ") || !strings.Contains(line, c.log) {
				t.Errorf("%s", line)
			}
			if got := storedFiles(t, s.Plan.Prefix); got != "html/dir/ html/file=" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestStoreOfACutResponse: what has not arrived whole is not stored, and its temporary file goes.
func TestStoreOfACutResponse(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
	} {
		s := webtest.Answers(t, answer).Proxied(modules, `proxy_store on;`)
		s.Send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		testkit.Eventually(t, webtest.Patience, func() error {
			if got := storedFiles(t, s.Plan.Prefix); got != "" {
				return fmt.Errorf("%q: %q", answer, got)
			}
			return nil
		})
	}
}

// TestStoreOfAClientThatLeaves: the response is read to its end and stored, whenever its client leaves.
func TestStoreOfAClientThatLeaves(t *testing.T) {
	const size = 4 << 20 // more than a connection holds, so that writing to the client fails
	all := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
	for _, before := range []string{"", all[:100]} {
		t.Run(fmt.Sprintf("%d bytes", len(before)), func(t *testing.T) {
			asked, left := make(chan bool), make(chan bool)
			b := webtest.Serve(t, func(p *webtest.Peer) {
				p.Head()
				p.Say(before)
				asked <- true
				<-left
				p.Say(all[len(before):])
			})
			s := b.Proxied(modules, `proxy_store on;`)
			c := s.LoopbackClient()
			c.Write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
			webtest.Receive(t, asked)
			c.Conn.Close()
			close(left)
			testkit.Eventually(t, webtest.Patience, func() error {
				info, err := os.Stat(s.Plan.Prefix + "/html/a")
				if err == nil && info.Size() != size {
					t.Fatalf("%d bytes", info.Size())
				}
				return err
			})
		})
	}
}

// TestStoreOfTempPath: a response is collected below directories named by the last digits of its file.
func TestStoreOfTempPath(t *testing.T) {
	arrived, end := make(chan bool), make(chan bool)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
		<-end
		p.Say("llo")
		arrived <- true
	})
	s := b.Proxied(modules, `proxy_store on; proxy_temp_path tmp 1 2;`)
	c := s.Client()
	c.Write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
	name := regexp.MustCompile(`^tmp/(\d)/(\d\d)/\d{7}(\d\d)(\d)=he$`)
	testkit.Eventually(t, webtest.Patience, func() error {
		got := storedFiles(t, s.Plan.Prefix)
		if m := name.FindStringSubmatch(got); m == nil || m[1] != m[4] || m[2] != m[3] {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	close(end)
	webtest.Receive(t, arrived)
	if r := c.Read("GET"); r.Text != "hello" {
		t.Errorf("%d %q", r.StatusCode, r.Text)
	}
	if got := storedFiles(t, s.Plan.Prefix); !strings.HasPrefix(got, "html/a=hello tmp/") {
		t.Errorf("%q", got)
	}
}
