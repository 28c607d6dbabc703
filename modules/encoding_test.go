package modules_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/conf"
	"starling/lib/testkit"
	"starling/modules/web/accesslog"
	"starling/modules/web/brotli"
	"starling/modules/web/core"
	"starling/modules/web/gunzip"
	packer "starling/modules/web/gzip"
	"starling/modules/web/gzipstatic"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/static"
	"starling/modules/web/upstream"
	"starling/modules/web/zstd"
	"starling/web"
	"starling/web/webtest"

	unbrotli "github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	unzstd "github.com/klauspost/compress/zstd"
)

var encodingText = strings.Repeat("hello, world; ", 1000)

// paused answers with encodingText, flushed, and ends only after more was closed.
func paused(more <-chan struct{}) *web.Module {
	return &web.Module{
		Module: conf.Module{Name: "paused", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				r.Out.ContentType = []byte("text/html")
				_, err := r.Write([]byte(encodingText))
				if err = errors.Join(err, r.Flush()); err != nil {
					return web.Done // the client, and so the test, sees it
				}
				<-more
				r.Write([]byte("the end"))
				return web.Done
			}, nil
		}}},
	}
}

// decoderOf reads a coding without waiting for more than is needed.
func decoderOf(t *testing.T, coding string, from io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case "br":
		return unbrotli.NewReader(from)
	case "zstd":
		r, err := unzstd.NewReader(from, unzstd.WithDecoderConcurrency(1), unzstd.WithDecoderLowmem(true))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	case "gzip":
		r, err := gzip.NewReader(from)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	return from
}

// getEncoded returns a response and its decoded text.
func getEncoded(t *testing.T, s *webtest.Server, request, accept string) (webtest.Response, string) {
	t.Helper()
	got := s.Client().Do(request + " HTTP/1.1\r\nHost: a\r\nAccept-Encoding: " + accept + "\r\n\r\n")
	if got.Text == "" {
		return got, ""
	}
	text, err := io.ReadAll(decoderOf(t, got.Header.Get("Content-Encoding"), strings.NewReader(got.Text)))
	if err != nil {
		t.Fatalf("%s, %s: %v", request, accept, err)
	}
	return got, string(text)
}

