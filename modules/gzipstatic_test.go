package modules_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/gunzip"
	packer "starling/modules/web/gzip"
	"starling/modules/web/gzipstatic"
	"starling/modules/web/static"
	"starling/web"
	"starling/web/webtest"
)

// startGzipStatic serves a folder of plain and compressed files, and returns what the compressed ones have.
func startGzipStatic(t *testing.T) (s *webtest.Server, packed string) {
	dir := t.TempDir()
	file := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte("from the archive"))
	w.Close()
	packed = b.String()
	file("a.html", "plain")
	file("a.html.gz", packed)
	file("plain.html", "plain")
	file("only.html.gz", packed)
	if err := os.Mkdir(filepath.Join(dir, "folder.html.gz"), 0o755); err != nil {
		t.Fatal(err)
	}
	file("folder.html", "plain")
	return webtest.Start(t, []*web.Module{&core.Module, &gunzip.Module, &packer.Module, &gzipstatic.Module, &static.Module},
		`server { root `+dir+`; gzip_vary on;
			location / { gzip_static on; }
			location /always/ { alias `+dir+`/; gzip_static always; }
			location /both/ { alias `+dir+`/; gzip_static always; gunzip on; }
			location /off/ { alias `+dir+`/; }
		}`), packed
}

func TestGzipStatic(t *testing.T) {
	s, packed := startGzipStatic(t)
	const gzipped = "Accept-Encoding: gzip\r\n"
	cases := []struct {
		request, headers, text string
		vary                   int
	}{
		{"GET /a.html", gzipped, packed, 1},
		{"GET /a.html", "", "plain", 1},
		{"GET /a.html", "Accept-Encoding: gzip;q=0\r\n", "plain", 1},
		{"GET /a.html", gzipped + "Via: a proxy\r\n", "plain", 1},
		{"GET /plain.html", gzipped, "plain", 0},
		{"GET /folder.html", gzipped, "plain", 1},
		{"GET /only.html", gzipped, packed, 1},
		{"GET /always/only.html", "", packed, 0},
		{"GET /both/only.html", "", "from the archive", 1},
		{"GET /both/only.html", gzipped, packed, 1},
		{"GET /off/a.html", gzipped, "plain", 0},
		{"HEAD /a.html", gzipped, "", 1},
		{"GET /a.html", gzipped + "Range: bytes=0-1\r\n", packed[:2], 1},
	}
	for _, c := range cases {
		got := s.Client().Do(c.request + " HTTP/1.1\r\nHost: a\r\n" + c.headers + "\r\n")
		if got.Text != c.text || len(got.Header.Values("Vary")) != c.vary {
			t.Errorf("%s with %q: got %.30q with %v", c.request, c.headers, got.Text, got.Header)
		}
		fromArchive := c.text != "" && strings.HasPrefix(packed, c.text) || strings.HasPrefix(c.request, "HEAD")
		if coded := got.Header.Get("Content-Encoding") == "gzip"; coded != fromArchive {
			t.Errorf("%s with %q: Content-Encoding %v", c.request, c.headers, coded)
		}
		if got.Header.Get("Content-Type") != "text/html" {
			t.Errorf("%s: type %q", c.request, got.Header.Get("Content-Type"))
		}
	}
	if got := s.Get("/missing.html", "Accept-Encoding: gzip"); !strings.Contains(got, "404 Not Found") {
		t.Error(got)
	}
}

// TestGzipStaticConditions: conditions are those of the compressed file; an error page and a 304 have no coding.
func TestGzipStaticConditions(t *testing.T) {
	s, _ := startGzipStatic(t)
	const gzipped = "Accept-Encoding: gzip\r\n"
	tag := s.Client().Do("GET /a.html HTTP/1.1\r\nHost: a\r\n" + gzipped + "\r\n").Header.Get("ETag")
	if got := s.Client().Do("GET /a.html HTTP/1.1\r\nHost: a\r\n" + gzipped + "If-None-Match: " + tag + "\r\n\r\n"); got.StatusCode != 304 ||
		got.Header.Get("Content-Encoding") != "" {
		t.Errorf("304: %d %v", got.StatusCode, got.Header)
	}
	if got := s.Client().Do("GET /a.html HTTP/1.1\r\nHost: a\r\n" + gzipped + "If-Match: \"x\"\r\n\r\n"); got.StatusCode != 412 ||
		got.Header.Get("Content-Encoding") != "" {
		t.Errorf("412: %d %v", got.StatusCode, got.Header)
	}
}
