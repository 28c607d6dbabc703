package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/conf"
	"starling/modules/web/autoindex"
	"starling/modules/web/core"
	"starling/modules/web/static"
	"starling/web"
	"starling/web/webtest"
)

var autoindexFamilies = []*web.Module{&core.Module, &static.Module, &autoindex.Module}

// listedFolder makes a directory with one of each kind; all are of 1 November 2026, 12:34.
func listedFolder(t *testing.T) string {
	dir := t.TempDir()
	at := time.Date(2026, 11, 1, 12, 34, 0, 0, time.UTC)
	for _, name := range []string{"b.txt", ".hidden", `<&">`, "a b%.txt", strings.Repeat("x", 51), strings.Repeat("y", 50), strings.Repeat("ä", 30)} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 10240+len(name)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "z-dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if f.Name() != "dangling" {
			if err := os.Chtimes(filepath.Join(dir, f.Name()), at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func getList(s *webtest.Server, target string) string {
	return s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n").Text
}

func TestAutoindexHTML(t *testing.T) {
	s := webtest.Start(t, autoindexFamilies, `server { root `+listedFolder(t)+`; autoindex on; }`)
	got := getList(s, "/")
	for _, want := range []string{
		"<html>\r\n<head><title>Index of /</title></head>\r\n<body>\r\n<h1>Index of /</h1><hr><pre><a href=\"../\">../</a>\r\n" +
			"<a href=\"z-dir/\">z-dir/</a>                                             01-Nov-2026 12:34                   -\r\n",
		"<a href=\"%3C%26%22%3E\">&lt;&amp;&quot;&gt;</a>                                               01-Nov-2026 12:34               10244\r\n",
		"<a href=\"a%20b%25.txt\">a b%.txt</a> ",
		"\">" + strings.Repeat("x", 47) + "..&gt;</a> 01-Nov-2026 12:34               10291\r\n",
		"\">" + strings.Repeat("y", 50) + "</a> 01-Nov-2026",
		">dangling</a> ",
		"</pre><hr></body>\r\n</html>\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "hidden") || strings.Index(got, "z-dir") > strings.Index(got, "a b%.txt") {
		t.Errorf("hidden files are shown, or directories do not come first:\n%s", got)
	}
	s = webtest.Start(t, autoindexFamilies, `server { root `+listedFolder(t)+`; autoindex on; autoindex_exact_size off; location /none/ { autoindex off; } }`)
	if got := getList(s, "/"); !strings.Contains(got, "12:34     10K\r\n") || !strings.Contains(got, "12:34       -\r\n") {
		t.Errorf("rounded sizes:\n%s", got)
	}
	for request, want := range map[string]string{
		"POST / HTTP/1.0": "403 Forbidden", "GET /missing/ HTTP/1.0": "404 Not Found", "GET /b.txt/ HTTP/1.0": "404 Not Found",
		"GET /none/ HTTP/1.0": "404 Not Found",
	} {
		if got := s.Send(request + "\r\n\r\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", request, got)
		}
	}
}

func TestAutoindexFormats(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 1, 12, 34, 0, 0, time.UTC)
	for _, name := range []string{"a\"\n", "<x>"} {
		os.WriteFile(filepath.Join(dir, name), []byte("12345"), 0o644)
		os.Chtimes(filepath.Join(dir, name), at, at)
	}
	os.Mkdir(filepath.Join(dir, "d"), 0o755)
	os.Chtimes(filepath.Join(dir, "d"), at, at)
	s := webtest.Start(t, autoindexFamilies, `server { root `+dir+`; autoindex on;
		location /json/ { alias `+dir+`/; autoindex_format json; }
		location /jsonp/ { alias `+dir+`/; autoindex_format jsonp; }
		location /xml/ { alias `+dir+`/; autoindex_format xml; } }`)
	const list = "[\r\n{ \"name\":\"d\", \"type\":\"directory\", \"mtime\":\"Sun, 01 Nov 2026 12:34:00 GMT\" },\r\n" +
		"{ \"name\":\"<x>\", \"type\":\"file\", \"mtime\":\"Sun, 01 Nov 2026 12:34:00 GMT\", \"size\":5 },\r\n" +
		"{ \"name\":\"a\\\"\\n\", \"type\":\"file\", \"mtime\":\"Sun, 01 Nov 2026 12:34:00 GMT\", \"size\":5 }\r\n]"
	for target, want := range map[string]string{
		"/json/": list, "/jsonp/": list, "/jsonp/?callback=": list, "/jsonp/?callback=f.g_1": "/* callback */\r\nf.g_1(" + list + ");",
		"/xml/": "<?xml version=\"1.0\"?>\r\n<list>\r\n<directory mtime=\"2026-11-01T12:34:00Z\">d</directory>\r\n" +
			"<file mtime=\"2026-11-01T12:34:00Z\" size=\"5\">&lt;x&gt;</file>\r\n<file mtime=\"2026-11-01T12:34:00Z\" size=\"5\">a&quot;\n</file>\r\n</list>\r\n",
	} {
		if got := getList(s, target); got != want {
			t.Errorf("%s\ngot  %q\nwant %q", target, got, want)
		}
	}
	for _, name := range []string{"a(b)", strings.Repeat("a", 129)} {
		if got := s.Get("/jsonp/?callback=" + name); !strings.Contains(got, "400 Bad Request") {
			t.Errorf("callback %s: %s", name, got)
		}
	}
}

func TestAutoindexOfWideCharacters(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, strings.Repeat("ä", 60)), nil, 0o644)
	s := webtest.Start(t, append(autoindexFamilies, &web.Module{
		Module: conf.Module{Name: "utf8", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Filters: []web.FilterHook{{Build: func(*web.Block) (web.Filter, error) {
			return func(r *web.Request) web.Body { r.Out.ContentType = []byte("text/html; charset=UTF-8"); return nil }, nil
		}}},
	}), `server { root `+dir+`; autoindex on; }`)
	if got := getList(s, "/"); !strings.Contains(got, ">"+strings.Repeat("ä", 47)+"..&gt;</a>") {
		t.Error(got)
	}
}