// encodingFolder has a page of each kind in several codings.
func encodingFolder(t *testing.T) string {
	dir := t.TempDir()
	pack := func(name string, make func(io.Writer) io.WriteCloser) {
		var b bytes.Buffer
		w := make(&b)
		io.WriteString(w, "from "+filepath.Ext(name))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	br := func(w io.Writer) io.WriteCloser { return unbrotli.NewWriter(w) }
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zst := func(w io.Writer) io.WriteCloser { e, _ := unzstd.NewWriter(w); return e }
	for name, make := range map[string]func(io.Writer) io.WriteCloser{
		"all.html.br": br, "all.html.gz": gz, "all.html.zst": zst, "two.html.gz": gz, "two.html.zst": zst, "only.html.br": br,
	} {
		pack(name, make)
	}
	for _, name := range []string{"all.html", "two.html", "none.html", "text.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(encodingText), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var encodingFamilies = []*web.Module{
	&core.Module, &rewrite.Module, &upstream.Module, &proxy.Module, &gunzip.Module,
	&zstd.Module, &brotli.Module, &packer.Module, &accesslog.Module, &gzipstatic.Module, &static.Module,
}

// TestWhichCoding: the client's preference decides; if it has none, zstd, then br, then gzip.
func TestWhichCoding(t *testing.T) {
	s := webtest.Start(t, encodingFamilies, `server { root `+encodingFolder(t)+`; default_type text/html; gzip_vary on;
		location / { gzip on; brotli on; zstd on; gzip_min_length 1; }
		location = /none.html { gzip on; brotli on; }
		location = /text.txt { gzip on; brotli on; brotli_types text/plain; zstd on; types { text/plain txt; } }
		location /long/ { alias `+encodingFolder(t)+`/; gzip on; brotli on; brotli_min_length 1m; }
		location /brotli/ { alias `+encodingFolder(t)+`/; brotli on; }
		location /if/ { alias `+encodingFolder(t)+`/; if ($arg_x) { zstd on; } }
		location /off/ { alias `+encodingFolder(t)+`/; }
	}`)
	const browser = "gzip, deflate, br, zstd"
	for _, c := range []struct{ target, accept, coding string }{
		{"/all.html", browser, "zstd"},
		{"/all.html", "gzip, br", "br"},
		{"/all.html", "gzip", "gzip"},
		{"/all.html", "identity", ""},
		{"/all.html", "*", ""},
		{"/all.html", "zstd;q=0.5, br;q=0.6, gzip;q=0.4", "br"},
		{"/all.html", "zstd;q=0.5, br;q=0.6, gzip", "gzip"},
		{"/all.html", "zstd;q=0.002, br;q=0.001", "zstd"},
		{"/all.html", "zstd;q=0, br;q=0, gzip;q=0.1", "gzip"},
		{"/all.html", "zstd;q=0, br;q=0, gzip;q=0", ""},
		{"/none.html", browser, "br"},
		{"/text.txt", browser, "br"},
		{"/text.txt", "gzip, zstd", ""},
		{"/long/all.html", browser, "gzip"},
		{"/long/all.html", "br", ""},
		{"/brotli/all.html", browser, "br"},
		{"/brotli/all.html", "gzip", ""},
		{"/if/all.html?x=1", browser, "zstd"},
		{"/if/all.html", browser, ""},
		{"/off/all.html", browser, ""},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			got, text := getEncoded(t, s, method+" "+c.target, c.accept)
			h := got.Header
			vary := !strings.HasPrefix(c.target, "/off") && c.target != "/if/all.html"
			if h.Get("Content-Encoding") != c.coding || text != encodingText && method == "GET" || vary != (len(h.Values("Vary")) == 1) {
				t.Errorf("%s %s for %s: coding %q, %d bytes, Vary %q", method, c.target, c.accept, h.Get("Content-Encoding"), len(text), h.Values("Vary"))
			}
			if weak := strings.HasPrefix(h.Get("ETag"), "W/"); weak != (c.coding != "") || (h.Get("Accept-Ranges") == "") != weak ||
				(got.ContentLength < 0) != (weak && method == "GET") && method == "GET" {
				t.Errorf("%s %s for %s: %v", method, c.target, c.accept, h)
			}
		}
	}
}

// TestGzipRulesAreOfGzip: HTTP/1.0, proxies and old browsers do without gzip only, as with nginx's modules.
func TestGzipRulesAreOfGzip(t *testing.T) {
	s := webtest.Start(t, encodingFamilies, `server { root `+encodingFolder(t)+`; default_type text/html;
		gzip on; brotli on; zstd on; gzip_disable Old; }`)
	for _, c := range []struct{ request, coding string }{
		{"GET /all.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n", ""},
		{"GET /all.html HTTP/1.0\r\nAccept-Encoding: gzip, br\r\n\r\n", "br"},
		{"GET /all.html HTTP/1.1\r\nHost: a\r\nVia: x\r\nAccept-Encoding: gzip\r\n\r\n", ""},
		{"GET /all.html HTTP/1.1\r\nHost: a\r\nVia: x\r\nAccept-Encoding: gzip, zstd;q=0.1\r\n\r\n", "zstd"},
		{"GET /all.html HTTP/1.1\r\nHost: a\r\nUser-Agent: Old\r\nAccept-Encoding: gzip, br;q=0.1\r\n\r\n", "br"},
	} {
		if got := s.Client().Do(c.request).Header.Get("Content-Encoding"); got != c.coding {
			t.Errorf("%q: %q, want %q", c.request, got, c.coding)
		}
	}
}

func TestPrecompressedFiles(t *testing.T) {
	dir := encodingFolder(t)
	s := webtest.Start(t, encodingFamilies, `server { root `+dir+`; default_type text/html; gzip_vary on;
		location / { gzip_static on; brotli_static on; zstd_static on; }
		location /always/ { alias `+dir+`/; brotli_static always; gzip_static on; }
		location /zstd/ { alias `+dir+`/; zstd_static on; zstd on; gzip on; }
	}`)
	for _, c := range []struct{ target, accept, coding, text string }{
		{"/all.html", "gzip, deflate, br, zstd", "zstd", "from .zst"},
		{"/all.html", "gzip, br", "br", "from .br"},
		{"/all.html", "gzip, br;q=0.9", "gzip", "from .gz"},
		{"/all.html", "identity", "", encodingText},
		{"/two.html", "gzip, br", "gzip", "from .gz"},
		{"/two.html", "br", "", encodingText},
		{"/only.html", "br", "br", "from .br"},
		{"/always/all.html", "identity", "br", "from .br"},
		{"/always/all.html", "gzip", "gzip", "from .gz"},
		{"/always/all.html", "gzip;q=0.5, br", "br", "from .br"},
		{"/always/two.html", "identity", "", encodingText},
		{"/zstd/all.html", "gzip, zstd", "zstd", "from .zst"},
		{"/zstd/all.html", "gzip, zstd;q=0", "gzip", encodingText},
	} {
		got, text := getEncoded(t, s, "GET "+c.target, c.accept)
		if coding := got.Header.Get("Content-Encoding"); coding != c.coding || text != c.text || len(got.Header.Values("Vary")) != 1 {
			t.Errorf("%s for %s: coding %q, %.20q, %v", c.target, c.accept, coding, text, got.Header)
		}
	}
	if got, _ := getEncoded(t, s, "GET /none.html", "gzip, br, zstd"); got.Header.Get("Content-Encoding") != "" || got.Header.Get("Vary") != "" {
		t.Errorf("a file that is not compressed: %v", got.Header)
	}
	if got, _ := getEncoded(t, s, "GET /only.html", "gzip"); got.StatusCode != 404 {
		t.Errorf("a file that exists only for others: %d", got.StatusCode)
	}
}

// TestEncodedStreams: a client reads what was flushed before the response goes on.
func TestEncodedStreams(t *testing.T) {
	for _, coding := range []string{"zstd", "br", "gzip"} {
		t.Run(coding, func(t *testing.T) {
			more := make(chan struct{})
			s := webtest.Start(t, []*web.Module{&core.Module, paused(more), &zstd.Module, &brotli.Module, &packer.Module},
				`gzip on; brotli on; zstd on; server { }`)
			conn := s.Dial()
			conn.SetDeadline(time.Now().Add(webtest.Patience))
			go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", coding)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || response.Header.Get("Content-Encoding") != coding {
				t.Fatalf("%v %v", response, err)
			}
			decoded := decoderOf(t, coding, response.Body)
			first := make([]byte, len(encodingText))
			if _, err := io.ReadFull(decoded, first); err != nil || string(first) != encodingText {
				t.Fatalf("before the pause: %.20q, %v", first, err)
			}
			close(more)
			if rest, err := io.ReadAll(decoded); err != nil || string(rest) != "the end" {
				t.Fatalf("after the pause: %q, %v", rest, err)
			}
		})
	}
}

