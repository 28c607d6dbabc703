package tryfiles_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/tryfiles"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &tryfiles.Module, webtest.Say()}

func TestTheFirstThatExists(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"file", "second", "sub/file"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := webtest.Start(t, modules, `root `+root+`; server {
		location / { try_files $uri /second /other; say "at $uri"; }
		location /other { say "other $uri $args"; }
		location /code { try_files /none =404; say x; }
		location /named { try_files /none @name; }
		location @name { say "named $uri"; }
		location /query { try_files /none /other?a=$uri; }
		location /folder { try_files /file/ /sub/ =404; say "at $uri"; }
		location /none { try_files /none1 /none2 /other; say x; }
		location /alias/ { alias `+root+`/sub/; try_files file =404; say "at $uri"; }
		location /alias2/ { alias `+root+`/sub/; try_files $uri =404; say "at $uri"; }
	}`)
	for target, want := range map[string]string{
		"/file": "at /file", "/missing": "at /second", "/named": "named /named", "/query": "other /other a=/query",
		"/folder": "at /sub", "/none": "other /other ", "/alias/x": "at /alias/file", "/alias2/file": "at /alias2/file",
	} {
		if got := s.Get(target); !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s: got %q, want %s", target, got, want)
		}
	}
	for _, target := range []string{"/code", "/alias2/x"} {
		if got := strings.Fields(s.Get(target))[1]; got != "404" {
			t.Errorf("%s: got %s", target, got)
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		`try_files $uri;`:                       `invalid number of arguments in "try_files" directive`,
		`try_files $uri =x;`:                    `invalid code "=x"`,
		`try_files $uri =1000;`:                 `invalid code "=1000"`,
		`try_files $uri /a; try_files $uri /b;`: `"try_files" directive is duplicate`,
	} {
		_, err := webtest.Load(t, modules, "server { location / {"+text+"} }")
		if want := problem + " in /test.conf:1"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}
