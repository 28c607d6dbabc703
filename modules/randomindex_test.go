package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/randomindex"
	"starling/modules/web/static"
	"starling/web"
	"starling/web/webtest"
)

func TestRandomIndex(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two", ".hidden", "index.html", "off/index.html", "empty/.hidden"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		os.WriteFile(filepath.Join(dir, name), []byte("this is "+name), 0o644)
	}
	os.Symlink("one", filepath.Join(dir, "link"))
	os.Symlink("nowhere", filepath.Join(dir, "dangling"))
	s := webtest.Start(t, []*web.Module{&core.Module, &randomindex.Module, &static.Module},
		`server { root `+dir+`; location / { random_index on; } location /off/ { } }`)
	seen := map[string]bool{}
	for range 300 {
		_, text, _ := strings.Cut(s.Get("/"), "\r\n\r\n")
		seen[text] = true
	}
	// A link to a file counts, as "one" again; directories, hidden files and links to nothing do not. All files are
	// equally likely: that one of four is missing in 300 draws has a probability below 10^-36.
	for _, want := range []string{"this is one", "this is two", "this is index.html"} {
		if !seen[want] {
			t.Errorf("%q was never drawn", want)
		}
	}
	if len(seen) != 3 {
		t.Errorf("drawn: %v", seen)
	}
	for target, want := range map[string]string{
		"/off/": "this is off/index.html", "/empty/": "403 Forbidden", "/missing/": "404 Not Found", "/one": "this is one",
	} {
		if got := s.Get(target); !strings.Contains(got, want) {
			t.Errorf("%s: %s", target, got)
		}
	}
}