// TestOneChunk: what a format has before and after the compressed bytes makes no chunks of its own.
func TestOneChunk(t *testing.T) {
	pieces := webtest.Serve(t, func(p *webtest.Peer) {
		for p.Head() != "" {
			p.Say("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
			for range 5 {
				p.Say("6\r\nhello \r\n")
			}
			p.Say("0\r\n\r\n")
		}
	})
	s := webtest.Start(t, encodingFamilies, `server { gzip on; brotli on; zstd on; gzip_min_length 1; default_type text/html;
		location / { root `+encodingFolder(t)+`; }
		location /return { return 200 "hello hello hello hello"; }
		location /pieces { proxy_pass http://`+pieces.Addr+`; }
	}`)
	for _, coding := range []string{"zstd", "br", "gzip"} {
		for target, want := range map[string]string{
			"/all.html": encodingText, "/return": "hello hello hello hello", "/pieces": strings.Repeat("hello ", 5),
		} {
			raw := s.Get(target, "Accept-Encoding: "+coding)
			_, body, _ := strings.Cut(raw, "\r\n\r\n")
			size, rest, _ := strings.Cut(body, "\r\n")
			n, err := strconv.ParseUint(size, 16, 16)
			if err != nil || len(rest) < int(n) || rest[n:] != "\r\n0\r\n\r\n" {
				t.Errorf("%s of %s in more than one chunk: %q", coding, target, raw)
				continue
			}
			text, err := io.ReadAll(decoderOf(t, coding, strings.NewReader(rest[:n])))
			if err != nil || string(text) != want {
				t.Errorf("%s of %s: %.40q, %v", coding, target, text, err)
			}
		}
	}
}

// TestRatios: each variable is that of its own coding.
func TestRatios(t *testing.T) {
	log := filepath.Join(t.TempDir(), "ratio.log")
	s := webtest.Start(t, encodingFamilies, `log_format ratios "$http_accept_encoding $gzip_ratio $brotli_ratio $zstd_ratio";
		access_log `+log+` ratios;
		server { root `+encodingFolder(t)+`; default_type text/html; gzip on; brotli on; zstd on; }`)
	var want []string
	for _, c := range []struct {
		accept, format string
		scale          int
	}{{"gzip", "gzip %s - -", 100}, {"br", "br - %s -", 100}, {"zstd", "zstd - - %s", 1000}, {"none", "none - - -%.0s", 1000}} {
		got, _ := getEncoded(t, s, "GET /all.html", c.accept)
		thousandths := len(encodingText) * 1000 / len(got.Text)
		ratio := fmt.Sprintf("%d.%03d", thousandths/1000, thousandths%1000)
		if c.scale == 100 { // rounded
			hundredths := (thousandths + 5) / 10
			ratio = fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
		}
		want = append(want, fmt.Sprintf(c.format, ratio))
	}
	testkit.Eventually(t, webtest.Patience, func() error {
		s.Plan.Logs.Flush()
		text, err := os.ReadFile(log)
		got := strings.Split(strings.TrimSpace(string(text)), "\n")
		slices.Sort(got) // a request is logged after its client has the response
		slices.Sort(want)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("logged %q, want %q", got, want)
		}
		return err
	})
}

// TestEncodedByTheServer: what a server has compressed passes, and gunzip is for clients that do not accept gzip.
func TestEncodedByTheServer(t *testing.T) {
	for coding, decoded := range map[string]string{"gzip": "", "br": "br"} {
		body := encodingText
		if coding == "gzip" {
			body = gzipped(encodingText)
		}
		backend := webtest.Answers(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s",
			coding, len(body), body))
		s := backend.Proxied(encodingFamilies, "gzip on; brotli on; zstd on; gunzip on;")
		got := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br, zstd\r\n\r\n")
		if got.Text != body || got.Header.Get("Content-Encoding") != coding {
			t.Errorf("%s: changed to %q, %d bytes", coding, got.Header.Get("Content-Encoding"), len(got.Text))
		}
		got = s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n")
		if got.Text != encodingText || got.Header.Get("Content-Encoding") != decoded {
			t.Errorf("%s for a client without: %q, %d bytes", coding, got.Header.Get("Content-Encoding"), len(got.Text))
		}
	}
}

func TestEncodingProblems(t *testing.T) {
	for text, want := range map[string]string{
		"brotli_comp_level 12;":   `value must be between 0 and 11 in /test.conf:1`,
		"brotli_window 3k;":       `"brotli_window" directive must be 1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, 4m, 8m or 16m in /test.conf:1`,
		"brotli_window 32m;":      `"brotli_window" directive must be 1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, 4m, 8m or 16m in /test.conf:1`,
		"brotli_static maybe;":    `invalid value "maybe" in /test.conf:1`,
		"zstd_comp_level 0;":      `zstd compression level must be between -131072 and 22, and not 0 in /test.conf:1`,
		"zstd_comp_level 23;":     `zstd compression level must be between -131072 and 22, and not 0 in /test.conf:1`,
		"zstd_comp_level -5;":     "",
		"zstd_comp_level x;":      `"zstd_comp_level" directive invalid number in /test.conf:1`,
		"brotli_window 16m;":      "",
		"brotli_min_length 1k 2k": `invalid number of arguments`,
	} {
		_, err := webtest.Load(t, encodingFamilies, strings.TrimSuffix(text, ";")+"; server { }")
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
